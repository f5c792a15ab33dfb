/*
 * leaf_writes.h - computes new values for what stands at some paths, reading and writing in batches
 *
 * Each document gets one $set of just the values that change, under the condition that they still are what was read.
 */
#ifndef MIG_MIGRATIONS_STEPS_LEAF_WRITES_H
#define MIG_MIGRATIONS_STEPS_LEAF_WRITES_H

#include "migrations/step.h"

/* Appends the new value to `out` under key, or nothing when it stays as it is. false: err is filled. */
typedef bool (*mig_leaf_new_fn)(void *arg, const bson_iter_t *value, bson_t *out, const char *key, mig_error *err);

typedef struct mig_leaf_writes {
  const mig_step *step;
  const char *const *paths; /* NULL-terminated; none inside another */
  const bson_t *filter;     /* which documents */
  mig_leaf_new_fn fn;
  void *arg;
} mig_leaf_writes;

bool mig_leaf_writes_run(const mig_leaf_writes *what, mig_work *w, mig_error *err);

/* For check(): a path has no number (a place in an array, or a field?) and is at most 255 bytes long. */
bool mig_leaf_path_ok(const mig_step *step, const char *argument, const char *path, mig_error *err);

#endif
