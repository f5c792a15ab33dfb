/*
 * blob.h - a file of a store, to be read at any place; whether it lies in a folder or elsewhere is not the reader's
 * business
 *
 *     open --> bytes, read* (look: is it still the same?) --> close
 *
 * path is what mig_store_list and mig_store_find give, or any path of a regular file (links are not followed). It is
 * held: renaming or removing a file of a folder meanwhile does no harm; anything else that happens to the bytes is seen
 * by look(), or is an error of read().
 * Errors: MIG_E_STORE when it cannot be opened or read, MIG_E_ARCHIVE (with path and member) when it ends too early.
 * Threads: any number may read one blob at the same time.
 */
#ifndef MIG_BACKUP_BLOB_H
#define MIG_BACKUP_BLOB_H

#include "base/mem.h"

typedef struct mig_blob mig_blob;

typedef struct mig_blob_state {
  uint64_t bytes;
  char version[200]; /* another text when the bytes may be others; not to be shown */
} mig_blob_state;

bool mig_blob_open(const char *path, mig_blob **out, mig_error *err);
void mig_blob_close(mig_blob *b);
const char *mig_blob_path(const mig_blob *b);
uint64_t mig_blob_bytes(const mig_blob *b); /* when it was opened */
bool mig_blob_is_far(const mig_blob *b);    /* each read is a round trip: few large ones are better */
/* Exactly `size` bytes at `offset`; member is named in errors. */
bool mig_blob_read(const mig_blob *b, const char *member, uint64_t offset, void *data, size_t size, mig_error *err);
bool mig_blob_look(const mig_blob *b, mig_blob_state *now, mig_error *err); /* the state it has now */

/* A small file beside a snapshot (its signature): written whole and durable, or not at all; an older one is replaced.
 */
bool mig_blob_put(const char *path, const void *data, size_t size, mig_error *err);
/* *there is false when there is none. out gets a maximum, and is freed by the caller. */
bool mig_blob_get(const char *path, size_t max_bytes, bool *there, mig_buf *out, mig_error *err);

/* The reading of a plain open file, with the same errors. */
bool mig_read_at(int fd, const char *path, const char *member, uint64_t offset, void *data, size_t size,
                 mig_error *err);

#endif
