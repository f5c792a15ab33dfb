/*
 * naming.h - the name of a new migration file: the numbering of the folder goes on, or a new folder counts by time
 *
 *     char *name = mig_name_next(names, count, mig_now_unix_ms(), "add-email");    "2026-11-21T07-15-00_add-email"
 *
 * After 0041_x comes 0042_; after 20250122001-x comes 20261121001-, with the date of the day; so too for numbers that
 * are a time (14 digits), milliseconds (13) or a day (8). The style is that of the last file in order, the separator
 * its own. The new name comes behind all others, also when the clock is behind them.
 */
#ifndef MIG_MIGRATIONS_NAMING_H
#define MIG_MIGRATIONS_NAMING_H

#include "base/mem.h"

/* names: of files, with or without a path; those that are no migration's name are left out. NULL: no memory. The
 * caller frees the name (without .json) with mig_free. */
char *mig_name_next(const char *const *names, size_t count, int64_t now_unix_ms, const char *words);

#endif
