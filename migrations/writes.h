/*
 * writes.h - many updates or deletions, each with its own condition, sent in pieces of bounded size
 *
 *     new --> add, add ... (or delete, delete ...) --> send --> free
 *
 * Each statement names its documents and says what they must still look like; one that no longer finds them means that
 * somebody else changed them meanwhile, and is an error: the run is undone rather than a change overwritten.
 * With MIG_WRITES_UPSERT a statement that finds none inserts instead.
 */
#ifndef MIG_MIGRATIONS_WRITES_H
#define MIG_MIGRATIONS_WRITES_H

#include "base/work.h"

typedef struct mig_writes mig_writes;
typedef enum mig_writes_kind { MIG_WRITES_UPDATE, MIG_WRITES_UPSERT, MIG_WRITES_DELETE } mig_writes_kind;

/* Borrows w and both strings. */
bool mig_writes_new(mig_work *w, const char *what, const char *collection, mig_writes_kind kind, mig_writes **out,
                    mig_error *err);
/* Appends to a query what makes it match only a document that is still `before`. */
bool mig_writes_unchanged(mig_writes *s, bson_t *query, const bson_t *before, mig_error *err);
/* Changes one document. update: operators, or a whole document in place of the old one. May send what was collected so
 * far. */
bool mig_writes_add(mig_writes *s, const bson_t *query, const bson_t *update, mig_error *err);
/* Removes `documents` documents, all that the query finds. */
bool mig_writes_delete(mig_writes *s, const bson_t *query, int64_t documents, mig_error *err);
bool mig_writes_send(mig_writes *s, mig_error *err);
void mig_writes_free(mig_writes *s);

#endif
