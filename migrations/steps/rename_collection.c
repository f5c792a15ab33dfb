#include <string.h>

#include "base/crash.h"
#include "base/names.h"
#include "migrations/steps/common.h"

static const mig_arg args[] = {
    {"from", MIG_ARG_COLLECTION, true, "collection as it is called now"},
    {"to", MIG_ARG_COLLECTION, true, "its new name"},
    {"dropTarget", MIG_ARG_BOOL, false, "replace a collection that has the new name"},
    {0},
};

static bool check(const mig_step *step, mig_error *err) {
  if (strcmp(mig_step_str(step, "from"), mig_step_str(step, "to")) != 0) return true;
  return mig_step_refuse(err, "to", "the new name is the old one");
}

static bool touches(const mig_step *step, mig_touch_fn fn, void *arg, mig_error *err) {
  return fn(arg, mig_step_str(step, "from"), MIG_TOUCH_DROP, err) &&
         fn(arg, mig_step_str(step, "to"), MIG_TOUCH_DROP, err);
}

static bool guards(const mig_step *step, bson_t *array, mig_error *err) {
  (void)err;
  mig_guard_on_collection(array, "collectionExists", mig_step_str(step, "from"));
  if (!mig_step_flag(step, "dropTarget")) mig_guard_on_collection(array, "collectionAbsent", mig_step_str(step, "to"));
  return true;
}

static bool send(const mig_step *step, mig_work *w, bool drop_target, mig_error *err) {
  bson_t command = BSON_INITIALIZER;
  const char *db = mig_db_name(w->db);
  char *from = mig_strdup_printf("%s.%s", db, mig_step_str(step, "from"));
  char *to = mig_strdup_printf("%s.%s", db, mig_step_str(step, "to"));
  bool ok = (from && to) || mig_no_memory(err, "renameCollection");
  ok = ok && mig_name_collection_ok(db, mig_step_str(step, "to"), err);
  if (ok) {
    BSON_APPEND_UTF8(&command, "renameCollection", from);
    BSON_APPEND_UTF8(&command, "to", to);
    if (drop_target) BSON_APPEND_BOOL(&command, "dropTarget", true);
    ok = mig_checkpoint(w, err) && mig_db_admin(w->db, &command, NULL, err);
  }
  bson_destroy(&command);
  mig_free(from);
  mig_free(to);
  return ok;
}

static bool run(const mig_step *step, mig_work *w, mig_error *err) {
  const char *to = mig_step_str(step, "to");
  bool from_there = false, to_there = false, drops = mig_step_flag(step, "dropTarget"), aside = false;
  if (drops && !mig_step_put_aside(w, to, &aside, err)) return false;
  if (!send(step, w, drops && !aside, err) || (aside && !mig_step_settle_aside(w, to, err))) return false;
  mig_crash_point(MIG_CRASH_STEP_BATCH);
  if (!mig_db_has_collection(w->db, mig_step_str(step, "from"), &from_there, err) ||
      !mig_db_has_collection(w->db, mig_step_str(step, "to"), &to_there, err))
    return false;
  if (to_there && !from_there) return true;
  mig_fail(err, MIG_E_FAILED, "renameCollection %s.%s to %s: the server said yes, but %s", mig_db_name(w->db),
           mig_step_str(step, "from"), mig_step_str(step, "to"),
           to_there ? "the old one is still there" : "the new one is not there");
  return mig_hint(err, "stop programs that write to these collections");
}

/* A target that was dropped is gone for good. */
static bool inverse(const mig_step *step, bson_t *out) {
  bson_t own;
  if (mig_step_flag(step, "dropTarget")) return false;
  BSON_APPEND_DOCUMENT_BEGIN(out, "renameCollection", &own);
  BSON_APPEND_UTF8(&own, "from", mig_step_str(step, "to"));
  BSON_APPEND_UTF8(&own, "to", mig_step_str(step, "from"));
  bson_append_document_end(out, &own);
  return true;
}

const mig_step_def mig_step_rename_collection = {
    .name = "renameCollection",
    .help = "gives a collection another name",
    .args = args,
    .destroys = true,
    .check = check,
    .touches = touches,
    .guards = guards,
    .run = run,
    .inverse = inverse,
    .example = "{\"renameCollection\": {\"from\": \"people\", \"to\": \"users\"}}",
};
