/* What a build without libcurl or expat has instead of backup/s3. */
#include "backup/s3.h"

static bool refuse(mig_error *err) {
  mig_fail(err, MIG_E_UNSUPPORTED, "snapshots cannot be kept in S3 by this build");
  mig_why(err, "it was made without libcurl 7.75 or newer, or without expat");
  return mig_hint(err, "build it with libcurl4-openssl-dev and libexpat1-dev installed, or name a folder with --store");
}

bool mig_s3_store_open(const char *url, mig_store **out, mig_error *err) {
  (void)url;
  *out = NULL;
  return refuse(err);
}

bool mig_s3_blob_open(const char *url, mig_blob **out, mig_error *err) {
  (void)url;
  *out = NULL;
  return refuse(err);
}

bool mig_s3_put(const char *url, const void *data, size_t size, mig_error *err) {
  (void)url;
  (void)data;
  (void)size;
  return refuse(err);
}

bool mig_s3_get(const char *url, size_t max_bytes, bool *there, mig_buf *out, mig_error *err) {
  (void)url;
  *there = false;
  *out = MIG_BUF(max_bytes);
  return refuse(err);
}
