/*
 * unique_keys.h - the aggregation that finds the values which a unique index would refuse
 *
 *     bson_t *any = mig_unique_keys_any(&what);           at most one result; none: there are no duplicates
 *     bson_t *command = mig_unique_keys_command(&what);   mig_db_query(db, command, ...);   bson_destroy(command);
 *
 * The first costs the server half of the second, and mostly there are none. An element that an array holds twice gives
 * it a result, too: only the second tells.
 * Each result is one value (or combination) that more than one document has:
 *     {_id: {v0: first field, e0: was it an empty array, v1: ...}, rows, first: an _id, last: another _id}
 *
 * As in the index, a missing field counts as null, an array by its elements (an element twice in one document is fine),
 * an empty array as a value of its own, and numbers by value. Only first and last _id are kept of each group, so that a
 * group's size does not matter; the server may use disk.
 * Where it differs from the index: arrays directly inside arrays, and undefined, which counts as null. With a collation
 * and arrays, documents whose string _ids differ only in what the collation ignores are taken for one.
 */
#ifndef MIG_VALIDATORS_UNIQUE_KEYS_H
#define MIG_VALIDATORS_UNIQUE_KEYS_H

#include "base/bsonx.h"

#define MIG_UNIQUE_FIELDS 32 /* what a compound index can have */

typedef struct mig_unique_keys {
  const char *collection;
  const char *field[MIG_UNIQUE_FIELDS];
  size_t fields;
  const bson_t *filter;    /* as in a partial index; empty: all */
  const bson_t *collation; /* NULL: the collection's */
  bool sparse;             /* leaves out documents that have none of the fields */
} mig_unique_keys;

bson_t *mig_unique_keys_any(const mig_unique_keys *what);
bson_t *mig_unique_keys_command(const mig_unique_keys *what);

#endif
