/*
 * mark.h - a person says how it is: migrations are recorded as applied, or as pending, without running anything
 *
 * For migrations applied by other means, for a database that was there before mig (baseline), and for an interrupted
 * run that had no snapshot and so cannot be settled by itself. Recorded with who and why, in the ledger and as an
 * event. Takes the lease.
 */
#ifndef MIG_RUN_MARK_H
#define MIG_RUN_MARK_H

#include "run/engine.h"

/* Fails for a name that neither a file nor the ledger has, and for a run that recover can settle (MIG_E_UNFINISHED).
 * force: also for one whose data could not be put back (mig_recover_may_force); the event says so. */
bool mig_mark(mig_engine *e, const char *name, bool applied, bool force, const char *why, mig_error *err);

/* Records every migration up to and including `to` as applied, all in one batch; those that are applied stay as they
 * are. why may be NULL. each (may be NULL) is told the name of every one that was recorded. */
bool mig_baseline(mig_engine *e, const char *to, const char *why, void (*each)(void *arg, const char *name), void *arg,
                  mig_error *err);

#endif
