/*
 * archive_internal.h - the open archive, shared by opening, verifying and reading; not for others
 */
#ifndef MIG_BACKUP_ARCHIVE_INTERNAL_H
#define MIG_BACKUP_ARCHIVE_INTERNAL_H

#include "backup/archive_read.h"
#include "backup/blob.h"

struct mig_archive {
  mig_blob *file;
  const char *path; /* the file's */
  uint64_t bytes;   /* of the file when it was opened */
  uint64_t manifest_offset, manifest_bytes;
  mig_manifest *manifest;
  mig_crypt *crypt; /* NULL: not encrypted, or not unlocked */
  unsigned jobs;    /* threads that verify */
  bool members_checked;
  bool key_set; /* a key is there: an archive in the clear is told of */
  bool verified;
  mig_blob_state verified_as;       /* the file when that verification began */
  char file_sha256[MIG_SHA256_HEX]; /* known once verified */
};

/* That the members are exactly the manifest's, in order, at its offsets. Once is enough. */
bool mig_archive_check_members(mig_archive *a, mig_error *err);

/* For the archive that this process has just written, opened anew: whether the file's bytes are those that were
 * written. What is in its chunks was looked at as they were packed. *sha256 and *bytes: of the file. */
bool mig_archive_read_back(mig_archive *a, char sha256[static MIG_SHA256_HEX], uint64_t *bytes, mig_error *err);

/* Whether the manifest's HMAC is that of this key. */
bool mig_archive_authentic(const mig_archive *a, const mig_crypt *crypt, mig_error *err);

#define MIG_ARCHIVE_READ_BYTES (16u << 20) /* of raw chunks that are read ahead */

#endif
