/*
 * age.h - "older than": a date, or an age counted back from now
 *
 *     {"$date": ...}, "2024-01-01" (midnight UTC), "90 days", "12h", "6 months"
 *
 * Units: s, min, h, d, w, and months and years by the calendar (31 May less 3 months is 28 or 29 February).
 */
#ifndef MIG_MIGRATIONS_AGE_H
#define MIG_MIGRATIONS_AGE_H

#include "base/bsonx.h"

/* false: it is none of these. now_unix_ms counts only for an age. */
bool mig_age_before(const bson_iter_t *value, int64_t now_unix_ms, int64_t *unix_ms);
bool mig_age_is_relative(const bson_iter_t *value);

#endif
