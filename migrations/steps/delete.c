#include "migrations/steps/common.h"

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "collection to change"},
    {"filter", MIG_ARG_DOCUMENT, true, "which documents; {} means all"},
    {0},
};

static bool run(const mig_step *step, mig_work *w, mig_error *err) {
  bson_t filter;
  mig_step_doc(step, "filter", &filter);
  mig_batch batch = mig_step_batch(step, &filter);
  return mig_batch_delete(w, &batch, NULL, err);
}

const mig_step_def mig_step_delete = {
    .name = "delete",
    .help = "removes the documents that match",
    .args = args,
    .destroys = true,
    .transactional = true,
    .touch = MIG_TOUCH_DOCUMENTS,
    .guards = mig_guards_collection_exists,
    .estimate = mig_estimate_filter,
    .run = run,
    .example = "{\"delete\": {\"collection\": \"sessions\", \"filter\": {\"userId\": null}}}",
};
