/*
 * jobs.h - work that takes long: done one after the other by a thread of its own, polled as /api/runs/{id}
 *
 *     mig_jobs_add(jobs, &order, id, err)  -->  mig_jobs_describe(jobs, id, &doc)  -->  ... mig_jobs_stop(jobs)
 *
 * Each job has an engine of its own, opened and closed by the worker. The last 200 that ended are kept; history and
 * ledger keep what they did for ever. stop(): what waits is cancelled; what goes on sees the engine's stop flag, is
 * finished or undone, and is waited for.
 * Threads: all functions from any but start and free.
 */
#ifndef MIG_SERVER_JOBS_H
#define MIG_SERVER_JOBS_H

#include "base/bsonx.h"

typedef struct mig_jobs mig_jobs;

typedef enum mig_job_kind { MIG_JOB_UP, MIG_JOB_DOWN, MIG_JOB_VERIFY, MIG_JOB_RESTORE, MIG_JOB_KINDS } mig_job_kind;

typedef struct mig_order {
  mig_job_kind kind;
  const bson_t *options;     /* the checked body of the request */
  const char *snapshot_id;   /* verify, restore */
  const char *snapshot_path; /* from the store's own list */
  const char *by;            /* NULL: as the settings say */
} mig_order;

bool mig_jobs_new(const mig_settings *settings, mig_jobs **out, mig_error *err); /* settings: borrowed */
void mig_jobs_free(mig_jobs *j);                                                 /* stopped before */
/* MIG_E_FAILED when too many wait, MIG_E_INTERRUPTED when the server is stopping. */
bool mig_jobs_add(mig_jobs *j, const mig_order *order, char id[static MIG_UUID_TEXT], mig_error *err);
bool mig_jobs_describe(mig_jobs *j, const char *id, bson_t *out); /* false: there is none */
void mig_jobs_list(mig_jobs *j, bson_t *list);                    /* without messages and results, newest first */
/* False: the last one that ended left things that are not in order; err says which. */
bool mig_jobs_stop(mig_jobs *j, mig_error *err);
bool mig_jobs_stopping(mig_jobs *j);
/* What verifying this snapshot file gave since we serve; not known once anything was done to the file. */
typedef struct mig_verified {
  bool known, good;
  int64_t at_unix_ms;
} mig_verified;
mig_verified mig_jobs_verified(mig_jobs *j, const char *snapshot_id, const char *path);

#endif
