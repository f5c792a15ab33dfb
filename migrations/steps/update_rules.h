/*
 * update_rules.h - one {filter, update, upsert?}: what the steps update and bulkUpdate have in common
 *
 * holder: the document with these three, checked by its argument table. The collection is the step's.
 */
#ifndef MIG_MIGRATIONS_STEPS_UPDATE_RULES_H
#define MIG_MIGRATIONS_STEPS_UPDATE_RULES_H

#include "migrations/step.h"

/* For check(). at: where the holder stands among the step's arguments, "updates.0" or "". */
bool mig_update_check(const mig_step *step, const bson_t *holder, const char *at, mig_error *err);
bool mig_update_run(const mig_step *step, mig_work *w, const bson_t *holder, mig_error *err);

#endif
