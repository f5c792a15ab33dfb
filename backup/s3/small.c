/* Small objects: in one request, there or not. */
#include <string.h>

#include "backup/s3.h"
#include "backup/s3/client.h"

bool mig_s3_put(const char *url, const void *data, size_t size, mig_error *err) {
  mig_s3 *s = NULL;
  mig_s3_answer a = {.body = MIG_BUF(MIG_S3_TEXT_BYTES)};
  if (!mig_s3_open(url, &s, err)) return false;
  const mig_s3_request r = {
      .what = "cannot write", .method = "PUT", .key = mig_s3_key(s), .body = data, .body_bytes = size};
  const bool ok = mig_s3_call(s, &r, &a, err) && (a.status == 200 || mig_s3_refused(s, &r, &a, err));
  mig_buf_free(&a.body);
  mig_s3_close(s);
  return ok;
}

bool mig_s3_get(const char *url, size_t max_bytes, bool *there, mig_buf *out, mig_error *err) {
  mig_s3 *s = NULL;
  mig_s3_answer a = {.body = MIG_BUF(MIG_S3_TEXT_BYTES)};
  *there = false;
  *out = MIG_BUF(max_bytes);
  if (!mig_s3_open(url, &s, err)) return false;
  const mig_s3_request r = {.what = "cannot read", .method = "GET", .key = mig_s3_key(s)};
  bool ok = mig_s3_call(s, &r, &a, err);
  *there = ok && a.status == 200;
  if (ok && !*there && strcmp(a.code, "NoSuchKey") != 0) ok = mig_s3_refused(s, &r, &a, err);
  if (*there && a.body.size > max_bytes)
    ok = mig_fail(err, MIG_E_STORE, "%s is larger than the %zu bytes that it may have", url, max_bytes);
  else if (*there)
    ok = mig_buf_add(out, a.body.data, a.body.size, err);
  mig_buf_free(&a.body);
  mig_s3_close(s);
  return ok;
}
