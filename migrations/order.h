/*
 * order.h - the name of a migration file: a number or a time, a separator, words
 *
 *     mig_name_split("migrations/0001_users.json", &order, &name, err)   "0001", "0001_users"
 *
 * YYYY-MM-DDTHH-MM-SS_name, 0001_name, 20250122001-name; then ".json", ".c" or ".so". The words are of letters, digits,
 * '_', '-', '.'. Errors: MIG_E_INPUT naming the file. Ownership: the caller frees both with mig_free.
 */
#ifndef MIG_MIGRATIONS_ORDER_H
#define MIG_MIGRATIONS_ORDER_H

#include "base/mem.h"

bool mig_name_split(const char *path, char **order, char **name, mig_error *err);
/* The length of a migration's ending (".json", ".c", ".so") at the end of a file's name; 0: it has none. */
size_t mig_name_ending(const char *file);
/* Equal for "1" and "0001"; otherwise as mig_name_order() of whole names. */
int mig_order_compare(const char *a, const char *b);

#endif
