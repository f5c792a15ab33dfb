/*
 * checks.h - runs a list of guards and gathers what they refuse
 *
 * Before the steps (guards) and after them (verify); in a transaction too. Every guard is run, so that one run shows
 * all that is wrong; each refusal goes to the observer as a warning, and err names the first with its offenders.
 */
#ifndef MIG_RUN_CHECKS_H
#define MIG_RUN_CHECKS_H

#include "run/engine.h"

typedef struct mig_refusals {
  char **reasons; /* one sentence each */
  size_t count;
} mig_refusals;

/* when: "guard" or "verify". Returns false for a refusal (MIG_E_GUARD) or an error. refusals may be NULL. */
bool mig_checks_run(mig_engine *e, const char *when, const bson_t *guards, mig_refusals *refusals, mig_error *err);
void mig_refusals_clear(mig_refusals *r);

#endif
