#include "backup/pipeline.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

typedef enum state { FREE, FILLING, QUEUED, WORKING, WORKED, USED } state;

typedef struct slot {
  state state;
  uint64_t number; /* of the item, in the order they were put in */
  size_t bytes;
  bool ok;
  mig_error error;
  void *item;
} slot;

struct mig_pipeline {
  mig_pipeline_options options;
  slot *slots;
  pthread_t *threads;
  unsigned started;
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  uint64_t put, out; /* numbers of the next item to go in and to come out */
  size_t bytes;      /* of all items that are in it */
  bool stop, failed;
  mig_error error;
};

unsigned mig_jobs(unsigned asked) {
  const long processors = sysconf(_SC_NPROCESSORS_ONLN);
  if (asked) return asked < MIG_JOBS_MAX ? asked : MIG_JOBS_MAX;
  return processors < 1 ? 1 : processors < 4 ? (unsigned)processors : 4;
}

static slot *in_state(mig_pipeline *p, state s) {
  slot *first = NULL;
  for (size_t i = 0; i < p->options.slots; i++) {
    slot *at = &p->slots[i];
    if (at->state == s && (!first || at->number < first->number)) first = at;
  }
  return first;
}

static slot *of_item(mig_pipeline *p, const void *item) {
  for (size_t i = 0; i < p->options.slots; i++)
    if (p->slots[i].item == item) return &p->slots[i];
  return NULL;
}

/* The oldest item, when it has been worked on. */
static slot *next_out(mig_pipeline *p) {
  slot *s = in_state(p, WORKED);
  return s && s->number == p->out ? s : NULL;
}

static void fail(mig_pipeline *p, const mig_error *error) {
  p->failed = p->stop = true;
  p->error = *error;
}

/* With the mutex held. */
static void leave(mig_pipeline *p, slot *s) {
  p->bytes -= s->bytes;
  p->out++;
  s->state = FREE;
  pthread_cond_broadcast(&p->changed);
}

typedef struct start {
  mig_pipeline *p;
  unsigned worker;
} start;

static void *worker(void *arg) {
  const start from = *(start *)arg;
  mig_pipeline *p = from.p;
  slot *s = NULL;
  mig_free(arg);
  pthread_mutex_lock(&p->mutex);
  while (!p->stop) {
    if (!(s = in_state(p, QUEUED))) {
      pthread_cond_wait(&p->changed, &p->mutex);
      continue;
    }
    s->state = WORKING;
    pthread_mutex_unlock(&p->mutex);
    const bool ok = p->options.work(p->options.arg, from.worker, s->item, &s->error);
    pthread_mutex_lock(&p->mutex);
    s->ok = ok;
    s->state = WORKED;
    pthread_cond_broadcast(&p->changed);
  }
  pthread_mutex_unlock(&p->mutex);
  return NULL;
}

static void *finisher(void *arg) {
  mig_pipeline *p = ((start *)arg)->p;
  slot *s = NULL;
  mig_free(arg);
  pthread_mutex_lock(&p->mutex);
  while (!p->stop) {
    if (!(s = next_out(p))) {
      pthread_cond_wait(&p->changed, &p->mutex);
      continue;
    }
    bool ok = s->ok;
    s->state = USED;
    pthread_mutex_unlock(&p->mutex);
    ok = ok && p->options.finish(p->options.arg, s->item, &s->error);
    pthread_mutex_lock(&p->mutex);
    if (!ok) fail(p, &s->error);
    leave(p, s);
  }
  pthread_mutex_unlock(&p->mutex);
  return NULL;
}

static bool start_thread(mig_pipeline *p, void *(*run)(void *), unsigned number, mig_error *err) {
  sigset_t all, before;
  start *s = mig_alloc(sizeof *s);
  if (!s) return mig_no_memory(err, "a thread");
  *s = (start){p, number};
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before); /* signals end the run in the thread that knows how to */
  const int failed = pthread_create(&p->threads[p->started], NULL, run, s);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (failed) {
    mig_free(s);
    return mig_no_memory(err, "a thread");
  }
  p->started++;
  return true;
}

static bool make_slots(mig_pipeline *p) {
  const mig_pipeline_options *o = &p->options;
  p->slots = mig_alloc(o->slots * sizeof *p->slots);
  p->threads = mig_alloc((o->workers + 1) * sizeof *p->threads);
  if (!p->slots || !p->threads) return false;
  for (size_t i = 0; i < o->slots; i++)
    if (!(p->slots[i].item = mig_alloc(o->item_size))) return false;
  return true;
}

