/*
 * restore.h - puts the collections of a verified snapshot back, and proves it
 *
 *     open archive --> [verify] --> mig_restore_run --> report
 *
 * 1. Verify every hash before the first write (done here if it was not done before). 2. For each collection: bring it
 * back by `delta` (write only what differs) or `swap` (load into a staging collection, verify, rename over it).
 * 3. Read everything back and compare it with the archive, byte for byte, with indexes and options.
 * The promise: true means that step 3 found no difference. It can be killed anywhere and run again: it converges.
 * Nothing is overwritten unseen: before the first write, every live document that would be changed or removed is
 * saved to the `displaced` archive in the store, when one is asked for; what others write meanwhile goes into a further
 * one or stays. Such an archive has only some documents of a collection, so it is refused here (MIG_E_USAGE).
 * A displaced document is one that differs: indexes and options that go are told to the observer.
 * Staging collections are named migstage_<8 digits of the digest>_<n>; those a killed run left are dropped first. A
 * collection that is replaced or removed is renamed to migaside_<8 digits>_<n>, looked at once more, then dropped;
 * one that a killed restore left is saved before anything else.
 * Errors: report->began tells whether the target may be in between; then run it again. MIG_E_INTERRUPTED and
 * MIG_E_LEASE come from the checkpoint.
 */
#ifndef MIG_BACKUP_RESTORE_H
#define MIG_BACKUP_RESTORE_H

#include "backup/archive_read.h"
#include "backup/compare.h"
#include "backup/snapshot.h"

/* At most this many displaced archives: the first, and those of later rounds (others wrote meanwhile, or the server
 * stored something otherwise and it had to be written again). */
#define MIG_RESTORE_DISPLACED 4

typedef enum mig_strategy { MIG_STRATEGY_AUTO, MIG_STRATEGY_DELTA, MIG_STRATEGY_SWAP } mig_strategy;

/* Told of every difference of the first look, as it is found; false ends it. Each may be NULL. archive or live is NULL
 * where there is none. `live` is the database, or the second archive (diff.h). */
typedef struct mig_diff_listener {
  void *arg;
  bool (*document)(void *arg, const char *collection, mig_difference what, const bson_t *archive, const bson_t *live,
                   mig_error *err);
  bool (*index)(void *arg, const char *collection, const char *name, const bson_t *archive, const bson_t *live,
                mig_error *err);
  bool (*options)(void *arg, const char *collection, const bson_t *archive, const bson_t *live, mig_error *err);
} mig_diff_listener;

/* A collection of the snapshot that is put beside the original, under another name. */
typedef struct mig_restore_as {
  const char *from, *to; /* collection names */
} mig_restore_as;

typedef struct mig_restore_options {
  mig_strategy strategy;    /* AUTO: delta where the collection exists, else swap; swap when delta does not settle */
  const char *const *only;  /* collection names (mig_manifest_named), NULL-terminated; NULL: all */
  const mig_restore_as *as; /* just these, under their new names; then `only` is NULL */
  size_t as_count;
  bool beside;                /* `as` names are new: one that others have made meanwhile is an error, not overwritten */
  bool no_indexes;            /* leaves indexes as they are; a collection that is missing gets none but its own */
  bool dry_run;               /* compare and count only */
  mig_store *displaced_store; /* NULL: displaced documents are not kept */
  bool only_asides; /* just those that an earlier restore, which was killed, had taken away in order to keep them */
  const char *displaced_reason;
  const mig_diff_listener *listener; /* may be NULL */
} mig_restore_options;

typedef struct mig_restore_collection {
  char *name;                      /* in the snapshot */
  char *target;                    /* where it goes, if that is another name; else NULL */
  int64_t missing, changed, extra; /* documents found to differ */
  int64_t indexes_differing;       /* indexes created, dropped or rebuilt */
  bool options_differ;
  bool sequence_differs; /* of a capped collection: the same documents in another order */
  bool created, dropped; /* was missing / should not be there */
  char strategy[8];      /* "none", "delta" or "swap" */
} mig_restore_collection;

typedef struct mig_restore_report {
  mig_restore_collection *collections;
  size_t count;
  int64_t written, removed; /* documents */
  char *displaced_path;     /* archive of what was overwritten or removed; NULL if nothing was */
  char *displaced_id;
  int64_t displaced_documents;                 /* in all of them */
  char *more_displaced[MIG_RESTORE_DISPLACED]; /* paths of later ones; NULL where there is none */
  bool identical;                              /* nothing differed in the first place */
  bool began; /* something may have been written: what follows an error is a target in between */
} mig_restore_report;

/* What can be told without a server: an archive or a selection that cannot be restored. run() checks this, too; callers
 * that journal a restore check it before, so that a slip leaves nothing unfinished. */
bool mig_restore_check(const mig_archive *archive, const mig_restore_options *options, mig_error *err);
bool mig_restore_run(mig_work *w, mig_archive *archive, const mig_restore_options *options, mig_restore_report *out,
                     mig_error *err);
/* The error of `beside`. */
bool mig_restore_taken(const char *database, const char *collection, mig_error *err);
void mig_restore_report_clear(mig_restore_report *r);

/* For a step that drops a collection which the snapshot of its run holds: it is renamed, so that nobody writes to it
 * any more; then what it has and the snapshot has not is saved, and it is dropped. Killed in between, a restore of the
 * same snapshot does the second half. *gone false: the snapshot has not its documents, or the server does not rename
 * it; nothing was done. The report tells of the archive; clear it in any case. */
bool mig_aside_put(mig_work *w, mig_archive *archive, const char *collection, bool *gone, mig_error *err);
bool mig_aside_settle(mig_work *w, mig_archive *archive, const char *collection, mig_store *store, const char *reason,
                      mig_restore_report *out, mig_error *err);

#endif
