/*
 * tar_walk.h - walks the members of an archive file, strictly
 *
 * Allowed: regular files of mode 0600 with a ustar header, before it at most one pax header (for a long name); each
 * member begins where the one before ended; two zero blocks end the file and nothing follows. Everything else (links,
 * sparse files, other types, gaps, something behind the end) is MIG_E_ARCHIVE. Content is not read.
 * Trust: none; libarchive parses, and what it is lenient about is looked at again here.
 */
#ifndef MIG_BACKUP_TAR_WALK_H
#define MIG_BACKUP_TAR_WALK_H

#include "backup/blob.h"

/* offset: of the content in the file. name is borrowed for the call. */
typedef bool (*mig_tar_member_fn)(void *arg, const char *name, uint64_t offset, uint64_t bytes, mig_error *err);

bool mig_tar_walk(const mig_blob *file, mig_tar_member_fn fn, void *arg, mig_error *err);
/* The place of the last member, if that is a plain file of this name and of at most so many bytes; offset is 0 if not.
 * Only the end of the file is read; whether the rest is as it should be, the walk tells. */
bool mig_tar_last(const mig_blob *file, const char *name, uint64_t most_bytes, uint64_t *offset, uint64_t *bytes,
                  mig_error *err);

#endif
