/*
 * Where a field refers to one document, it will refer to another: after two customers became one, say. Also inside
 * arrays. An array that then holds the new reference twice is left so: order and number may mean something.
 */
#include <string.h>

#include "migrations/steps/common.h"
#include "migrations/steps/leaf_writes.h"

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "collection whose documents refer"},
    {"field", MIG_ARG_FIELD, true, "field that holds the reference, or an array of them"},
    {"from", MIG_ARG_ANY, true, "the reference as it is: a value, such as an _id"},
    {"to", MIG_ARG_ANY, true, "what it becomes"},
    {"filter", MIG_ARG_DOCUMENT, false, "only documents that match"},
    {0},
};

static bool check_value(const mig_step *step, const char *name, bson_iter_t *it, mig_error *err) {
  if (!mig_bson_find(step->args, name, it)) return true;
  if (BSON_ITER_HOLDS_ARRAY(it) || BSON_ITER_HOLDS_NULL(it) || BSON_ITER_HOLDS_REGEX(it)) {
    mig_step_refuse(err, name, "\"%s\" is one reference: a value, not a list, null or a regular expression", name);
    return mig_hint(err, "to remove references use the step update with $pull or $unset");
  }
  return mig_step_storable(it, name, err);
}

/* A whole number of whatever type. */
static bool number(const bson_iter_t *it, int64_t *out) {
  bson_t one = BSON_INITIALIZER;
  bson_append_iter(&one, "v", 1, it);
  bool is = mig_bson_int(&one, "v", out);
  bson_destroy(&one);
  return is;
}

/* Same type and bytes; whole numbers by value, as some programs write int32, some int64, some double. */
static bool equal(const bson_iter_t *a, const bson_iter_t *b) {
  int64_t x = 0, y = 0;
  if (number(a, &x) && number(b, &y)) return x == y;
  bson_t one = BSON_INITIALIZER, two = BSON_INITIALIZER;
  bson_append_iter(&one, "v", 1, a);
  bson_append_iter(&two, "v", 1, b);
  bool same = mig_bson_same(&one, &two);
  bson_destroy(&one);
  bson_destroy(&two);
  return same;
}

static bool check(const mig_step *step, mig_error *err) {
  bson_iter_t from, to;
  if (!mig_step_not_id(step, "field", err) || !mig_leaf_path_ok(step, "field", mig_step_str(step, "field"), err) ||
      !check_value(step, "from", &from, err) || !check_value(step, "to", &to, err))
    return false;
  return !equal(&from, &to) || mig_step_refuse(err, "to", "\"from\" and \"to\" are the same reference");
}

/* {field: {$eq: from}}, which finds elements of arrays, too. */
static bson_t *referring(const mig_step *step) {
  bson_t filter, *refers = bson_new(), condition;
  bson_iter_t from;
  mig_step_doc(step, "filter", &filter);
  BSON_APPEND_DOCUMENT_BEGIN(refers, mig_step_str(step, "field"), &condition);
  if (mig_bson_find(step->args, "from", &from)) bson_append_iter(&condition, "$eq", 3, &from);
  bson_append_document_end(refers, &condition);
  bson_t *both = mig_filter_and(refers, &filter);
  bson_destroy(refers);
  return both;
}

static bool estimate(const mig_step *step, mig_work *w, int64_t *documents, mig_error *err) {
  bson_t *filter = referring(step);
  bool ok = mig_step_count(step, w, filter, documents, err);
  bson_destroy(filter);
  return ok;
}

static bool replaced(void *arg, const bson_iter_t *value, bson_t *out, const char *key, mig_error *err) {
  const mig_step *step = arg;
  bson_iter_t from, to;
  if (!mig_bson_find(step->args, "from", &from) || !mig_bson_find(step->args, "to", &to) || !equal(value, &from))
    return true;
  return bson_append_iter(out, key, -1, &to) || mig_no_memory(err, "updateReferences");
}

/* What the server takes for equal and we do not (a decimal, another case under a collation) was left: say so. */
static bool none_left(const mig_step *step, mig_work *w, const bson_t *filter, mig_error *err) {
  int64_t left = 0;
  if (!mig_step_count(step, w, filter, &left, err)) return false;
  if (left == 0) return true;
  mig_fail(err, MIG_E_FAILED,
           "updateReferences %s.%s: %lld documents still refer by %s to what is equal for the server",
           mig_db_name(w->db), mig_step_str(step, "collection"), (long long)left, mig_step_str(step, "field"));
  mig_why(err, "the value there is of another type, or written otherwise, or somebody else wrote meanwhile");
  return mig_hint(err, "write one step for each way in which it is written");
}

static bool run(const mig_step *step, mig_work *w, mig_error *err) {
  const char *paths[] = {mig_step_str(step, "field"), NULL};
  bson_t *filter = referring(step);
  const mig_leaf_writes what = {step, paths, filter, replaced, (void *)(uintptr_t)step};
  bool ok = mig_leaf_writes_run(&what, w, err) && none_left(step, w, filter, err);
  bson_destroy(filter);
  return ok;
}

const mig_step_def mig_step_update_references = {
    .name = "updateReferences",
    .help = "makes references to one document refer to another",
    .args = args,
    .destroys = true,
    .transactional = true,
    .check = check,
    .touch = MIG_TOUCH_DOCUMENTS,
    .writes = mig_writes_field,
    .guards = mig_guards_collection_exists,
    .estimate = estimate,
    .run = run,
    .example =
        "{\"updateReferences\": {\"collection\": \"orders\", \"field\": \"customer\",\n"
        "  \"from\": {\"$oid\": \"5f5f5f5f5f5f5f5f5f5f5f5f\"}, \"to\": {\"$oid\": \"6a6a6a6a6a6a6a6a6a6a6a6a\"}}}",
};
