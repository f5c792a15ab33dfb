/*
 * archive_internal.h - the open archive, shared by opening, verifying and reading; not for others
 */
#ifndef MIG_BACKUP_ARCHIVE_INTERNAL_H
#define MIG_BACKUP_ARCHIVE_INTERNAL_H

#include <sys/stat.h>

#include "backup/archive_read.h"

struct mig_archive {
  char *path;
  int fd;
  uint64_t bytes; /* of the file when it was opened */
  uint64_t manifest_offset, manifest_bytes;
  mig_manifest *manifest;
  bool verified;
  struct stat verified_as;          /* the file when that verification began */
  char file_sha256[MIG_SHA256_HEX]; /* known once verified */
};

/* verify() for the archive that this process has just written: all sums, but what is in the chunks is not looked at
 * again, for it was when these very bytes were written. */
bool mig_archive_read_back(mig_archive *a, mig_error *err);

#define MIG_ARCHIVE_READ_BYTES (16u << 20) /* of raw chunks that are read ahead */

#endif
