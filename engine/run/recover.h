/*
 * recover.h - settles what an interrupted run left; for callers that hold the lease already (mig_up does)
 *
 * What recovery cannot settle (its snapshot is gone or damaged for good, or the server refuses what is in it) a person
 * may, by force: mark.h says how the data is, emergency.h puts another snapshot in its place.
 */
#ifndef MIG_RUN_RECOVER_H
#define MIG_RUN_RECOVER_H

#include "run/engine.h"

bool mig_recover_locked(mig_engine *e, const mig_listener *listener, int64_t *settled, mig_error *err);
/* May a person settle it by force? Only where its restore has begun and not ended, or cannot begin because the snapshot
 * cannot be opened. Else MIG_E_UNFINISHED: recovery knows what is true, a person may not. */
bool mig_recover_may_force(mig_engine *e, const mig_entry *unfinished, mig_error *err);

#endif
