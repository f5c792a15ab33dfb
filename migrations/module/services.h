/*
 * services.h - what steps and modules may ask for that lies in the layers above: guards, and copies of one collection
 *
 * The run layer fills one and hangs it on mig_work.services. Each function works on the same connection and lease.
 */
#ifndef MIG_MIGRATIONS_MODULE_SERVICES_H
#define MIG_MIGRATIONS_MODULE_SERVICES_H

#include "base/bsonx.h"

typedef struct mig_services {
  void *arg;
  /* One guard: *holds, and what it found. False: it could not be decided. */
  bool (*check)(void *arg, const bson_t *guard, bool *holds, char *why, size_t why_size, mig_error *err);
  /* All of an array must hold. */
  bool (*guards)(void *arg, const bson_t *guards, mig_error *err);
  bool (*backup)(void *arg, const char *module, const char *collection, char *id, size_t id_size, mig_error *err);
  bool (*restore)(void *arg, const char *id, mig_error *err);
  bool (*drop)(void *arg, const char *id, mig_error *err);
  /* For a step that drops a collection: puts it aside, where nobody writes to it; then saves what it has and the run's
   * snapshot has not, and drops it. *gone false: it is to be dropped as it is (nothing was done). */
  bool (*put_aside)(void *arg, const char *collection, bool *gone, mig_error *err);
  bool (*settle_aside)(void *arg, const char *collection, mig_error *err);
} mig_services;

#endif
