/*
 * range.h - a part of a collection in _id order, and the connections that read several parts at once
 *
 *     if (mig_range_works(caps, info, indexes)) { mig_range_append(&find, &range); ... }
 *     mig_connections_open(&c, w->db, jobs, err) --> c.each[worker] ... --> close
 *
 * A range begins with `min` and ends before `max`, as {"_id": value}; NULL: the collection's end. The server orders, by
 * its index on _id: all types in one order. So ranges from one bound to the next hold every document once.
 */
#ifndef MIG_BACKUP_RANGE_H
#define MIG_BACKUP_RANGE_H

#include "backup/pipeline.h"
#include "base/caps.h"

typedef struct mig_range {
  const bson_t *min, *max;
} mig_range;

/* The server does ranges, and this collection (its listCollections entry and its index specs) is in plain _id order:
 * not capped, with the index _id_, without a collation. */
bool mig_range_works(const mig_caps *caps, const bson_t *info, const bson_t *indexes);
bool mig_range_has_id_index(const bson_t *indexes);
/* Sort, hint, and the bounds that there are. */
void mig_range_append(bson_t *find, const mig_range *range);

typedef struct mig_connections {
  mig_db *each[MIG_JOBS_MAX];
  unsigned count; /* at least one, at most mig_jobs(jobs): a server may allow only so many */
} mig_connections;
bool mig_connections_open(mig_connections *c, const mig_db *like, unsigned jobs, mig_error *err);
void mig_connections_close(mig_connections *c); /* zeros are fine */

#endif
