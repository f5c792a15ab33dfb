#include <string.h>
#include <zstd.h>

#include "backup/chunk.h"
#include "backup/manifest_internal.h"

struct mig_packer {
  ZSTD_CCtx *zstd;
  ZSTD_DCtx *unzstd;
  mig_buf second; /* what a frame unpacks to, then the sealed frame */
  mig_hash *hash;
  const mig_crypt *crypt;
};

bool mig_packer_new(int level, const mig_crypt *crypt, mig_packer **out, mig_error *err) {
  *out = NULL;
  mig_packer *p = mig_alloc(sizeof *p);
  if (p) {
    p->zstd = ZSTD_createCCtx();
    p->unzstd = ZSTD_createDCtx();
  }
  if (!p || !p->zstd || !p->unzstd || !mig_hash_new(&p->hash, err)) {
    mig_packer_free(p);
    return mig_no_memory(err, "zstd");
  }
  if (ZSTD_isError(ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_compressionLevel, level)) ||
      ZSTD_isError(ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_checksumFlag, 1)) ||
      ZSTD_isError(ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_contentSizeFlag, 1))) {
    mig_packer_free(p);
    return mig_fail(err, MIG_E_USAGE, "zstd refuses the compression level %d", level);
  }
  p->crypt = crypt;
  *out = p;
  return true;
}

void mig_packer_free(mig_packer *p) {
  if (!p) return;
  ZSTD_freeCCtx(p->zstd);
  ZSTD_freeDCtx(p->unzstd);
  mig_buf_free(&p->second);
  mig_hash_free(p->hash);
  mig_free(p);
}

static bool compress(mig_packer *p, mig_packed *c, mig_error *err) {
  const size_t bound = ZSTD_compressBound(c->raw.size);
  c->stored.maximum = bound;
  mig_buf_clear(&c->stored);
  if (!mig_buf_reserve(&c->stored, bound, err)) return false;
  const size_t n = ZSTD_compress2(p->zstd, c->stored.data, bound, c->raw.data, c->raw.size);
  if (ZSTD_isError(n)) {
    mig_fail(err, MIG_E_FAILED, "a chunk could not be compressed");
    return mig_why(err, "zstd: %s", ZSTD_getErrorName(n));
  }
  c->stored.size = n;
  return true;
}

/* A frame that does not give the documents back would be found when they are needed, which is too late. While both are
 * still in the processor's cache this costs little; reading back then only has to show that the disk has these bytes.
 */
static bool unpacks(mig_packer *p, const mig_packed *c, mig_error *err) {
  mig_chunk_buf_rest(&p->second);
  p->second.maximum = MIG_DOCUMENT_MAX_BYTES;
  if (!mig_buf_reserve(&p->second, c->raw.size, err)) return false;
  const size_t n = ZSTD_decompressDCtx(p->unzstd, p->second.data, c->raw.size, c->stored.data, c->stored.size);
  if (n == c->raw.size && memcmp(p->second.data, c->raw.data, n) == 0) return true;
  mig_fail(err, MIG_E_FAILED, "a chunk was compressed and does not unpack to what it was");
  return mig_hint(err, "this machine's memory or its zstd is not to be trusted: check them before you go on");
}

/* The sealed frame takes the place of the frame, whose buffer serves the next chunk. */
static bool seal(mig_packer *p, mig_packed *c, mig_error *err) {
  if (!p->crypt) return true;
  p->second.maximum = c->stored.size + MIG_SEAL_OVERHEAD;
  if (!mig_crypt_seal(p->crypt, c->info.member, c->stored.data, c->stored.size, &p->second, err)) return false;
  const mig_buf frame = c->stored;
  c->stored = p->second;
  p->second = frame;
  return true;
}

bool mig_chunk_ids(const mig_buf *raw, size_t last_at, bson_t **first, bson_t **last, mig_error *err) {
  uint32_t length = 0;
  memcpy(&length, raw->data, sizeof length);
  *first = mig_bson_id(raw->data, BSON_UINT32_FROM_LE(length));
  *last = mig_bson_id(raw->data + last_at, raw->size - last_at);
  if (*first && *last) return true;
  bson_destroy(*first);
  bson_destroy(*last);
  *first = *last = NULL;
  return mig_no_memory(err, "chunk");
}

/* The manifest is in the clear: of an encrypted chunk it tells no _id. */
static bool note_ids(const mig_packer *p, mig_packed *c, mig_error *err) {
  mig_chunk *k = &c->info;
  if (!p->crypt) return mig_chunk_ids(&c->raw, c->last_at, &k->first, &k->last, err);
  k->first = bson_new();
  k->last = bson_new();
  return true;
}

bool mig_chunk_pack(mig_packer *p, mig_packed *c, mig_error *err) {
  mig_chunk *k = &c->info;
  k->raw_bytes = c->raw.size;
  k->documents = c->documents;
  if (!note_ids(p, c, err)) return false;
  mig_hash_add(p->hash, c->raw.data, c->raw.size);
  mig_hash_hex(p->hash, k->raw_sha256);
  if (!compress(p, c, err) || !unpacks(p, c, err) || !seal(p, c, err)) return false;
  mig_hash_add(p->hash, c->stored.data, c->stored.size);
  mig_hash_hex(p->hash, k->sha256);
  k->stored_bytes = c->stored.size;
  return true;
}

static void forget_info(mig_packed *c) {
  mig_free(c->info.member);
  bson_destroy(c->info.first);
  bson_destroy(c->info.last);
  memset(&c->info, 0, sizeof c->info);
}

void mig_packed_start(mig_packed *c) {
  forget_info(c);
  mig_chunk_buf_rest(&c->raw);
  mig_chunk_buf_rest(&c->stored);
  c->raw.maximum = MIG_DOCUMENT_MAX_BYTES;
  c->last_at = 0;
  c->documents = 0;
}

void mig_packed_free(mig_packed *c) {
  forget_info(c);
  mig_buf_free(&c->raw);
  mig_buf_free(&c->stored);
}
