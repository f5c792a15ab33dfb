/*
 * restore_send.h - the commands that write documents of a restore, one command a call
 *
 * Special documents are those that a server may read as something else than a document to store: top-level keys that
 * start with '$', Timestamp(0, 0) (filled in by the server), an _id that does not stand first. Which way keeps them is
 * found out by reading each back: plainly (delete, insert) or literally (an update by pipeline with $literal).
 * Guarded: the write happens only while the live document is the one given (compared by the server: unchanged.h), so
 * that what others wrote since it was saved stays. One that is not, is not counted and is no error. A server that
 * cannot compare whole documents does not write then. A checkpoint stands right before each command. Ownership:
 * documents are borrowed.      Errors: as the server says, MIG_E_SERVER or MIG_E_NETWORK.
 */
#ifndef MIG_BACKUP_RESTORE_SEND_H
#define MIG_BACKUP_RESTORE_SEND_H

#include <stdatomic.h>

#include "backup/doc_id.h"
#include "base/unchanged.h"

typedef struct mig_send {
  mig_work *w;
  const char *collection;
  int64_t written, removed;
  bool literal_first;    /* the way that worked last */
  atomic_bool no_bypass; /* this user may not write past a validator (readWrite alone does not allow it) */
  mig_unchanged how;     /* of guarded writes; whoever guards asks for it */
} mig_send;

bool mig_send_is_special(const bson_t *doc);
/* With its _id and the guard into one command; live: for the guard, NULL: none. */
bool mig_send_fits_update(const mig_send *s, const bson_t *doc, const bson_t *live);

bool mig_send_fits_remove(const mig_send *s, const bson_t *live); /* guarded */

/* By their _ids. guarded: docs are the live documents. */
bool mig_send_removes(mig_send *s, bson_t *const *docs, size_t count, bool guarded, mig_error *err);
/* lives: the live documents, for the guard; NULL: unguarded. */
bool mig_send_replacements(mig_send *s, bson_t *const *docs, bson_t *const *lives, size_t count, mig_error *err);
bool mig_send_inserts(mig_send *s, bson_t *const *docs, size_t count, mig_error *err);
/* One command past validators, on any connection and from any thread; no_bypass is theirs together: once the server has
 * refused that, it is sent without, and a validator that is in the way says so. No checkpoint. */
bool mig_send_batch(mig_db *db, const mig_insert *batch, atomic_bool *no_bypass, mig_error *err);
/* One document after a refusal: fine if it is there already, byte for byte. */
bool mig_send_insert_again(mig_send *s, bson_t *doc, mig_error *err);
/* One special document; its _id must be free. */
bool mig_send_special(mig_send *s, bson_t *doc, mig_error *err);

#endif
