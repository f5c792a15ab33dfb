/*
 * sink.h - a new file of a store: written as a stream, made durable, read back, and only then given its name
 *
 *     mig_store_create --> write* --> patch* --> settle --> [read back: mig_blob_open(mig_sink_path)] --> publish -->
 * free
 *
 * settle() makes all of it durable and readable. publish() gives it its final name, never over another; free() without
 * it leaves nothing with a final name behind. A killed writer leaves at most what mig_store_sweep removes.
 * Errors: MIG_E_STORE with the path; after one only free() may follow.   Threads: one at a time.
 */
#ifndef MIG_BACKUP_SINK_H
#define MIG_BACKUP_SINK_H

#include "base/mem.h"

typedef struct mig_sink mig_sink;

#define MIG_SINK_PATCH_BYTES (64u << 10)

bool mig_sink_write(mig_sink *s, const void *data, size_t size, mig_error *err);
/* Overwrites bytes among the last MIG_SINK_PATCH_BYTES that were written. */
bool mig_sink_patch(mig_sink *s, uint64_t offset, const void *data, size_t size, mig_error *err);
bool mig_sink_settle(mig_sink *s, mig_error *err);
const char *mig_sink_path(const mig_sink *s); /* where it can be read once settled; borrowed */
/* Under the id it was made with; or under `id` (may be NULL), where the store can still give it another. *path (free
 * with mig_free) tells the name it has got. */
bool mig_sink_publish(mig_sink *s, const char *id, char **path, mig_error *err);
void mig_sink_free(mig_sink *s);

#endif
