/* What an interrupted run left is finished or undone: the ledger says which. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "run/attempt.h"
#include "run/emergency.h"
#include "run/recover.h"

static bool finish(mig_engine *e, const mig_run_key *key, const mig_entry *entry, const char *error, bool restored,
                   mig_error *err) {
  const mig_snapshot_ref *snapshot = &entry->run.snapshot;
  bson_t *set = BCON_NEW("error", BCON_UTF8(error), "restored", BCON_BOOL(restored));
  if (entry->run.direction == MIG_UP && snapshot->id && snapshot->path && snapshot->sha256)
    BCON_APPEND(set, "snapshot", "{", "id", BCON_UTF8(snapshot->id), "path", BCON_UTF8(snapshot->path), "sha256",
                BCON_UTF8(snapshot->sha256), "bytes", BCON_INT64(snapshot->bytes), "}");
  mig_status back = entry->run.direction == MIG_DOWN ? entry->run.was : MIG_STATUS_FAILED;
  bool ok = mig_ledger_end(e->db, key, back, set, err);
  bson_destroy(set);
  return ok;
}

static void add_event(mig_engine *e, const mig_entry *entry, const char *outcome, const char *error,
                      const char *displaced) {
  bson_t *event =
      BCON_NEW("run", BCON_UTF8(entry->run.id), "name", BCON_UTF8(entry->name), "version",
               BCON_UTF8(entry->version ? entry->version : ""), "direction", BCON_UTF8("restore"), "outcome",
               BCON_UTF8(outcome), "startedAt", BCON_DATE_TIME(mig_now_unix_ms()), "by", BCON_UTF8(e->settings.by),
               "host", BCON_UTF8(entry->run.host ? entry->run.host : ""), "error", BCON_UTF8(error), "snapshot",
               BCON_UTF8(entry->run.snapshot.id ? entry->run.snapshot.id : ""));
  if (displaced) BSON_APPEND_UTF8(event, "displaced", displaced);
  mig_watch_event(e, event);
  bson_destroy(event);
}

static bool put_back(mig_engine *e, const mig_run_key *key, const mig_entry *entry, char **displaced, bool *identical,
                     mig_error *err) {
  int64_t documents = 0;
  if (!entry->run.snapshot.path) {
    mig_fail(err, MIG_E_NOT_RESTORED, "%s was interrupted, and it ran without a snapshot", entry->name);
    mig_why(err, "nothing can be restored by itself; its steps may have run in part");
    return mig_hint(err, "look at the data; then say how it is: mig mark %s --applied (or --pending) --why TEXT",
                    entry->name);
  }
  mig_archive *readable = NULL; /* there, and with its key: known before anything is announced */
  bool ok = mig_archive_open_with(entry->run.snapshot.path, e->key, &readable, err);
  mig_archive_free(readable);
  /* the dead runner's last write may still run on the server, if taking the lease could not end it */
  ok = ok && mig_ledger_phase(e->db, key, MIG_PHASE_RESTORING, NULL, err);
  if (ok && !(ok = mig_orphans_wait_late(e, err)) && err && err->code == MIG_E_UNFINISHED) return false;
  ok = ok && mig_orphans_name(e, err) && mig_ledger_write_as(e->db, key, err) &&
       mig_undo_run(e, entry->run.snapshot.path, entry->run.snapshot.sha256, "displaced while recovering", displaced,
                    &documents, identical, err);
  if (!ok && err && err->code != MIG_E_LEASE) {
    char hint[sizeof err->hint];
    err->code = MIG_E_NOT_RESTORED;
    if (!err->hint[0] || mig_db_passing(err))
      mig_hint(err, "see to the cause and run `mig recover` again; the snapshot is %s", entry->run.snapshot.path);
    snprintf(hint, sizeof hint, "%s", err->hint);
    mig_hint(err, "%.380s; if the cause stays: mig restore SNAPSHOT --force --why TEXT, or mig mark (docs/recovery.md)",
             hint);
  }
  return ok;
}

bool mig_recover_may_force(mig_engine *e, const mig_entry *unfinished, mig_error *err) {
  const char *path = unfinished->run.snapshot.path;
  mig_archive *archive = NULL;
  mig_error ignored;
  if (unfinished->run.phase == MIG_PHASE_RESTORING) return true;
  if (unfinished->run.phase == MIG_PHASE_STEPS && !unfinished->run.transaction) {
    const bool opens = path && mig_engine_key(e, err) && mig_archive_open_with(path, e->key, &archive, &ignored);
    mig_archive_free(archive);
    if (!opens) return true;
  }
  mig_fail(err, MIG_E_UNFINISHED, "%s was interrupted and can be settled by itself", unfinished->name);
  mig_why(err, "nobody has tried yet to put its data back");
  return mig_hint(err, "run `mig recover`");
}

