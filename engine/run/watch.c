#include "run/watch.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/names.h"
#include "run/engine.h"
#include "run/host.h"

#define PROGRESS_ID       "mig.progress"
#define PROGRESS_EVERY_MS 1000
#define QUIET_MS          30000 /* after a write that failed: the work has better things to wait for */

static void append_opt(bson_t *doc, const char *key, const char *text) {
  if (text) BSON_APPEND_UTF8(doc, key, text);
}

/* ---- the log ---- */

static void log_line(mig_engine *e, const bson_t *line) {
  mig_error err;
  mig_watch *w = &e->watch;
  if (!w->log || mig_log_write(w->log, line, &err)) return;
  mig_log_free(w->log); /* told once */
  w->log = NULL;
  mig_say(&e->settings.observer, MIG_WARNING, "%s: %s; the run goes on without a log", err.what, err.why);
}

static void message(void *arg, mig_level level, const char *text) {
  mig_engine *e = arg;
  static const char *const levels[] = {"debug", "info", "warning"};
  if (e->settings.observer.message) e->settings.observer.message(e->settings.observer.arg, level, text);
  if (!e->watch.log || !e->lease || level == MIG_DEBUG) return; /* who only looks leaves no log */
  bson_t line = BSON_INITIALIZER;
  BSON_APPEND_UTF8(&line, "level", levels[level]);
  BSON_APPEND_UTF8(&line, "event", "message");
  append_opt(&line, "run", e->watch.run);
  append_opt(&line, "migration", e->watch.migration);
  BSON_APPEND_UTF8(&line, "message", text);
  log_line(e, &line);
  bson_destroy(&line);
}

static void step_of_attempt(mig_engine *e, const char *event, const char *extra_key, const char *extra) {
  mig_host host;
  bson_t line = BSON_INITIALIZER;
  mig_host_self(&host);
  BSON_APPEND_UTF8(&line, "level", "info");
  BSON_APPEND_UTF8(&line, "event", event);
  append_opt(&line, "run", e->watch.run);
  append_opt(&line, "migration", e->watch.migration);
  append_opt(&line, "version", e->watch.version);
  append_opt(&line, "direction", e->watch.direction);
  append_opt(&line, extra_key, extra);
  BSON_APPEND_UTF8(&line, "by", e->settings.by);
  BSON_APPEND_UTF8(&line, "host", host.name);
  BSON_APPEND_INT64(&line, "pid", host.pid);
  log_line(e, &line);
  bson_destroy(&line);
}

void mig_watch_event(mig_engine *e, const bson_t *event) {
  mig_error ignored;
  bson_t line = BSON_INITIALIZER;
  const char *outcome = "";
  bool good = mig_bson_str(event, "outcome", &outcome) &&
              (strcmp(outcome, "applied") == 0 || strcmp(outcome, "reverted") == 0 || strcmp(outcome, "marked") == 0);
  BSON_APPEND_UTF8(&line, "level", good ? "info" : "error");
  BSON_APPEND_UTF8(&line, "event", "end");
  bson_concat(&line, event);
  log_line(e, &line);
  bson_destroy(&line);
  if (!mig_events_add(e->db, event, &ignored))
    mig_say(&e->watch.observer, MIG_WARNING, "the event of this run could not be written: %s", ignored.why);
}

/* ---- progress ---- */

static bool write_progress(mig_engine *e, const char *what, int64_t done, int64_t total) {
  const mig_watch *w = &e->watch;
  int64_t now = 0, fence = mig_lease_fence(e->lease);
  mig_error ignored;
  if (!mig_db_server_now(e->db, &now, &ignored)) return false;
  bson_t doc = BSON_INITIALIZER;
  BSON_APPEND_INT64(&doc, "fence", fence);
  append_opt(&doc, "run", w->run);
  append_opt(&doc, "migration", w->migration);
  append_opt(&doc, "direction", w->direction);
  BSON_APPEND_UTF8(&doc, "phase", w->phase);
  BSON_APPEND_UTF8(&doc, "what", what);
  BSON_APPEND_INT64(&doc, "done", done);
  BSON_APPEND_INT64(&doc, "total", total);
  BSON_APPEND_DATE_TIME(&doc, "updatedAt", now);
  bson_t *command =
      BCON_NEW("update", BCON_UTF8(MIG_LOCKS), "updates", "[", "{", "q", "{", "_id", BCON_UTF8(PROGRESS_ID), "fence",
               "{", "$lte", BCON_INT64(fence), "}", "}", "u", BCON_DOCUMENT(&doc), "upsert", BCON_BOOL(true), "}", "]",
               "writeConcern", "{", "w", BCON_INT32(1), "}");
  bool ok = mig_db_command_outside(e->db, MIG_WRITE, command, NULL, &ignored);
  bson_destroy(command);
  bson_destroy(&doc);
  return ok;
}

