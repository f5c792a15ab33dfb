/*
 * attempt.h - one migration, one direction, one try: the pipeline of design section 4
 *
 *     begin (ledger: running) --> guards --> snapshot --> steps [in a transaction] --> verify --> ledger: applied
 *                                    |           |          any failure: abort --> restore --> check --> ledger: failed
 *
 * The caller holds the lease. What is recorded: attempt_end writes the ledger and the event.
 */
#ifndef MIG_RUN_ATTEMPT_H
#define MIG_RUN_ATTEMPT_H

#include "run/plan.h"

typedef struct mig_attempt {
  mig_engine *e;
  const mig_plan *plan;
  mig_run_key key;
  mig_snapshot_info snapshot; /* zero when none was taken */
  mig_status was;
  int64_t batch;
  bson_t *metadata;  /* the file's and the run's */
  mig_result result; /* filled on the way; texts are borrowed from here and the plan */
  mig_error error;
  char *displaced_path;
  uint8_t session[MIG_SESSION_BYTES]; /* of the transactions, as the lease names it */
  bool steps_began;                   /* outside a transaction: something may have been written */
  size_t step;                        /* that runs */
  bool settled;                       /* the ledger says how it ended */
} mig_attempt;

/* Runs it to its end. False: a->error says what; a->result.outcome how it ended. */
bool mig_attempt_run(mig_engine *e, const mig_plan *plan, mig_status was, int64_t batch, mig_attempt *a,
                     mig_error *err);
void mig_attempt_clear(mig_attempt *a);

/* Appends phases, documents and bytes as an event has them; also what --json shows. */
void mig_result_append(bson_t *doc, const mig_result *r);

/* ---- parts, each in its own file ---- */

/* body.c: the steps, each with the guards that had to wait for the ones before it; then verify. */
bool mig_body_run(mig_attempt *a, mig_error *err);
/* transaction.c: the body in a transaction, the ledger's end inside it, and the commit protocol.
 * *too_large: the server refused its size, everything was aborted. */
bool mig_transaction_run(mig_attempt *a, bool *too_large, mig_error *err);
/* orphans.c: the lease names the session of our writes before anything is written in it. */
bool mig_attempt_session(mig_attempt *a, mig_error *err);
/* orphans.c: the same where there is no transaction, which could not do without; a server without sessions is fine. */
bool mig_orphans_name(mig_engine *e, mig_error *err);
/* orphans.c: waits for what a runner that is gone had sent; before the first look of whatever puts something back. */
bool mig_orphans_wait(mig_engine *e, mig_error *err);
/* orphans.c: the same, and what it had sent may still be on its way: before anything is put back, or called settled. */
bool mig_orphans_wait_late(mig_engine *e, mig_error *err);
/* orphans.c: ends what the server may still be doing for us after a connection broke; before anything is put back. */
bool mig_orphans_end(mig_engine *e, mig_error *err);
/* undo.c: puts back what the snapshot holds and proves it. *identical: nothing had to be put back. */
bool mig_undo_run(mig_engine *e, const char *path, const char *sha256, const char *reason, char **displaced_path,
                  int64_t *displaced_documents, bool *identical, mig_error *err);
/* The fields of the ledger at a good end; for bson_destroy. */
bson_t *mig_attempt_done_fields(mig_attempt *a, int64_t now_unix_ms);

#endif
