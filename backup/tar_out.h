/*
 * tar_out.h - a new tar file, written as a stream into a sink and summed as it goes
 *
 *     open --> member* --> close --> free
 *
 * member() tells the offset of the content in the file. close() writes the two zero blocks and gives the SHA-256 of
 * all bytes.   Errors: the sink's.   Ownership: the sink stays the caller's, and outlives this.
 */
#ifndef MIG_BACKUP_TAR_OUT_H
#define MIG_BACKUP_TAR_OUT_H

#include "backup/sink.h"
#include "base/hash.h"

typedef struct mig_tar_out mig_tar_out;

bool mig_tar_out_open(mig_sink *sink, int64_t created_unix_ms, mig_tar_out **out, mig_error *err);
bool mig_tar_out_member(mig_tar_out *t, const char *name, const void *data, size_t size, uint64_t *offset,
                        mig_error *err);
bool mig_tar_out_close(mig_tar_out *t, char sha256[static MIG_SHA256_HEX], mig_error *err);
void mig_tar_out_free(mig_tar_out *t);

#endif
