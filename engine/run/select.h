/*
 * select.h - which migrations a run takes, from the files and the ledger; and what is wrong between the two
 *
 * Only reads; keeps nothing. The arrays it makes hold borrowed pointers: free the array with mig_free.
 */
#ifndef MIG_RUN_SELECT_H
#define MIG_RUN_SELECT_H

#include "run/engine.h"

typedef struct mig_choice {
  const mig_migration *migration;
  const mig_entry *entry; /* NULL: the ledger does not know it */
} mig_choice;

/* Pending ones in order. Fails when an applied file was modified after it was applied, or a chosen one is an applied
 * one under another name (MIG_E_CHECK). */
bool mig_select_up(const mig_engine *e, const mig_ledger *ledger, const mig_up_options *options, mig_choice **out,
                   size_t *count, mig_error *err);
/* Applied ones, newest first. Fails for one whose file is missing, modified or not reversible. */
bool mig_select_down(const mig_engine *e, const mig_ledger *ledger, const mig_down_options *options, mig_choice **out,
                     size_t *count, mig_error *err);

typedef struct mig_finding {
  const mig_migration *migration; /* NULL: the file is missing */
  const mig_entry *entry;         /* NULL: not in the ledger */
  mig_status status;
  bool modified, missing, out_of_order; /* out_of_order: pending, and a later one is applied already */
  const mig_migration *renamed_to;      /* missing, and this file, unknown to the ledger, has the same checksum */
} mig_finding;

/* Every file and every entry, in order. */
bool mig_select_all(const mig_engine *e, const mig_ledger *ledger, mig_finding **out, size_t *count, mig_error *err);

#endif
