#include "validators/index_spec.h"
#include "validators/query.h"

static bool refuse(const mig_guard_env *env, const bson_t *args, const bson_t *indexes, mig_guard_result *out,
                   mig_error *err) {
  const char *collection = "";
  char asked[200], names[500], text[700];
  bool found = true;
  mig_bson_str(args, "collection", &collection);
  mig_index_asked(args, asked, sizeof asked);
  if (!mig_guard_collection_found(env, collection, &found, err)) return false;
  if (!found && !mig_guard_not_there(env, collection, text, sizeof text, err)) return false;
  if (!found) return mig_guard_refuse(out, "there is no index %s: %s", asked, text);
  mig_index_names(indexes, names, sizeof names);
  return mig_guard_refuse(out, "there is no index %s on %s; %s", asked, collection, names);
}

static bool run(const mig_guard_env *env, const bson_t *args, mig_guard_result *out, mig_error *err) {
  const char *collection = "", *option = NULL;
  char text[300], have[120], want[120];
  bson_t indexes, found, options;
  mig_bson_str(args, "collection", &collection);
  bool ok = mig_db_indexes(env->work->db, collection, &indexes, err);
  if (ok && !mig_index_asked_for(&indexes, args, &found, &option)) {
    if (!option) {
      ok = refuse(env, args, &indexes, out, err);
    } else if (mig_bson_doc(args, "options", &options)) {
      mig_index_describe(&found, text, sizeof text);
      mig_index_option(&found, option, have, sizeof have);
      mig_index_option(&options, option, want, sizeof want);
      ok = mig_guard_refuse(out, "index %s on %s differs: its %s is %s, expected %s", text, collection, option, have,
                            want);
    }
  }
  bson_destroy(&indexes);
  return ok;
}

const mig_guard_def mig_guard_index_exists = {
    .name = "indexExists",
    .help = "the collection has the index of that name or key, with (at least) the options given",
    .args = mig_index_args,
    .check = mig_index_args_check,
    .run = run,
    .example = "{\"indexExists\": {\"collection\": \"users\", \"name\": \"email_1\", \"options\": {\"unique\": true}}}",
};
