/*
 * lease_internal.h - shared by the files that make up lease.h
 */
#ifndef MIG_RUN_LEASE_INTERNAL_H
#define MIG_RUN_LEASE_INTERNAL_H

#include "base/names.h"
#include "run/lease.h"

#define LEASE_ID "mig"
#define FENCE_ID                                                                                                       \
  "mig.fence" /* the counter lives apart: the TTL index may remove a lease that ran out, not the counter */

bool mig_lease_next_fence(mig_db *db, int64_t *fence, mig_error *err);
/* Ends what the transaction of that holder left open: a write to the lease would wait for it, up to the server's limit.
 * Only for a lease that is taken away from its holder, or that was given back and still names it. A server that cannot
 * do it lets us wait. */
void mig_lease_end_session(mig_db *db, const mig_lease_state *of);

#endif
