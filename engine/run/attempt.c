#include "run/attempt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "run/checks.h"
#include "run/host.h"

static void append_snapshot(bson_t *doc, const char *key, const mig_snapshot_info *s) {
  bson_t snapshot;
  if (!s->path) return;
  BSON_APPEND_DOCUMENT_BEGIN(doc, key, &snapshot);
  BSON_APPEND_UTF8(&snapshot, "id", s->id);
  BSON_APPEND_UTF8(&snapshot, "path", s->path);
  BSON_APPEND_UTF8(&snapshot, "sha256", s->sha256);
  BSON_APPEND_INT64(&snapshot, "bytes", (int64_t)s->bytes);
  bson_append_document_end(doc, &snapshot);
}

bson_t *mig_attempt_done_fields(mig_attempt *a, int64_t now) {
  bool up = a->plan->direction == MIG_UP;
  bson_t *set = bson_new();
  BSON_APPEND_DATE_TIME(set, up ? "appliedAt" : "revertedAt", now);
  BSON_APPEND_UTF8(set, up ? "appliedBy" : "revertedBy", a->e->settings.by);
  BSON_APPEND_INT64(set, "duration", mig_now_unix_ms() - a->result.started_unix_ms);
  if (up) BSON_APPEND_INT64(set, "batch", a->batch);
  BSON_APPEND_NULL(set, "error");
  BSON_APPEND_BOOL(set, "restored", false);
  if (a->snapshot.path)
    append_snapshot(set, "snapshot", &a->snapshot);
  else
    BSON_APPEND_NULL(set, "snapshot"); /* that of an earlier attempt is not from before this one */
  return set;
}

/* "what: why" as one text for the ledger and the event. */
static void one_line(const mig_error *e, char *text, size_t size) {
  snprintf(text, size, "%s%s%s", e->what, e->why[0] ? ": " : "", e->why);
}

static bool record_failure(mig_attempt *a, mig_status status, bool restored, mig_error *err) {
  char text[sizeof a->error.what + sizeof a->error.why + 4];
  one_line(&a->error, text, sizeof text);
  bson_t set = BSON_INITIALIZER;
  BSON_APPEND_UTF8(&set, "error", text);
  BSON_APPEND_BOOL(&set, "restored", restored);
  BSON_APPEND_INT64(&set, "duration", mig_now_unix_ms() - a->result.started_unix_ms);
  /* after a failed `down` it is still the snapshot from before `up` that takes the migration back */
  if (a->plan->direction == MIG_UP) append_snapshot(&set, "snapshot", &a->snapshot);
  a->settled = mig_ledger_end(a->e->db, &a->key, status, &set, err);
  bson_destroy(&set);
  return a->settled;
}

/* Every phase stands in the journal before what it announces is begun. Without the lease none is: another may have
 * ended the phase before. */
static bool enter(mig_attempt *a, mig_phase phase, const bson_t *set, mig_error *err) {
  if (!mig_checkpoint(&a->e->work, err)) return false;
  if (!mig_ledger_phase(a->e->db, &a->key, phase, set, err)) return false;
  mig_watch_phase(a->e, mig_phase_name(phase));
  return true;
}

void mig_result_append(bson_t *doc, const mig_result *r) {
  bson_t part;
  BSON_APPEND_DOCUMENT_BEGIN(doc, "phases", &part);
  BSON_APPEND_INT64(&part, "validate", r->validate_ms);
  BSON_APPEND_INT64(&part, "snapshot", r->snapshot_ms);
  BSON_APPEND_INT64(&part, "run", r->run_ms);
  BSON_APPEND_INT64(&part, "verify", r->verify_ms);
  BSON_APPEND_INT64(&part, "commit", r->commit_ms);
  BSON_APPEND_INT64(&part, "restore", r->restore_ms);
  bson_append_document_end(doc, &part);
  BSON_APPEND_DOCUMENT_BEGIN(doc, "documents", &part);
  BSON_APPEND_INT64(&part, "read", r->documents_read);
  BSON_APPEND_INT64(&part, "written", r->documents_written);
  bson_append_document_end(doc, &part);
  BSON_APPEND_DOCUMENT_BEGIN(doc, "bytes", &part);
  BSON_APPEND_INT64(&part, "read", r->bytes_read);
  BSON_APPEND_INT64(&part, "written", r->bytes_written);
  BSON_APPEND_INT64(&part, "snapshot", r->snapshot_bytes);
  bson_append_document_end(doc, &part);
}

