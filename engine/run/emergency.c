#include "run/emergency.h"

#include <stdlib.h>
#include <string.h>

#include "backup/diff.h"
#include "backup/sign.h"
#include "base/clock.h"
#include "base/crash.h"
#include "run/attempt.h"
#include "run/host.h"
#include "run/recover.h"
#include "run/restore_journal.h"

static bool verify(const mig_engine *e, mig_archive *archive, mig_error *err) {
  mig_archive_jobs(archive, e->work.jobs);
  return mig_archive_verify(archive, mig_engine_observer(e), err);
}

static void add_event(mig_engine *e, const mig_manifest *m, const mig_emergency_options *o, const char *outcome,
                      int64_t began_unix, const mig_restore_report *r, const mig_error *why) {
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
  if (o->force_why) BCON_APPEND(event, "forced", BCON_BOOL(true), "why", BCON_UTF8(o->force_why));
  mig_watch_event(e, event);
  bson_destroy(event);
}

/* ---- restore by hand ---- */

bool mig_emergency_wants(const mig_manifest *m, const mig_emergency_options *o, const mig_collection_entry *entry) {
  for (size_t i = 0; o->only && o->only[i]; i++)
    if (mig_manifest_named(m, o->only[i]) == entry) return true;
  return o->only == NULL;
}

/* Of what the restore will write to: with `as` these are the new names. */
static bool safety_snapshot(mig_engine *e, const mig_manifest *m, const mig_emergency_options *o,
                            mig_snapshot_info *out, mig_error *err) {
  mig_snapshot_want *wants = mig_alloc((m->collection_count + o->as_count + 1) * sizeof *wants);
  size_t count = 0;
  if (!wants) return mig_no_memory(err, "safety snapshot");
  for (size_t i = 0; i < m->collection_count && !o->as_count; i++) {
    const mig_collection_entry *entry = &m->collections[i];
    mig_holds holds = entry->holds == MIG_HOLDS_METADATA ? MIG_HOLDS_METADATA : MIG_HOLDS_DOCUMENTS;
    if (mig_emergency_wants(m, o, entry))
      wants[count++] = (mig_snapshot_want){.collection = entry->name, .holds = holds};
  }
  for (size_t i = 0; i < o->as_count; i++)
    wants[count++] = (mig_snapshot_want){.collection = o->as[i].to, .holds = MIG_HOLDS_DOCUMENTS};
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
                               .as = o->as,
                               .as_count = o->as_count,
                               .beside = o->as_count && !o->replace,
                               .no_indexes = o->no_indexes,
                               .dry_run = o->dry_run,
                               .listener = o->listener,
                               .displaced_store = e->store,
                               .only_asides = o->no_safety_snapshot,
                               .displaced_reason = "displaced by a restore by hand"};
}

static bool run_restore(mig_engine *e, mig_archive *archive, const mig_emergency_options *o, mig_emergency_report *out,
                        mig_error *err) {
  const mig_restore_options options = restore_options(e, o);
  return mig_restore_run(&e->work, archive, &options, &out->restore, err);
}

/* Whether it is surely gone: what stays, the next `mig up` would carry out. The write of it may still be on its way. */
static bool forget_journal(mig_engine *e, bool on_its_way) {
  mig_error local = {0};
  if (on_its_way && !mig_orphans_end(e, &local)) return false;
  for (int attempt = 0; attempt < 6; attempt++) {
    if (attempt) mig_sleep_ms(250 << attempt);
    if (mig_restore_journal_remove(e, &local)) return true;
    if (!mig_db_passing(&local)) break;
  }
  return false;
}

/* A restore that did not get to its end: one that wrote nothing is as if it had never been asked for; any other waits
 * for `mig recover`. Always returns false. */
