/*
 * unchanged.h - a condition for a write: the document is still what was read
 *
 *     mig_unchanged_for(w, "users", &how, err);   mig_unchanged_append(&filter, before, &how);
 *
 * Servers compare documents with the collection's collation and numbers by value. Where the collection has a collation
 * and the server can compare without one, text is compared byte for byte; where the server tells the size of a
 * document, so is that: 1 is no longer 1.0. What is left is in docs/decisions.md ("Still what was read").
 * In a transaction neither is needed: a document that others changed is a write conflict.
 * Errors: what the server said, with the namespace.
 */
#ifndef MIG_BASE_UNCHANGED_H
#define MIG_BASE_UNCHANGED_H

#include "base/work.h"

typedef struct mig_unchanged {
  bool text;  /* byte for byte, whatever the collation */
  bool sizes; /* of the whole document */
} mig_unchanged;

bool mig_unchanged_for(mig_work *w, const char *collection, mig_unchanged *out, mig_error *err);
bool mig_unchanged_append(bson_t *filter, const bson_t *live, const mig_unchanged *how);
size_t mig_unchanged_bytes(const bson_t *live, const mig_unchanged *how); /* that it appends, at most */

#endif
