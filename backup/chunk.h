/*
 * chunk.h - one chunk: whole documents in one zstd frame
 *
 *     packing:   mig_packer_new --> mig_chunk_pack* --> free
 *     reading:   mig_chunk_reader_new --> mig_chunk_load --> { reader->raw: documents one after another } --> free
 *
 * pack() unpacks what it has packed and compares. After load() everything the manifest says of the chunk has been
 * checked: both hashes, sizes, that it is exactly one frame, the number of documents, the structure of each, the first
 * and the last _id. Memory: the chunk, raw and stored; the buffers and zstd's context serve all chunks of an archive.
 * Threads: a packer and a reader belong to one thread at a time.
 */
#ifndef MIG_BACKUP_CHUNK_H
#define MIG_BACKUP_CHUNK_H

#include "backup/blob.h"
#include "backup/manifest.h"

typedef struct mig_packer mig_packer;

/* A chunk on its way into an archive. */
typedef struct mig_packed {
  mig_buf raw;    /* the caller fills these: whole documents, */
  size_t last_at; /* where the last of them begins, */
  uint64_t documents;
  mig_chunk info; /* the member's name in it; */
  mig_buf stored; /* and pack() these: the frame (encrypted: sealed), and all else the manifest says but its offset */
} mig_packed;

void mig_packed_start(mig_packed *c); /* empty again; large buffers are let go, others kept */
void mig_packed_free(mig_packed *c);  /* what it owns */

/* crypt is borrowed; NULL: frames stay in the clear. */
bool mig_packer_new(int level, const mig_crypt *crypt, mig_packer **out, mig_error *err);
bool mig_chunk_pack(mig_packer *p, mig_packed *c, mig_error *err);
void mig_packer_free(mig_packer *p);

/* Chunks are 4 MiB, their frames may be a little more; a buffer that grew past this for a large document is not kept.
 */
#define MIG_CHUNK_KEEP_BYTES (10u << 20)
void mig_chunk_buf_rest(mig_buf *b);

typedef struct mig_chunk_reader {
  mig_buf stored, raw;
  size_t last_at; /* in raw: where the last document begins; only where every document was looked at */
  /* The chunk with this SHA-256 was loaded before, all checks passed: the same stored bytes unpack to the same
   * documents, so that only they are summed again. */
  bool loaded_before;
  const mig_crypt *crypt; /* borrowed; NULL: chunks are in the clear. Set by whoever made the reader */
  struct ZSTD_DCtx_s *zstd;
  mig_hash *hash;
} mig_chunk_reader;

bool mig_chunk_reader_new(mig_chunk_reader **out, mig_error *err);
bool mig_chunk_load(mig_chunk_reader *r, const mig_blob *file, const mig_chunk *k, mig_error *err);
void mig_chunk_reader_rest(mig_chunk_reader *r); /* forgets the chunk; lets large buffers go */
void mig_chunk_reader_free(mig_chunk_reader *r);

/* The document at *at; moves *at behind it. False at the end, or where the bytes are no document (*bad). */
bool mig_chunk_next(const uint8_t *raw, size_t size, size_t *at, const uint8_t **doc, size_t *doc_bytes, bool *bad);

/* {"_id": ...} of the first and the last document of a chunk, which begins at last_at; both for bson_destroy. */
bool mig_chunk_ids(const mig_buf *raw, size_t last_at, bson_t **first, bson_t **last, mig_error *err);

/* `size` bytes of the file at `offset` into a buffer, which is emptied first. */
bool mig_read_member(const mig_blob *file, const char *member, uint64_t offset, uint64_t size, mig_buf *out,
                     mig_error *err);

#endif
