/*
 * restore_journal.h - the journal of a restore by hand: what `mig recover` goes on with after a crash
 *
 *     write --> (the restore) --> remove            read --> options --> clear
 *
 * One document in migrationlocks, {_id: "mig.restore"}, which never runs out; it is majority-acknowledged before the
 * restore's first write. Trust: read with care, one that makes no sense is an error naming it.
 */
#ifndef MIG_RUN_RESTORE_JOURNAL_H
#define MIG_RUN_RESTORE_JOURNAL_H

#include "run/emergency.h"

typedef struct mig_restore_journal {
  bson_t doc; /* owns the texts */
  const char *path, *sha256;
  mig_emergency_options options; /* of the restore; what `as` names may be there by now, so replace is set */
} mig_restore_journal;

bool mig_restore_journal_write(mig_engine *e, const char *path, const char *sha256, const mig_emergency_options *o,
                               mig_error *err);
bool mig_restore_journal_remove(mig_engine *e, mig_error *err);
/* out is to be cleared in any case. */
bool mig_restore_journal_read(mig_db *db, mig_restore_journal *out, bool *found, mig_error *err);
void mig_restore_journal_clear(mig_restore_journal *j);

#endif