static void add_event(mig_attempt *a) {
  const mig_result *r = &a->result;
  mig_host host;
  char text[sizeof a->error.what + sizeof a->error.why + 4] = "";
  bson_t event = BSON_INITIALIZER;
  mig_host_self(&host);
  one_line(&a->error, text, sizeof text);
  BSON_APPEND_UTF8(&event, "run", a->key.id);
  BSON_APPEND_UTF8(&event, "name", r->name);
  mig_bson_append_text(&event, "version", r->version);
  BSON_APPEND_UTF8(&event, "direction", r->direction);
  BSON_APPEND_UTF8(&event, "outcome", r->outcome);
  BSON_APPEND_DATE_TIME(&event, "startedAt", r->started_unix_ms);
  BSON_APPEND_INT64(&event, "duration", r->duration_ms);
  mig_result_append(&event, r);
  BSON_APPEND_UTF8(&event, "transaction", r->transaction);
  BSON_APPEND_UTF8(&event, "by", a->e->settings.by);
  BSON_APPEND_UTF8(&event, "host", host.name);
  BSON_APPEND_DOCUMENT(&event, "metadata", a->metadata);
  mig_bson_append_text(&event, "error", text[0] ? text : NULL);
  mig_bson_append_text(&event, "snapshot", a->snapshot.id);
  if (a->displaced_path) BSON_APPEND_UTF8(&event, "displaced", a->displaced_path);
  mig_watch_event(a->e, &event);
  bson_destroy(&event);
}

static bool take_snapshot(mig_attempt *a, mig_error *err) {
  const mig_plan *p = a->plan;
  char reason[300];
  int64_t began = mig_now_monotonic_ms();
  if (!p->snapshot) return enter(a, MIG_PHASE_STEPS, NULL, err);
  if (!enter(a, MIG_PHASE_SNAPSHOT, NULL, err) || !mig_engine_store(a->e, err)) return false;
  snprintf(reason, sizeof reason, "before %s of %.250s", mig_direction_name(p->direction), p->migration->name);
  const mig_snapshot_options options = {.store = a->e->store,
                                        .label = p->migration->name,
                                        .reason = reason,
                                        .migration = p->migration->name,
                                        .direction = mig_direction_name(p->direction),
                                        .wants = p->wants,
                                        .want_count = p->want_count};
  bool ok = mig_snapshot_take(&a->e->work, &options, &a->snapshot, err);
  a->result.snapshot_ms = mig_now_monotonic_ms() - began;
  if (!ok) return false;
  /* the journal learns of the snapshot before the first write: whoever recovers finds it there */
  bson_t set = BSON_INITIALIZER;
  append_snapshot(&set, "run.snapshot", &a->snapshot);
  ok = enter(a, MIG_PHASE_STEPS, &set, err);
  bson_destroy(&set);
  return ok;
}

static bool plain_run(mig_attempt *a, mig_error *err) {
  int64_t now = 0;
  if (!mig_orphans_name(a->e, err) || !mig_body_run(a, err) || !mig_checkpoint(&a->e->work, err) ||
      !mig_db_server_now(a->e->db, &now, err))
    return false;
  bson_t *fields = mig_attempt_done_fields(a, now);
  mig_status end = a->plan->direction == MIG_UP ? MIG_STATUS_APPLIED : MIG_STATUS_REVERTED;
  a->settled = mig_ledger_done(a->e->db, &a->key, end, fields, err);
  bson_destroy(fields);
  return a->settled;
}

