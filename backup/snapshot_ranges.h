/*
 * snapshot_ranges.h - a collection read by several connections, given in _id order; not for other layers
 *
 * Only inside a snapshot read (mig_db_snapshot_begin): at one cluster time several cursors see what one would see.
 * Otherwise one cursor is better: what it reads later it has also seen later.
 * *done false: not a collection for that (small, capped, large documents ...), nothing was given.
 * Memory: at most MIG_RANGES_BYTES of documents, and a batch for each connection.
 * Threads: document() is called on the caller's.
 */
#ifndef MIG_BACKUP_SNAPSHOT_RANGES_H
#define MIG_BACKUP_SNAPSHOT_RANGES_H

#include "backup/range.h"
#include "backup/snapshot_plan.h"

#define MIG_RANGES_BYTES (16u << 20)

typedef bool (*mig_snapshot_document)(void *arg, const uint8_t *bson, size_t size, mig_error *err);
bool mig_snapshot_ranges(mig_work *w, const mig_snapshot_item *item, mig_snapshot_document document, void *arg,
                         bool *done, mig_error *err);

#endif
