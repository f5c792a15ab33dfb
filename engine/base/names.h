/*
 * names.h - database, collection and member names; and "did you mean"
 *
 * Encoded names are what stands in an archive: every byte outside [A-Za-z0-9_-] and, except in front, '.', is %XX
 * (upper-case hex). The encoding of a name is unique, so a decoded name must encode to the same text again.
 */
#ifndef MIG_BASE_NAMES_H
#define MIG_BASE_NAMES_H

#include "base/mem.h"

/* Server's rules for a collection name (not empty, no zero byte, no '$' in front, at most 255 bytes with the database).
 */
bool mig_name_collection_ok(const char *db, const char *collection, mig_error *err);
bool mig_name_database_ok(const char *db, mig_error *err);
/* What stands behind "<database>." in name; NULL when it does not begin so, or nothing follows. */
const char *mig_name_inside(const char *database, const char *name);
/* Collections that are the server's or ours and no migration may touch: system.*, migrationlogs, migrationevents,
 * migrationlocks. */
bool mig_name_reserved(const char *collection);
/* A field by which a driver steers a command (session, transaction, "$db" ...): never an argument of its own. */
bool mig_name_steers_command(const char *key);

char *mig_name_encode(const char *name);                    /* NULL when memory is short */
char *mig_name_decode(const char *encoded, mig_error *err); /* refuses what mig_name_encode would not have written */

/* The candidate (NULL-terminated list) nearest to `given`, or NULL when none is near enough to be meant. */
const char *mig_name_nearest(const char *given, const char *const *candidates);

#define MIG_LEDGER "migrationlogs"
#define MIG_EVENTS "migrationevents"
#define MIG_LOCKS  "migrationlocks"
#define MIG_STORED "system.js" /* the users' functions: theirs, although it is called as the server's own */

#endif
