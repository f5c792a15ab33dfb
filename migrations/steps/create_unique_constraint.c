/*
 * A unique index with no surprise: the guard that it brings shows the documents which would be refused, before anything
 * is copied or built. So the key must be one that the guard can look at.
 */
#include "migrations/steps/common.h"
#include "migrations/steps/index.h"

static bool check(const mig_step *step, mig_error *err) {
  bson_t key, options;
  bson_iter_t it;
  bool unique = true;
  if (!mig_index_step_check(step, err)) return false;
  mig_step_doc(step, "options", &options);
  mig_step_doc(step, "key", &key);
  if (mig_bson_bool(&options, "unique", &unique) && !unique)
    return mig_step_refuse(err, "options.unique", "a unique constraint is unique");
  bool plain = mig_index_step_countable(&key) && bson_iter_init(&it, &key);
  while (plain && bson_iter_next(&it)) plain = !BSON_ITER_HOLDS_UTF8(&it);
  if (plain) return true;
  mig_step_refuse(err, "key", "duplicates of this key cannot be looked for");
  mig_why(err, "it holds a wildcard, a number that may be a place in an array, or a kind such as \"text\"");
  return mig_hint(err, "name plain fields with 1 or -1");
}

static bool guards(const mig_step *step, bson_t *array, mig_error *err) {
  return mig_index_step_guards(step, true, array, err);
}

static bool run(const mig_step *step, mig_work *w, mig_error *err) {
  mig_error local = {0};
  if (mig_index_step_build(step, true, w, &local)) return true;
  if (local.code == MIG_E_SERVER)
    mig_hint(&local, "if duplicates came in meanwhile: the step removeDuplicates before this one takes them away");
  if (err) *err = local;
  return false;
}

const mig_step_def mig_step_create_unique_constraint = {
    .name = "createUniqueConstraint",
    .help = "finds duplicates first, and if there are none builds a unique index",
    .args = mig_index_step_args,
    .check = check,
    .touches = mig_index_step_touches,
    .writes = mig_index_step_writes,
    .guards = guards,
    .run = run,
    .inverse = mig_index_step_inverse,
    .example = "{\"createUniqueConstraint\": {\"collection\": \"users\", \"key\": {\"email\": 1},\n"
               "  \"options\": {\"partialFilterExpression\": {\"email\": {\"$exists\": true}}}}}",
};
