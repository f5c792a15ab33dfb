/* What steps and modules may ask for beyond the data: guards, and copies of one collection. */
#include "migrations/module/services.h"

#include <stdio.h>
#include <string.h>

#include "backup/restore.h"
#include "run/attempt.h"
#include "run/checks.h"
#include "validators/guard.h"

static bool check(void *arg, const bson_t *guard, bool *holds, char *why, size_t why_size, mig_error *err) {
  mig_engine *e = arg;
  const mig_guard_env env = {.work = &e->work, .store_folder = mig_store_folder_of(e->settings.store)};
  mig_guard_result r = {0};
  bool ok = mig_guard_run(&env, guard, &r, err);
  *holds = ok && r.holds;
  snprintf(why, why_size, "%s", ok ? r.why : "");
  mig_guard_result_clear(&r);
  return ok;
}

static bool guards(void *arg, const bson_t *list, mig_error *err) {
  return mig_checks_run(arg, "guard", list, NULL, err);
}

static bool backup(void *arg, const char *module, const char *collection, char *id, size_t id_size, mig_error *err) {
  mig_engine *e = arg;
  mig_snapshot_info info = {0};
  char reason[300];
  const mig_snapshot_want want = {.collection = collection, .holds = MIG_HOLDS_DOCUMENTS};
  snprintf(reason, sizeof reason, "by the module %.250s", module);
  if (!mig_engine_store(e, err)) return false;
  const mig_snapshot_options options = {
      .store = e->store, .label = module, .reason = reason, .wants = &want, .want_count = 1};
  bool ok = mig_snapshot_take(&e->work, &options, &info, err);
  if (ok) snprintf(id, id_size, "%s", info.id);
  mig_snapshot_info_clear(&info);
  return ok;
}

static bool restore(void *arg, const char *id, mig_error *err) {
  mig_engine *e = arg;
  char *path = NULL;
  mig_archive *archive = NULL;
  mig_restore_report report = {0};
  bool ok = mig_store_find(e->store, id, &path, err) && mig_archive_open_with(path, e->key, &archive, err);
  const mig_restore_options options = {.displaced_store = e->store, .displaced_reason = "restored by a module"};
  ok = ok && mig_restore_run(&e->work, archive, &options, &report, err);
  mig_restore_report_clear(&report);
  mig_archive_free(archive);
  mig_free(path);
  return ok;
}

static bool drop(void *arg, const char *id, mig_error *err) {
  mig_engine *e = arg;
  char *path = NULL;
  bool ok = mig_store_find(e->store, id, &path, err) && mig_store_remove(e->store, path, err);
  mig_free(path);
  return ok;
}

typedef struct touched {
  const char *collection;
  bool written;
} touched;

static bool touch(void *arg, const char *collection, mig_touch how, mig_error *err) {
  touched *t = arg;
  (void)err;
  if (how >= MIG_TOUCH_DOCUMENTS && strcmp(collection, t->collection) == 0) t->written = true;
  return true;
}

/* The snapshot shows what others wrote only as long as the migration itself has not written. */
static bool untouched(const mig_attempt *a, const char *collection) {
  touched t = {collection, false};
  mig_error ignored;
  for (size_t i = 0; i < a->step; i++)
    if (!mig_step_touches(&a->plan->steps->items[i], touch, &t, &ignored)) return false;
  return !t.written;
}

static bool put_aside(void *arg, const char *collection, bool *gone, mig_error *err) {
  mig_engine *e = arg;
  const mig_attempt *a = e->attempt;
  mig_archive *archive = NULL;
  *gone = false;
  if (!a || !a->snapshot.path || mig_db_in_transaction(e->db) || !untouched(a, collection)) return true;
  const bool ok = mig_archive_open_with(a->snapshot.path, e->key, &archive, err) &&
                  mig_aside_put(&e->work, archive, collection, gone, err);
  mig_archive_free(archive);
  return ok;
}

static bool settle_aside(void *arg, const char *collection, mig_error *err) {
  mig_engine *e = arg;
  mig_archive *archive = NULL;
  mig_restore_report report = {0};
  const bool ok =
      mig_engine_store(e, err) && mig_archive_open_with(e->attempt->snapshot.path, e->key, &archive, err) &&
      mig_aside_settle(&e->work, archive, collection, e->store, "written before it was dropped", &report, err);
  if (report.displaced_path)
    mig_say(mig_engine_observer(e), MIG_WARNING,
            "%s.%s was written to after its snapshot: %lld documents are saved in %s", mig_db_name(e->db), collection,
            (long long)report.displaced_documents, report.displaced_path);
  mig_restore_report_clear(&report);
  mig_archive_free(archive);
  return ok;
}

void mig_engine_services(mig_engine *e, mig_services *out) {
  *out = (mig_services){e, check, guards, backup, restore, drop, put_aside, settle_aside};
}
