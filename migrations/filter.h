/*
 * filter.h - query conditions put together from parts; free what is returned with bson_destroy
 */
#ifndef MIG_MIGRATIONS_FILTER_H
#define MIG_MIGRATIONS_FILTER_H

#include "base/bsonx.h"

/* All of a NULL-terminated list; NULL at its end, empty ones add nothing. */
bson_t *mig_filter_all(const bson_t *const *parts);
bson_t *mig_filter_and(const bson_t *a, const bson_t *b); /* either may be NULL */
bson_t *mig_filter_exists(const char *field, bool exists);
/* {field: {$type: type}}, or {field: {$not: {$type: type}}} */
bson_t *mig_filter_type(const char *field, bool is, const char *type);
/* Both paths name the same value, or one lies inside the other. */
bool mig_fields_overlap(const char *a, const char *b);

#endif
