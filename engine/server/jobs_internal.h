/*
 * jobs_internal.h - shared by jobs.c (queue, thread), job_work.c (what each kind does) and job_tell.c (the run
 * resource)
 *
 * Everything in a job changes under jobs->mutex; only what stands until `waits` ends is read by the worker without it.
 */
#ifndef MIG_SERVER_JOBS_INTERNAL_H
#define MIG_SERVER_JOBS_INTERNAL_H

#include <pthread.h>

#include "server/jobs.h"

#define JOB_MESSAGES 50
#define JOB_RESULTS  1000

typedef enum mig_job_state { JOB_QUEUED, JOB_RUNNING, JOB_SUCCEEDED, JOB_FAILED, JOB_CANCELLED } mig_job_state;

typedef struct mig_job_message {
  int64_t at_unix_ms;
  mig_level level;
  char text[600];
} mig_job_message;

typedef struct mig_job {
  struct mig_job *next; /* newer */
  struct mig_jobs *jobs;
  char id[MIG_UUID_TEXT];
  mig_job_kind kind;
  bson_t *options;
  char *snapshot_id, *snapshot_path, *by;
  mig_job_state state;
  int64_t created_unix_ms, started_unix_ms, finished_unix_ms;
  char what[200]; /* progress */
  uint64_t done, total;
  int64_t ran;
  bson_t *results; /* array */
  uint32_t result_count;
  mig_job_message messages[JOB_MESSAGES]; /* a ring */
  size_t message_count;                   /* in all */
  mig_error error;
} mig_job;

/* mig_fs_version of the file at a path. */
typedef struct mig_file_state {
  char text[160]; /* empty: no file */
} mig_file_state;

typedef struct verified {
  struct verified *next;
  char *id;
  mig_file_state state;
  mig_verified what;
} verified;

struct mig_jobs {
  const mig_settings *settings;
  pthread_t thread;
  bool started, stopping;
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  mig_job *oldest, *newest;
  size_t kept, waiting;
  verified *verified;
  size_t verified_count;
  mig_error last; /* of the job that ended last */
};

/* job_work.c: from the worker's thread, without the mutex. */
bool mig_job_work(mig_job *job, mig_error *err);
void mig_job_result(mig_job *job, const bson_t *result);
mig_file_state mig_job_look(const mig_job *job);
/* before: when verifying began. A file that has changed since is not known. */
void mig_job_remember(mig_job *job, const mig_file_state *before, bool good);

#endif
