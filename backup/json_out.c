#include "backup/json_out.h"

#include <limits.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/bsonx.h"

/* Length of the UTF-8 sequence at p (shortest form, no surrogates), 0 if there is none. */
static size_t utf8_at(const unsigned char *p, size_t left) {
  if (p[0] < 0x80) return 1;
  size_t n = p[0] >= 0xC2 && p[0] <= 0xDF ? 2 : (p[0] & 0xF0) == 0xE0 ? 3 : p[0] >= 0xF0 && p[0] <= 0xF4 ? 4 : 0;
  if (n == 0 || n > left) return 0;
  for (size_t i = 1; i < n; i++)
    if ((p[i] & 0xC0) != 0x80) return 0;
  if (p[0] == 0xE0 && p[1] < 0xA0) return 0;
  if (p[0] == 0xED && p[1] > 0x9F) return 0;
  if (p[0] == 0xF0 && p[1] < 0x90) return 0;
  if (p[0] == 0xF4 && p[1] > 0x8F) return 0;
  return n;
}

bool mig_json_string(mig_buf *out, const char *text, size_t size, mig_error *err) {
  bool ok = mig_buf_add(out, "\"", 1, err);
  for (size_t i = 0; ok && i < size;) {
    const unsigned char *p = (const unsigned char *)text + i;
    size_t n = utf8_at(p, size - i);
    if (n == 0)
      ok = mig_buf_add(out, "\xEF\xBF\xBD", 3, err);
    else if (*p < 0x20)
      ok = mig_buf_printf(out, err, "\\u%04x", *p);
    else if (*p == '"' || *p == '\\')
      ok = mig_buf_printf(out, err, "\\%c", *p);
    else
      ok = mig_buf_add(out, p, n, err);
    i += n ? n : 1;
  }
  return ok && mig_buf_add(out, "\"", 1, err);
}

bool mig_json_text(mig_buf *out, const char *text, mig_error *err) {
  return text ? mig_json_string(out, text, strlen(text), err) : mig_buf_add(out, "null", 4, err);
}

bool mig_json_base64(mig_buf *out, const void *data, size_t size, mig_error *err) {
  if (size > INT_MAX / 2) return mig_no_memory(err, "base64");
  size_t coded = (size + 2) / 3 * 4;
  if (!mig_buf_add(out, "\"", 1, err) || !mig_buf_reserve(out, out->size + coded, err)) return false;
  EVP_EncodeBlock(out->data + out->size, data, (int)size); /* writes the zero byte too */
  out->size += coded;
  return mig_buf_add(out, "\"", 1, err);
}

bool mig_json_bson(mig_buf *out, const bson_t *doc, mig_error *err) {
  return mig_json_base64(out, bson_get_data(doc), doc->len, err);
}

bool mig_json_unbson(const char *base64, bson_t **out, mig_error *err) {
  size_t size = strlen(base64);
  uint8_t *data = NULL;
  bool ok = false;
  *out = NULL;
  if (size < 8 || size % 4 || size > INT_MAX / 2) goto done;
  if (!(data = mig_alloc(size / 4 * 3))) return mig_no_memory(err, "base64");
  int n = EVP_DecodeBlock(data, (const unsigned char *)base64, (int)size);
  if (n < 0) goto done;
  size_t bytes = (size_t)n - (base64[size - 1] == '=') - (base64[size - 2] == '=');
  if (!mig_bson_valid(data, bytes) || !(*out = bson_new_from_data(data, bytes))) goto done;
  ok = true;
done:
  mig_free(data);
  return ok ? true : mig_fail(err, MIG_E_ARCHIVE, "a value that should be BSON in base64 is not");
}
