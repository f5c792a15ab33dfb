/*
 * recover.h - settles what an interrupted run left; for callers that hold the lease already (mig_up does)
 */
#ifndef MIG_RUN_RECOVER_H
#define MIG_RUN_RECOVER_H

#include "run/engine.h"

bool mig_recover_locked(mig_engine *e, const mig_listener *listener, int64_t *settled, mig_error *err);

#endif
