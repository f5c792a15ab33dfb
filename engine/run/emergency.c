#include "run/emergency.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/names.h"
#include "run/host.h"

#define JOURNAL_ID "mig.restore"

bool mig_emergency_snapshot(mig_engine *e, const char *const *collections, mig_snapshot_info *out, mig_error *err) {
  mig_snapshot_want *wants = NULL;
  size_t count = 0;
  memset(out, 0, sizeof *out);
  while (collections && collections[count]) count++;
  if (count && !(wants = mig_alloc(count * sizeof *wants))) return mig_no_memory(err, "snapshot");
  for (size_t i = 0; i < count; i++)
    wants[i] = (mig_snapshot_want){.collection = collections[i], .holds = MIG_HOLDS_DOCUMENTS};
  const mig_snapshot_options options = {.label = "manual", .reason = "by hand", .wants = wants, .want_count = count};
  bool ok = mig_engine_store(e, err);
  if (ok) {
    mig_snapshot_options with_store = options;
    with_store.store = e->store;
    ok = mig_snapshot_take(&e->work, &with_store, out, err);
  }
  mig_free(wants);
  return ok;
}

/* ---- journal of a restore by hand ---- */

static bool journal_write(mig_engine *e, const char *path, const char *sha256, const mig_emergency_options *o,
                          mig_error *err) {
  mig_host host;
  mig_host_self(&host);
  bson_t only = BSON_INITIALIZER;
  for (uint32_t i = 0; o->only && o->only[i]; i++) {
    char buffer[16];
    const char *key;
    bson_uint32_to_string(i, &key, buffer, sizeof buffer);
    BSON_APPEND_UTF8(&only, key, o->only[i]);
  }
  bson_t *command =
      BCON_NEW("update", BCON_UTF8(MIG_LOCKS), "updates", "[", "{", "q", "{", "_id", BCON_UTF8(JOURNAL_ID), "}", "u",
               "{", "path", BCON_UTF8(path), "sha256", BCON_UTF8(sha256), "strategy", BCON_INT32(o->strategy), "only",
               BCON_ARRAY(&only), "host", BCON_UTF8(host.name), "by", BCON_UTF8(e->settings.by), "fence",
               BCON_INT64(mig_lease_fence(e->lease)), "startedAt", BCON_DATE_TIME(mig_now_unix_ms()), "}", "upsert",
               BCON_BOOL(true), "}", "]");
  mig_crash_point(MIG_CRASH_JOURNAL_BEFORE);
  bool ok = mig_db_command(e->db, MIG_WRITE, command, NULL, err);
  mig_crash_point(MIG_CRASH_JOURNAL_AFTER);
  bson_destroy(command);
  bson_destroy(&only);
  return ok;
}

static bool journal_remove(mig_engine *e, mig_error *err) {
  bson_t *command = BCON_NEW("delete", BCON_UTF8(MIG_LOCKS), "deletes", "[", "{", "q", "{", "_id",
                             BCON_UTF8(JOURNAL_ID), "}", "limit", BCON_INT32(1), "}", "]");
  mig_crash_point(MIG_CRASH_RECORD_BEFORE);
  bool ok = mig_db_command(e->db, MIG_WRITE, command, NULL, err);
  mig_crash_point(MIG_CRASH_RECORD_AFTER);
  bson_destroy(command);
  return ok;
}

static bool journal_read(mig_db *db, bson_t *doc, bool *found, mig_error *err) {
  bson_t *find =
      BCON_NEW("find", BCON_UTF8(MIG_LOCKS), "filter", "{", "_id", BCON_UTF8(JOURNAL_ID), "}", "limit", BCON_INT32(1));
  bool ok = mig_db_first(db, find, doc, found, err);
  bson_destroy(find);
  return ok;
}

bool mig_emergency_pending(mig_db *db, bool *pending, mig_error *err) {
  bson_t doc;
  bool ok = journal_read(db, &doc, pending, err);
  bson_destroy(&doc);
  return ok;
}

