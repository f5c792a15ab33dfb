/*
 * plan.h - what a run of one migration would do: which collections it copies, and whether in a transaction
 *
 *     mig_plan_make(e, migration, MIG_UP, &plan, err)  -->  ...  -->  mig_plan_clear(&plan)
 *
 * Only reads. wants name every collection that the steps touch beyond reading, each once, with the most it needs.
 */
#ifndef MIG_RUN_PLAN_H
#define MIG_RUN_PLAN_H

#include "backup/snapshot.h"
#include "run/engine.h"

typedef enum mig_txn_use { MIG_TXN_USED, MIG_TXN_NOT_SUPPORTED, MIG_TXN_TOO_LARGE, MIG_TXN_NONE } mig_txn_use;
const char *mig_txn_use_name(mig_txn_use u); /* "used", "not-supported", "too-large", "off" */

typedef struct mig_plan {
  const mig_migration *migration; /* borrowed */
  mig_direction direction;
  const mig_steps *steps;   /* borrowed */
  mig_snapshot_want *wants; /* names are owned */
  size_t want_count;
  bool snapshot; /* false: the migration and the run both say off */
  mig_txn_use transaction;
  char why_transaction[200];
  bool destroys;
  int64_t documents;                          /* the steps would write, estimated */
  int64_t snapshot_documents, snapshot_bytes; /* estimated, uncompressed */
  bson_t *guards;                             /* array: the file's (up only), then the steps' own */
} mig_plan;

bool mig_plan_make(mig_engine *e, const mig_migration *m, mig_direction direction, mig_plan *out, mig_error *err);
void mig_plan_clear(mig_plan *p);

#endif
