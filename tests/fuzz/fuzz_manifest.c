/*
 * The manifest, as it is and with its own sum made right, so that the checks behind the sum are reached, too. What is
 * accepted must be written again as the same text.
 */
#include <string.h>

#include "backup/manifest_internal.h"
#include "base/hash.h"
#include "fuzz.h"

static void parse(const char *text, size_t size) {
  mig_manifest *m = NULL;
  mig_error err = {0};
  mig_buf again = MIG_BUF(MIG_MANIFEST_MAX_BYTES);
  if (mig_manifest_parse(text, size, &m, &err)) {
    mig_member_walk walk = {0};
    mig_member member;
    while (mig_member_next(m, &walk, &member))
      if (!member.name) abort();
    if (!mig_manifest_write(m, &again, &err) || again.size != size || memcmp(again.data, text, size) != 0) abort();
  } else if (!err.code || !err.what[0]) {
    abort();
  }
  mig_buf_free(&again);
  mig_manifest_free(m);
}

static void parse_sealed(const char *text, size_t size) {
  static const char key[] = "\"manifestSha256\"";
  const char *end = memmem(text, size, key, sizeof key - 1);
  const size_t head = end ? (size_t)(end - text) : size;
  mig_buf sealed = MIG_BUF(MIG_MANIFEST_MAX_BYTES);
  mig_error err;
  char sum[MIG_SHA256_HEX];
  if (mig_sha256_hex(text, head, sum, &err) && mig_buf_add(&sealed, text, head, &err) &&
      mig_buf_printf(&sealed, &err, "\"manifestSha256\":\"%s\",\n\"archiveSha256\":\"%064d\"}\n", sum, 0))
    parse((const char *)sealed.data, sealed.size);
  mig_buf_free(&sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = malloc(size + 1); /* as the reader gives it: with a zero behind it */
  memcpy(text, data, size);
  text[size] = 0;
  parse(text, size);
  parse_sealed(text, size);
  free(text);
  return 0;
}
