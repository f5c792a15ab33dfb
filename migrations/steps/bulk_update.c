/* Many updates of one collection, in the order of the list: each sees what the ones before it did. */
#include <stdio.h>

#include "migrations/steps/common.h"
#include "migrations/steps/update_rules.h"

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "collection to change"},
    {"updates", MIG_ARG_DOCUMENTS, true, "in this order, each {\"filter\": ..., \"update\": ..., \"upsert\"?: true}"},
    {0},
};

static const mig_arg each[] = {
    {"filter", MIG_ARG_DOCUMENT, true, "which documents; {} means all"},
    {"update", MIG_ARG_UPDATE, true, "operators such as {\"$set\": {...}}, or a pipeline"},
    {"upsert", MIG_ARG_BOOL, false, "insert one document when none matches"},
    {0},
};

static bool check(const mig_step *step, mig_error *err) {
  bson_t list, one;
  bson_iter_t it;
  mig_step_doc(step, "updates", &list);
  if (!bson_iter_init(&it, &list)) return true;
  while (bson_iter_next(&it)) {
    char at[40];
    snprintf(at, sizeof at, "updates.%.20s", bson_iter_key(&it));
    if (!mig_bson_iter_doc(&it, &one)) continue;
    if (!mig_args_check("step", "bulkUpdate", each, &one, at, err) || !mig_update_check(step, &one, at, err))
      return false;
  }
  return true;
}

static bool any_upserts(const mig_step *step) {
  bson_t list, one;
  bson_iter_t it;
  bool upsert = false;
  mig_step_doc(step, "updates", &list);
  if (!bson_iter_init(&it, &list)) return false;
  while (!upsert && bson_iter_next(&it))
    if (mig_bson_iter_doc(&it, &one)) mig_bson_bool(&one, "upsert", &upsert);
  return upsert;
}

/* An upsert may bring the collection into being. */
static bool guards(const mig_step *step, bson_t *array, mig_error *err) {
  return any_upserts(step) || mig_guards_collection_exists(step, array, err);
}

static bool estimate(const mig_step *step, mig_work *w, int64_t *documents, mig_error *err) {
  bson_t list, one, filter;
  bson_iter_t it;
  *documents = 0;
  mig_step_doc(step, "updates", &list);
  if (!bson_iter_init(&it, &list)) return true;
  while (bson_iter_next(&it)) {
    int64_t n = 0;
    if (!mig_bson_iter_doc(&it, &one) || !mig_bson_doc(&one, "filter", &filter)) continue;
    if (!mig_step_count(step, w, &filter, &n, err)) return false;
    *documents += n;
  }
  return true;
}

static bool run(const mig_step *step, mig_work *w, mig_error *err) {
  bson_t list, one;
  bson_iter_t it;
  mig_step_doc(step, "updates", &list);
  if (!bson_iter_init(&it, &list)) return true;
  while (bson_iter_next(&it)) {
    if (!mig_bson_iter_doc(&it, &one)) continue;
    if (!mig_update_run(step, w, &one, err)) return mig_fail_at(err, "update %s of the list", bson_iter_key(&it));
  }
  return true;
}

const mig_step_def mig_step_bulk_update = {
    .name = "bulkUpdate",
    .help = "makes several updates, one after the other",
    .args = args,
    .destroys = true,
    .transactional = true,
    .check = check,
    .touch = MIG_TOUCH_DOCUMENTS,
    .guards = guards,
    .estimate = estimate,
    .run = run,
    .example =
        "{\"bulkUpdate\": {\"collection\": \"orders\", \"updates\": [\n"
        "  {\"filter\": {\"status\": \"open\", \"paid\": true}, \"update\": {\"$set\": {\"status\": \"paid\"}}},\n"
        "  {\"filter\": {\"status\": \"new\"}, \"update\": {\"$set\": {\"status\": \"open\"}}}]}}",
};
