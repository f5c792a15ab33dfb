/* What each kind of job does, and what it tells meanwhile. */
#include <stdio.h>
#include <string.h>

#include "backup/archive_read.h"
#include "base/clock.h"
#include "base/observer.h"
#include "run/report.h"
#include "server/jobs_internal.h"
#include "server/tell.h"

static void on_message(void *arg, mig_level level, const char *text) {
  mig_job *job = arg;
  pthread_mutex_lock(&job->jobs->mutex);
  mig_job_message *m = &job->messages[job->message_count++ % JOB_MESSAGES];
  m->at_unix_ms = mig_now_unix_ms();
  m->level = level;
  snprintf(m->text, sizeof m->text, "%s", text);
  pthread_mutex_unlock(&job->jobs->mutex);
  mig_say(&job->jobs->settings->observer, level, "run %.8s: %s", job->id, text);
}

static void on_progress(void *arg, const char *what, uint64_t done, uint64_t total) {
  mig_job *job = arg;
  pthread_mutex_lock(&job->jobs->mutex);
  snprintf(job->what, sizeof job->what, "%s", what);
  job->done = done;
  job->total = total;
  pthread_mutex_unlock(&job->jobs->mutex);
}

void mig_job_result(mig_job *job, const bson_t *result) {
  pthread_mutex_lock(&job->jobs->mutex);
  if (job->result_count < JOB_RESULTS) mig_tell_item(job->results, job->result_count++, result);
  pthread_mutex_unlock(&job->jobs->mutex);
}

static void on_result(void *arg, const mig_result *r) {
  bson_t doc = BSON_INITIALIZER;
  mig_report_result(&doc, r);
  mig_job_result(arg, &doc);
  bson_destroy(&doc);
}

static void on_forecast(void *arg, const mig_forecast *f) {
  bson_t doc = BSON_INITIALIZER;
  mig_report_forecast(&doc, f);
  mig_job_result(arg, &doc);
  bson_destroy(&doc);
}

static const char *text_of(const mig_job *job, const char *key) {
  const char *text = NULL;
  mig_bson_str(job->options, key, &text);
  return text;
}

static bool flag(const mig_job *job, const char *key) {
  bool yes = false;
  mig_bson_bool(job->options, key, &yes);
  return yes;
}

static int64_t number(const mig_job *job, const char *key) {
  int64_t n = 0;
  mig_bson_int(job->options, key, &n);
  return n;
}

static bool go_up(mig_job *job, mig_engine *e, int64_t *ran, mig_error *err) {
  const mig_listener listener = {.arg = job, .result = on_result, .forecast = on_forecast};
  const mig_up_options o = {.to = text_of(job, "to"),
                            .only = text_of(job, "only"),
                            .steps = number(job, "steps"),
                            .continue_on_error = flag(job, "continueOnError"),
                            .dry_run = flag(job, "dryRun")};
  return mig_up(e, &o, &listener, ran, err);
}

static bool go_down(mig_job *job, mig_engine *e, int64_t *ran, mig_error *err) {
  const mig_listener listener = {.arg = job, .result = on_result, .forecast = on_forecast};
  const mig_down_options o = {.only = text_of(job, "only"),
                              .to = text_of(job, "to"),
                              .steps = number(job, "steps"),
                              .batch = flag(job, "batch"),
                              .all = flag(job, "all"),
                              .dry_run = flag(job, "dryRun")};
  return mig_down(e, &o, &listener, ran, err);
}

/* Names of the array `only`, NULL-terminated, borrowed; *out NULL when there is none. */
static bool only_of(const mig_job *job, const char ***out, mig_error *err) {
  bson_t list;
  bson_iter_t it;
  size_t n = 0;
  *out = NULL;
  if (!mig_bson_arr(job->options, "only", &list) || !bson_iter_init(&it, &list)) return true;
  *out = mig_alloc((bson_count_keys(&list) + 1) * sizeof **out);
  if (!*out) return mig_no_memory(err, "restore");
  while (bson_iter_next(&it)) (*out)[n++] = bson_iter_utf8(&it, NULL);
  return true;
}

static bool put_back(mig_job *job, mig_engine *e, mig_error *err) {
  mig_emergency_report report = {0};
  const char **only = NULL, *strategy = text_of(job, "strategy");
  mig_emergency_options o = {.snapshot = job->snapshot_path,
                             .strategy = !strategy                       ? MIG_STRATEGY_AUTO
                                         : strcmp(strategy, "swap") == 0 ? MIG_STRATEGY_SWAP
                                                                         : MIG_STRATEGY_DELTA,
                             .dry_run = flag(job, "dryRun"),
                             .no_safety_snapshot = flag(job, "noSafetySnapshot")};
  if (!only_of(job, &only, err)) return false;
  o.only = only;
  bool ok = mig_emergency_restore(e, &o, &report, err);
  for (size_t i = 0; ok && i < report.restore.count; i++) {
    bson_t doc = BSON_INITIALIZER;
    mig_report_difference(&doc, &report.restore.collections[i]);
    mig_job_result(job, &doc);
    bson_destroy(&doc);
  }
  if (ok) {
    bson_t doc = BSON_INITIALIZER;
    mig_report_restore(&doc, &report, o.dry_run);
    mig_job_result(job, &doc);
    bson_destroy(&doc);
  }
  mig_emergency_report_clear(&report);
  mig_free(only);
  return ok;
}

/* Neither good nor damaged: its key is not set, or the file could not be read. */
static bool verify(mig_job *job, const mig_settings *settings, mig_error *err) {
  mig_archive *archive = NULL;
  mig_key *key = NULL;
  mig_error why = {0};
  const mig_file_state before = mig_job_look(job);
  const bool good = mig_settings_key(settings, &key, &why) &&
                    mig_archive_open_with(job->snapshot_path, key, &archive, &why) &&
                    mig_archive_verify(archive, &settings->observer, &why);
  mig_archive_free(archive);
  mig_key_free(key);
  if (good || why.code == MIG_E_ARCHIVE) {
    bson_t doc = BSON_INITIALIZER;
    mig_job_remember(job, &before, good);
    BCON_APPEND(&doc, "snapshot", BCON_UTF8(job->snapshot_id), "good", BCON_BOOL(good));
    mig_job_result(job, &doc);
    bson_destroy(&doc);
  }
  if (!good && err) *err = why;
  return good;
}

bool mig_job_work(mig_job *job, mig_error *err) {
  mig_engine *e = NULL;
  mig_settings settings = *job->jobs->settings;
  int64_t ran = 0;
  settings.observer = (mig_observer){.arg = job, .message = on_message, .progress = on_progress};
  if (job->by) settings.by = job->by;
  if (job->kind == MIG_JOB_VERIFY) return verify(job, &settings, err);
  bool ok = mig_open(&settings, &e, err);
  if (ok && job->kind == MIG_JOB_UP) ok = go_up(job, e, &ran, err);
  if (ok && job->kind == MIG_JOB_DOWN) ok = go_down(job, e, &ran, err);
  if (ok && job->kind == MIG_JOB_RESTORE) ok = put_back(job, e, err);
  mig_close(e);
  pthread_mutex_lock(&job->jobs->mutex);
  job->ran = ran;
  pthread_mutex_unlock(&job->jobs->mutex);
  return ok;
}
