/*
 * diff.h - how a snapshot differs from the live database, or from another snapshot; read only
 *
 *     open archive (and a second one) --> mig_diff_run --> report: one row for each collection
 *
 * The same machinery as a restore's first look (restore.h). Seen from the first snapshot: missing is what stands in it
 * and not on the other side; extra is what stands only on the other side. Collections that only the other side has are
 * compared when the first snapshot is of the whole database. What one side does not hold (a snapshot of a part of the
 * database, or of metadata only) is not compared, and said to the observer.
 * Both archives are verified whole before anything is told.
 * Errors: MIG_E_USAGE for a selection the snapshot does not hold; MIG_E_UNSUPPORTED when two snapshots differ so much,
 * in _ids of types without a known order, that bounded memory does not do.
 */
#ifndef MIG_BACKUP_DIFF_H
#define MIG_BACKUP_DIFF_H

#include "backup/restore.h"

typedef struct mig_diff_options {
  mig_archive *against;    /* NULL: the live database of the work */
  const char *const *only; /* NULL-terminated; NULL: all */
  const mig_diff_listener *listener;
} mig_diff_options;

/* report->identical: nothing differs. Against an archive the work needs no connection. */
bool mig_diff_run(mig_work *w, mig_archive *archive, const mig_diff_options *options, mig_restore_report *report,
                  mig_error *err);
/* Collections of the live database that a snapshot of a whole one does not hold: a restore leaves them as they are. The
 * names and their list are the caller's, also after an error. */
bool mig_diff_beyond(mig_work *w, const mig_archive *archive, char ***names, size_t *count, mig_error *err);
bool mig_diff_row_differs(const mig_restore_collection *row);

#endif
