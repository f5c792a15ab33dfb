/*
 * pipeline.h - items that several threads work on, and that come out in the order they went in
 *
 *     open --> { take --> (fill) --> put }* --> drain --> free            with finish(): a thread of its own calls it
 *     open --> { try_take --> put | next --> (use) --> done }* --> free   without: the caller gets them by next()
 *
 * work() runs on any of the worker threads, in any order; finish() on one thread, in order. Items are made once and
 * serve again and again, so that what they own (buffers) is kept; clear() lets it go at the end.
 * Bounded: at most `slots` items and budget_bytes of them are in it; one item may always be, however large.
 * Errors: the first item that fails, in order, ends it: from then on every call is false with that item's error.
 * Threads: take, put, next, wait, done, drain and free belong to one thread. Signals are left to the other threads.
 */
#ifndef MIG_BACKUP_PIPELINE_H
#define MIG_BACKUP_PIPELINE_H

#include "base/error.h"

typedef struct mig_pipeline mig_pipeline;

typedef struct mig_pipeline_options {
  unsigned workers; /* see mig_jobs */
  size_t slots;     /* 0: two more than workers */
  size_t budget_bytes;
  size_t item_size; /* an item begins as zeros */
  bool (*work)(void *arg, unsigned worker, void *item, mig_error *err);
  bool (*finish)(void *arg, void *item, mig_error *err); /* may be NULL */
  void (*clear)(void *item);
  void *arg;
} mig_pipeline_options;

#define MIG_JOBS_MAX 16u
unsigned mig_jobs(unsigned asked); /* 0: a thread for each processor, at most 4 */

bool mig_pipeline_open(const mig_pipeline_options *options, mig_pipeline **out, mig_error *err);
bool mig_pipeline_take(mig_pipeline *p, void **item, mig_error *err); /* waits for room; with finish() only */
void *mig_pipeline_try_take(mig_pipeline *p);                         /* NULL: there is no room now */
void mig_pipeline_put(mig_pipeline *p, void *item, size_t bytes);     /* what take gave, filled */
bool mig_pipeline_next(mig_pipeline *p, void **item, mig_error *err); /* waits; *item NULL: nothing is in it */
bool mig_pipeline_wait(mig_pipeline *p, int64_t at_most_ms);          /* true: next() will not wait */
void mig_pipeline_done(mig_pipeline *p, void *item);                  /* what next gave, used */
bool mig_pipeline_drain(mig_pipeline *p, mig_error *err);             /* waits until everything is finished */
void mig_pipeline_free(mig_pipeline *p);                              /* gives up what is still in it */

#endif