static bool run_steps(mig_attempt *a, mig_error *err) {
  const mig_plan *p = a->plan;
  if (p->transaction != MIG_TXN_USED) return plain_run(a, err);
  bool too_large = false;
  if (mig_transaction_run(a, &too_large, err)) return true;
  if (!too_large || p->migration->transaction != MIG_TXN_AUTO || !p->snapshot) return false;
  mig_say(mig_engine_observer(a->e), MIG_INFO,
          "%s: too large for one transaction here; protected by the snapshot instead", p->migration->name);
  bson_t set = BSON_INITIALIZER;
  BSON_APPEND_BOOL(&set, "run.transaction", false);
  bool ok = mig_ledger_phase(a->e->db, &a->key, MIG_PHASE_STEPS, &set, err);
  bson_destroy(&set);
  if (!ok) return false;
  a->result.transaction = mig_txn_use_name(MIG_TXN_TOO_LARGE);
  a->result.why_transaction = "the server refused a transaction of that size";
  return plain_run(a, err);
}

/* A server that is restarting, or a new primary being chosen, comes back: some two minutes are worth waiting. */
static bool enter_restoring(mig_attempt *a, mig_error *err) {
  for (int attempt = 0;; attempt++) {
    mig_error local = {0};
    if (enter(a, MIG_PHASE_RESTORING, NULL, &local)) return true;
    if (err) *err = local;
    if (!mig_db_passing(&local) || attempt == 7) return false;
    mig_say(mig_engine_observer(a->e), MIG_WARNING, "%s: %s; trying again", mig_db_label(a->e->db),
            local.network ? "no answer" : local.why);
    mig_sleep_ms(250 << attempt);
  }
}

/* a->error is set. Puts back what was written, and records how it ended; changes a->error.code accordingly. */
static void undo(mig_attempt *a) {
  mig_error err = {0};
  bool identical = false;
  int64_t began = mig_now_monotonic_ms();
  mig_say(mig_engine_observer(a->e), MIG_WARNING, "%s failed: %s; restoring %s", a->key.name, a->error.what,
          a->snapshot.id ? a->snapshot.id : "(no snapshot)");
  bool ok = a->snapshot.path || mig_fail(&err, MIG_E_FAILED, "there is no snapshot: it was switched off");
  ok = ok && enter_restoring(a, &err);
  const bool broken = mig_db_passing(&a->error) || mig_db_left_behind(a->e->db);
  ok = ok && (!broken || mig_orphans_end(a->e, &err));
  ok = ok && mig_undo_run(a->e, a->snapshot.path, a->snapshot.sha256, "displaced while restoring", &a->displaced_path,
                          &a->result.displaced_documents, &identical, &err);
  a->result.restore_ms = mig_now_monotonic_ms() - began;
  bool interrupted = a->error.code == MIG_E_INTERRUPTED;
  mig_status back = a->plan->direction == MIG_DOWN ? a->was : MIG_STATUS_FAILED;
  ok = ok && record_failure(a, back, !identical, &err);
  if (ok) {
    a->result.outcome = identical ? "failed" : "restored";
    a->error.code = interrupted ? MIG_E_INTERRUPTED : identical ? a->error.code : MIG_E_RESTORED;
    if (a->error.code == MIG_E_RESTORED)
      mig_hint(&a->error, "the data is back as it was (checked byte for byte); %.300s",
               a->error.hint[0] ? a->error.hint : "correct the migration and run again");
    return;
  }
  a->result.outcome = "notRestored";
  if (err.code == MIG_E_LEASE) { /* whoever took the lease recovers; we stop here */
    a->error = err;
    a->result.outcome = "unknown";
    return;
  }
  char text[sizeof a->error.what + sizeof a->error.why + 4];
  one_line(&a->error, text, sizeof text);
  mig_fail(&a->error, MIG_E_NOT_RESTORED, "%s failed, and its data could NOT be restored: %s", a->key.name, err.what);
  mig_why(&a->error, "%s%sthe failure was: %s", err.why, err.why[0] ? "; " : "", text);
  mig_hint(
      &a->error, "stop writers, see to the cause and run `mig recover`%s%s%s; if the cause stays: docs/recovery.md",
      a->snapshot.path ? " (snapshot " : "", a->snapshot.path ? a->snapshot.path : "", a->snapshot.path ? ")" : "");
}

