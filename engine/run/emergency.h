/*
 * emergency.h - a snapshot or a restore by hand
 *
 * A restore by hand is journalled in migrationlocks ({_id: "mig.restore"}, which never runs out): when it is killed,
 * `mig recover` runs it again until it converges. It holds the lease, saves what it overwrites (a safety snapshot of
 * the present state, unless that is switched off) and writes an event.
 * A signal stops it before its next write: MIG_E_INTERRUPTED when nothing was written, else MIG_E_UNFINISHED, and
 * `mig recover` finishes it. Other errors: MIG_E_NOT_RESTORED only when something was written; of a recovery, always.
 */
#ifndef MIG_RUN_EMERGENCY_H
#define MIG_RUN_EMERGENCY_H

#include "backup/restore.h"
#include "run/engine.h"
#include "run/follow.h"

/* collections (also "<database>.<collection>") NULL: the whole database. One that is not there: MIG_E_USAGE, and
 * nothing is written. */
bool mig_emergency_snapshot(mig_engine *e, const char *const *collections, mig_snapshot_info *out, mig_error *err);

typedef struct mig_emergency_options {
  const char *snapshot; /* id in the store, or a path */
  mig_strategy strategy;
  const char *const *only;
  const char *signer;       /* public key: the snapshot must be signed by its holder; NULL: anybody's will do */
  const mig_restore_as *as; /* beside the originals: just these, and only where nothing is yet */
  size_t as_count;
  bool replace; /* `as`: what is there may be brought to the snapshot's state */
  bool no_indexes;
  bool dry_run, no_safety_snapshot;
  const char *force_why; /* not NULL: it takes the place of an unfinished run that cannot be put back; the reason */
  const mig_diff_listener *listener; /* of what a dry run finds; may be NULL */
} mig_emergency_options;

typedef struct mig_emergency_report {
  mig_restore_report restore;
  mig_snapshot_info safety; /* zero when none was taken */
  char **stays;             /* collections that a snapshot of the whole database does not hold: left as they are */
  size_t stays_count;
  char *path;
  mig_follow_list follows; /* what the ledger says otherwise now, or ought to */
} mig_emergency_report;

bool mig_emergency_restore(mig_engine *e, const mig_emergency_options *o, mig_emergency_report *out, mig_error *err);
void mig_emergency_report_clear(mig_emergency_report *r);

/* Of the originals: is this one asked for? */
bool mig_emergency_wants(const mig_manifest *m, const mig_emergency_options *o, const mig_collection_entry *entry);
bool mig_emergency_pending(mig_db *db, bool *pending, mig_error *err);
bool mig_emergency_forced(mig_db *db, bool *forced, mig_error *err); /* one that waits, and with force_why */
/* Runs an interrupted restore by hand again. The caller holds the lease. *settled: there was one. */
bool mig_emergency_recover(mig_engine *e, bool *settled, mig_error *err);

#endif
