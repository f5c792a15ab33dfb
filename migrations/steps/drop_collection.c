#include "migrations/steps/common.h"

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "collection to drop, with its documents and indexes"},
    {0},
};

static bool estimate(const mig_step *step, mig_work *w, int64_t *documents, mig_error *err) {
  int64_t bytes = 0;
  return mig_db_stats(w->db, mig_step_str(step, "collection"), documents, &bytes, err);
}

static bool run(const mig_step *step, mig_work *w, mig_error *err) {
  bson_t command = BSON_INITIALIZER;
  const char *collection = mig_step_str(step, "collection");
  bool found = false, aside = false;
  BSON_APPEND_UTF8(&command, "drop", collection);
  bool ok = mig_step_put_aside(w, collection, &aside, err);
  ok = ok && (aside ? mig_step_settle_aside(w, collection, err) : mig_step_run_command(w, &command, err));
  bson_destroy(&command);
  if (!ok) return false;
  ok = mig_db_has_collection(w->db, collection, &found, err);
  if (ok && found)
    ok = mig_fail(err, MIG_E_FAILED, "dropCollection %s.%s: it is still there, or somebody made it again",
                  mig_db_name(w->db), collection);
  return ok;
}

const mig_step_def mig_step_drop_collection = {
    .name = "dropCollection",
    .help = "drops a collection with all its documents",
    .args = args,
    .destroys = true,
    .touch = MIG_TOUCH_DROP,
    .guards = mig_guards_collection_exists,
    .estimate = estimate,
    .run = run,
    .example = "{\"dropCollection\": {\"collection\": \"old_sessions\"}}",
};