/* ---- the ledger follows the data ---- */

/* A whole snapshot from before `up` of a migration takes that migration back: the ledger must say so. */
static bool revert_in_ledger(mig_engine *e, const mig_manifest *m, bool partial, char **reverted, mig_error *err) {
  mig_entry *entry = NULL;
  int64_t now = 0;
  if (!m->migration || !m->direction) return true;
  if (!mig_ledger_read(e->db, m->migration, &entry, err)) return false;
  bool up = strcmp(m->direction, "up") == 0;
  bool affected = entry && (up ? entry->status == MIG_STATUS_APPLIED : entry->status == MIG_STATUS_REVERTED);
  bool ok = true;
  if (affected && partial) {
    mig_say(mig_engine_observer(e), MIG_WARNING,
            "only a part of the snapshot was restored: the ledger still says that %s is %s", m->migration,
            mig_status_name(entry->status));
  } else if (affected) {
    ok = mig_db_server_now(e->db, &now, err);
    bson_t *set = BCON_NEW("status", BCON_UTF8(up ? "reverted" : "applied"), up ? "revertedAt" : "appliedAt",
                           BCON_DATE_TIME(now), up ? "revertedBy" : "appliedBy", BCON_UTF8(e->settings.by), "restored",
                           BCON_BOOL(true), "updatedAt", BCON_DATE_TIME(now));
    ok = ok && mig_ledger_set(e->db, m->migration, mig_lease_fence(e->lease), set, err);
    bson_destroy(set);
    if (ok) *reverted = mig_strdup(m->migration);
  }
  mig_entry_free(entry);
  return ok;
}

static void add_event(mig_engine *e, const mig_manifest *m, const char *outcome, int64_t began_unix,
                      const mig_restore_report *r, const mig_error *why) {
  mig_host host;
  mig_error ignored;
  char id[MIG_UUID_TEXT] = "";
  mig_host_self(&host);
  mig_uuid(id, &ignored);
  bson_t *event =
      BCON_NEW("run", BCON_UTF8(id), "name", BCON_UTF8(m->migration ? m->migration : m->id), "direction",
               BCON_UTF8("restore"), "outcome", BCON_UTF8(outcome), "startedAt", BCON_DATE_TIME(began_unix), "duration",
               BCON_INT64(mig_now_unix_ms() - began_unix), "documents", "{", "written", BCON_INT64(r->written),
               "removed", BCON_INT64(r->removed), "}", "by", BCON_UTF8(e->settings.by), "host", BCON_UTF8(host.name),
               "error", BCON_UTF8(why ? why->what : ""), "snapshot", BCON_UTF8(m->id));
  mig_watch_event(e, event);
  bson_destroy(event);
}

/* ---- restore by hand ---- */

static bool safety_snapshot(mig_engine *e, const mig_manifest *m, const char *const *only, mig_snapshot_info *out,
                            mig_error *err) {
  mig_snapshot_want *wants = mig_alloc((m->collection_count + 1) * sizeof *wants);
  size_t count = 0;
  if (!wants) return mig_no_memory(err, "safety snapshot");
  for (size_t i = 0; i < m->collection_count; i++) {
    bool wanted = !only;
    for (size_t k = 0; only && only[k]; k++) wanted = wanted || strcmp(only[k], m->collections[i].name) == 0;
    mig_holds holds = m->collections[i].holds == MIG_HOLDS_METADATA ? MIG_HOLDS_METADATA : MIG_HOLDS_DOCUMENTS;
    if (wanted) wants[count++] = (mig_snapshot_want){.collection = m->collections[i].name, .holds = holds};
  }
  const mig_snapshot_options options = {.store = e->store,
                                        .label = "safety",
                                        .reason = "safety, before a restore by hand",
                                        .wants = wants,
                                        .want_count = count};
  bool ok = mig_snapshot_take(&e->work, &options, out, err);
  mig_free(wants);
  return ok || mig_fail_at(err, "the safety snapshot of the present state failed");
}

