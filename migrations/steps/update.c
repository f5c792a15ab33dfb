#include <string.h>

#include "migrations/steps/common.h"

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "collection to change"},
    {"filter", MIG_ARG_DOCUMENT, true, "which documents; {} means all"},
    {"update", MIG_ARG_UPDATE, true, "operators such as {\"$set\": {...}}, or a pipeline"},
    {"upsert", MIG_ARG_BOOL, false, "insert one document when none matches"},
    {0},
};

static bool refuse_id(mig_error *err, const char *operator, const char * field) {
  char path[256];
  bson_snprintf(path, sizeof path, "update.%s.%s", operator, field);
  mig_step_refuse(err, path, "step \"update\" cannot change _id");
  mig_why(err, "servers keep _id as it is");
  return mig_hint(err, "insert the document under its new _id and delete the old one");
}

static bool check_operator(const bson_iter_t *operator, mig_error * err) {
  const char *name = bson_iter_key(operator);
  bool sets = strcmp(name, "$set") == 0 || strcmp(name, "$setOnInsert") == 0;
  bson_t fields;
  bson_iter_t it;
  if (!BSON_ITER_HOLDS_DOCUMENT(operator) || !mig_bson_iter_doc(operator, & fields) || !bson_iter_init(&it, &fields)) {
    char path[256];
    bson_snprintf(path, sizeof path, "update.%s", name);
    return mig_step_refuse(err, path, "\"%.60s\" takes a document of fields", name);
  }
  while (bson_iter_next(&it)) {
    const char *field = bson_iter_key(&it), *to = NULL;
    char path[256];
    bson_snprintf(path, sizeof path, "update.%s.%s", name, field);
    if (strcmp(name, "$setOnInsert") != 0 && mig_fields_overlap(field, "_id")) return refuse_id(err, name, field);
    if (strcmp(name, "$rename") == 0 && BSON_ITER_HOLDS_UTF8(&it) && (to = bson_iter_utf8(&it, NULL)) &&
        mig_fields_overlap(to, "_id"))
      return refuse_id(err, name, field);
    if (sets && !mig_step_storable(&it, path, err)) return false;
  }
  return true;
}

static bool check(const mig_step *step, mig_error *err) {
  bson_t update;
  bson_iter_t it;
  if (!mig_bson_doc(step->args, "update", &update)) return true; /* a pipeline: the server refuses a changed _id */
  if (!bson_iter_init(&it, &update)) return true;
  while (bson_iter_next(&it))
    if (!check_operator(&it, err)) return false;
  return true;
}

/* An upsert may bring the collection into being. */
static bool guards(const mig_step *step, bson_t *array, mig_error *err) {
  return mig_step_flag(step, "upsert") || mig_guards_collection_exists(step, array, err);
}

static bool upsert(const mig_step *step, mig_work *w, const bson_t *filter, const bson_t *update, bool is_pipeline,
                   mig_error *err) {
  bson_t command = BSON_INITIALIZER, list, one;
  BSON_APPEND_UTF8(&command, "update", mig_step_str(step, "collection"));
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

static bool run(const mig_step *step, mig_work *w, mig_error *err) {
  bson_t filter, update;
  bool is_pipeline = mig_bson_arr(step->args, "update", &update);
  mig_batch_result result;
  mig_step_doc(step, "update", &update);
  mig_step_doc(step, "filter", &filter);
  mig_batch batch = mig_step_batch(step, &filter);
  if (is_pipeline && !mig_caps_has(w->caps, MIG_CAP_UPDATE_PIPELINE)) {
    mig_fail(err, MIG_E_UNSUPPORTED, "update %s.%s: this server has no update pipelines", mig_db_name(w->db),
             batch.collection);
    return mig_hint(err, "use the step transform, which does the same by reading and writing");
  }
  if (!mig_batch_update(w, &batch, &update, is_pipeline, &result, err)) return false;
  return result.matched > 0 || !mig_step_flag(step, "upsert") || upsert(step, w, &filter, &update, is_pipeline, err);
}

const mig_step_def mig_step_update = {
    .name = "update",
    .help = "changes the documents that match",
    .args = args,
    .destroys = true,
    .transactional = true,
    .check = check,
    .touch = MIG_TOUCH_DOCUMENTS,
    .guards = guards,
    .estimate = mig_estimate_filter,
    .run = run,
};
