#include "backup/range.h"

#include <string.h>

bool mig_range_has_id_index(const bson_t *indexes) {
  bson_iter_t it;
  bson_t spec;
  const char *name = NULL;
  if (!indexes || !bson_iter_init(&it, indexes)) return false;
  while (bson_iter_next(&it))
    if (mig_bson_iter_doc(&it, &spec) && mig_bson_str(&spec, "name", &name) && strcmp(name, "_id_") == 0) return true;
  return false;
}

bool mig_range_works(const mig_caps *caps, const bson_t *info, const bson_t *indexes) {
  bool capped = false;
  const char *type = "collection";
  bson_iter_t it;
  if (!caps || !mig_caps_has(caps, MIG_CAP_ID_RANGES) || !info) return false;
  mig_bson_bool(info, "options.capped", &capped);
  mig_bson_str(info, "type", &type);
  return !capped && strcmp(type, "collection") == 0 && !mig_bson_find(info, "options.collation", &it) &&
         mig_range_has_id_index(indexes);
}

static void append_order(bson_t *to, const char *key) {
  bson_t order;
  BSON_APPEND_DOCUMENT_BEGIN(to, key, &order);
  BSON_APPEND_INT32(&order, "_id", 1);
  bson_append_document_end(to, &order);
}

void mig_range_append(bson_t *find, const mig_range *range) {
  append_order(find, "sort");
  append_order(find, "hint");
  if (range->min) BSON_APPEND_DOCUMENT(find, "min", range->min);
  if (range->max) BSON_APPEND_DOCUMENT(find, "max", range->max);
}

bool mig_connections_open(mig_connections *c, const mig_db *like, unsigned jobs, mig_error *err) {
  mig_error local = {0};
  memset(c, 0, sizeof *c);
  while (c->count < mig_jobs(jobs) && mig_db_again(like, NULL, &c->each[c->count], &local)) c->count++;
  if (c->count) return true;
  if (err) *err = local;
  return false;
}

void mig_connections_close(mig_connections *c) {
  for (unsigned i = 0; i < c->count; i++) mig_db_close(c->each[i]);
  memset(c, 0, sizeof *c);
}
