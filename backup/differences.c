#include "backup/differences.h"

#include <zstd.h>

#include "backup/chunk.h"

#define LEVEL 1 /* it is unpacked again in a moment */

bool mig_differences_add(mig_buf *kept, mig_difference what, const bson_t *archive, const bson_t *live, bool *fits,
                         mig_error *err) {
  const uint8_t kind = (uint8_t)what;
  const size_t archive_bytes = archive ? archive->len : 0, live_bytes = live ? live->len : 0;
  *fits = archive_bytes + live_bytes < kept->maximum - kept->size;
  if (!*fits) return true;
  return mig_buf_reserve(kept, kept->size + 1 + archive_bytes + live_bytes, err) &&
         mig_buf_add(kept, &kind, sizeof kind, err) &&
         (!archive || mig_buf_add(kept, bson_get_data(archive), archive_bytes, err)) &&
         (!live || mig_buf_add(kept, bson_get_data(live), live_bytes, err));
}

static bool document_at(const mig_buf *kept, size_t *at, bson_t *doc) {
  const uint8_t *data = NULL;
  size_t size = 0;
  bool bad = false;
  return mig_chunk_next(kept->data, kept->size, at, &data, &size, &bad) && bson_init_static(doc, data, size);
}

static bool failed(const char *what, size_t code, mig_error *err) {
  mig_fail(err, MIG_E_FAILED, "differences cannot be %s", what);
  return mig_why(err, "zstd: %s", ZSTD_getErrorName(code));
}

bool mig_differences_pack(mig_buf *kept, mig_error *err) {
  mig_buf all = MIG_BUF(ZSTD_compressBound(kept->size)), packed = {0};
  if (!kept->size) return true;
  bool ok = mig_buf_reserve(&all, all.maximum, err);
  if (ok) {
    all.size = ZSTD_compress(all.data, all.maximum, kept->data, kept->size, LEVEL);
    ok = !ZSTD_isError(all.size) || failed("packed", all.size, err);
  }
  packed = MIG_BUF(all.size); /* no larger than it must be */
  ok = ok && mig_buf_add(&packed, all.data, all.size, err);
  mig_buf_free(&all);
  if (!ok) return false;
  mig_buf_free(kept);
  *kept = packed;
  return true;
}

static bool unpack(const mig_buf *kept, mig_buf *out, mig_error *err) {
  const unsigned long long size = ZSTD_getFrameContentSize(kept->data, kept->size);
  *out = MIG_BUF(MIG_DIFFERENCES_BYTES);
  if (size > out->maximum) return mig_fail(err, MIG_E_FAILED, "differences that were kept are damaged");
  if (!mig_buf_reserve(out, (size_t)size, err)) return false;
  const size_t n = ZSTD_decompress(out->data, (size_t)size, kept->data, kept->size);
  if (ZSTD_isError(n)) return failed("unpacked", n, err);
  out->size = n;
  return true;
}

static bool tell(const mig_buf *kept, mig_difference_fn found, void *arg, mig_error *err) {
  bson_t archive, live;
  for (size_t at = 0; at < kept->size;) {
    const mig_difference what = (mig_difference)kept->data[at++];
    const bool has_archive = what == MIG_DIFF_MISSING || what == MIG_DIFF_CHANGED, has_live = what != MIG_DIFF_MISSING;
    if ((has_archive && !document_at(kept, &at, &archive)) || (has_live && !document_at(kept, &at, &live)))
      return mig_fail(err, MIG_E_FAILED, "a difference that was kept is damaged");
    if (!found(arg, what, has_archive ? &archive : NULL, has_live ? &live : NULL, err)) return false;
  }
  return true;
}

bool mig_differences_tell(const mig_buf *kept, mig_difference_fn found, void *arg, mig_error *err) {
  mig_buf all = MIG_BUF(0);
  const bool ok = !kept->size || (unpack(kept, &all, err) && tell(&all, found, arg, err));
  mig_buf_free(&all);
  return ok;
}
