#include "migrations/steps/common.h"

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "collection to change"},
    {"field", MIG_ARG_FIELD, true, "field to add, such as \"address.country\""},
    {"value", MIG_ARG_ANY, true, "its value in each document that lacks it"},
    {"filter", MIG_ARG_DOCUMENT, false, "only documents that match"},
    {0},
};

static bool check(const mig_step *step, mig_error *err) {
  bson_iter_t value;
  if (!mig_step_not_id(step, "field", err)) return false;
  return !mig_bson_find(step->args, "value", &value) || mig_step_storable(&value, "value", err);
}

static bson_t *lacking(const mig_step *step) {
  bson_t filter;
  mig_step_doc(step, "filter", &filter);
  bson_t *absent = mig_filter_exists(mig_step_str(step, "field"), false);
  bson_t *both = mig_filter_and(absent, &filter);
  bson_destroy(absent);
  return both;
}

static bool estimate(const mig_step *step, mig_work *w, int64_t *documents, mig_error *err) {
  bson_t *filter = lacking(step);
  bool ok = mig_step_count(step, w, filter, documents, err);
  bson_destroy(filter);
  return ok;
}

static bool run(const mig_step *step, mig_work *w, mig_error *err) {
  bson_t *filter = lacking(step), update = BSON_INITIALIZER, set;
  mig_batch batch = mig_step_batch(step, filter);
  mig_batch_result result;
  bson_iter_t value;
  BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &set);
  if (bson_iter_init_find(&value, step->args, "value")) bson_append_iter(&set, mig_step_str(step, "field"), -1, &value);
  bson_append_document_end(&update, &set);
  bool ok = mig_batch_update(w, &batch, &update, false, &result, err) && mig_step_all_changed(step, w, &result, err);
  bson_destroy(&update);
  bson_destroy(filter);
  return ok;
}

/* Also where the field was there before: look at the filter. */
static bool inverse(const mig_step *step, bson_t *out) {
  bson_t own;
  BSON_APPEND_DOCUMENT_BEGIN(out, "removeField", &own);
  BSON_APPEND_UTF8(&own, "collection", mig_step_str(step, "collection"));
  BSON_APPEND_UTF8(&own, "field", mig_step_str(step, "field"));
  bson_append_document_end(out, &own);
  return true;
}

const mig_step_def mig_step_add_field = {
    .name = "addField",
    .help = "adds a field to documents that lack it",
    .args = args,
    .transactional = true,
    .check = check,
    .touch = MIG_TOUCH_DOCUMENTS,
    .writes = mig_writes_field,
    .guards = mig_guards_collection_exists,
    .estimate = estimate,
    .run = run,
    .inverse = inverse,
    .example = "{\"addField\": {\"collection\": \"users\", \"field\": \"notify.email\", \"value\": true}}",
};
