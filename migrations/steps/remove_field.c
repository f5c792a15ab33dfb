#include "migrations/steps/common.h"

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "collection to change"},
    {"field", MIG_ARG_FIELD, true, "field to remove, such as \"address.fax\""},
    {"filter", MIG_ARG_DOCUMENT, false, "only documents that match"},
    {0},
};

static bool check(const mig_step *step, mig_error *err) {
  return mig_step_not_id(step, "field", err);
}

static bson_t *holding(const mig_step *step) {
  bson_t filter;
  mig_step_doc(step, "filter", &filter);
  bson_t *present = mig_filter_exists(mig_step_str(step, "field"), true);
  bson_t *both = mig_filter_and(present, &filter);
  bson_destroy(present);
  return both;
}

static bool estimate(const mig_step *step, mig_work *w, int64_t *documents, mig_error *err) {
  bson_t *filter = holding(step);
  bool ok = mig_step_count(step, w, filter, documents, err);
  bson_destroy(filter);
  return ok;
}

static bool run(const mig_step *step, mig_work *w, mig_error *err) {
  bson_t *filter = holding(step), update = BSON_INITIALIZER, unset;
  mig_batch batch = mig_step_batch(step, filter);
  mig_batch_result result;
  BSON_APPEND_DOCUMENT_BEGIN(&update, "$unset", &unset);
  BSON_APPEND_UTF8(&unset, mig_step_str(step, "field"), "");
  bson_append_document_end(&update, &unset);
  bool ok = mig_batch_update(w, &batch, &update, false, &result, err) && mig_step_all_changed(step, w, &result, err);
  bson_destroy(&update);
  bson_destroy(filter);
  return ok;
}

const mig_step_def mig_step_remove_field = {
    .name = "removeField",
    .help = "removes a field from documents",
    .args = args,
    .destroys = true,
    .transactional = true,
    .check = check,
    .touch = MIG_TOUCH_DOCUMENTS,
    .writes = mig_writes_field,
    .guards = mig_guards_collection_exists,
    .estimate = estimate,
    .run = run,
    .example = "{\"removeField\": {\"collection\": \"users\", \"field\": \"address.fax\"}}",
};
