/*
 * snapshot_plan.h - what a snapshot will hold, found out before anything is written; not for other layers
 *
 *     make --> (documents are read) --> unchanged --> free
 *
 * listCollections and listIndexes are part of no transaction and of no snapshot read: so the metadata is read before
 * the documents and once more behind them, and must be the same, byte for byte.
 */
#ifndef MIG_BACKUP_SNAPSHOT_PLAN_H
#define MIG_BACKUP_SNAPSHOT_PLAN_H

#include "backup/snapshot.h"

typedef struct mig_snapshot_item {
  char *name;
  mig_holds holds;              /* what will be taken: a view has metadata only, a missing collection is absent */
  bson_t *info, *indexes;       /* NULL when absent */
  int64_t documents, raw_bytes; /* estimates */
} mig_snapshot_item;

typedef struct mig_snapshot_plan {
  mig_snapshot_item *items;
  size_t count;
  size_t with_documents;
  bool whole_database;
  bool stored_left;             /* of the whole database: functions are stored in it (MIG_STORED), and left out */
  int64_t documents, raw_bytes; /* estimates */
} mig_snapshot_plan;

/* The whole database, or what is wanted: which may be nothing. */
bool mig_snapshot_plan_make(mig_work *w, bool whole_database, const mig_snapshot_want *wants, size_t count,
                            mig_snapshot_plan *out, mig_error *err);
bool mig_snapshot_plan_unchanged(mig_work *w, const mig_snapshot_plan *plan, mig_error *err);
void mig_snapshot_plan_clear(mig_snapshot_plan *plan);
/* A collection that a snapshot of the whole database does not take. */
bool mig_snapshot_leaves_out(const char *name);
/* Does the database store functions? A server that does not tell this user has none as far as we know. */
bool mig_snapshot_stored(mig_work *w, bool *there, mig_error *err);

/* Reads a collection's documents into the open collection of the archive, and counts them against the server's count.
 * at_one_time: reads and counts see one state, so they must agree. */
bool mig_snapshot_documents(mig_work *w, const mig_snapshot_item *item, bool at_one_time, mig_archive_writer *archive,
                            mig_error *err);
/* Reads them once more, for the SHA-256 over all of them in the same order. */
bool mig_snapshot_read_again(mig_work *w, const mig_snapshot_item *item, char sha256[static MIG_SHA256_HEX],
                             mig_error *err);

#endif
