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
  int64_t fence;                 /* of its writer, or of who took it over */
  mig_emergency_options options; /* of the restore; what `as` names may be there by now, so replace is set */
} mig_restore_journal;

/* instead: the one that was read, whose place it takes; NULL: none waited. MIG_E_LEASE: a later runner has one. */
bool mig_restore_journal_write(mig_engine *e, const char *path, const char *sha256, const mig_manifest *m,
                               const mig_emergency_options *o, const mig_restore_journal *instead, mig_error *err);
/* Only ours or an older one. */
bool mig_restore_journal_remove(mig_engine *e, mig_error *err);
/* Appends to the array `list` who has written for it: see mig_db_writer. */
bool mig_restore_journal_writers(mig_db *db, bson_t *list, mig_error *err);
/* From now on it is ours: no runner that lost its lease removes it. *there: there is one. */
bool mig_restore_journal_take_over(mig_engine *e, bool *there, mig_error *err);
/* As mig_ledger_write_as. */
bool mig_restore_journal_write_as(mig_engine *e, mig_error *err);
/* May this restore take its place: does it bring back all that the interrupted one may have left in between? Else
 * MIG_E_UNFINISHED. */
bool mig_restore_journal_yields(const mig_restore_journal *j, const mig_manifest *m, const mig_emergency_options *o,
                                mig_error *err);
/* out is to be cleared in any case. */
bool mig_restore_journal_read(mig_db *db, mig_restore_journal *out, bool *found, mig_error *err);
void mig_restore_journal_clear(mig_restore_journal *j);

#endif
