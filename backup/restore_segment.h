/*
 * restore_segment.h - one chunk of the archive and the live documents of its range: the same or not, and how
 *
 *     mig_segment_reader_new --> mig_segment_read* --> free          one reader, one thread
 *
 * The live documents are the chunk's when their number, their bytes and the SHA-256 over them are what the (verified)
 * manifest says of it: then the archive is not read at all. Else both are merged by _id, and what differs is kept with
 * the segment in that order, up to MIG_DIFFERENCES_BYTES. Where live _ids are of types whose order we do not know, or
 * it is too much to be kept, the segment is said to differ and no more: the caller compares it by streams (compare.h).
 * Memory: at most MIG_SEGMENT_LIVE_BYTES of live documents, however many there are; where something differs the chunk
 * and what is kept. Live documents that have no room are only hashed, and given up when they cannot be the chunk's.
 * Trust: an archive's order is a claim. *ordered false: something differs, and the chunk's documents do not ascend in
 * an order that we know; then a document may be missing here and extra in another segment.
 */
#ifndef MIG_BACKUP_RESTORE_SEGMENT_H
#define MIG_BACKUP_RESTORE_SEGMENT_H

#include "backup/restore_parts.h"

#define MIG_SEGMENT_LIVE_BYTES (6u << 20)

typedef struct mig_segment_reader mig_segment_reader;

typedef struct mig_segment_place {
  const mig_archive *archive;
  const mig_collection_entry *entry;
  size_t number;
  const char *collection;
} mig_segment_place;

bool mig_segment_reader_new(mig_segment_reader **out, mig_error *err);
void mig_segment_reader_free(mig_segment_reader *r);
/* w is the thread's own: its connection, its counts. out->differences is the caller's to free, also after an error. */
bool mig_segment_read(mig_segment_reader *r, mig_work *w, const mig_segment_place *place, mig_segment *out,
                      bool *ordered, mig_error *err);

#endif
