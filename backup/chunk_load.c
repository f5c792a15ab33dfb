#include <string.h>
#include <zstd.h>

#include "backup/chunk.h"
#include "backup/manifest_internal.h"

#define FRAME_HAS_CHECKSUM 4u /* bit 2 of the byte behind zstd's magic number */

bool mig_chunk_reader_new(mig_chunk_reader **out, mig_error *err) {
  *out = NULL;
  mig_chunk_reader *r = mig_alloc(sizeof *r);
  if (!r) return mig_no_memory(err, "chunk");
  r->stored = MIG_BUF(ZSTD_compressBound(MIG_DOCUMENT_MAX_BYTES) + MIG_SEAL_OVERHEAD);
  r->raw = MIG_BUF(MIG_DOCUMENT_MAX_BYTES);
  r->zstd = ZSTD_createDCtx();
  if (!r->zstd || !mig_hash_new(&r->hash, err)) {
    mig_chunk_reader_free(r);
    return mig_no_memory(err, "zstd");
  }
  *out = r;
  return true;
}

void mig_chunk_buf_rest(mig_buf *b) {
  mig_buf_clear(b);
  if (b->capacity > MIG_CHUNK_KEEP_BYTES) mig_buf_free(b);
}

void mig_chunk_reader_rest(mig_chunk_reader *r) {
  mig_chunk_buf_rest(&r->stored);
  mig_chunk_buf_rest(&r->raw);
}

void mig_chunk_reader_free(mig_chunk_reader *r) {
  if (!r) return;
  ZSTD_freeDCtx(r->zstd);
  mig_hash_free(r->hash);
  mig_buf_free(&r->stored);
  mig_buf_free(&r->raw);
  mig_free(r);
}

bool mig_read_member(const mig_blob *file, const char *member, uint64_t offset, uint64_t size, mig_buf *out,
                     mig_error *err) {
  mig_buf_clear(out);
  if (size > out->maximum || offset > INT64_MAX - size)
    return mig_fail(err, MIG_E_ARCHIVE, "%s: %s: its size cannot be", mig_blob_path(file), member);
  if (!mig_buf_reserve(out, (size_t)size, err) || !mig_blob_read(file, member, offset, out->data, (size_t)size, err))
    return false;
  out->size = (size_t)size;
  out->data[out->size] = 0;
  return true;
}

bool mig_chunk_next(const uint8_t *raw, size_t size, size_t *at, const uint8_t **doc, size_t *doc_bytes, bool *bad) {
  size_t left = size - *at;
  uint32_t length = 0;
  *bad = false;
  if (left == 0) return false;
  if (left >= 4) memcpy(&length, raw + *at, 4);
  length = BSON_UINT32_FROM_LE(length);
  if (length < 5 || length > left) {
    *bad = true;
    return false;
  }
  *doc = raw + *at;
  *doc_bytes = length;
  *at += length;
  return true;
}

static bool damaged(const char *path, const mig_chunk *k, const char *why, mig_error *err) {
  mig_fail(err, MIG_E_ARCHIVE, "%s: %s is damaged or was altered", path, k->member);
  mig_why(err, "%s", why);
  return mig_hint(err, "nothing was taken from it; use another copy of the snapshot");
}

static bool sum_is(mig_chunk_reader *r, const mig_buf *data, const char *expected) {
  char sum[MIG_SHA256_HEX];
  mig_hash_add(r->hash, data->data, data->size);
  mig_hash_hex(r->hash, sum);
  return strcmp(sum, expected) == 0;
}

/* The frame's own claims are compared with the manifest's before anything is unpacked. */
static bool unpack(mig_chunk_reader *r, const mig_buf *s, const char *path, const mig_chunk *k, mig_error *err) {
  mig_buf_clear(&r->raw);
  if (s->size < 6 || ZSTD_getFrameContentSize(s->data, s->size) != k->raw_bytes)
    return damaged(path, k, "it is not a zstd frame of the size in the manifest", err);
  if (!(s->data[4] & FRAME_HAS_CHECKSUM)) return damaged(path, k, "its zstd frame has no checksum", err);
  if (ZSTD_findFrameCompressedSize(s->data, s->size) != s->size)
    return damaged(path, k, "it is not exactly one zstd frame", err);
  if (!mig_buf_reserve(&r->raw, (size_t)k->raw_bytes, err)) return false;
  size_t n = ZSTD_decompressDCtx(r->zstd, r->raw.data, (size_t)k->raw_bytes, s->data, s->size);
  if (ZSTD_isError(n)) return damaged(path, k, ZSTD_getErrorName(n), err);
  if (n != k->raw_bytes) return damaged(path, k, "it unpacks to another size", err);
  r->raw.size = n;
  r->raw.data[n] = 0;
  return true;
}

/* The frame is not kept: there are more readers than threads, and only who is unpacking needs it. */
static bool decrypt_and_unpack(mig_chunk_reader *r, const char *path, const mig_chunk *k, mig_error *err) {
  mig_buf frame = MIG_BUF(r->stored.size);
  bool ok = mig_crypt_unseal(r->crypt, k->member, r->stored.data, r->stored.size, &frame, err)
                ? unpack(r, &frame, path, k, err)
                : mig_fail_at(err, "%s", path);
  mig_buf_free(&frame);
  return ok;
}

static bool id_is(const uint8_t *doc, size_t size, const bson_t *expected) {
  bson_t *id = mig_bson_id(doc, size);
  bool same = id && mig_bson_same(id, expected);
  if (id) bson_destroy(id);
  return same;
}

static bool check_documents(mig_chunk_reader *r, const char *path, const mig_chunk *k, mig_error *err) {
  size_t at = 0, size = 0;
  uint64_t count = 0;
  const uint8_t *doc = NULL;
  bool bad = false;
  while (mig_chunk_next(r->raw.data, r->raw.size, &at, &doc, &size, &bad)) {
    if (!mig_bson_valid(doc, size)) return damaged(path, k, "a document in it is not BSON", err);
    if (count++ == 0 && !r->crypt && !id_is(doc, size, k->first))
      return damaged(path, k, "its first _id is another", err);
  }
  if (bad) return damaged(path, k, "a document's length does not fit", err);
  if (count != k->documents) return damaged(path, k, "it holds another number of documents", err);
  r->last_at = (size_t)(doc - r->raw.data);
  return r->crypt || id_is(doc, size, k->last) || damaged(path, k, "its last _id is another", err);
}

bool mig_chunk_load(mig_chunk_reader *r, const mig_blob *file, const mig_chunk *k, mig_error *err) {
  const char *path = mig_blob_path(file);
  mig_buf_clear(&r->raw);
  if (!mig_read_member(file, k->member, k->offset, k->stored_bytes, &r->stored, err)) return false;
  if (!sum_is(r, &r->stored, k->sha256)) return damaged(path, k, "its SHA-256 is not the manifest's", err);
  if (!(r->crypt ? decrypt_and_unpack(r, path, k, err) : unpack(r, &r->stored, path, k, err))) return false;
  if (r->loaded_before) return true;
  if (!sum_is(r, &r->raw, k->raw_sha256)) return damaged(path, k, "its unpacked SHA-256 is not the manifest's", err);
  return check_documents(r, path, k, err);
}
