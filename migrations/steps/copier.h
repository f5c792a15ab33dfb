/*
 * copier.h - puts documents into a collection by _id: what is there already and equal is left, what differs is an error
 *
 *     new --> add, add ... --> flush --> free        copied (may be NULL) is told of documents that are safely there
 *
 * So that copying can be repeated, and nothing is ever overwritten. With `copied`, documents are read back and compared
 * byte for byte before they are called safe; a target of which the server removes documents by itself is refused, as
 * what was safe would not stay so (without `copied` just a capped one, which keeps only the last of them). Memory: a
 * batch of documents, 8 MiB of them at most (or one larger). Errors: MIG_E_FAILED names up to five _ids that are there
 * with another content.
 */
#ifndef MIG_MIGRATIONS_STEPS_COPIER_H
#define MIG_MIGRATIONS_STEPS_COPIER_H

#include "base/work.h"

typedef struct mig_copier mig_copier;
typedef bool (*mig_copied_fn)(void *arg, bson_t *const *documents, size_t count, mig_error *err);

/* Borrows w and the texts. */
bool mig_copier_new(mig_work *w, const char *what, const char *to, mig_copied_fn copied, void *arg, mig_copier **out,
                    mig_error *err);
/* Takes a copy, with _id in front as servers store it. */
bool mig_copier_add(mig_copier *c, const bson_t *doc, mig_error *err);
bool mig_copier_flush(mig_copier *c, mig_error *err);
int64_t mig_copier_kept(const mig_copier *c); /* that were there already */
void mig_copier_free(mig_copier *c);

#endif