/* Is the lease still ours? A new primary being chosen is waited for. */
static bool still_ours(mig_attempt *a, mig_error *err) {
  for (int attempt = 0;; attempt++) {
    mig_error local = {0};
    if (mig_checkpoint(&a->e->work, &local)) return true;
    if (err) *err = local;
    if (local.network || !mig_db_passing(&local) || attempt == 5) return false;
    mig_sleep_ms(250 << attempt);
  }
}

static void settle_failure(mig_attempt *a) {
  mig_error err = {0};
  a->e->undoing = true; /* a signal that came has been heard */
  if (a->error.code == MIG_E_LEASE || a->error.code == MIG_E_UNFINISHED) {
    a->result.outcome = "unknown"; /* recovery belongs to the next holder, or waits for the server */
  } else if (a->steps_began) {
    undo(a);
  } else {
    /* nothing was written, or the transaction was aborted */
    a->result.outcome = "failed";
    mig_status back = a->plan->direction == MIG_DOWN ? a->was : MIG_STATUS_FAILED;
    if (!still_ours(a, &err) || !record_failure(a, back, false, &err))
      mig_say(mig_engine_observer(a->e), MIG_WARNING, "the failure could not be recorded (%s: %s); run `mig recover`",
              err.what, err.why);
  }
  a->e->undoing = false;
}

bool mig_attempt_run(mig_engine *e, const mig_plan *plan, mig_status was, int64_t batch, mig_attempt *a,
                     mig_error *err) {
  mig_result *r = &a->result;
  memset(a, 0, sizeof *a);
  *a = (mig_attempt){.e = e, .plan = plan, .was = was, .batch = batch};
  a->metadata = mig_engine_metadata(e, plan->migration);
  a->key = (mig_run_key){.name = plan->migration->name, .fence = mig_lease_fence(e->lease)};
  *r = (mig_result){.name = plan->migration->name,
                    .version = plan->migration->version,
                    .direction = mig_direction_name(plan->direction),
                    .transaction = mig_txn_use_name(plan->transaction),
                    .why_transaction = plan->why_transaction,
                    .outcome = plan->direction == MIG_UP ? "applied" : "reverted",
                    .started_unix_ms = mig_now_unix_ms()};
  int64_t began = mig_now_monotonic_ms();
  memset(&e->work.counts, 0, sizeof e->work.counts);
  const mig_begin begin = {.migration = plan->migration,
                           .direction = plan->direction,
                           .was = was,
                           .transaction = plan->transaction == MIG_TXN_USED,
                           .by = e->settings.by,
                           .metadata = plan->direction == MIG_UP ? a->metadata : NULL};
  bool begun = mig_uuid(a->key.id, &a->error) && mig_checkpoint(&e->work, &a->error) &&
               mig_ledger_begin(e->db, &a->key, &begin, &a->error);
  if (begun) mig_watch_begin(e, a->key.id, r->name, r->version, r->direction, plan->documents);
  bool ok = begun && mig_checks_run(e, "guard", plan->guards, NULL, &a->error);
  r->validate_ms = mig_now_monotonic_ms() - began;
  ok = ok && take_snapshot(a, &a->error) && run_steps(a, &a->error);
  if (!ok && begun)
    settle_failure(a);
  else if (!ok)
    r->outcome = "failed";
  r->duration_ms = mig_now_monotonic_ms() - began;
  r->documents_read = e->work.counts.documents_read;
  r->documents_written = e->work.counts.documents_written;
  r->bytes_read = e->work.counts.bytes_read;
  r->bytes_written = e->work.counts.bytes_written;
  r->snapshot_id = a->snapshot.id;
  r->snapshot_path = a->snapshot.path;
  r->snapshot_bytes = (int64_t)a->snapshot.bytes;
  r->displaced_path = a->displaced_path;
  r->error = ok ? NULL : &a->error;
  if (begun && a->error.code != MIG_E_LEASE) add_event(a);
  mig_watch_end(e);
  if (!ok && err) *err = a->error;
  return ok;
}

void mig_attempt_clear(mig_attempt *a) {
  mig_snapshot_info_clear(&a->snapshot);
  mig_free(a->displaced_path);
  if (a->metadata) bson_destroy(a->metadata);
  a->metadata = NULL;
  a->displaced_path = NULL;
}
