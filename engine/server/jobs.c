/* The queue and its thread. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fs.h"
#include "run/engine.h"
#include "server/jobs_internal.h"

#define MOST_WAITING  16
#define MOST_KEPT     200
#define MOST_VERIFIED 1000

static void free_job(mig_job *job) {
  if (!job) return;
  if (job->options) bson_destroy(job->options);
  if (job->results) bson_destroy(job->results);
  mig_free(job->snapshot_id);
  mig_free(job->snapshot_path);
  mig_free(job->by);
  mig_free(job);
}

static mig_job *next_waiting(const mig_jobs *j) {
  mig_job *job = j->oldest;
  while (job && job->state != JOB_QUEUED) job = job->next;
  return job;
}

/* The oldest goes first; one that waits or runs is never forgotten. */
static void forget_old(mig_jobs *j) {
  while (j->kept > MOST_KEPT && j->oldest && j->oldest->state >= JOB_SUCCEEDED) {
    mig_job *job = j->oldest;
    j->oldest = job->next;
    if (!j->oldest) j->newest = NULL;
    j->kept--;
    free_job(job);
  }
}

static void work_on(mig_jobs *j, mig_job *job) {
  mig_error err = {0};
  job->state = JOB_RUNNING;
  job->started_unix_ms = mig_now_unix_ms();
  j->waiting--;
  pthread_mutex_unlock(&j->mutex);
  bool ok = mig_job_work(job, &err);
  pthread_mutex_lock(&j->mutex);
  job->state = ok ? JOB_SUCCEEDED : JOB_FAILED;
  job->finished_unix_ms = mig_now_unix_ms();
  if (!ok) job->error = err;
  j->last = job->error;
  forget_old(j);
}

static void *worker(void *arg) {
  mig_jobs *j = arg;
  pthread_mutex_lock(&j->mutex);
  while (!j->stopping) {
    mig_job *job = next_waiting(j);
    if (job)
      work_on(j, job);
    else
      pthread_cond_wait(&j->changed, &j->mutex);
  }
  for (mig_job *job = j->oldest; job; job = job->next)
    if (job->state == JOB_QUEUED) job->state = JOB_CANCELLED;
  j->waiting = 0;
  pthread_mutex_unlock(&j->mutex);
  return NULL;
}

bool mig_jobs_new(const mig_settings *settings, mig_jobs **out, mig_error *err) {
  *out = NULL;
  mig_jobs *j = mig_alloc(sizeof *j);
  if (!j) return mig_no_memory(err, "server");
  j->settings = settings;
  pthread_mutex_init(&j->mutex, NULL);
  pthread_cond_init(&j->changed, NULL);
  *out = j;
  if (pthread_create(&j->thread, NULL, worker, j) == 0) {
    j->started = true;
    return true;
  }
  mig_jobs_free(j);
  *out = NULL;
  return mig_fail(err, MIG_E_NO_MEMORY, "cannot start a thread");
}

void mig_jobs_free(mig_jobs *j) {
  if (!j) return;
  for (mig_job *job = j->oldest, *next; job; job = next) {
    next = job->next;
    free_job(job);
  }
  for (verified *v = j->verified, *next; v; v = next) {
    next = v->next;
    mig_free(v->id);
    mig_free(v);
  }
  pthread_cond_destroy(&j->changed);
  pthread_mutex_destroy(&j->mutex);
  mig_free(j);
}

static mig_job *new_job(mig_jobs *j, const mig_order *o, mig_error *err) {
  mig_job *job = mig_alloc(sizeof *job);
  if (!job || !mig_uuid(job->id, err)) {
    mig_free(job);
    mig_no_memory(err, "run");
    return NULL;
  }
  job->jobs = j;
  job->kind = o->kind;
  job->options = bson_copy(o->options);
  job->results = bson_new();
  job->snapshot_id = mig_strdup(o->snapshot_id);
  job->snapshot_path = mig_strdup(o->snapshot_path);
  job->by = mig_strdup(o->by);
  job->created_unix_ms = mig_now_unix_ms();
  if ((o->snapshot_id && !job->snapshot_id) || (o->snapshot_path && !job->snapshot_path) || (o->by && !job->by)) {
    free_job(job);
    mig_no_memory(err, "run");
    return NULL;
  }
  return job;
}

