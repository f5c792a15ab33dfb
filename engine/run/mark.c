#include "run/mark.h"

#include <stdio.h>

#include "base/clock.h"
#include "run/host.h"

/* An interrupted run with a snapshot is recover's business: it knows what is true, a person may not. */
static bool may_mark(const mig_entry *entry, mig_error *err) {
  bool stuck = entry->run.phase == MIG_PHASE_STEPS && !entry->run.transaction && !entry->run.snapshot.path;
  if (entry->status != MIG_STATUS_RUNNING || stuck) return true;
  mig_fail(err, MIG_E_UNFINISHED, "%s was interrupted and can be settled by itself", entry->name);
  return mig_hint(err, "run `mig recover`");
}

static void add_event(mig_engine *e, const char *name, bool applied, const char *why) {
  mig_host host;
  mig_error ignored;
  char id[MIG_UUID_TEXT] = "";
  mig_host_self(&host);
  mig_uuid(id, &ignored);
  bson_t *event =
      BCON_NEW("run", BCON_UTF8(id), "name", BCON_UTF8(name), "direction", BCON_UTF8(applied ? "up" : "down"),
               "outcome", BCON_UTF8("marked"), "startedAt", BCON_DATE_TIME(mig_now_unix_ms()), "duration",
               BCON_INT64(0), "by", BCON_UTF8(e->settings.by), "host", BCON_UTF8(host.name), "why", BCON_UTF8(why));
  if (!mig_events_add(e->db, event, &ignored))
    mig_say(mig_engine_observer(e), MIG_WARNING, "the event could not be written: %s", ignored.why);
  bson_destroy(event);
}

static bool mark_locked(mig_engine *e, const char *name, bool applied, const char *why, mig_error *err) {
  const mig_migration *m = mig_folder_find(e->folder, name);
  mig_entry *entry = NULL;
  char note[300];
  int64_t now = 0;
  if (m) name = m->name;
  bool ok = mig_ledger_read(e->db, name, &entry, err) && (!entry || may_mark(entry, err)) &&
            mig_db_server_now(e->db, &now, err);
  if (ok && !m && !entry) {
    ok = mig_fail(err, MIG_E_USAGE, "neither %s nor the ledger has a migration \"%.100s\"", e->folder->path, name);
    mig_hint(err, "`mig status` lists them all");
  }
  if (ok) {
    snprintf(note, sizeof note, "marked by %.60s: %.200s", e->settings.by, why);
    bson_t *set =
        BCON_NEW("status", BCON_UTF8(applied ? "applied" : "pending"), applied ? "appliedAt" : "revertedAt",
                 BCON_DATE_TIME(now), applied ? "appliedBy" : "revertedBy", BCON_UTF8(e->settings.by), "restored",
                 BCON_BOOL(false), "run.phase", BCON_UTF8("done"), "run.fence", BCON_INT64(mig_lease_fence(e->lease)),
                 "error", BCON_UTF8(note), "updatedAt", BCON_DATE_TIME(now));
    if (m)
      BCON_APPEND(set, "version", BCON_UTF8(m->version), "checksum", BCON_UTF8(m->checksum), "reversible",
                  BCON_BOOL(m->reversible));
    ok = mig_ledger_set(e->db, name, mig_lease_fence(e->lease), set, err);
    bson_destroy(set);
  }
  if (ok) add_event(e, name, applied, why);
  mig_entry_free(entry);
  return ok;
}

bool mig_mark(mig_engine *e, const char *name, bool applied, const char *why, mig_error *err) {
  bool ok = mig_engine_folder(e, err) && mig_engine_lock(e, "mark", err) && mark_locked(e, name, applied, why, err);
  mig_engine_unlock(e);
  return ok;
}
