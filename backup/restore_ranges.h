/*
 * restore_ranges.h - where a collection differs from the archive, chunk by chunk, on several connections
 *
 *     mig_segments_look --> item->segments --> for each run of segments: mig_segments_range, compare or write
 *
 * A segment is a chunk of the archive and the live documents from its first _id up to the next chunk's first; the first
 * and the last segment are open, so that every live document is in one. Looking tells which segments differ and keeps
 * what differs in them (restore_segment.h), 8 MiB for all collections together: what is kept is told, and later
 * written, without another look at the documents. Where there is no room, the documents are compared again on the
 * caller's thread. Either way differences are told and written in the order of the chunks.
 * Nothing is told before the last chunk was looked at: the order may prove wrong there.
 * Trust: an archive's order is a claim. Chunks must ascend in an order that we know without asking (doc_id.h), and
 * where something differs the chunk's documents, too. Else there are no segments (NULL), and nothing was said.
 */
#ifndef MIG_BACKUP_RESTORE_RANGES_H
#define MIG_BACKUP_RESTORE_RANGES_H

#include "backup/restore_parts.h"

/* collection: the item's, whose live_info and live_indexes have been read. what: for progress. */
bool mig_segments_look(mig_restore *r, mig_restore_item *item, const char *collection, const char *what,
                       mig_error *err);
void mig_segments_forget(mig_restore_item *item);
/* The next segments from *from on that are to be treated alike, together: *from up to *to. False: no more. */
bool mig_segments_next(const mig_restore_item *item, size_t *from, size_t *to);
mig_range mig_segments_range(const mig_collection_entry *entry, size_t from, size_t to);

#endif
