/*
 * tar_out.h - a new tar file, written as a stream and summed as it goes
 *
 *     open --> member* --> close --> patch --> sync --> free
 *
 * The file is made anew (never opened over another, never through a link) with mode 0600.
 * member() tells the offset of the content in the file. close() writes the two zero blocks and gives the SHA-256 of
 * all bytes; patch() may then overwrite bytes in place (the manifest's own sum: see docs/snapshot-format.md).
 * Errors: MIG_E_STORE with path and cause; the file stays, removing it is the caller's part.
 */
#ifndef MIG_BACKUP_TAR_OUT_H
#define MIG_BACKUP_TAR_OUT_H

#include "base/hash.h"
#include "base/mem.h"

typedef struct mig_tar_out mig_tar_out;

bool mig_tar_out_open(const char *path, int64_t created_unix_ms, mig_tar_out **out, mig_error *err);
bool mig_tar_out_member(mig_tar_out *t, const char *name, const void *data, size_t size, uint64_t *offset,
                        mig_error *err);
bool mig_tar_out_close(mig_tar_out *t, char sha256[static MIG_SHA256_HEX], mig_error *err);
bool mig_tar_out_patch(mig_tar_out *t, uint64_t offset, const void *data, size_t size, mig_error *err);
/* Synced, and dropped from the page cache as far as the system does that: what is read next comes from the disk. */
bool mig_tar_out_sync(mig_tar_out *t, mig_error *err);
/* Whether `path` names this very file. */
bool mig_tar_out_is(const mig_tar_out *t, const char *path);
void mig_tar_out_free(mig_tar_out *t);

#endif
