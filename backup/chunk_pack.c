#include <zstd.h>

#include "backup/chunk.h"

struct mig_packer {
  ZSTD_CCtx *zstd;
  uint8_t *stored;
  size_t capacity;
};

bool mig_packer_new(int level, mig_packer **out, mig_error *err) {
  *out = NULL;
  mig_packer *p = mig_alloc(sizeof *p);
  if (p) p->zstd = ZSTD_createCCtx();
  if (!p || !p->zstd) {
    mig_packer_free(p);
    return mig_no_memory(err, "zstd");
  }
  if (ZSTD_isError(ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_compressionLevel, level)) ||
      ZSTD_isError(ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_checksumFlag, 1)) ||
      ZSTD_isError(ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_contentSizeFlag, 1))) {
    mig_packer_free(p);
    return mig_fail(err, MIG_E_USAGE, "zstd refuses the compression level %d", level);
  }
  *out = p;
  return true;
}

bool mig_chunk_pack(mig_packer *p, const void *raw, size_t raw_bytes, const uint8_t **stored, size_t *stored_bytes,
                    mig_error *err) {
  size_t bound = ZSTD_compressBound(raw_bytes);
  if (bound > p->capacity) {
    mig_free(p->stored);
    p->capacity = 0;
    if (!(p->stored = mig_alloc(bound))) return mig_no_memory(err, "compressed chunk");
    p->capacity = bound;
  }
  size_t n = ZSTD_compress2(p->zstd, p->stored, p->capacity, raw, raw_bytes);
  if (ZSTD_isError(n)) {
    mig_fail(err, MIG_E_FAILED, "a chunk could not be compressed");
    return mig_why(err, "zstd: %s", ZSTD_getErrorName(n));
  }
  *stored = p->stored;
  *stored_bytes = n;
  return true;
}

void mig_packer_free(mig_packer *p) {
  if (!p) return;
  ZSTD_freeCCtx(p->zstd);
  mig_free(p->stored);
  mig_free(p);
}