bool mig_pipeline_open(const mig_pipeline_options *options, mig_pipeline **out, mig_error *err) {
  *out = NULL;
  mig_pipeline *p = mig_alloc(sizeof *p);
  if (!p) return mig_no_memory(err, "a pipeline");
  p->options = *options;
  if (!p->options.slots) p->options.slots = options->workers + 2;
  pthread_mutex_init(&p->mutex, NULL);
  pthread_condattr_t counting;
  pthread_condattr_init(&counting);
  pthread_condattr_setclock(&counting, CLOCK_MONOTONIC);
  pthread_cond_init(&p->changed, &counting);
  pthread_condattr_destroy(&counting);
  bool ok = make_slots(p) || mig_no_memory(err, "a pipeline");
  for (unsigned i = 0; ok && i < options->workers; i++) ok = start_thread(p, worker, i, err);
  if (ok && options->finish) ok = start_thread(p, finisher, 0, err);
  if (ok)
    *out = p;
  else
    mig_pipeline_free(p);
  return ok;
}

/* With the mutex held. */
static slot *room(mig_pipeline *p) {
  if (p->put != p->out && p->bytes >= p->options.budget_bytes) return NULL;
  slot *s = NULL; /* the one used last: its buffers are there, others may never be needed */
  for (size_t i = 0; i < p->options.slots; i++)
    if (p->slots[i].state == FREE && (!s || p->slots[i].number > s->number)) s = &p->slots[i];
  if (s) s->state = FILLING;
  return s;
}

static bool first_error(mig_pipeline *p, mig_error *err) {
  if (p->failed && err) *err = p->error;
  return !p->failed;
}

bool mig_pipeline_take(mig_pipeline *p, void **item, mig_error *err) {
  slot *s = NULL;
  pthread_mutex_lock(&p->mutex);
  while (!p->failed && !(s = room(p))) pthread_cond_wait(&p->changed, &p->mutex);
  const bool ok = first_error(p, err);
  pthread_mutex_unlock(&p->mutex);
  *item = s ? s->item : NULL;
  return ok;
}

void *mig_pipeline_try_take(mig_pipeline *p) {
  pthread_mutex_lock(&p->mutex);
  slot *s = p->failed ? NULL : room(p);
  pthread_mutex_unlock(&p->mutex);
  return s ? s->item : NULL;
}

void mig_pipeline_put(mig_pipeline *p, void *item, size_t bytes) {
  pthread_mutex_lock(&p->mutex);
  slot *s = of_item(p, item);
  s->state = QUEUED;
  s->bytes = bytes;
  s->number = p->put++;
  p->bytes += bytes;
  pthread_cond_broadcast(&p->changed);
  pthread_mutex_unlock(&p->mutex);
}

bool mig_pipeline_wait(mig_pipeline *p, int64_t at_most_ms) {
  struct timespec until;
  int failed = 0;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_nsec += (long)(at_most_ms % 1000) * 1000000L;
  until.tv_sec += (time_t)(at_most_ms / 1000) + until.tv_nsec / 1000000000L;
  until.tv_nsec %= 1000000000L;
  pthread_mutex_lock(&p->mutex);
  while (!p->failed && p->put != p->out && !next_out(p) && failed != ETIMEDOUT)
    failed = pthread_cond_timedwait(&p->changed, &p->mutex, &until);
  const bool ready = p->failed || p->put == p->out || next_out(p);
  pthread_mutex_unlock(&p->mutex);
  return ready;
}

bool mig_pipeline_next(mig_pipeline *p, void **item, mig_error *err) {
  slot *s = NULL;
  *item = NULL;
  pthread_mutex_lock(&p->mutex);
  while (!p->failed && p->put != p->out && !(s = next_out(p))) pthread_cond_wait(&p->changed, &p->mutex);
  if (s && !s->ok) fail(p, &s->error);
  const bool ok = first_error(p, err);
  if (ok && s) {
    s->state = USED;
    *item = s->item;
  }
  pthread_cond_broadcast(&p->changed);
  pthread_mutex_unlock(&p->mutex);
  return ok;
}

void mig_pipeline_done(mig_pipeline *p, void *item) {
  pthread_mutex_lock(&p->mutex);
  leave(p, of_item(p, item));
  pthread_mutex_unlock(&p->mutex);
}

bool mig_pipeline_drain(mig_pipeline *p, mig_error *err) {
  pthread_mutex_lock(&p->mutex);
  while (!p->failed && p->put != p->out) pthread_cond_wait(&p->changed, &p->mutex);
  const bool ok = first_error(p, err);
  pthread_mutex_unlock(&p->mutex);
  return ok;
}

void mig_pipeline_free(mig_pipeline *p) {
  if (!p) return;
  pthread_mutex_lock(&p->mutex);
  p->stop = true;
  pthread_cond_broadcast(&p->changed);
  pthread_mutex_unlock(&p->mutex);
  for (unsigned i = 0; i < p->started; i++) pthread_join(p->threads[i], NULL);
  for (size_t i = 0; p->slots && i < p->options.slots; i++) {
    if (p->slots[i].item && p->options.clear) p->options.clear(p->slots[i].item);
    mig_free(p->slots[i].item);
  }
  pthread_cond_destroy(&p->changed);
  pthread_mutex_destroy(&p->mutex);
  mig_free(p->slots);
  mig_free(p->threads);
  mig_free(p);
}
