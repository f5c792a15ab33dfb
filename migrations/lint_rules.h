/*
 * lint_rules.h - the rules that look at one loaded migration; lint.c calls them all
 */
#ifndef MIG_MIGRATIONS_LINT_RULES_H
#define MIG_MIGRATIONS_LINT_RULES_H

#include "migrations/lint.h"

typedef enum mig_lint_id {
  MIG_LINT_UNUSABLE,
  MIG_LINT_SAME_NUMBER,
  MIG_LINT_SAME_VERSION,
  MIG_LINT_ONE_WAY,
  MIG_LINT_NO_SNAPSHOT,
  MIG_LINT_UNGUARDED_UNIQUE,
  MIG_LINT_DELETE_ALL,
  MIG_LINT_UNKNOWN_ALLOW,
  MIG_LINT_NO_DOWN,
  MIG_LINT_UPDATE_ALL,
  MIG_LINT_NO_DESCRIPTION,
  MIG_LINT_MIXED_NAMES,
  MIG_LINT_COUNT
} mig_lint_id;

typedef struct mig_linter mig_linter;

/* where: "file:line:column" of a step, or NULL for the file as a whole. */
void mig_lint_add(mig_linter *l, mig_lint_id id, const char *path, const char *where, const char *hint,
                  const char *what_fmt, ...) __attribute__((format(printf, 6, 7)));
void mig_lint_migration(mig_linter *l, const mig_migration *m);

#endif
