#include "backup/range.h"

#include <string.h>

#include "backup/manifest_internal.h"

#define TRIED 3

bool mig_range_has_id_index(const bson_t *indexes) {
  bson_iter_t it;
  bson_t spec;
  const char *name = NULL;
  if (!indexes || !bson_iter_init(&it, indexes)) return false;
  while (bson_iter_next(&it))
    if (mig_bson_iter_doc(&it, &spec) && mig_bson_str(&spec, "name", &name) && strcmp(name, "_id_") == 0) return true;
  return false;
}

static void append_order(bson_t *to, const char *key) {
  bson_t order;
  BSON_APPEND_DOCUMENT_BEGIN(to, key, &order);
  BSON_APPEND_INT32(&order, "_id", 1);
  bson_append_document_end(to, &order);
}

/* Sort, hint, and the bounds that there are. */
static void append_range(bson_t *find, const mig_range *range) {
  append_order(find, "sort");
  append_order(find, "hint");
  if (range->min) BSON_APPEND_DOCUMENT(find, "min", range->min);
  if (range->max) BSON_APPEND_DOCUMENT(find, "max", range->max);
}

/* The _ids of the first documents of a range, TRIED at most. Trouble is no documents. */
static size_t first_ids(mig_db *db, const char *collection, const mig_range *range, bson_t *ids[static TRIED]) {
  bson_t find = BSON_INITIALIZER;
  mig_cursor *c = NULL;
  const bson_t *doc = NULL;
  size_t n = 0;
  mig_error ignored;
  BSON_APPEND_UTF8(&find, "find", collection);
  append_range(&find, range);
  BSON_APPEND_INT32(&find, "limit", TRIED);
  if (mig_db_query(db, &find, &c, &ignored))
    while (n < TRIED && mig_cursor_next(c, &doc, &ignored) == MIG_NEXT_DOC)
      if (!(ids[n++] = mig_bson_id(bson_get_data(doc), doc->len))) break;
  mig_cursor_close(c);
  bson_destroy(&find);
  return n;
}

static void forget_ids(bson_t *ids[static TRIED]) {
  for (size_t i = 0; i < TRIED; i++) bson_destroy(ids[i]);
}

/* From the second document up to the third there is just the second. A server that ignores bounds gives the first. */
static bool shows_ranges(mig_db *db, const char *collection) {
  bson_t *all[TRIED] = {NULL}, *some[TRIED] = {NULL};
  bool shown = false;
  const mig_range whole = {NULL, NULL};
  if (first_ids(db, collection, &whole, all) == TRIED && all[2]) {
    const mig_range second = {all[1], all[2]};
    shown = first_ids(db, collection, &second, some) == 1 && some[0] && bson_equal(some[0], all[1]);
  }
  forget_ids(all);
  forget_ids(some);
  return shown;
}

bool mig_range_works(mig_db *db, const mig_caps *caps, const char *collection, const bson_t *info,
                     const bson_t *indexes) {
  bool capped = false;
  const char *type = "collection";
  bson_iter_t it;
  if (!caps || caps->has[MIG_CAP_ID_RANGES] == MIG_NO || !info) return false;
  mig_bson_bool(info, "options.capped", &capped);
  mig_bson_str(info, "type", &type);
  return !capped && strcmp(type, "collection") == 0 && !mig_bson_find(info, "options.collation", &it) &&
         mig_range_has_id_index(indexes) && (mig_caps_has(caps, MIG_CAP_ID_RANGES) || shows_ranges(db, collection));
}

bool mig_range_open(mig_range_reader *r, mig_db *db, const char *collection, const mig_range *range, int64_t documents,
                    int64_t raw_bytes, mig_error *err) {
  bson_t find = BSON_INITIALIZER;
  *r = (mig_range_reader){.db = db, .collection = collection, .range = *range};
  BSON_APPEND_UTF8(&find, "find", collection);
  append_range(&find, range);
  mig_append_batch_size(&find, documents, raw_bytes, MIG_BATCH_BYTES_RANGE);
  const bool ok = mig_db_query(db, &find, &r->cursor, err);
  bson_destroy(&find);
  return ok;
}

static bool open_last(mig_range_reader *r, mig_error *err) {
  bson_t find = BSON_INITIALIZER, filter;
  mig_cursor_close(r->cursor);
  r->cursor = NULL;
  r->last = true;
  BSON_APPEND_UTF8(&find, "find", r->collection);
  BSON_APPEND_DOCUMENT_BEGIN(&find, "filter", &filter);
  BSON_APPEND_MAXKEY(&filter, "_id");
  bson_append_document_end(&find, &filter);
  const bool ok = mig_db_query(r->db, &find, &r->cursor, err);
  bson_destroy(&find);
  return ok;
}

mig_next mig_range_next(mig_range_reader *r, const bson_t **doc, mig_error *err) {
  const mig_next next = mig_cursor_next(r->cursor, doc, err);
  /* without any bound there is nothing that a server leaves out */
  if (next != MIG_NEXT_END || r->last || r->range.max || !r->range.min) return next;
  return open_last(r, err) ? mig_cursor_next(r->cursor, doc, err) : MIG_NEXT_ERROR;
}

void mig_range_close(mig_range_reader *r) {
  mig_cursor_close(r->cursor);
  r->cursor = NULL;
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
