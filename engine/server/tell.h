/*
 * tell.h - documents as the plain JSON that REST clients expect
 *
 * Dates are text ("2026-11-21T07:15:00.250Z"), ObjectIds their 24 digits, numbers numbers; what JSON cannot say stays
 * (relaxed) Extended JSON.
 */
#ifndef MIG_SERVER_TELL_H
#define MIG_SERVER_TELL_H

#include "base/bsonx.h"

char *mig_tell_json(const bson_t *doc); /* free with mig_free; NULL: no memory */
/* Appends with the next index of a list that has `count` elements so far. */
void mig_tell_item(bson_t *list, uint32_t count, const bson_t *element);
void mig_tell_date(bson_t *doc, const char *key, int64_t unix_ms); /* null for 0 */

#endif
