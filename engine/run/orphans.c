/*
 * What the server may still do for us after we stopped waiting for it: an operation that outlived its connection, or a
 * request that reaches it late. Written behind a restore, it would undo the restore unseen.
 */
#include <string.h>

#include "base/clock.h"
#include "base/crash.h"
#include "run/attempt.h"
#include "run/restore_journal.h"

/* A request that was under way when its connection broke (a stalled server, say) is done soon after it arrives. */
#define LATE_MS     2500
#define PATIENCE_MS 600000

bool mig_attempt_session(mig_attempt *a, mig_error *err) {
  uint8_t id[MIG_SESSION_BYTES];
  if (!mig_db_session(a->e->db, id, err)) return false;
  if (memcmp(id, a->session, sizeof id) == 0) return true;
  if (!mig_lease_note_session(a->e->lease, id, err)) return false;
  memcpy(a->session, id, sizeof id);
  return true;
}

bool mig_orphans_name(mig_engine *e, mig_error *err) {
  uint8_t id[MIG_SESSION_BYTES];
  mig_error none; /* a server without sessions: then there is nothing to name */
  if (!mig_db_session(e->db, id, &none) || mig_lease_note_session(e->lease, id, &none)) return true;
  if (none.code != MIG_E_LEASE) return true;
  if (err) *err = none;
  return false;
}

bool mig_orphans_wait(mig_engine *e, mig_error *err) {
  bson_t writers = BSON_INITIALIZER; /* the runner that is gone may have been another user, or named otherwise */
  const bool ok = mig_ledger_writers(e->db, &writers, err) && mig_restore_journal_writers(e->db, &writers, err) &&
                  mig_db_wait_writes(e->db, &writers, PATIENCE_MS, err);
  bson_destroy(&writers);
  return ok;
}

bool mig_orphans_wait_late(mig_engine *e, mig_error *err) {
  if (!mig_orphans_wait(e, err)) return false;
  mig_sleep_ms(mig_test_ms("MIG_TEST_LATE_MS", LATE_MS));
  return mig_orphans_wait(e, err);
}

/* All our writes run in one session: killing it stops them. A server that does not know that is waited for, as long as
 * it tells what it does. */
bool mig_orphans_end(mig_engine *e, mig_error *err) {
  uint8_t id[MIG_SESSION_BYTES];
  mig_error ignored;
  for (int look = 0; look < 2; look++) {
    if (look) mig_sleep_ms(LATE_MS);
    if (mig_db_session(e->db, id, &ignored)) mig_db_kill_session(e->db, id, &ignored);
    if (!mig_orphans_wait(e, err)) return false;
  }
  return true;
}
