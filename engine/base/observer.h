/*
 * observer.h - how the library tells its caller what goes on; nothing below the command line prints
 *
 * Threads: the callbacks are called from the thread that runs the work, and messages also from the lease's thread.
 * Both callbacks may be NULL, and so may the whole observer.
 */
#ifndef MIG_BASE_OBSERVER_H
#define MIG_BASE_OBSERVER_H

#include "mig.h" /* mig_observer, mig_level */

void mig_say(const mig_observer *o, mig_level level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void mig_progress(const mig_observer *o, const char *what, uint64_t done, uint64_t total);

#endif
