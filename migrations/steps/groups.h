/*
 * groups.h - documents that are equal in some fields, as the server groups them, and which of each group comes first
 *
 *     mig_group_measure(step, w, &sizes, err)             how many there are, nothing is kept
 *     mig_group_each(step, w, order, fn, arg, err)        fn gets each group, and its _ids but the first in `order`
 *
 * Reads the arguments collection, fields, filter and includeMissing of the step. Memory: the _ids of some groups at a
 * time (a batch, or one larger group). Both read; what fn writes must not make more documents equal.
 */
#ifndef MIG_MIGRATIONS_STEPS_GROUPS_H
#define MIG_MIGRATIONS_STEPS_GROUPS_H

#include "migrations/step.h"
#include "migrations/writes.h"

#define MIG_GROUP_FIELDS  32
#define MIG_GROUP_LARGEST 100000 /* _ids in one group: the server gives them as one document */

typedef struct mig_group_sizes {
  int64_t groups, superfluous, largest; /* groups of two or more; what is in them beyond one each; the largest */
} mig_group_sizes;

typedef struct mig_group {
  const bson_t *key; /* see group_key.h */
  const bson_t *ids; /* array of all its _ids */
} mig_group;

typedef bool (*mig_group_fn)(void *arg, const mig_group *group, const bson_t *ids_but_first, mig_error *err);

bool mig_group_measure(const mig_step *step, mig_work *w, mig_group_sizes *out, mig_error *err);
bool mig_group_each(const mig_step *step, mig_work *w, const bson_t *order, mig_group_fn fn, void *arg, mig_error *err);
/* {_id: {$in: ids}} as far as they still have the values of the group. New. */
bson_t *mig_group_query(const mig_step *step, const mig_group *group, const bson_t *ids);

#endif