/* It could not be taken over: the entry says what has become of it. MIG_E_LEASE: it is a later runner's. */
static bool ended_meanwhile(mig_engine *e, const mig_entry *entry, const char **outcome, mig_error *err) {
  mig_entry *now = NULL;
  if (!mig_ledger_read(e->db, entry->name, &now, err)) return false;
  const bool ended = now && now->status != MIG_STATUS_RUNNING, up = entry->run.direction == MIG_UP;
  *outcome = ended && (now->status == MIG_STATUS_APPLIED) == up && now->status != MIG_STATUS_FAILED
                 ? (up ? "applied" : "reverted")
                 : "failed";
  mig_entry_free(now);
  if (ended) return true;
  mig_fail(err, MIG_E_LEASE, "the ledger entry of %s is another runner's by now", entry->name);
  return mig_hint(err, "`mig lock-status` says who is at work; then `mig recover`");
}

static bool settle(mig_engine *e, const mig_entry *entry, const mig_listener *listener, mig_error *err) {
  mig_run_key key = {.name = entry->name, .fence = mig_lease_fence(e->lease)};
  bool taken = false, identical = true;
  char *displaced = NULL, text[300];
  snprintf(key.id, sizeof key.id, "%s", entry->run.id);
  /* waits for a transaction that is still open on the entry; then the entry tells whether it has committed */
  if (!mig_ledger_take_over(e->db, entry, key.fence, &taken, err)) return false;
  bool nothing_written =
      entry->run.phase <= MIG_PHASE_SNAPSHOT || (entry->run.transaction && entry->run.phase == MIG_PHASE_STEPS);
  bool ok = true;
  const char *outcome = "failed";
  if (!taken) {
    if (!ended_meanwhile(e, entry, &outcome, err)) return false;
    snprintf(text, sizeof text, "%s", strcmp(outcome, "failed") == 0 ? "its runner had ended it after all" : "");
  } else if (nothing_written) {
    snprintf(text, sizeof text, "interrupted in phase \"%s\"; nothing was changed", mig_phase_name(entry->run.phase));
    ok = finish(e, &key, entry, text, false, err);
  } else {
    snprintf(text, sizeof text, "interrupted in phase \"%s\"; the data was put back", mig_phase_name(entry->run.phase));
    mig_watch_begin(e, key.id, entry->name, entry->version, "restore", 0);
    mig_watch_phase(e, mig_phase_name(MIG_PHASE_RESTORING));
    ok = put_back(e, &key, entry, &displaced, &identical, err);
    mig_watch_end(e);
    ok = ok && finish(e, &key, entry, text, !identical, err);
    outcome = identical ? "failed" : "restored";
  }
  if (ok) {
    add_event(e, entry, outcome, text, displaced);
    mig_say(mig_engine_observer(e), MIG_INFO, "%s: %s", entry->name, text[0] ? text : "had finished after all");
    mig_result result = {.name = entry->name,
                         .version = entry->version,
                         .direction = mig_direction_name(entry->run.direction),
                         .outcome = outcome,
                         .transaction = entry->run.transaction ? "used" : "off",
                         .snapshot_id = entry->run.snapshot.id,
                         .snapshot_path = entry->run.snapshot.path,
                         .snapshot_bytes = entry->run.snapshot.bytes,
                         .started_unix_ms = entry->run.started_unix_ms,
                         .displaced_path = displaced};
    if (listener && listener->result) listener->result(listener->arg, &result);
  }
  mig_free(displaced);
  return ok;
}

static bool settle_all(mig_engine *e, const mig_listener *listener, int64_t *settled, mig_error *err) {
  mig_ledger *ledger = NULL;
  bool ok = mig_ledger_load(e->db, &ledger, err);
  for (size_t i = 0; ok && i < ledger->count; i++) {
    if (ledger->items[i].status != MIG_STATUS_RUNNING) continue;
    ok = mig_checkpoint(&e->work, err) && settle(e, &ledger->items[i], listener, err);
    if (ok) (*settled)++;
  }
  mig_ledger_free(ledger);
  return ok;
}

bool mig_recover_locked(mig_engine *e, const mig_listener *listener, int64_t *settled, mig_error *err) {
  bool restore = false;
  int64_t n = 0;
  mig_error no_store; /* opening the store sweeps what a dead writer left; the data does not depend on that */
  if (mig_store_exists(e->settings.store)) mig_engine_store(e, &no_store);
  bool forced = false; /* a restore in the place of a run that cannot be recovered comes before that run */
  bool ok = mig_emergency_forced(e->db, &forced, err) && (!forced || mig_emergency_recover(e, &restore, err)) &&
            settle_all(e, listener, &n, err);
  ok = ok && (forced || mig_emergency_recover(e, &restore, err));
  if (ok && restore) n++;
  /* the ledger that came back with a snapshot may tell of a run that was half done then */
  ok = ok && (forced || !restore || settle_all(e, listener, &n, err));
  if (settled) *settled = n;
  return ok;
}

bool mig_recover(mig_engine *e, const mig_listener *listener, int64_t *settled, mig_error *err) {
  if (settled) *settled = 0;
  bool ok =
      mig_engine_keys(e, err) && mig_engine_lock(e, "recover", err) && mig_recover_locked(e, listener, settled, err);
  mig_engine_unlock(e);
  if (!ok) mig_engine_tell_unfinished(e, false, err);
  return ok;
}
