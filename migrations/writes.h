/*
 * writes.h - many updates of single documents, each with its own condition, sent in pieces of bounded size
 *
 *     new --> add, add ... --> send --> free
 *
 * Each statement names one document and says what it must still look like; one that no longer finds its document means
 * that somebody else changed it meanwhile, and is an error: the run is undone rather than a change overwritten.
 * With upsert a statement that finds none inserts instead.
 */
#ifndef MIG_MIGRATIONS_WRITES_H
#define MIG_MIGRATIONS_WRITES_H

#include "base/work.h"

typedef struct mig_writes mig_writes;

/* Borrows w and both strings. */
bool mig_writes_new(mig_work *w, const char *what, const char *collection, bool upsert, mig_writes **out,
                    mig_error *err);
/* update: operators, or a whole document in place of the old one. May send what was collected so far. */
bool mig_writes_add(mig_writes *s, const bson_t *query, const bson_t *update, mig_error *err);
bool mig_writes_send(mig_writes *s, mig_error *err);
void mig_writes_free(mig_writes *s);

#endif
