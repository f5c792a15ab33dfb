#include "migrations/steps/common.h"

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "collection to change"},
    {"from", MIG_ARG_FIELD, true, "field as it is called now"},
    {"to", MIG_ARG_FIELD, true, "its new name"},
    {"filter", MIG_ARG_DOCUMENT, false, "only documents that match"},
    {0},
};

static const char *const writes[] = {"from", "to", NULL};

static bool check(const mig_step *step, mig_error *err) {
  return mig_step_not_id(step, "from", err) && mig_step_not_id(step, "to", err) && mig_step_two_fields(step, err);
}

static bool guards(const mig_step *step, bson_t *array, mig_error *err) {
  mig_guards_collection_exists(step, array, err);
  mig_guard_on_field(array, "fieldExists", step, mig_step_str(step, "from"));
  mig_guard_on_field(array, "fieldAbsent", step, mig_step_str(step, "to"));
  return true;
}

/* Documents with the old name and, or without, the new one. */
static bson_t *holding(const mig_step *step, bool to_exists) {
  bson_t filter;
  mig_step_doc(step, "filter", &filter);
  bson_t *from = mig_filter_exists(mig_step_str(step, "from"), true);
  bson_t *to = mig_filter_exists(mig_step_str(step, "to"), to_exists);
  bson_t *all = mig_filter_all((const bson_t *[]){from, to, &filter, NULL});
  bson_destroy(to);
  bson_destroy(from);
  return all;
}

static bool estimate(const mig_step *step, mig_work *w, int64_t *documents, mig_error *err) {
  bson_t *filter = holding(step, false);
  bool ok = mig_step_count(step, w, filter, documents, err);
  bson_destroy(filter);
  return ok;
}

/* $rename would overwrite: a document that has both is refused instead. */
static bool none_has_both(const mig_step *step, mig_work *w, mig_error *err) {
  bson_t *filter = holding(step, true);
  const char *from = mig_step_str(step, "from"), *to = mig_step_str(step, "to");
  int64_t n = 0;
  bool ok = mig_step_count(step, w, filter, &n, err);
  bson_destroy(filter);
  if (!ok || n == 0) return ok;
  mig_fail(err, MIG_E_FAILED, "renameField %s.%s: %lld documents have both %s and %s", mig_db_name(w->db),
           mig_step_str(step, "collection"), (long long)n, from, to);
  mig_why(err, "the value of %s would be lost", to);
  return mig_hint(err, "remove or move %s first, or exclude these documents by \"filter\"", to);
}

static bool run(const mig_step *step, mig_work *w, mig_error *err) {
  bson_t *filter = holding(step, false), update = BSON_INITIALIZER, rename;
  mig_batch batch = mig_step_batch(step, filter);
  mig_batch_result result;
  BSON_APPEND_DOCUMENT_BEGIN(&update, "$rename", &rename);
  BSON_APPEND_UTF8(&rename, mig_step_str(step, "from"), mig_step_str(step, "to"));
  bson_append_document_end(&update, &rename);
  bool ok = none_has_both(step, w, err) && mig_batch_update(w, &batch, &update, false, &result, err) &&
            mig_step_all_changed(step, w, &result, err) && none_has_both(step, w, err);
  bson_destroy(&update);
  bson_destroy(filter);
  return ok;
}

static bool inverse(const mig_step *step, bson_t *out) {
  bson_t own;
  BSON_APPEND_DOCUMENT_BEGIN(out, "renameField", &own);
  BSON_APPEND_UTF8(&own, "collection", mig_step_str(step, "collection"));
  BSON_APPEND_UTF8(&own, "from", mig_step_str(step, "to"));
  BSON_APPEND_UTF8(&own, "to", mig_step_str(step, "from"));
  bson_append_document_end(out, &own);
  return true;
}

const mig_step_def mig_step_rename_field = {
    .name = "renameField",
    .help = "gives a field another name",
    .args = args,
    .transactional = true,
    .check = check,
    .touch = MIG_TOUCH_DOCUMENTS,
    .writes = writes,
    .guards = guards,
    .estimate = estimate,
    .run = run,
    .inverse = inverse,
    .example = "{\"renameField\": {\"collection\": \"users\", \"from\": \"mail\", \"to\": \"email\"}}",
};
