/*
 * index.h - what the steps createIndex and createUniqueConstraint have in common
 *
 * unique: the index is unique even where the options do not say so.
 */
#ifndef MIG_MIGRATIONS_STEPS_INDEX_H
#define MIG_MIGRATIONS_STEPS_INDEX_H

#include "migrations/step.h"

extern const mig_arg mig_index_step_args[];
extern const char *const mig_index_step_writes[]; /* for mig_step_def.writes: no field of any document */
bool mig_index_step_check(const mig_step *step, mig_error *err);
/* Its documents, too, with a TTL index: the server begins to remove them within a minute, while other steps run. */
bool mig_index_step_touches(const mig_step *step, mig_touch_fn fn, void *arg, mig_error *err);
/* Fields that the guard noDuplicates can look at; for others the server's own check while building must do. */
bool mig_index_step_countable(const bson_t *key);
bool mig_index_step_guards(const mig_step *step, bool unique, bson_t *array, mig_error *err);
/* Builds it and looks whether the server kept it as asked. */
bool mig_index_step_build(const mig_step *step, bool unique, mig_work *w, mig_error *err);
bool mig_index_step_inverse(const mig_step *step, bson_t *out);

#endif
