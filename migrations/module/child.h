/*
 * child.h - the process in which a module runs, seen from mig
 *
 *     mig_child_start(path, "up", &child, err) --> receive, send ... --> mig_child_end(child)
 *
 * While it waits, it shows what the process prints (a line at a time, as messages), looks at the lease and at signals
 * about five times a second, and kills a process that has been silent for too long. Whatever ends a receive with false
 * leaves the process killed: it writes nothing more, as all its writing goes through here.
 * Errors: MIG_E_FAILED with how it ended; what the checkpoint says.
 */
#ifndef MIG_MIGRATIONS_MODULE_CHILD_H
#define MIG_MIGRATIONS_MODULE_CHILD_H

#include "base/work.h"

typedef struct mig_child mig_child;

/* This very program is the host of modules: its main() asks mig_module_hosts(). Where nobody says so (a program with
 * libmig inside) it is MIG_PROGRAM, else the installed mig. */
void mig_module_host_is_here(void);

typedef struct mig_child_options {
  const char *name;   /* for messages */
  const char *path;   /* the shared object */
  const char *run;    /* "describe", "up" or "down" */
  mig_work *work;     /* NULL: no checkpoint, nobody to tell */
  int64_t silence_ms; /* 0: 10 minutes */
} mig_child_options;

bool mig_child_start(const mig_child_options *options, mig_child **out, mig_error *err);
bool mig_child_receive(mig_child *c, bson_t **message, mig_error *err);
bool mig_child_send(mig_child *c, const bson_t *message, mig_error *err);
void mig_child_end(mig_child *c); /* kills it, whatever it does */

#endif
