/*
 * archive_write.h - writes a snapshot archive, format 1, as a stream
 *
 *     begin --> { collection --> document* --> collection_end }* --> finish --> free
 *
 * The promise: once finish() returns true the archive is durable, was read back and hashed, and has its final name
 * (sink.h), and its signature beside it, where the store has a key for that (sign.h). Anything else leaves nothing with
 * a final name behind; free() removes what was written. Killed in between, it leaves a whole archive without signature.
 * Errors: MIG_E_STORE when writing fails (path, cause); after an error only free() may follow.
 * Ownership: begin() takes the manifest over, also when it fails. info and indexes are copied.
 * Memory: jobs + 2 chunks, raw and compressed, at most MIG_ARCHIVE_MEMORY of raw bytes unless one document is larger.
 * Threads: one writer, one caller. Inside, up to `jobs` threads pack and one writes, in order: an error may so show
 * up with a later document or at collection_end().
 * Trust: documents are checked for structure (lengths, depth), not for UTF-8; their bytes are never changed.
 */
#ifndef MIG_BACKUP_ARCHIVE_WRITE_H
#define MIG_BACKUP_ARCHIVE_WRITE_H

#include "backup/manifest.h"
#include "backup/store.h"

#define MIG_ARCHIVE_MEMORY (12u << 20)

typedef struct mig_archive_writer mig_archive_writer;

typedef struct mig_archive_options {
  uint32_t chunk_bytes; /* 0: 4 MiB raw; at most MIG_CHUNK_MAX_BYTES */
  int level;            /* zstd; 0: 3 */
  unsigned jobs;        /* threads that compress; 0: see mig_jobs (pipeline.h) */
  bool sign_later;      /* finish() leaves the signature to mig_archive_sign() */
} mig_archive_options;

/* manifest: its id, tool, reason, database, created_unix_ms, migration and direction are written into the header, so
 * they must be set (id by mig_store_new_id; the texts as mig_alloc'ed strings); the rest may be set until finish(). */
bool mig_archive_begin(mig_store *store, mig_manifest *manifest, const mig_archive_options *options,
                       mig_archive_writer **out, mig_error *err);
/* info and indexes are copied; info NULL for an absent collection. Collections are in any order, each once. */
bool mig_archive_collection(mig_archive_writer *w, const char *name, mig_holds holds, const bson_t *info,
                            const bson_t *indexes, mig_error *err);
bool mig_archive_document(mig_archive_writer *w, const uint8_t *bson, size_t size, mig_error *err);
bool mig_archive_collection_end(mig_archive_writer *w, mig_error *err);
/* path (free with mig_free), sha256 of the whole file and its length. */
bool mig_archive_finish(mig_archive_writer *w, char **path, char sha256[static MIG_SHA256_HEX], uint64_t *bytes,
                        mig_error *err);
/* Of the finished archive at `path`, with the store's key; nothing where it has none. finish() does it by itself. */
bool mig_archive_sign(const mig_archive_writer *w, const char *path, mig_error *err);
mig_manifest *mig_archive_manifest(mig_archive_writer *w); /* borrowed; to set consistency before finish */
void mig_archive_writer_free(mig_archive_writer *w);

#endif
