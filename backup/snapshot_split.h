/*
 * snapshot_split.h - where to cut a collection, so that several connections can read it; not for other layers
 *
 *     mig_split_make(db, item, piece_bytes, &split, err) --> split.bounds --> clear
 *
 * Bounds are _ids of a random sample of the collection, ascending as the server sorts, none twice. Any are right: which
 * documents lie between two of them is decided when they are read. None (count 0): it is not worth while.
 */
#ifndef MIG_BACKUP_SNAPSHOT_SPLIT_H
#define MIG_BACKUP_SNAPSHOT_SPLIT_H

#include "backup/snapshot_plan.h"

typedef struct mig_split {
  bson_t **bounds; /* {"_id": value} */
  size_t count, capacity;
} mig_split;

bool mig_split_make(mig_db *db, const mig_snapshot_item *item, int64_t piece_bytes, mig_split *out, mig_error *err);
void mig_split_clear(mig_split *s);

#endif
