#include "run/mark.h"

#include <stdio.h>

#include "base/clock.h"
#include "run/attempt.h"
#include "run/host.h"
#include "run/recover.h"
#include "run/select.h"

typedef struct marking {
  mig_engine *e;
  const char *name;
  const mig_migration *m; /* NULL: only the ledger knows it */
  bool applied, force;
  bool forced; /* and that was needed */
  const char *why;
  int64_t batch;
} marking;

/* An interrupted run with a snapshot is recover's business: it knows what is true, a person may not. Unless it cannot,
 * and the person says so. */
static bool may_mark(marking *k, const mig_entry *entry, mig_error *err) {
  bool stuck = entry->run.phase == MIG_PHASE_STEPS && !entry->run.transaction && !entry->run.snapshot.path;
  if (entry->status != MIG_STATUS_RUNNING) return true;
  if (stuck) return mig_orphans_wait_late(k->e, err);
  if (!mig_recover_may_force(k->e, entry, err)) return false;
  k->forced = k->force;
  if (k->force) return mig_orphans_wait_late(k->e, err);
  mig_fail(err, MIG_E_UNFINISHED, "%s was interrupted, and its data is not all put back", entry->name);
  return mig_hint(err, "run `mig recover`; if it cannot, look at the data, then say how it is: the same with --force");
}

static void add_event(const marking *k, const bson_t *metadata) {
  mig_host host;
  mig_error ignored;
  char id[MIG_UUID_TEXT] = "";
  mig_host_self(&host);
  mig_uuid(id, &ignored);
  bson_t *event =
      BCON_NEW("run", BCON_UTF8(id), "name", BCON_UTF8(k->name), "direction", BCON_UTF8(k->applied ? "up" : "down"),
               "outcome", BCON_UTF8("marked"), "startedAt", BCON_DATE_TIME(mig_now_unix_ms()), "duration",
               BCON_INT64(0), "by", BCON_UTF8(k->e->settings.by), "host", BCON_UTF8(host.name), "metadata",
               BCON_DOCUMENT(metadata), "why", BCON_UTF8(k->why));
  if (k->m) BSON_APPEND_UTF8(event, "version", k->m->version);
  if (k->forced) BSON_APPEND_BOOL(event, "forced", true);
  mig_watch_event(k->e, event);
  bson_destroy(event);
}

static bool record(const marking *k, mig_error *err) {
  char note[300];
  int64_t now = 0;
  if (!mig_checkpoint(&k->e->work, err) || !mig_db_server_now(k->e->db, &now, err)) return false;
  snprintf(note, sizeof note, "marked by %.60s: %.200s", k->e->settings.by, k->why);
  bson_t *set =
      BCON_NEW("status", BCON_UTF8(k->applied ? "applied" : "pending"), k->applied ? "appliedAt" : "revertedAt",
               BCON_DATE_TIME(now), k->applied ? "appliedBy" : "revertedBy", BCON_UTF8(k->e->settings.by), "restored",
               BCON_BOOL(false), "run.phase", BCON_UTF8("done"), "run.fence", BCON_INT64(mig_lease_fence(k->e->lease)),
               "error", BCON_UTF8(note), "updatedAt", BCON_DATE_TIME(now));
  bson_t *metadata = mig_engine_metadata(k->e, k->m);
  if (k->applied) BSON_APPEND_INT64(set, "batch", k->batch);
  if (k->applied) BSON_APPEND_NULL(set, "snapshot"); /* none is from before it */
  if (k->m) mig_ledger_describe(set, k->m);
  if (k->m) BSON_APPEND_UTF8(set, "checksum", k->m->checksum);
  if (k->m || !bson_empty(metadata)) BSON_APPEND_DOCUMENT(set, "metadata", metadata);
  bool ok = mig_ledger_set(k->e->db, k->name, mig_lease_fence(k->e->lease), set, err);
  if (ok) add_event(k, metadata);
  bson_destroy(metadata);
  bson_destroy(set);
  return ok;
}

static bool mark_locked(marking *k, mig_error *err) {
  mig_ledger *ledger = NULL;
  k->m = mig_folder_find(k->e->folder, k->name);
  if (k->m) k->name = k->m->name;
  bool ok = mig_ledger_load(k->e->db, &ledger, err);
  const mig_entry *entry = ok ? mig_ledger_find(ledger, k->name) : NULL;
  if (ok && !k->m && !entry) {
    ok =
        mig_fail(err, MIG_E_USAGE, "neither %s nor the ledger has a migration \"%.100s\"", k->e->folder->path, k->name);
    mig_hint(err, "`mig status` lists them all");
  }
  if (ok) k->batch = mig_ledger_next_batch(ledger);
  ok = ok && (!entry || may_mark(k, entry, err)) && record(k, err);
  mig_ledger_free(ledger);
  return ok;
}

bool mig_mark(mig_engine *e, const char *name, bool applied, bool force, const char *why, mig_error *err) {
  marking k = {.e = e, .name = name, .applied = applied, .force = force, .why = why};
  bool ok = mig_engine_folder(e, err) && mig_engine_lock(e, "mark", err) && mark_locked(&k, err);
  mig_engine_unlock(e);
  return ok;
}

bool mig_baseline(mig_engine *e, const char *to, const char *why, void (*each)(void *arg, const char *name), void *arg,
                  mig_error *err) {
  const mig_up_options options = {.to = to};
  mig_ledger *ledger = NULL;
  mig_choice *choices = NULL;
  size_t count = 0;
  char reason[200];
  snprintf(reason, sizeof reason, "baseline %.180s", to);
  bool ok = mig_engine_folder(e, err) && mig_engine_lock(e, "baseline", err) &&
            mig_engine_refuse_unfinished(e, true, err) && mig_ledger_load(e->db, &ledger, err) &&
            mig_select_up(e, ledger, &options, &choices, &count, err);
  for (size_t i = 0; ok && i < count; i++) {
    const marking k = {.e = e,
                       .name = choices[i].migration->name,
                       .m = choices[i].migration,
                       .applied = true,
                       .why = why ? why : reason,
                       .batch = mig_ledger_next_batch(ledger)};
    ok = record(&k, err);
    if (ok && each) each(arg, k.name);
  }
  mig_engine_unlock(e);
  mig_free(choices);
  mig_ledger_free(ledger);
  return ok;
}
