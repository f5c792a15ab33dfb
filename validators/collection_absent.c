#include <string.h>

#include "validators/query.h"

/* What stands in the way. A transaction may see one that listCollections, outside it, does not. */
static bool describe(const mig_guard_env *env, const char *collection, const bson_t *entry, mig_guard_result *out,
                     mig_error *err) {
  const char *type = "collection", *on = NULL;
  int64_t documents = 0, bytes = 0;
  mig_guard_hint(out, "choose another name, or rename or drop %s first, if nobody needs it", collection);
  if (bson_empty(entry))
    return mig_guard_refuse(out, "%s is there already in %s, made in this transaction", collection,
                            mig_db_name(env->work->db));
  mig_bson_str(entry, "type", &type);
  if (strcmp(type, "view") == 0) {
    mig_bson_str(entry, "options.viewOn", &on);
    return mig_guard_refuse(out, "%s is there already in %s, as a view on %s", collection, mig_db_name(env->work->db),
                            on ? on : "something");
  }
  if (!mig_db_stats(env->work->db, collection, &documents, &bytes, err)) return false;
  return mig_guard_refuse(out, "%s is there already in %s, as a %s of about %lld documents", collection,
                          mig_db_name(env->work->db), type, (long long)documents);
}

static bool run(const mig_guard_env *env, const bson_t *args, mig_guard_result *out, mig_error *err) {
  const char *collection = "";
  bson_t entry, all = BSON_INITIALIZER;
  bool found = false;
  mig_bson_str(args, "collection", &collection);
  bool ok = mig_db_collection_info(env->work->db, collection, &entry, &found, err);
  if (ok && !found && mig_db_in_transaction(env->work->db)) ok = mig_guard_any(env, collection, &all, &found, err);
  if (ok && found) ok = describe(env, collection, &entry, out, err);
  bson_destroy(&entry);
  bson_destroy(&all);
  return ok;
}

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "the name that must be free"},
    {0},
};

const mig_guard_def mig_guard_collection_absent = {
    .name = "collectionAbsent",
    .help = "no collection, view or time series of that name exists, not even an empty one",
    .args = args,
    .run = run,
    .example = "{\"collectionAbsent\": {\"collection\": \"users_new\"}}",
};
