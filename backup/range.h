/*
 * range.h - a part of a collection in _id order, and the connections that read several parts at once
 *
 *     if (mig_range_works(db, caps, collection, info, indexes)) open --> next* --> close
 *     mig_connections_open(&c, w->db, jobs, err) --> c.each[worker] ... --> close
 *
 * A range begins with `min` and ends before `max`, as {"_id": value}; NULL: the collection's end. The server orders, by
 * its index on _id: all types in one order. So ranges from one bound to the next hold every document once.
 */
#ifndef MIG_BACKUP_RANGE_H
#define MIG_BACKUP_RANGE_H

#include "backup/pipeline.h"
#include "base/work.h"

typedef struct mig_range {
  const bson_t *min, *max;
} mig_range;

/* The server does ranges (what caps does not know yet is tried on the collection, by reading), and this collection (its
 * listCollections entry and its index specs) is in plain _id order: not capped, with the index _id_, without a
 * collation. */
bool mig_range_works(mig_db *db, const mig_caps *caps, const char *collection, const bson_t *info,
                     const bson_t *indexes);
bool mig_range_has_id_index(const bson_t *indexes);

typedef struct mig_range_reader {
  mig_db *db;
  const char *collection; /* borrowed, as are the bounds */
  mig_range range;
  mig_cursor *cursor;
  bool last; /* a range without `max` ends with MaxKey, which servers leave out: it is asked for by itself */
} mig_range_reader;
/* documents, raw_bytes: of the collection, for the size of batches; may be estimates, 0 where nothing is known. */
bool mig_range_open(mig_range_reader *r, mig_db *db, const char *collection, const mig_range *range, int64_t documents,
                    int64_t raw_bytes, mig_error *err);
mig_next mig_range_next(mig_range_reader *r, const bson_t **doc, mig_error *err); /* as mig_cursor_next */
void mig_range_close(mig_range_reader *r);                                        /* zeros are fine */

typedef struct mig_connections {
  mig_db *each[MIG_JOBS_MAX];
  unsigned count; /* at least one, at most mig_jobs(jobs): a server may allow only so many */
} mig_connections;
bool mig_connections_open(mig_connections *c, const mig_db *like, unsigned jobs, mig_error *err);
void mig_connections_close(mig_connections *c); /* zeros are fine */

#endif
