/*
 * removal.h - does the server remove documents of a collection by itself?
 *
 * From a capped collection the oldest go to make room for new ones, by a TTL index those whose date is past. Nobody is
 * told, so what is moved there is not kept; and no transaction writes to a capped collection.
 */
#ifndef MIG_BASE_REMOVAL_H
#define MIG_BASE_REMOVAL_H

#include "base/db.h"

typedef enum mig_removal { MIG_REMOVAL_NONE, MIG_REMOVAL_CAPPED, MIG_REMOVAL_TTL } mig_removal;

/* NONE for a collection that is missing, too. Looks outside a transaction, as servers allow nothing else. */
bool mig_removal_of(mig_db *db, const char *collection, mig_removal *out, mig_error *err);
/* That alone, for half the look. */
bool mig_removal_capped(mig_db *db, const char *collection, bool *capped, mig_error *err);
/* Is one of these specs (an array, as listed or as to be made) a TTL index? */
bool mig_removal_any_expires(const bson_t *indexes);

#endif
