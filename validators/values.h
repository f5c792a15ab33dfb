/*
 * values.h - a filter for documents in which some value at a path is wrong, also one inside an array
 *
 *     bson_t *filter = mig_values_filter("items.price", &wrong, 1);    wrong: {"$not": {"$type": "number"}} ...
 *
 * A plain {"items.price": wrong} asks of an array whether it is so for none of its elements (or for any: servers differ
 * by operator); here it is for any. Paths of up to MIG_VALUES_PARTS parts: the filter doubles with each.
 * Ownership: the filter is yours.
 */
#ifndef MIG_VALIDATORS_VALUES_H
#define MIG_VALIDATORS_VALUES_H

#include "validators/query.h"

#define MIG_VALUES_PARTS 6

bool mig_values_path_ok(const char *path, mig_error *err); /* for a guard's check(): by mig_guard_bad() on "field" */
/* wrong: conditions, any of which is wrong. */
bson_t *mig_values_filter(const char *path, const bson_t *const *wrong, size_t count);

#endif