static bool refuse(const mig_jobs *j, mig_error *err) {
  if (j->stopping) {
    mig_fail(err, MIG_E_INTERRUPTED, "the server is stopping");
    mig_why(err, "it takes no new work");
    return mig_hint(err, "send it again when the server is back");
  }
  mig_fail(err, MIG_E_INTERRUPTED, "too many runs wait");
  mig_why(err, "%d are waiting already", MOST_WAITING);
  return mig_hint(err, "look at /api/runs, and send it again later");
}

bool mig_jobs_add(mig_jobs *j, const mig_order *o, char id[static MIG_UUID_TEXT], mig_error *err) {
  mig_job *job = new_job(j, o, err);
  if (!job) return false;
  pthread_mutex_lock(&j->mutex);
  bool ok = !j->stopping && j->waiting < MOST_WAITING;
  if (ok) {
    memcpy(id, job->id, sizeof job->id);
    if (j->newest)
      j->newest->next = job;
    else
      j->oldest = job;
    j->newest = job;
    j->kept++;
    j->waiting++;
    pthread_cond_signal(&j->changed);
  } else {
    refuse(j, err);
  }
  pthread_mutex_unlock(&j->mutex);
  if (!ok) free_job(job);
  return ok;
}

bool mig_jobs_stop(mig_jobs *j, mig_error *err) {
  if (!j || !j->started) return true;
  pthread_mutex_lock(&j->mutex);
  j->stopping = true;
  pthread_cond_signal(&j->changed);
  pthread_mutex_unlock(&j->mutex);
  pthread_join(j->thread, NULL);
  j->started = false;
  if (j->last.code != MIG_E_NOT_RESTORED && j->last.code != MIG_E_UNFINISHED) return true;
  if (err) *err = j->last;
  return false;
}

bool mig_jobs_stopping(mig_jobs *j) {
  pthread_mutex_lock(&j->mutex);
  bool stopping = j->stopping || mig_stop_asked(j->settings);
  pthread_mutex_unlock(&j->mutex);
  return stopping;
}

/* ---- what was verified ---- */

static mig_file_state look_at(const char *path) {
  mig_file_state out = {""};
  struct stat st;
  if (stat(path, &st) == 0) mig_fs_version(&st, out.text, sizeof out.text);
  return out;
}

static bool same_file(const mig_file_state *a, const mig_file_state *b) {
  return a->text[0] && strcmp(a->text, b->text) == 0;
}

mig_file_state mig_job_look(const mig_job *job) {
  return look_at(job->snapshot_path);
}

void mig_job_remember(mig_job *job, const mig_file_state *before, bool good) {
  mig_jobs *j = job->jobs;
  verified *v = mig_alloc(sizeof *v);
  const mig_file_state now = mig_job_look(job);
  if (!v || !same_file(before, &now) || !(v->id = mig_strdup(job->snapshot_id))) {
    mig_free(v);
    return;
  }
  v->state = now;
  v->what = (mig_verified){true, good, mig_now_unix_ms()};
  pthread_mutex_lock(&j->mutex);
  v->next = j->verified; /* the newest is found first */
  j->verified = v;
  if (++j->verified_count > MOST_VERIFIED) {
    verified **last = &j->verified;
    while ((*last)->next) last = &(*last)->next;
    mig_free((*last)->id);
    mig_free(*last);
    *last = NULL;
    j->verified_count--;
  }
  pthread_mutex_unlock(&j->mutex);
}

mig_verified mig_jobs_verified(mig_jobs *j, const char *snapshot_id, const char *path) {
  mig_verified out = {0};
  const mig_file_state now = look_at(path);
  pthread_mutex_lock(&j->mutex);
  for (const verified *v = j->verified; v && !out.known; v = v->next)
    if (same_file(&v->state, &now) && strcmp(v->id, snapshot_id) == 0) out = v->what;
  pthread_mutex_unlock(&j->mutex);
  return out;
}
