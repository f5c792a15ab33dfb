/*
 * displaced.h - the archive of what a restore will overwrite or remove, complete before the first write
 *
 *     new --> { collection --> add* }* --> finish --> { reading --> holds* }* --> free
 *
 * A collection's member is only made with its first document, or by `whole`. finish() makes the archive durable; with
 * nothing added there is none. After that holds() answers, while a second scan meets the documents again in about the
 * same sequence, whether a document stands in it byte for byte: only such a one may be overwritten.
 * It is no snapshot of the collections (it has only some documents): its reason starts with MIG_DISPLACED_REASON, and
 * mig_restore_run refuses it.
 * A document that others moved far out of the sequence counts as not held: then it is left for the next round.
 * Memory: one chunk, and the sums of at most MIG_DISPLACED_AHEAD documents met out of sequence.
 */
#ifndef MIG_BACKUP_DISPLACED_H
#define MIG_BACKUP_DISPLACED_H

#include "backup/archive_read.h"
#include "backup/archive_write.h"
#include "base/work.h"

#define MIG_DISPLACED_REASON "displaced: "
#define MIG_DISPLACED_AHEAD  4096u

typedef struct mig_displaced mig_displaced;

bool mig_displaced_new(mig_store *store, const mig_work *w, const char *reason, mig_displaced **out, mig_error *err);
void mig_displaced_free(mig_displaced *d);
/* From now on documents are of this collection. info and indexes are borrowed until the next call. */
bool mig_displaced_collection(mig_displaced *d, const char *name, const bson_t *info, const bson_t *indexes,
                              mig_error *err);
bool mig_displaced_whole(mig_displaced *d, mig_error *err); /* makes its member even without a document */
bool mig_displaced_add(mig_displaced *d, const bson_t *doc, mig_error *err);
bool mig_displaced_finish(mig_displaced *d, mig_error *err);

/* After finish(). NULL and 0 when nothing was added. */
const char *mig_displaced_path(const mig_displaced *d);
const char *mig_displaced_id(const mig_displaced *d);
int64_t mig_displaced_documents(const mig_displaced *d);

bool mig_displaced_reading(mig_displaced *d, const char *collection, mig_error *err);
bool mig_displaced_holds(mig_displaced *d, const bson_t *doc, bool *holds, mig_error *err);

#endif
