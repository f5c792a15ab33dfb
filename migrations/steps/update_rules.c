#include "migrations/steps/update_rules.h"

#include <stdio.h>
#include <string.h>

#include "migrations/steps/common.h"

static bool refuse_id(const mig_step *step, const char *path, mig_error *err) {
  mig_step_refuse(err, path, "step \"%s\" cannot change _id", step->def->name);
  mig_why(err, "servers keep _id as it is");
  return mig_hint(err, "insert the document under its new _id and delete the old one");
}

static bool check_operator(const mig_step *step, const char *at, const bson_iter_t *op, mig_error *err) {
  const char *name = bson_iter_key(op);
  bool sets = strcmp(name, "$set") == 0 || strcmp(name, "$setOnInsert") == 0;
  char path[256];
  bson_t fields;
  bson_iter_t it;
  snprintf(path, sizeof path, "%s.%s", at, name);
  if (!BSON_ITER_HOLDS_DOCUMENT(op) || !mig_bson_iter_doc(op, &fields) || !bson_iter_init(&it, &fields))
    return mig_step_refuse(err, path, "\"%.60s\" takes a document of fields", name);
  while (bson_iter_next(&it)) {
    const char *field = bson_iter_key(&it), *to = NULL;
    bson_snprintf(path, sizeof path, "%s.%s.%s", at, name, field);
    if (strcmp(name, "$setOnInsert") != 0 && mig_fields_overlap(field, "_id")) return refuse_id(step, path, err);
    if (strcmp(name, "$rename") == 0 && BSON_ITER_HOLDS_UTF8(&it) && (to = bson_iter_utf8(&it, NULL)) &&
        mig_fields_overlap(to, "_id"))
      return refuse_id(step, path, err);
    if (sets && !mig_step_storable(&it, path, err)) return false;
  }
  return true;
}

bool mig_update_check(const mig_step *step, const bson_t *holder, const char *at, mig_error *err) {
  char path[200];
  bson_t update;
  bson_iter_t it;
  snprintf(path, sizeof path, "%s%supdate", at, *at ? "." : "");
  if (!mig_bson_doc(holder, "update", &update)) return true; /* a pipeline: the server refuses a changed _id */
  if (!bson_iter_init(&it, &update)) return true;
  while (bson_iter_next(&it))
    if (!check_operator(step, path, &it, err)) return false;
  return true;
}

static bool upsert(const char *collection, mig_work *w, const bson_t *filter, const bson_t *update, bool is_pipeline,
                   mig_error *err) {
  bson_t command = BSON_INITIALIZER, list, one;
  BSON_APPEND_UTF8(&command, "update", collection);
  BSON_APPEND_ARRAY_BEGIN(&command, "updates", &list);
  BSON_APPEND_DOCUMENT_BEGIN(&list, "0", &one);
  BSON_APPEND_DOCUMENT(&one, "q", filter);
  if (is_pipeline)
    BSON_APPEND_ARRAY(&one, "u", update);
  else
    BSON_APPEND_DOCUMENT(&one, "u", update);
  BSON_APPEND_BOOL(&one, "upsert", true);
  BSON_APPEND_BOOL(&one, "multi", true);
  bson_append_document_end(&list, &one);
  bson_append_array_end(&command, &list);
  bool ok = mig_checkpoint(w, err) && mig_batch_write(w, &command, 0, NULL, err);
  bson_destroy(&command);
  return ok;
}

bool mig_update_run(const mig_step *step, mig_work *w, const bson_t *holder, mig_error *err) {
  bson_t filter, update;
  bool is_pipeline = mig_bson_arr(holder, "update", &update), upserts = false;
  mig_batch_result result;
  if (!mig_bson_doc(holder, "filter", &filter) || (!is_pipeline && !mig_bson_doc(holder, "update", &update)))
    return mig_fail(err, MIG_E_FAILED, "%s: the arguments make no sense", step->def->name);
  mig_bson_bool(holder, "upsert", &upserts);
  mig_batch batch = mig_step_batch(step, &filter);
  if (is_pipeline && !mig_caps_has(w->caps, MIG_CAP_UPDATE_PIPELINE)) {
    mig_fail(err, MIG_E_UNSUPPORTED, "%s %s.%s: this server has no update pipelines", step->def->name,
             mig_db_name(w->db), batch.collection);
    return mig_hint(err, "use the step transform, which does the same by reading and writing");
  }
  if (!mig_batch_update(w, &batch, &update, is_pipeline, &result, err)) return false;
  return result.matched > 0 || !upserts || upsert(batch.collection, w, &filter, &update, is_pipeline, err);
}
