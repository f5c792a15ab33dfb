/* What an S3 server answers: XML, error codes, keys, times and numbers; and the URL of a store. The first byte chooses.
 */
#include <string.h>

#include "backup/s3/place.h"
#include "backup/s3/reply.h"
#include "fuzz.h"

static bool element(void *arg, unsigned depth, const char *name, const char *text, mig_error *err) {
  size_t *seen = arg;
  (void)err;
  if (depth > 8 || !*name || strlen(text) > 2048) abort();
  return ++*seen < 100000;
}

static void xml(const uint8_t *data, size_t size) {
  mig_buf b = MIG_BUF(8u << 20);
  mig_error err = {0};
  size_t seen = 0;
  char code[64];
  if (mig_buf_add(&b, data, size, NULL)) {
    if (!mig_s3_xml(&b, element, &seen, &err) && !err.what[0]) abort();
    mig_s3_error_code(&b, code);
    for (const char *p = code; *p; p++)
      if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", *p)) abort();
  }
  mig_buf_free(&b);
}

static void texts(char *text) {
  uint64_t n = 0;
  int64_t ms = 0;
  mig_s3_place p;
  mig_error err = {0};
  mig_s3_number(text, &n);
  mig_s3_time(text, &ms);
  if (mig_s3_place_parse(text, &p, &err)) {
    if (strstr(p.key, "//") || p.key[0] == '/' || strchr(p.bucket, '/')) abort();
    mig_s3_place_clear(&p);
  }
  mig_s3_decode(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1) return 0;
  if (data[0] == 0) {
    xml(data + 1, size - 1);
  } else {
    char *text = mig_alloc(size);
    if (text) memcpy(text, data + 1, size - 1);
    if (text) texts(text);
    mig_free(text);
  }
  return 0;
}
