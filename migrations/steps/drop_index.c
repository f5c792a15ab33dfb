#include <string.h>

#include "migrations/steps/common.h"

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "collection that has the index"},
    {"name", MIG_ARG_STRING, true, "the index's name, such as email_1"},
    {0},
};

static bool check(const mig_step *step, mig_error *err) {
  const char *name = mig_step_str(step, "name");
  if (strcmp(name, "_id_") == 0) return mig_step_refuse(err, "name", "the index on _id cannot be dropped");
  if (strcmp(name, "*") != 0) return true;
  mig_step_refuse(err, "name", "\"*\" would drop every index");
  return mig_hint(err, "write one dropIndex for each");
}

static bool guards(const mig_step *step, bson_t *array, mig_error *err) {
  bson_t own = BSON_INITIALIZER;
  (void)err;
  BSON_APPEND_UTF8(&own, "collection", mig_step_str(step, "collection"));
  BSON_APPEND_UTF8(&own, "name", mig_step_str(step, "name"));
  mig_guard_append(array, "indexExists", &own);
  bson_destroy(&own);
  return true;
}

static bool run(const mig_step *step, mig_work *w, mig_error *err) {
  bson_t command = BSON_INITIALIZER;
  mig_error local = {0};
  BSON_APPEND_UTF8(&command, "dropIndexes", mig_step_str(step, "collection"));
  BSON_APPEND_UTF8(&command, "index", mig_step_str(step, "name"));
  bool ok = mig_step_run_command(w, &command, &local);
  bson_destroy(&command);
  if (!ok && local.server_code == MIG_SERVER_NO_INDEX)
    mig_hint(&local, "list the indexes of %s: db.%s.getIndexes()", mig_step_str(step, "collection"),
             mig_step_str(step, "collection"));
  if (!ok && err) *err = local;
  return ok;
}

const mig_step_def mig_step_drop_index = {
    .name = "dropIndex",
    .help = "drops an index by its name",
    .args = args,
    .check = check,
    .touch = MIG_TOUCH_METADATA,
    .guards = guards,
    .run = run,
    .example = "{\"dropIndex\": {\"collection\": \"users\", \"name\": \"email_1\"}}",
};
