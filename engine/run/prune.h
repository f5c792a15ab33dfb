/*
 * prune.h - removes snapshots that no rule keeps and that nothing needs
 *
 *     mig_prune(e, &options, &report, err)   --> one row for each snapshot of the store: kept or removed, and why
 *
 * By rules (retention.h), or just those named. Only snapshots of this database are judged: the ledger of another one
 * is not known here. Displaced archives are judged by the same rules, apart from snapshots. Kept whatever the rules
 * say: what bears a time of the future, or one later than it was taken (by more than a day), what the ledger still
 * needs (the snapshot of an applied migration, or of a failed one that was not put back), what cannot be read, what is
 * of a migration that this ledger does not know or that no run of it took, what is of another replica set. While an
 * interrupted run waits for recovery, nothing is removed at all (MIG_E_UNFINISHED). Only a name together with `force`
 * removes any of these (but never the archive that an interrupted restore goes on with), and they take no place of a
 * rule. The lease is held, so that no run, restore or other prune comes between; a dry run takes none and writes
 * nothing. Oldest first, each removal by itself: a kill anywhere leaves a store in which what is to be kept is whole. A
 * name that may not be removed makes it fail before anything is removed. Free the report also after an error: it has
 * what was done until then.
 */
#ifndef MIG_RUN_PRUNE_H
#define MIG_RUN_PRUNE_H

#include "backup/retention.h"
#include "run/engine.h"

typedef struct mig_prune_options {
  mig_keep keep;            /* used when there are no names */
  const char *const *names; /* ids, or unique beginnings of ids; NULL-terminated; NULL: by rules */
  bool force, dry_run;
} mig_prune_options;

typedef struct mig_prune_row {
  mig_store_item item;
  bool remove, removed;
  bool forced;   /* it is needed, and named with force */
  char why[160]; /* why it is kept, or (forced) what needed it */
} mig_prune_row;

typedef struct mig_prune_report {
  mig_prune_row *rows; /* oldest first */
  size_t count, removed;
  uint64_t bytes; /* of those removed */
} mig_prune_report;

bool mig_prune(mig_engine *e, const mig_prune_options *options, mig_prune_report *out, mig_error *err);
void mig_prune_report_clear(mig_prune_report *r);

#endif
