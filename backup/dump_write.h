/*
 * dump_write.h - a snapshot as a plain mongodump folder, for mongorestore, bsondump and everything else that reads
 * those
 *
 *     open archive --> mig_dump_write --> <folder>/<database>/<collection>.bson and .metadata.json
 *
 * The archive is verified whole first. The folder must be absent or empty; it appears under its name only when
 * everything in it is written and synced. Modes 0700 and 0600: it holds the data in the clear. An absent collection
 * leaves no file; one of which only the metadata is held (which it says), and a view, leaves metadata.json alone.
 * Errors: MIG_E_STORE with the path; MIG_E_USAGE for a folder that holds something. Memory: one chunk.
 */
#ifndef MIG_BACKUP_DUMP_WRITE_H
#define MIG_BACKUP_DUMP_WRITE_H

#include "backup/archive_read.h"
#include "base/work.h"

typedef struct mig_dump_written {
  uint64_t collections, documents, bytes;
} mig_dump_written;

/* only: NULL-terminated names; NULL: all. The work needs no connection. */
bool mig_dump_write(mig_work *w, mig_archive *archive, const char *const *only, const char *folder,
                    mig_dump_written *out, mig_error *err);

#endif