/* What was read is mostly what is written then; some steps only write. */
static int64_t count_handled(const mig_engine *e) {
  const mig_counts *c = &e->work.counts;
  return c->documents_read > c->documents_written ? c->documents_read : c->documents_written;
}

static void progress(void *arg, const char *what, uint64_t done, uint64_t total) {
  mig_engine *e = arg;
  mig_watch *w = &e->watch;
  if (e->settings.observer.progress) e->settings.observer.progress(e->settings.observer.arg, what, done, total);
  int64_t now = mig_now_monotonic_ms();
  if (!e->lease || now < w->next_ms || !mig_lease_seems_ours(e->lease)) return;
  if (w->planned > 0 && strcmp(w->phase, mig_phase_name(MIG_PHASE_STEPS)) == 0) {
    /* all steps together: how far one of them is says little */
    int64_t handled = count_handled(e) - w->handled;
    total = (uint64_t)w->planned;
    done = (uint64_t)(handled > 0 ? handled : 0);
  }
  if (total && done > total) done = total;
  w->next_ms = now + (write_progress(e, what, (int64_t)done, (int64_t)total) ? PROGRESS_EVERY_MS : QUIET_MS);
}

bool mig_progress_look(mig_db *db, mig_progress_state *out, mig_error *err) {
  bson_t doc;
  bool found = false;
  const char *run = "", *migration = "", *phase = "", *what = "";
  memset(out, 0, sizeof *out);
  out->percent = -1;
  bson_t *find =
      BCON_NEW("find", BCON_UTF8(MIG_LOCKS), "filter", "{", "_id", BCON_UTF8(PROGRESS_ID), "}", "limit", BCON_INT32(1));
  bool ok = mig_db_first(db, find, &doc, &found, err);
  if (ok && found) {
    mig_bson_int(&doc, "fence", &out->fence);
    mig_bson_int(&doc, "done", &out->done);
    mig_bson_int(&doc, "total", &out->total);
    mig_bson_date(&doc, "updatedAt", &out->updated_unix_ms);
    mig_bson_str(&doc, "run", &run);
    mig_bson_str(&doc, "migration", &migration);
    mig_bson_str(&doc, "phase", &phase);
    mig_bson_str(&doc, "what", &what);
    snprintf(out->run, sizeof out->run, "%s", run);
    snprintf(out->migration, sizeof out->migration, "%s", migration);
    snprintf(out->phase, sizeof out->phase, "%s", phase);
    snprintf(out->what, sizeof out->what, "%s", what);
    if (out->total > 0 && out->done >= 0 && out->done <= out->total)
      out->percent = (int)((double)out->done * 100 / (double)out->total);
  }
  bson_destroy(&doc);
  bson_destroy(find);
  return ok;
}

/* ---- the way of a run ---- */

bool mig_watch_open(mig_engine *e, mig_error *err) {
  e->watch.observer = (mig_observer){.arg = e, .message = message, .progress = progress};
  return !e->settings.log_file || mig_log_new(e->settings.log_file, e->settings.log_max_bytes, &e->watch.log, err);
}

void mig_watch_close(mig_engine *e) {
  mig_log_free(e->watch.log);
  e->watch.log = NULL;
}

void mig_watch_reason(mig_engine *e, const char *reason) {
  snprintf(e->watch.phase, sizeof e->watch.phase, "%s", reason);
  e->watch.next_ms = mig_now_monotonic_ms() + PROGRESS_EVERY_MS;
}

void mig_watch_begin(mig_engine *e, const char *run, const char *migration, const char *version, const char *direction,
                     int64_t planned) {
  mig_watch *w = &e->watch;
  w->run = run;
  w->migration = migration;
  w->version = version;
  w->direction = direction;
  w->planned = planned;
  w->phase_ms = mig_now_monotonic_ms();
  snprintf(w->phase, sizeof w->phase, "%s", mig_phase_name(MIG_PHASE_GUARDS));
  step_of_attempt(e, "begin", NULL, NULL);
}

void mig_watch_phase(mig_engine *e, const char *phase) {
  mig_watch *w = &e->watch;
  int64_t now = mig_now_monotonic_ms();
  mig_say(&w->observer, MIG_DEBUG, "%s: %s took %lld ms; now %s", w->migration ? w->migration : "", w->phase,
          (long long)(now - w->phase_ms), phase);
  w->phase_ms = now;
  w->handled = count_handled(e);
  snprintf(w->phase, sizeof w->phase, "%s", phase);
  step_of_attempt(e, "phase", "phase", phase);
}

void mig_watch_end(mig_engine *e) {
  e->watch.run = e->watch.migration = e->watch.version = e->watch.direction = NULL;
  e->watch.planned = 0;
}
