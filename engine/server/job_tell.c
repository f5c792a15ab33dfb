/* Jobs as the run resource of the API. */
#include <string.h>

#include "server/http.h"
#include "server/jobs_internal.h"
#include "server/tell.h"

static const char *const kinds[MIG_JOB_KINDS] = {"up", "down", "verify", "restore"};
static const char *const states[] = {"queued", "running", "succeeded", "failed", "cancelled"};
static const char *const levels[] = {"debug", "info", "warning"};

static void tell_progress(const mig_job *job, bson_t *out) {
  bson_t part;
  if (job->state != JOB_RUNNING || !job->what[0]) {
    BSON_APPEND_NULL(out, "progress");
    return;
  }
  BSON_APPEND_DOCUMENT_BEGIN(out, "progress", &part);
  BSON_APPEND_UTF8(&part, "what", job->what);
  BSON_APPEND_INT64(&part, "done", (int64_t)job->done);
  if (job->total) BSON_APPEND_INT64(&part, "total", (int64_t)job->total);
  if (job->total)
    BSON_APPEND_INT32(&part, "percent", job->done >= job->total ? 100 : (int32_t)(job->done * 100 / job->total));
  bson_append_document_end(out, &part);
}

static void tell_head(const mig_job *job, bson_t *out) {
  BSON_APPEND_UTF8(out, "id", job->id);
  BSON_APPEND_UTF8(out, "kind", kinds[job->kind]);
  BSON_APPEND_UTF8(out, "state", states[job->state]);
  mig_bson_append_text(out, "by", job->by);
  mig_bson_append_text(out, "snapshot", job->snapshot_id);
  BSON_APPEND_DOCUMENT(out, "options", job->options);
  BSON_APPEND_DATE_TIME(out, "createdAt", job->created_unix_ms);
  mig_tell_date(out, "startedAt", job->started_unix_ms);
  mig_tell_date(out, "finishedAt", job->finished_unix_ms);
  tell_progress(job, out);
  BSON_APPEND_INT64(out, "ran", job->ran);
  if (job->state == JOB_FAILED) {
    bson_t *problem = mig_http_problem(mig_http_status(job->error.code), NULL, &job->error);
    BSON_APPEND_INT32(out, "exit", mig_code_exit(job->error.code));
    BSON_APPEND_DOCUMENT(out, "error", problem);
    bson_destroy(problem);
  } else {
    BSON_APPEND_NULL(out, "error");
  }
}

static void tell_messages(const mig_job *job, bson_t *out) {
  bson_t list;
  size_t from = job->message_count > JOB_MESSAGES ? job->message_count - JOB_MESSAGES : 0;
  BSON_APPEND_ARRAY_BEGIN(out, "messages", &list);
  for (size_t i = from; i < job->message_count; i++) {
    const mig_job_message *m = &job->messages[i % JOB_MESSAGES];
    bson_t *one =
        BCON_NEW("at", BCON_DATE_TIME(m->at_unix_ms), "level", BCON_UTF8(levels[m->level]), "text", BCON_UTF8(m->text));
    mig_tell_item(&list, (uint32_t)(i - from), one);
    bson_destroy(one);
  }
  bson_append_array_end(out, &list);
}

bool mig_jobs_describe(mig_jobs *j, const char *id, bson_t *out) {
  pthread_mutex_lock(&j->mutex);
  const mig_job *job = j->oldest;
  while (job && strcmp(job->id, id) != 0) job = job->next;
  if (job) {
    tell_head(job, out);
    tell_messages(job, out);
    BSON_APPEND_ARRAY(out, "results", job->results);
  }
  pthread_mutex_unlock(&j->mutex);
  return job != NULL;
}

void mig_jobs_list(mig_jobs *j, bson_t *list) {
  const mig_job *all[256];
  size_t n = 0;
  pthread_mutex_lock(&j->mutex);
  for (const mig_job *job = j->oldest; job && n < sizeof all / sizeof *all; job = job->next) all[n++] = job;
  for (size_t i = 0; i < n; i++) {
    bson_t one = BSON_INITIALIZER;
    tell_head(all[n - 1 - i], &one);
    mig_tell_item(list, (uint32_t)i, &one);
    bson_destroy(&one);
  }
  pthread_mutex_unlock(&j->mutex);
}
