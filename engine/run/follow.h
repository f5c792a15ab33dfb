/*
 * follow.h - the ledger follows the data after a restore by hand
 *
 * A snapshot is from one moment. Every migration that was applied or reverted after it, and whose collections the
 * restore brought back, is no longer what the ledger says. Which collections a migration changed, its own snapshot
 * tells. What is certain is recorded, with an event that names the restore; what may have changed and is not certain (a
 * part was restored, its own snapshot is gone, a collection stays that it had made) is left and told as a warning with
 * what to do. Nothing is changed where the ledger itself came back with the snapshot.
 * It may be run again: what was recorded is not recorded twice, so that `mig recover` goes on after a crash.
 */
#ifndef MIG_RUN_FOLLOW_H
#define MIG_RUN_FOLLOW_H

#include "backup/manifest.h"
#include "run/engine.h"

struct mig_emergency_options;

typedef struct mig_followed {
  char *name;
  mig_status status; /* recorded now; where it is not certain, what the ledger still says */
  bool certain;
} mig_followed;

typedef struct mig_follow_list {
  mig_followed *items;
  size_t count;
} mig_follow_list;

/* After a restore of m by these options. The caller holds the lease. */
bool mig_follow_restore(mig_engine *e, const mig_manifest *m, const struct mig_emergency_options *o,
                        mig_follow_list *out, mig_error *err);
/* For a restore that brought the ledger back, too: what it says otherwise than `before`. */
bool mig_follow_ledger(mig_engine *e, const mig_ledger *before, mig_follow_list *out, mig_error *err);
/* Did (or would) this restore write the ledger itself? */
bool mig_follow_has_ledger(const mig_manifest *m, const struct mig_emergency_options *o);
void mig_follow_clear(mig_follow_list *l);

#endif
