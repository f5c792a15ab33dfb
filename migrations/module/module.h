/*
 * module.h - a migration that is a C module: loaded as a migration with a single step, whose run is a process
 *
 *     mig_module_load(m, path, check, err)     called by mig_migration_load() for *.c and *.so
 *
 * The step touches what the descriptor declares, so plan, snapshot and transaction are made as for any other migration.
 * Its run (serve.c) does what the process asks for, after a look at lease, signals and declarations.
 */
#ifndef MIG_MIGRATIONS_MODULE_MODULE_H
#define MIG_MIGRATIONS_MODULE_MODULE_H

#include "migrations/migration.h"

bool mig_module_is(const char *path); /* by its ending */
/* Fills all of m but name, order and path, which are set. */
bool mig_module_load(mig_migration *m, mig_guard_check check, mig_error *err);

extern const mig_step_def mig_step_module; /* in no table: no file can name it */
/* The run of that step. args: path, name, direction, writes, indexes, reads, silenceMs. */
bool mig_module_run(const mig_step *step, mig_work *w, mig_error *err);

#endif