/* What others write between the safety snapshot and the restore's own writes is kept as well. */
static mig_restore_options restore_options(const mig_engine *e, const mig_emergency_options *o) {
  return (mig_restore_options){.strategy = o->strategy,
                               .only = o->only,
                               .dry_run = o->dry_run,
                               .listener = o->listener,
                               .displaced_store = o->no_safety_snapshot ? NULL : e->store,
                               .displaced_reason = "displaced by a restore by hand"};
}

static bool run_restore(mig_engine *e, mig_archive *archive, const mig_emergency_options *o, mig_emergency_report *out,
                        mig_error *err) {
  const mig_restore_options options = restore_options(e, o);
  return mig_restore_run(&e->work, archive, &options, &out->restore, err);
}

/* A restore that did not get to its end: one that wrote nothing is as if it had never been asked for; any other waits
 * for `mig recover`. Always returns false. */
static bool not_finished(mig_engine *e, const mig_emergency_report *out, const char *id, mig_error *err) {
  mig_error ignored;
  const bool interrupted = err->code == MIG_E_INTERRUPTED;
  if (err->code == MIG_E_LEASE) return false; /* the journal, too, belongs to the next holder */
  if (!out->restore.began && journal_remove(e, &ignored)) return interrupted && mig_why(err, "nothing was changed");
  if (!interrupted && out->restore.began) {
    err->code = MIG_E_NOT_RESTORED;
    return mig_hint(err, "see to the cause and run `mig recover`: the restore goes on until everything is back");
  }
  if (interrupted) {
    mig_fail(err, MIG_E_UNFINISHED, "the restore of %s was interrupted by a signal", id);
    mig_why(err, "a part of it is done");
  }
  err->code = MIG_E_UNFINISHED;
  return mig_hint(err, "`mig recover` finishes it%s%s%s", out->safety.id ? "; to go back instead: mig restore " : "",
                  out->safety.id ? out->safety.id : "", out->safety.id ? "" : "; nothing else is run before");
}

/* Everything that writes: journal, safety snapshot, restore, ledger, event. */
static bool restore_locked(mig_engine *e, mig_archive *archive, const mig_emergency_options *o,
                           mig_emergency_report *out, mig_error *err) {
  const mig_manifest *m = mig_archive_contents(archive);
  char sha256[MIG_SHA256_HEX];
  int64_t began = mig_now_unix_ms();
  /* an interrupted restore by hand does not stand in the way: this one takes its place */
  bool ok = mig_engine_refuse_unfinished(e, false, err) && mig_archive_sha256(archive, sha256, NULL, err) &&
            (o->no_safety_snapshot || safety_snapshot(e, m, o->only, &out->safety, err)) &&
            mig_checkpoint(&e->work, err) && journal_write(e, out->path, sha256, o, err);
  if (!ok) return err->code == MIG_E_INTERRUPTED && mig_why(err, "nothing was changed");
  ok = run_restore(e, archive, o, out, err) && revert_in_ledger(e, m, o->only != NULL, &out->reverted, err) &&
       journal_remove(e, err);
  if (!ok) not_finished(e, out, m->id, err);
  const char *outcome = ok ? "restored" : out->restore.began ? "notRestored" : "failed";
  add_event(e, m, outcome, began, &out->restore, ok ? NULL : err);
  return ok;
}

