/* A migration in one transaction: exactly once, whatever happens to replies. */
#include <string.h>

#include "base/clock.h"
#include "base/crash.h"
#include "run/attempt.h"

#define GIVE_UP_MS            120000 /* for the whole body again and again, and for asking about a commit */
#define TRANSACTION_TOO_LARGE 257

static void back_off(int attempt) {
  char hex[3] = "7f";
  mig_random_hex(1, hex, NULL);
  int jitter = (hex[0] % 16) * 4;
  mig_sleep_ms((attempt < 6 ? 10 << attempt : 640) + jitter);
}

/* Nobody knows whether the commit took effect. Writing to the ledger entry waits for a transaction that is still open
 * on it; after that the entry itself says it, and a transaction that has not committed by then never will. */
static bool ask_ledger(mig_attempt *a, bool *committed, mig_error *err) {
  mig_entry *entry = NULL;
  bool taken = false;
  if (!mig_ledger_read(a->e->db, a->key.name, &entry, err)) return false;
  *committed = !entry || entry->status != MIG_STATUS_RUNNING;
  bool ok = true;
  if (!*committed) {
    ok = mig_ledger_take_over(a->e->db, entry, a->key.fence, &taken, err);
    *committed = ok && !taken;
  }
  if (ok && *committed) {
    mig_entry_free(entry);
    entry = NULL;
    ok = mig_ledger_read(a->e->db, a->key.name, &entry, err);
    /* our run, done: it was we who committed. Anything else: somebody took the migration over. */
    if (ok &&
        (!entry || !entry->run.id || strcmp(entry->run.id, a->key.id) != 0 || entry->status == MIG_STATUS_RUNNING))
      ok = mig_fail(err, MIG_E_LEASE, "the ledger entry of %s belongs to another run now", a->key.name);
  }
  mig_entry_free(entry);
  return ok;
}

static bool settle_commit(mig_attempt *a, bool *committed, mig_error *why, mig_error *err) {
  int64_t until = mig_now_monotonic_ms() + GIVE_UP_MS;
  mig_error ignored;
  for (int attempt = 0;; attempt++) {
    mig_error local = {0};
    /* a new connection: asked through the old session, the server might answer from inside the transaction */
    bool connected = mig_db_reconnect(a->e->db, &local);
    if (connected) mig_db_kill_session(a->e->db, a->session, &ignored); /* only shortens the wait */
    if (connected && ask_ledger(a, committed, &local)) return true;
    if (local.code == MIG_E_LEASE || mig_now_monotonic_ms() > until) {
      mig_fail(err, MIG_E_UNFINISHED, "%s: whether the commit took effect is not known", a->key.name);
      mig_why(err, "%s; then: %s", why->why[0] ? why->why : why->what, local.why[0] ? local.why : local.what);
      return mig_hint(err, "nothing was restored; when the server answers again run `mig recover`: it finds out");
    }
    back_off(attempt);
  }
}

/* Repeats commitTransaction as long as its outcome is unknown. */
static bool commit(mig_attempt *a, mig_error *err) {
  int64_t until = mig_now_monotonic_ms() + GIVE_UP_MS / 2;
  bool committed = false;
  mig_crash_point(MIG_CRASH_COMMIT_BEFORE);
  for (int attempt = 0;; attempt++) {
    mig_error local = {0};
    if (mig_db_commit(a->e->db, &local)) {
      mig_crash_point(MIG_CRASH_COMMIT_AFTER);
      return true;
    }
    bool unknown = local.unknown_commit || local.network || local.code != MIG_E_SERVER;
    if (unknown && mig_now_monotonic_ms() < until && attempt < 8) {
      back_off(attempt);
      continue;
    }
    /* A clear "no" can still follow an earlier attempt whose reply was lost (NoSuchTransaction after a commit is one):
     * the ledger decides in every case. */
    if (!settle_commit(a, &committed, &local, err)) return false;
    if (committed) return true;
    if (err) *err = local;
    return false;
  }
}

static bool try_once(mig_attempt *a, mig_error *err) {
  int64_t now = 0;
  mig_engine *e = a->e;
  mig_counts before = e->work.counts;
  bool ok = mig_db_server_now(e->db, &now, err) && mig_attempt_session(a, err) && mig_db_begin(e->db, err) &&
            mig_lease_touch(e->lease, err) && mig_body_run(a, err);
  if (ok) {
    bson_t *fields = mig_attempt_done_fields(a, now);
    mig_status end = a->plan->direction == MIG_UP ? MIG_STATUS_APPLIED : MIG_STATUS_REVERTED;
    ok = mig_ledger_done(e->db, &a->key, end, fields, err) && mig_checkpoint(&e->work, err);
    bson_destroy(fields);
  }
  int64_t began = mig_now_monotonic_ms();
  ok = ok && commit(a, err);
  a->result.commit_ms = mig_now_monotonic_ms() - began;
  if (!ok) {
    mig_db_abort(e->db);
    e->work.counts = before;
  }
  return ok;
}

bool mig_transaction_run(mig_attempt *a, bool *too_large, mig_error *err) {
  int64_t until = mig_now_monotonic_ms() + GIVE_UP_MS;
  *too_large = false;
  for (int attempt = 0;; attempt++) {
    mig_error local = {0};
    if (try_once(a, &local)) {
      a->settled = true;
      return true;
    }
    if (local.transient && mig_now_monotonic_ms() < until && mig_checkpoint(&a->e->work, &local)) {
      mig_say(mig_engine_observer(a->e), MIG_DEBUG, "transaction again: %s", local.why);
      back_off(attempt);
      continue;
    }
    *too_large = local.server_code == TRANSACTION_TOO_LARGE;
    if (err) *err = local;
    return false;
  }
}
