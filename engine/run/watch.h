/*
 * watch.h - who else learns of a run: the execution log, and other processes (progress)
 *
 *     mig_watch_open --> mig_watch_begin --> mig_watch_phase ... --> mig_watch_event --> mig_watch_end -->
 * mig_watch_close
 *
 * Everything that the library tells its caller's observer passes through here first. Progress of whoever holds the
 * lease is written to migrationlocks ({_id: "mig.progress"}), at most once a second, conditioned on the token: a runner
 * that was overtaken changes nothing. It stands apart from the ledger entry because that one may be part of an open
 * transaction, which a write from outside would abort.
 * Errors: nothing here fails a run; the first trouble with the log is told as a warning.
 */
#ifndef MIG_RUN_WATCH_H
#define MIG_RUN_WATCH_H

#include "base/db.h"
#include "base/observer.h"
#include "run/log.h"

typedef struct mig_watch {
  mig_observer observer;                             /* what the work is given */
  mig_log *log;                                      /* NULL: none */
  const char *run, *migration, *version, *direction; /* of the attempt that goes on; NULL: none */
  char phase[24];                                    /* of the attempt, else what the lease was taken for */
  int64_t planned;                                   /* documents that its steps will handle, estimated */
  int64_t handled;                                   /* documents that were counted before the present phase */
  int64_t next_ms, phase_ms;
} mig_watch;

typedef struct mig_progress_state {
  int64_t fence, done, total, updated_unix_ms; /* total 0: not known. fence 0: there is none */
  int percent;                                 /* -1: not known */
  char run[40], migration[208], phase[24], what[256];
} mig_progress_state;

struct mig_engine;

bool mig_watch_open(struct mig_engine *e, mig_error *err);
void mig_watch_close(struct mig_engine *e);
void mig_watch_reason(struct mig_engine *e, const char *reason);
/* The texts must live until mig_watch_end. */
void mig_watch_begin(struct mig_engine *e, const char *run, const char *migration, const char *version,
                     const char *direction, int64_t planned);
void mig_watch_phase(struct mig_engine *e, const char *phase);
void mig_watch_end(struct mig_engine *e);
/* Appends to migrationevents and to the log. The ledger is the truth: a missing event is told, but changes no outcome.
 */
void mig_watch_event(struct mig_engine *e, const bson_t *event);

bool mig_progress_look(mig_db *db, mig_progress_state *out, mig_error *err);

#endif
