/*
 * lint.h - what can be found wrong or dangerous in migration files without a server
 *
 *     mig_lint_folder("migrations", guard_check, fn, arg, &files, err)      or mig_lint_file() for one
 *
 * Each finding is of a rule of the table. A file says which rules do not hold for it, and so that somebody has thought
 * of it, by its metadata: {"metadata": {"lint": {"allow": ["one-way"]}}}. Rules of a file that cannot be read, and of
 * numbers and versions that two files claim, cannot be allowed away.
 * Errors: only what keeps it from looking (no folder, no memory): a file that cannot be used is a finding.
 */
#ifndef MIG_MIGRATIONS_LINT_H
#define MIG_MIGRATIONS_LINT_H

#include "migrations/migration.h"

typedef enum mig_lint_level { MIG_LINT_WARNING, MIG_LINT_ERROR } mig_lint_level;

typedef struct mig_lint_rule {
  const char *name; /* "one-way" */
  mig_lint_level level;
  const char *help; /* one line */
} mig_lint_rule;

typedef struct mig_lint_finding {
  const mig_lint_rule *rule;
  const char *path;
  size_t line, column; /* from 1 */
  char what[700], hint[700];
} mig_lint_finding;

typedef void (*mig_lint_fn)(void *arg, const mig_lint_finding *finding);

const mig_lint_rule *mig_lint_rules(void); /* ends with a row without a name */
bool mig_lint_folder(const char *path, mig_guard_check check, mig_lint_fn fn, void *arg, size_t *files, mig_error *err);
bool mig_lint_file(const char *path, mig_guard_check check, mig_lint_fn fn, void *arg, mig_error *err);

#endif
