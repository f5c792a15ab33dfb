/*
 * differences.h - differences of one part of a collection, kept in memory from the look that found them to the write
 *
 *     differences_add* --> pack --> tell*: a mig_difference_fn gets them again, in the same order --> mig_buf_free
 *
 * Kept are copies, one after another in one buffer: what, then the archive's document, then the live one, as there are;
 * then one zstd frame of it (a live document is much like the archive's, so that little of it remains).
 * Bounded: the buffer's maximum before pack(), at most MIG_DIFFERENCES_BYTES; *fits false when one does not fit any
 * more, and then nothing of it was added. tell() needs that much for the time of its call. Trust: what was added came
 * through the comparison; tell() checks lengths all the same.
 */
#ifndef MIG_BACKUP_DIFFERENCES_H
#define MIG_BACKUP_DIFFERENCES_H

#include "backup/compare.h"
#include "base/mem.h"

#define MIG_DIFFERENCES_BYTES (2u << 20)

bool mig_differences_add(mig_buf *kept, mig_difference what, const bson_t *archive, const bson_t *live, bool *fits,
                         mig_error *err);
bool mig_differences_pack(mig_buf *kept, mig_error *err); /* none, then none it stays */
bool mig_differences_tell(const mig_buf *kept, mig_difference_fn found, void *arg, mig_error *err);

#endif
