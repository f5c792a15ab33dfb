#include "server/readers.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

#define READERS     4
#define PATIENCE_MS 10000
#define HEALTH_MS   2000
#define FRESH_MS    1000

struct mig_readers {
  mig_settings settings;
  pthread_mutex_t mutex; /* of the idle list */
  pthread_cond_t given;
  mig_engine *idle[READERS];
  size_t idle_count, out_count;
  pthread_mutex_t health_mutex; /* of all below; held while asking, so that one request asks for all */
  mig_db *health;
  int64_t asked_ms;
  bool healthy;
  mig_error trouble;
  char label[160], database[70];
};

bool mig_readers_new(const mig_settings *settings, mig_readers **out, mig_error *err) {
  *out = NULL;
  mig_readers *r = mig_alloc(sizeof *r);
  if (!r) return mig_no_memory(err, "server");
  r->settings = *settings;
  r->settings.patience_ms = PATIENCE_MS;
  r->settings.log_file = NULL; /* nothing is run here */
  pthread_mutex_init(&r->mutex, NULL);
  pthread_mutex_init(&r->health_mutex, NULL);
  pthread_cond_init(&r->given, NULL);
  *out = r;
  return true;
}

void mig_readers_free(mig_readers *r) {
  if (!r) return;
  for (size_t i = 0; i < r->idle_count; i++) mig_close(r->idle[i]);
  mig_db_close(r->health);
  pthread_cond_destroy(&r->given);
  pthread_mutex_destroy(&r->mutex);
  pthread_mutex_destroy(&r->health_mutex);
  mig_free(r);
}

static bool ask(mig_readers *r, mig_error *err) {
  const mig_db_options o = {.uri = r->settings.uri,
                            .database = r->settings.database,
                            .connect_timeout_ms = HEALTH_MS,
                            .selection_timeout_ms = HEALTH_MS,
                            .socket_timeout_ms = HEALTH_MS};
  if (!r->health && !mig_db_open(&o, &r->health, err)) return false;
  bson_t ping = BSON_INITIALIZER;
  BSON_APPEND_INT32(&ping, "ping", 1);
  bool ok = mig_db_command_outside(r->health, MIG_READ, &ping, NULL, err);
  bson_destroy(&ping);
  if (ok) {
    snprintf(r->label, sizeof r->label, "%s", mig_db_label(r->health));
    snprintf(r->database, sizeof r->database, "%s", mig_db_name(r->health));
  } else {
    mig_db_close(r->health);
    r->health = NULL;
  }
  return ok;
}

bool mig_readers_healthy(mig_readers *r, mig_error *err) {
  pthread_mutex_lock(&r->health_mutex);
  if (!r->asked_ms || mig_now_monotonic_ms() - r->asked_ms > FRESH_MS) {
    mig_error_clear(&r->trouble);
    r->healthy = ask(r, &r->trouble);
    r->asked_ms = mig_now_monotonic_ms();
  }
  bool ok = r->healthy;
  if (!ok && err) *err = r->trouble;
  pthread_mutex_unlock(&r->health_mutex);
  return ok;
}

void mig_readers_label(mig_readers *r, char label[static 160], char database[static 70]) {
  pthread_mutex_lock(&r->health_mutex);
  memcpy(label, r->label, sizeof r->label);
  memcpy(database, r->database, sizeof r->database);
  pthread_mutex_unlock(&r->health_mutex);
}

/* Waits for a place among the READERS; *out is an idle engine or NULL for a new one. */
static bool take_place(mig_readers *r, mig_engine **out, mig_error *err) {
  struct timespec until;
  int failed = 0;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += 5;
  pthread_mutex_lock(&r->mutex);
  while (r->out_count == READERS && failed != ETIMEDOUT) failed = pthread_cond_timedwait(&r->given, &r->mutex, &until);
  bool ok = r->out_count < READERS;
  if (ok) {
    *out = r->idle_count ? r->idle[--r->idle_count] : NULL;
    r->out_count++;
  }
  pthread_mutex_unlock(&r->mutex);
  if (ok) return true;
  mig_fail(err, MIG_E_NETWORK, "all connections to the database are busy");
  mig_why(err, "%d requests wait for its answers", READERS);
  return mig_hint(err, "try again in a moment");
}

bool mig_readers_take(mig_readers *r, mig_engine **out, mig_error *err) {
  *out = NULL;
  if (!mig_readers_healthy(r, err) || !take_place(r, out, err)) return false;
  if (*out || mig_open(&r->settings, out, err)) {
    mig_engine_forget_folder(*out); /* files come and go while we serve */
    return true;
  }
  mig_readers_give(r, NULL, NULL);
  return false;
}

void mig_readers_give(mig_readers *r, mig_engine *e, const mig_error *err) {
  bool broken = err && (err->network || err->code == MIG_E_NETWORK || err->code == MIG_E_SERVER);
  if (e && broken) {
    mig_close(e);
    e = NULL;
  }
  pthread_mutex_lock(&r->mutex);
  r->out_count--;
  if (e) r->idle[r->idle_count++] = e;
  pthread_cond_signal(&r->given);
  pthread_mutex_unlock(&r->mutex);
}
