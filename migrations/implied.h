/*
 * implied.h - guards that the steps of a migration bring, and whether all of them may share a transaction
 *
 *     mig_steps_guards(&m->up, array, err)      before the run: what can be checked on the present state
 *     mig_step_guards(&m->up.items[i], array, err)   just before step i: all of its own
 *
 * Guards refer to the state before the first step. One whose subject an earlier step of the same migration changes
 * (a collection it creates, a field it writes ...) would refuse wrongly: it is left out of the first list, and so the
 * runner must check the second one before each step. Equal guards appear once.
 * `array` is a BSON array under construction; guards are appended to it as {"name": {...}}.
 */
#ifndef MIG_MIGRATIONS_IMPLIED_H
#define MIG_MIGRATIONS_IMPLIED_H

#include "migrations/migration.h"

bool mig_steps_guards(const mig_steps *steps, bson_t *array, mig_error *err);
bool mig_step_guards(const mig_step *step, bson_t *array, mig_error *err);
/* True when every step is legal in a transaction; else *first_illegal (may be NULL) is the name of the first that is
 * not. */
bool mig_steps_transactional(const mig_steps *steps, const char **first_illegal);

#endif
