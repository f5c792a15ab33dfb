#include "validators/index_spec.h"

static bool run(const mig_guard_env *env, const bson_t *args, mig_guard_result *out, mig_error *err) {
  const char *collection = "", *option = NULL;
  char text[300];
  bson_t indexes, found;
  mig_bson_str(args, "collection", &collection);
  bool ok = mig_db_indexes(env->work->db, collection, &indexes, err);
  if (ok && mig_index_asked_for(&indexes, args, &found, &option)) {
    mig_index_describe(&found, text, sizeof text);
    mig_guard_hint(out, "a step dropIndex takes it away");
    ok = mig_guard_refuse(out, "%s has the index %s already", collection, text);
  }
  bson_destroy(&indexes);
  return ok;
}

const mig_guard_def mig_guard_index_absent = {
    .name = "indexAbsent",
    .help = "the collection has no index of that name or key with the options given; holds for a missing collection",
    .args = mig_index_args,
    .check = mig_index_args_check,
    .run = run,
    .example = "{\"indexAbsent\": {\"collection\": \"users\", \"key\": {\"email\": 1}}}",
};
