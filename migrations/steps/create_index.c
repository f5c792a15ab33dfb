#include "migrations/steps/index.h"

static bool guards(const mig_step *step, bson_t *array, mig_error *err) {
  return mig_index_step_guards(step, false, array, err);
}

static bool run(const mig_step *step, mig_work *w, mig_error *err) {
  return mig_index_step_build(step, false, w, err);
}

const mig_step_def mig_step_create_index = {
    .name = "createIndex",
    .help = "builds an index",
    .args = mig_index_step_args,
    .check = mig_index_step_check,
    .touches = mig_index_step_touches,
    .writes = mig_index_step_writes,
    .guards = guards,
    .run = run,
    .inverse = mig_index_step_inverse,
    .example = "{\"createIndex\": {\"collection\": \"orders\", \"key\": {\"customer\": 1, \"createdAt\": -1}}}",
};