static bool not_finished(mig_engine *e, const mig_emergency_report *out, const char *id, mig_error *err) {
  const bool interrupted = err->code == MIG_E_INTERRUPTED;
  if (err->code == MIG_E_LEASE) return false; /* the journal, too, belongs to the next holder */
  if (!out->restore.began && forget_journal(e, err->network)) return interrupted && mig_why(err, "nothing was changed");
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

/* Beside the original means: not on it, and not on anything else that is there. */
static bool check_original(const mig_engine *e, const mig_manifest *m, const mig_emergency_options *o, mig_error *err) {
  for (size_t i = 0; i < o->as_count && strcmp(m->database, mig_db_name(e->db)) == 0; i++) {
    const mig_collection_entry *from = mig_manifest_named(m, o->as[i].from);
    if (!from || strcmp(from->name, o->as[i].to) != 0) continue;
    mig_fail(err, MIG_E_USAGE, "%s.%s is the original itself", m->database, o->as[i].to);
    return mig_hint(err, "choose another name; or restore it in its place, with --only");
  }
  return true;
}

static bool check_beside(mig_engine *e, const mig_emergency_options *o, mig_error *err) {
  for (size_t i = 0; i < o->as_count && !o->replace; i++) {
    const mig_restore_as *as = &o->as[i];
    bool found = false;
    if (!mig_db_has_collection(e->db, as->to, &found, err)) return false;
    if (found) return mig_restore_taken(mig_db_name(e->db), as->to, err);
  }
  return true;
}

/* By force it takes the place of a run that cannot be put back; never of one that can. */
static bool may_begin(mig_engine *e, const mig_emergency_options *o, mig_error *err) {
  mig_ledger *ledger = NULL;
  if (!o->force_why) return mig_engine_refuse_unfinished(e, false, err);
  bool ok = mig_ledger_load(e->db, &ledger, err);
  for (size_t i = 0; ok && i < ledger->count; i++)
    if (ledger->items[i].status == MIG_STATUS_RUNNING) ok = mig_recover_may_force(e, &ledger->items[i], err);
  mig_ledger_free(ledger);
  return ok;
}

/* Everything that writes: journal, safety snapshot, restore, ledger, event. */
static bool restore_locked(mig_engine *e, mig_archive *archive, const mig_emergency_options *o,
                           mig_emergency_report *out, mig_error *err) {
  const mig_manifest *m = mig_archive_contents(archive);
  char sha256[MIG_SHA256_HEX];
  int64_t began = mig_now_unix_ms();
  /* an interrupted restore, whose place this one takes: then the database is in between */
  mig_restore_journal waits = {.doc = BSON_INITIALIZER};
  bool others = false;
  mig_ledger *ledger = NULL; /* as it was, when it comes back with the snapshot */
  bool ok = mig_orphans_wait(e, err) && mig_orphans_name(e, err) && may_begin(e, o, err) &&
            mig_restore_journal_read(e->db, &waits, &others, err) &&
            (!others || mig_restore_journal_yields(&waits, m, o, err)) && check_beside(e, o, err) &&
            (!(others || o->force_why || mig_lease_taken_over(e->lease)) || mig_orphans_wait_late(e, err)) &&
            mig_archive_sha256(archive, sha256, NULL, err) &&
            (!mig_follow_has_ledger(m, o) || mig_ledger_load(e->db, &ledger, err)) &&
            (o->no_safety_snapshot || safety_snapshot(e, m, o, &out->safety, err)) && mig_checkpoint(&e->work, err) &&
            mig_archive_still_there(archive, err);
  if (!ok) {
    mig_restore_journal_clear(&waits);
    mig_ledger_free(ledger);
    return err->code == MIG_E_INTERRUPTED && mig_why(err, "nothing was changed");
  }
  /* from here on a journal may be there, whatever is heard of it */
  const bool back = mig_restore_journal_write(e, out->path, sha256, m, o, others ? &waits : NULL, err) &&
                    run_restore(e, archive, o, out, err);
  mig_restore_journal_clear(&waits);
  out->restore.began = out->restore.began || others || back;
  ok = back && mig_follow_restore(e, m, o, &out->follows, err) &&
       (!ledger || mig_follow_ledger(e, ledger, &out->follows, err)) && mig_restore_journal_remove(e, err);
  mig_ledger_free(ledger);
  if (!ok) not_finished(e, out, m->id, err);
  const char *outcome = ok ? "restored" : out->restore.began ? "notRestored" : "failed";
  add_event(e, m, o, outcome, began, &out->restore, ok ? NULL : err);
  return ok;
}

static void tell_other_database(const mig_engine *e, const mig_manifest *m) {
  if (strcmp(m->database, mig_db_name(e->db)) == 0) return;
  mig_say(mig_engine_observer(e), MIG_WARNING, "the snapshot is of the database %s, and goes to %s", m->database,
          mig_db_label(e->db));
}

bool mig_emergency_restore(mig_engine *e, const mig_emergency_options *o, mig_emergency_report *out, mig_error *err) {
  mig_archive *archive = NULL;
  mig_error local;
  char *found = NULL;
  if (!err) err = &local; /* its code decides */
  memset(out, 0, sizeof *out);
  bool ok = mig_engine_store(e, err) && mig_store_find(e->store, o->snapshot, &found, err);
  if (ok) out->path = mig_store_absolute(found); /* the journal must hold wherever recovery is started from */
  mig_free(found);
  ok = ok && (out->path || mig_no_memory(err, "path")) && mig_archive_open_with(out->path, e->key, &archive, err) &&
       verify(e, archive, err) && (!o->signer || mig_sign_check(archive, o->signer, err));
  const mig_restore_options options = restore_options(e, o);
  ok = ok && mig_restore_check(archive, &options, err) && check_original(e, mig_archive_contents(archive), o, err) &&
       (o->only || o->as_count || mig_diff_beyond(&e->work, archive, &out->stays, &out->stays_count, err));
  if (ok) tell_other_database(e, mig_archive_contents(archive));
  if (ok && o->dry_run) {
    ok = check_beside(e, o, err) && run_restore(e, archive, o, out, err);
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
  for (size_t i = 0; i < r->stays_count; i++) mig_free(r->stays[i]);
  mig_free(r->stays);
  mig_follow_clear(&r->follows);
  memset(r, 0, sizeof *r);
}

static bool recover(mig_engine *e, const mig_restore_journal *j, mig_error *err) {
  mig_archive *archive = NULL;
  mig_emergency_report report = {0};
  char now[MIG_SHA256_HEX];
  bool ok = mig_engine_store(e, err) && mig_archive_open_with(j->path, e->key, &archive, err) &&
            verify(e, archive, err) && mig_archive_sha256(archive, now, NULL, err);
  if (ok && strcmp(now, j->sha256) != 0)
    ok = mig_fail(err, MIG_E_ARCHIVE, "%s is not the snapshot that was being restored", j->path);
  if (ok && !(ok = mig_orphans_wait_late(e, err)) && err && err->code == MIG_E_UNFINISHED) {
    mig_archive_free(archive);
    return false;
  }
  ok = ok && mig_orphans_name(e, err) && mig_restore_journal_write_as(e, err) &&
       run_restore(e, archive, &j->options, &report, err) &&
       mig_follow_restore(e, mig_archive_contents(archive), &j->options, &report.follows, err) &&
       mig_restore_journal_remove(e, err);
  if (!ok && err && err->code == MIG_E_INTERRUPTED) {
    err->code = MIG_E_UNFINISHED;
    mig_hint(err, "`mig recover` goes on with it");
  } else if (!ok && err && err->code != MIG_E_LEASE) {
    err->code = MIG_E_NOT_RESTORED; /* the part that was written before stands */
    mig_hint(err, "bring %s back as it was, with its key, and run `mig recover` again", j->path);
  }
  if (archive)
    add_event(e, mig_archive_contents(archive), &j->options, ok ? "restored" : "notRestored", mig_now_unix_ms(),
              &report.restore, ok ? NULL : err);
  mig_emergency_report_clear(&report);
  mig_archive_free(archive);
  return ok;
}

bool mig_emergency_forced(mig_db *db, bool *forced, mig_error *err) {
  mig_restore_journal journal;
  const bool ok = mig_restore_journal_read(db, &journal, forced, err);
  *forced = ok && *forced && journal.options.force_why;
  mig_restore_journal_clear(&journal);
  return ok;
}

bool mig_emergency_recover(mig_engine *e, bool *settled, mig_error *err) {
  mig_restore_journal journal = {.doc = BSON_INITIALIZER};
  bool ok = mig_emergency_pending(e->db, settled, err);
  if (ok && *settled)
    ok = mig_restore_journal_take_over(e, settled, err) && mig_restore_journal_read(e->db, &journal, settled, err);
  ok = ok && (!*settled || recover(e, &journal, err));
  mig_restore_journal_clear(&journal);
  return ok;
}
