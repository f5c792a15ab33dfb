/*
 * restore_load.h - a new, empty collection gets all documents of the archive, by several connections at once
 *
 * Only for a collection that nobody else knows of (a stage), and where the sequence of inserts means nothing (not
 * capped). Documents that need care (mig_send_is_special) are left to *later, in order.
 * The caller's checkpoint runs before each batch is handed over; a few batches that were handed over may still be on
 * their way when it fails, and load() waits for them.
 * Errors: *refused true: the server did not take a batch; the collection may hold anything now, and what it takes has
 * to be found out document by document (mig_writer) in a new one. Otherwise as the server or the archive says.
 */
#ifndef MIG_BACKUP_RESTORE_LOAD_H
#define MIG_BACKUP_RESTORE_LOAD_H

#include "backup/archive_read.h"
#include "backup/restore_parts.h"

typedef struct mig_load {
  mig_work *w;
  const char *collection, *what; /* what: for progress */
  uint64_t total;
  unsigned jobs; /* connections; 0: see mig_jobs */
  mig_writer *later;
} mig_load;

bool mig_load_run(const mig_load *load, mig_archive_cursor *documents, int64_t *written, bool *refused, mig_error *err);

#endif
