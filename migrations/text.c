#include "migrations/text.h"

#include <string.h>

#include <bson/bson.h>

static const char *const names[MIG_TEXT_OPS] = {"trim", "collapse", "lower", "upper", "stripControl", "nfc"};

const char *mig_text_op_name(mig_text_op op) {
  return (unsigned)op < MIG_TEXT_OPS ? names[op] : "?";
}

bool mig_text_op_find(const char *name, mig_text_op *out) {
  for (unsigned i = 0; i < MIG_TEXT_OPS; i++) {
    if (strcmp(names[i], name) != 0) continue;
    *out = (mig_text_op)i;
    return true;
  }
  return false;
}

static bool needs_unicode(mig_text_op op) {
  return op == MIG_TEXT_LOWER || op == MIG_TEXT_UPPER || op == MIG_TEXT_NFC;
}

bool mig_text_op_available(mig_text_op op, mig_error *err) {
  if (!needs_unicode(op) || mig_text_unicode()) return true;
  mig_buf none = MIG_BUF(1);
  return mig_text_unicode_apply(op, "", 0, &none, err);
}

/* The character at `p` of text that is known to be UTF-8, and its length. */
static uint32_t character(const uint8_t *p, size_t *length) {
  *length = *p < 0x80 ? 1 : *p < 0xE0 ? 2 : *p < 0xF0 ? 3 : 4;
  uint32_t c = *length == 1 ? *p : *length == 2 ? *p & 0x1Fu : *length == 3 ? *p & 0x0Fu : *p & 0x07u;
  for (size_t i = 1; i < *length; i++) c = c << 6 | (p[i] & 0x3Fu);
  return c;
}

/* Unicode's White_Space: unchanged since 6.3 and meant to stay. */
static bool blank(uint32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

static bool control(uint32_t c) {
  return (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || (c >= 0x7F && c <= 0x9F);
}

static bool trim(const uint8_t *p, size_t size, mig_buf *out, mig_error *err) {
  size_t length = 0, first = size, end = 0;
  for (size_t i = 0; i < size; i += length) {
    if (blank(character(p + i, &length))) continue;
    if (first == size) first = i;
    end = i + length;
  }
  return end <= first || mig_buf_add(out, p + first, end - first, err);
}

static bool collapse(const uint8_t *p, size_t size, mig_buf *out, mig_error *err) {
  size_t length = 0;
  bool before = false, ok = true;
  for (size_t i = 0; ok && i < size; i += length) {
    bool is_blank = blank(character(p + i, &length));
    if (!is_blank) ok = mig_buf_add(out, p + i, length, err);
    if (is_blank && !before) ok = mig_buf_add(out, " ", 1, err);
    before = is_blank;
  }
  return ok;
}

static bool strip_control(const uint8_t *p, size_t size, mig_buf *out, mig_error *err) {
  size_t length = 0;
  bool ok = true;
  for (size_t i = 0; ok && i < size; i += length)
    if (!control(character(p + i, &length))) ok = mig_buf_add(out, p + i, length, err);
  return ok;
}

static bool apply(mig_text_op op, const char *text, size_t size, mig_buf *out, mig_error *err) {
  const uint8_t *p = (const uint8_t *)text;
  mig_buf_clear(out);
  if (needs_unicode(op)) return mig_text_unicode_apply(op, text, size, out, err);
  return op == MIG_TEXT_TRIM       ? trim(p, size, out, err)
         : op == MIG_TEXT_COLLAPSE ? collapse(p, size, out, err)
                                   : strip_control(p, size, out, err);
}

bool mig_text_sanitize(const mig_text_op *ops, size_t count, const char *text, size_t size, mig_buf *out,
                       mig_error *err) {
  mig_buf next = MIG_BUF(out->maximum);
  mig_buf_clear(out);
  if (!bson_utf8_validate(text, size, true)) return mig_fail(err, MIG_E_FAILED, "a text is not valid UTF-8");
  bool ok = mig_buf_add(out, text, size, err);
  for (size_t i = 0; ok && i < count; i++) {
    ok = apply(ops[i], mig_buf_text(out), out->size, &next, err);
    mig_buf swap = *out;
    *out = next;
    next = swap;
  }
  mig_buf_free(&next);
  return ok;
}
