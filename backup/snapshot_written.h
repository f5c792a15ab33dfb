/*
 * snapshot_written.h - which collections were written to while they were read one after another
 *
 *     mig_written_watch --> (all documents are read) --> mig_written_tell: entry.written of each --> mig_written_free
 *
 * A server that counts what is written to a collection (WiredTiger's cursors, in collStats) is asked before the first
 * is read and after the last. On others every collection is read once more, after the last: what has the same bytes
 * then was not changed in between, and so all that is the same was like that at one moment. Not seen is what is changed
 * and changed back, and, by the counts, what a transaction wrote before and committed in between.
 * Memory: a number a collection.   Errors: what the server said, with the namespace.
 */
#ifndef MIG_BACKUP_SNAPSHOT_WRITTEN_H
#define MIG_BACKUP_SNAPSHOT_WRITTEN_H

#include "backup/snapshot_plan.h"

typedef struct mig_written_marks mig_written_marks;

bool mig_written_watch(mig_work *w, const mig_snapshot_plan *plan, mig_written_marks **out, mig_error *err);
/* Says each that was written to, as a warning. The manifest's entries are those of the plan, one for each and in its
 * order, with their sums. */
bool mig_written_tell(mig_work *w, const mig_written_marks *watched, mig_manifest *m, mig_error *err);
void mig_written_free(mig_written_marks *watched);

#endif
