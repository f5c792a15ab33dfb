#include "backup/dump_names.h"

#include <openssl/evp.h>
#include <string.h>

#define CUT_AT     208u
#define SHA1_BYTES 20u

static bool is_plain(unsigned char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || strchr("-_.~", c) != NULL;
}

/* Base64 for URLs, without padding: 27 characters of the sum of the plain name. */
static bool append_sum(mig_buf *out, const char *collection, mig_error *err) {
  unsigned char sum[EVP_MAX_MD_SIZE], text[32];
  unsigned size = 0;
  if (!EVP_Digest(collection, strlen(collection), sum, &size, EVP_sha1(), NULL) || size != SHA1_BYTES)
    return mig_fail(err, MIG_E_UNSUPPORTED, "libcrypto has no SHA-1, which names long collections in a dump");
  EVP_EncodeBlock(text, sum, (int)SHA1_BYTES);
  text[27] = 0; /* the one padding character */
  for (unsigned char *p = text; *p; p++) *p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
  return mig_buf_printf(out, err, "%%24%s", (const char *)text);
}

char *mig_dump_name(const char *collection, mig_error *err) {
  mig_buf out = MIG_BUF(4096);
  bool ok = true;
  for (const unsigned char *p = (const unsigned char *)collection; ok && *p; p++)
    ok = is_plain(*p) ? mig_buf_add(&out, p, 1, err)
                      : mig_buf_printf(&out, err, *p == ' ' ? "+" : "%%%02X", (unsigned)*p);
  if (ok && out.size > MIG_DUMP_NAME_MAX) {
    out.size = CUT_AT;
    ok = append_sum(&out, collection, err);
  }
  char *name = ok ? mig_strdup(mig_buf_text(&out)) : NULL;
  if (ok && !name) mig_no_memory(err, "a file name");
  mig_buf_free(&out);
  return name;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *mig_dump_unname(const char *name, size_t size, bool *cut, mig_error *err) {
  char *out = mig_alloc(size + 1);
  size_t n = 0;
  if (cut) *cut = size == MIG_DUMP_NAME_MAX && strncmp(name + CUT_AT, "%24", 3) == 0;
  if (!out) {
    mig_no_memory(err, "a file name");
    return NULL;
  }
  for (size_t i = 0; i < size; i++) {
    const int high = name[i] == '%' && i + 2 < size ? hex_digit(name[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(name[i + 2]) : -1;
    if (name[i] == '%' && (low < 0 || (high == 0 && low == 0))) {
      mig_free(out);
      mig_fail(err, MIG_E_INPUT, "%.*s: not a name that mongodump gives", (int)(size < 300 ? size : 300), name);
      return NULL;
    }
    out[n++] = name[i] == '+' ? ' ' : name[i] == '%' ? (char)(high * 16 + low) : name[i];
    if (name[i] == '%') i += 2;
  }
  out[n] = 0;
  if (!cut || !*cut) return out;
  mig_free(out);
  return NULL;
}
