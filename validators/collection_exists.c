#include "validators/query.h"

static bool run(const mig_guard_env *env, const bson_t *args, mig_guard_result *out, mig_error *err) {
  const char *collection = "";
  char text[700];
  bool found = false;
  mig_bson_str(args, "collection", &collection);
  if (!mig_guard_collection_found(env, collection, &found, err)) return false;
  if (found) return true;
  if (!mig_guard_not_there(env, collection, text, sizeof text, err)) return false;
  mig_guard_hint(out, "is it the right database? an earlier migration may have to create the collection");
  return mig_guard_refuse(out, "%s", text);
}

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "the name that must be there"},
    {0},
};

const mig_guard_def mig_guard_collection_exists = {
    .name = "collectionExists",
    .help = "a collection (or view, or time series) of that name exists, empty or not",
    .args = args,
    .run = run,
    .example = "{\"collectionExists\": {\"collection\": \"users\"}}",
};
