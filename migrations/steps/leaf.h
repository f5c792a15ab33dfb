/*
 * leaf.h - the values at a dotted path of one document, through arrays, each with the path that $set reaches it by
 *
 *     mig_leaves(doc, "items.name", fn, arg, err)    fn gets "items.0.name", "items.1.name" ...
 *
 * An array at the end of the path is gone through, too (one level): its elements are the values. What the path does not
 * reach (a missing part, a value that is no document) is left out. A part that is a number is the name of a field.
 */
#ifndef MIG_MIGRATIONS_STEPS_LEAF_H
#define MIG_MIGRATIONS_STEPS_LEAF_H

#include "base/bsonx.h"

#define MIG_LEAF_PATH 1024

/* path and value are borrowed for the call; false ends the walk. */
typedef bool (*mig_leaf_fn)(void *arg, const char *path, const bson_iter_t *value, mig_error *err);
/* Fails when a path would be longer than MIG_LEAF_PATH. */
bool mig_leaves(const bson_t *doc, const char *path, mig_leaf_fn fn, void *arg, mig_error *err);

#endif
