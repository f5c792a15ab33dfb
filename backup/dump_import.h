/*
 * dump_import.h - what mongodump wrote becomes a snapshot in the store
 *
 *     mig_dump_import(w, store, &options, &info, err)
 *
 * A folder (of a dump, or of one database in it), an archive, or "-" for an archive on standard input; also with
 * --gzip. Documents keep their bytes. They are put into _id order, as a snapshot has them (doc_order.h), by two passes
 * over the dump and bounded memory. The snapshot counts as one of a part of the database (a dump does not say whether
 * it is whole), read each collection for itself. The promise of archive_write.h holds. Needs no connection. Trust: the
 * dump is untrusted. Errors: those of dump_read.h and archive_write.h.
 */
#ifndef MIG_BACKUP_DUMP_IMPORT_H
#define MIG_BACKUP_DUMP_IMPORT_H

#include "backup/snapshot.h"

typedef struct mig_dump_import_options {
  const char *path;
  const char *database;    /* which one of the dump; NULL: the only one */
  bool insists;            /* on that one, also where there is only another */
  const char *const *only; /* collections; NULL: all */
} mig_dump_import_options;

bool mig_dump_import(mig_work *w, mig_store *store, const mig_dump_import_options *options, mig_snapshot_info *out,
                     mig_error *err);

#endif