bool mig_emergency_restore(mig_engine *e, const mig_emergency_options *o, mig_emergency_report *out, mig_error *err) {
  mig_archive *archive = NULL;
  mig_error local;
  char *found = NULL;
  if (!err) err = &local; /* its code decides */
  memset(out, 0, sizeof *out);
  bool ok = mig_engine_store(e, err) && mig_store_find(e->store, o->snapshot, &found, err);
  char *real = ok ? realpath(found, NULL) : NULL; /* the journal must hold wherever recovery is started from */
  if (ok) out->path = mig_strdup(real ? real : found);
  free(real);
  mig_free(found);
  ok = ok && (out->path || mig_no_memory(err, "path")) && mig_archive_open(out->path, &archive, err) &&
       mig_archive_verify(archive, mig_engine_observer(e), err);
  const mig_restore_options options = restore_options(e, o);
  ok = ok && mig_restore_check(archive, &options, err);
  if (ok && o->dry_run) {
    ok = run_restore(e, archive, o, out, err);
  } else if (ok) {
    ok = mig_engine_lock(e, "restore", err) && restore_locked(e, archive, o, out, err);
    mig_engine_unlock(e);
  }
  mig_archive_free(archive);
  if (!ok) mig_emergency_report_clear(out);
  return ok;
}

void mig_emergency_report_clear(mig_emergency_report *r) {
  mig_restore_report_clear(&r->restore);
  mig_snapshot_info_clear(&r->safety);
  mig_free(r->path);
  mig_free(r->reverted);
  memset(r, 0, sizeof *r);
}

bool mig_emergency_recover(mig_engine *e, bool *settled, mig_error *err) {
  bson_t doc, only;
  const char *path = NULL, *sha256 = NULL;
  const char **names = NULL;
  int64_t strategy = 0;
  mig_archive *archive = NULL;
  mig_emergency_report report = {0};
  char now[MIG_SHA256_HEX];
  *settled = false;
  if (!journal_read(e->db, &doc, settled, err)) {
    bson_destroy(&doc);
    return false;
  }
  bool ok = true;
  if (!*settled) goto done;
  ok = mig_bson_str(&doc, "path", &path) && mig_bson_str(&doc, "sha256", &sha256) &&
       mig_bson_int(&doc, "strategy", &strategy) && strategy >= MIG_STRATEGY_AUTO && strategy <= MIG_STRATEGY_SWAP;
  if (!ok) {
    mig_fail(err, MIG_E_SERVER, "the journal of an interrupted restore (%s, _id %s) cannot be read", MIG_LOCKS,
             JOURNAL_ID);
    goto done;
  }
  bson_iter_t it;
  if (mig_bson_arr(&doc, "only", &only) && bson_count_keys(&only) > 0 && bson_iter_init(&it, &only)) {
    names = mig_alloc((bson_count_keys(&only) + 1) * sizeof *names);
    if (!names) {
      ok = mig_no_memory(err, "restore");
      goto done;
    }
    for (size_t i = 0; bson_iter_next(&it); i++) names[i] = BSON_ITER_HOLDS_UTF8(&it) ? bson_iter_utf8(&it, NULL) : "";
  }
  const mig_emergency_options options = {.strategy = (mig_strategy)strategy, .only = names};
  ok = mig_engine_store(e, err) && mig_archive_open(path, &archive, err) &&
       mig_archive_verify(archive, mig_engine_observer(e), err) && mig_archive_sha256(archive, now, NULL, err);
  if (ok && strcmp(now, sha256) != 0)
    ok = mig_fail(err, MIG_E_ARCHIVE, "%s is not the snapshot that was being restored", path);
  ok = ok && run_restore(e, archive, &options, &report, err) &&
       revert_in_ledger(e, mig_archive_contents(archive), names != NULL, &report.reverted, err) &&
       journal_remove(e, err);
  if (!ok && err && err->code == MIG_E_INTERRUPTED) {
    err->code = MIG_E_UNFINISHED;
    mig_hint(err, "`mig recover` goes on with it");
  }
  if (archive)
    add_event(e, mig_archive_contents(archive), ok ? "restored" : "notRestored", mig_now_unix_ms(), &report.restore,
              ok ? NULL : err);
done:
  mig_emergency_report_clear(&report);
  mig_archive_free(archive);
  mig_free(names);
  bson_destroy(&doc);
  return ok;
}
