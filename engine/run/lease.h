/*
 * lease.h - one runner at a time: a lock in migrationlocks with a deadline on the server's clock and a fencing token
 *
 *     mig_lease_take --> mig_lease_check ... (refreshed by its own thread) --> mig_lease_release
 *
 * Taken by one atomic update; a lease that has run out, or whose holder is a dead process of this very machine, may be
 * taken over. The token grows with every take. check() fails for ever once the lease is lost: then nothing more may be
 * written, and recovery belongs to the next holder.
 * Errors: MIG_E_LEASE says who holds it and since when.
 * Threads: check() and release() from the thread that took it; the refresh thread has its own connection.
 */
#ifndef MIG_RUN_LEASE_H
#define MIG_RUN_LEASE_H

#include "base/db.h"

typedef struct mig_lease mig_lease;

typedef struct mig_lease_options {
  int64_t ttl_ms;     /* 0: 30 minutes; refreshed every sixth of it */
  const char *reason; /* "up", "restore ..." */
} mig_lease_options;

bool mig_lease_take(mig_db *db, const mig_lease_options *options, mig_lease **out, mig_error *err);
int64_t mig_lease_fence(const mig_lease *l);
bool mig_lease_taken_over(const mig_lease *l); /* from a holder that did not give it back */
/* Looks at the deadline and at the server; in a transaction, where the touch decides, only once a second. */
bool mig_lease_check(mig_lease *l, mig_error *err);
/* What is known without asking: for what others may see of a run, not for what keeps it safe. */
bool mig_lease_seems_ours(mig_lease *l);
/* The first write of a transaction: a lease that was taken away makes the commit fail. */
bool mig_lease_touch(mig_lease *l, mig_error *err);
/* Before a transaction: names its session in the lease, so that whoever takes the lease away can end what is left open
 * in it and need not wait for the server to do so. Looks at the lease as well. */
bool mig_lease_note_session(mig_lease *l, const uint8_t id[static MIG_SESSION_BYTES], mig_error *err);
void mig_lease_release(mig_lease *l); /* frees it, too; NULL is fine */

typedef struct mig_lease_state {
  bool locked, expired, holder_dead; /* holder_dead: a process of this machine that is gone */
  char by[40], host[80], reason[120];
  int64_t pid, fence, locked_unix_ms, expires_unix_ms;
  bool has_session; /* of its transactions */
  uint8_t session[MIG_SESSION_BYTES];
} mig_lease_state;

/* The state in the lease document, which is untrusted; now_unix_ms: the server's clock. */
void mig_lease_state_read(const bson_t *doc, int64_t now_unix_ms, mig_lease_state *out);
/* The next token will be larger than `least`. */
bool mig_lease_raise_fence(mig_db *db, int64_t least, mig_error *err);
bool mig_lease_look(mig_db *db, mig_lease_state *out, mig_error *err);
/* Takes it away from the holder that was seen (by mig_lease_look), and from no other: MIG_E_LEASE when one took it
 * meanwhile. */
bool mig_lease_force_unlock(mig_db *db, const mig_lease_state *seen, mig_error *err);

#endif
