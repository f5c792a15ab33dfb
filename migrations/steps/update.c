#include "migrations/steps/common.h"
#include "migrations/steps/update_rules.h"

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "collection to change"},
    {"filter", MIG_ARG_DOCUMENT, true, "which documents; {} means all"},
    {"update", MIG_ARG_UPDATE, true, "operators such as {\"$set\": {...}}, or a pipeline"},
    {"upsert", MIG_ARG_BOOL, false, "insert one document when none matches"},
    {0},
};

static bool check(const mig_step *step, mig_error *err) {
  return mig_update_check(step, step->args, "", err);
}

/* An upsert may bring the collection into being. */
static bool guards(const mig_step *step, bson_t *array, mig_error *err) {
  return mig_step_flag(step, "upsert") || mig_guards_collection_exists(step, array, err);
}

static bool run(const mig_step *step, mig_work *w, mig_error *err) {
  return mig_update_run(step, w, step->args, err);
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
    .example = "{\"update\": {\"collection\": \"users\", \"filter\": {\"role\": \"root\"}, \"update\": {\"$set\": "
               "{\"role\": \"admin\"}}}}",
};
