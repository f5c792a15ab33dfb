/* Keys as they are meant: without escapes, so that two spellings of one key are seen to be the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_scan.h"

static unsigned hex4(const char *p) {
  unsigned value = 0;
  for (int i = 0; i < 4; i++) {
    unsigned c = (unsigned char)p[i];
    value = value * 16 + (c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
  }
  return value;
}

static size_t put_utf8(char *out, unsigned c) {
  if (c < 0x80) {
    out[0] = (char)c;
    return 1;
  }
  size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  for (size_t i = n - 1; i > 0; i--, c >>= 6) out[i] = (char)(0x80 | (c & 0x3F));
  out[0] = (char)((n == 2 ? 0xC0 : n == 3 ? 0xE0 : 0xF0) | c);
  return n;
}

/* One escape, already checked, at p: writes what it stands for (or the one spelling we keep) and returns its length. */
static size_t unescape(const char *p, char *out, size_t *written) {
  if (p[1] != 'u') {
    if (p[1] == '/') {
      out[0] = '/';
      *written = 1;
    } else {
      out[0] = '\\';
      out[1] = p[1];
      *written = 2;
    }
    return 2;
  }
  unsigned c = hex4(p + 2);
  size_t length = 6;
  if (c >= 0xD800 && c < 0xDC00) {
    c = 0x10000 + ((c - 0xD800) << 10) + (hex4(p + 8) - 0xDC00);
    length = 12;
  }
  static const char *const shorts = "\bb\ff\nn\rr\tt\"\"\\\\";
  for (const char *s = shorts; *s; s += 2) {
    if (c != (unsigned char)*s) continue;
    out[0] = '\\';
    out[1] = s[1];
    *written = 2;
    return length;
  }
  if (c < 0x20) {
    char text[8];
    snprintf(text, sizeof text, "\\u%04x", c);
    memcpy(out, text, 6);
    *written = 6;
  } else {
    *written = put_utf8(out, c);
  }
  return length;
}

/* The text gets shorter or stays: the closing quote moves to the front and spaces fill the rest. */
static void remove_escapes(mig_span *key) {
  char *out = key->at, *end = key->at + key->size;
  for (char *p = key->at; p < end;) {
    size_t written = 1;
    if (*p == '\\')
      p += unescape(p, out, &written);
    else
      *out = *p++;
    out += written;
  }
  size_t shorter = (size_t)(end - out);
  if (!shorter) return;
  *out = '"';
  memset(out + 1, ' ', shorter);
  key->size -= shorter;
}

bool mig_scan_tidy_key(mig_scan *s, mig_span *key) {
  static const char *const operators[] = {"$type", "$regex", "$options", NULL};
  size_t at = (size_t)(key->at - s->text) - 1;
  if (memchr(key->at, '\\', key->size)) remove_escapes(key);
  if (key->size >= 6 && memmem(key->at, key->size, "\\u0000", 6))
    return mig_scan_wrong(s, at, "a key with a zero byte inside");
  if (key->size && key->at[0] == MIG_SCAN_MARK)
    return mig_scan_wrong(s, at, "a key that begins with a control character");
  for (const char *const *o = operators; *o; o++) {
    if (key->size != strlen(*o) || memcmp(key->at, *o, key->size) != 0) continue;
    key->at[0] = MIG_SCAN_MARK;
    s->marked = true;
  }
  return true;
}

bool mig_scan_add_key(mig_scan *s, mig_span key) {
  if (mig_buf_add(&s->keys, &key, sizeof key, NULL)) return true;
  s->no_memory = true;
  return mig_scan_wrong(s, s->pos, "out of memory: too many keys");
}

static int compare(const void *a, const void *b) {
  const mig_span *x = a, *y = b;
  size_t shorter = x->size < y->size ? x->size : y->size;
  int order = shorter ? memcmp(x->at, y->at, shorter) : 0;
  if (order) return order;
  if (x->size != y->size) return x->size < y->size ? -1 : 1;
  return x->at < y->at ? -1 : x->at > y->at;
}

static bool same(const mig_span *a, const mig_span *b) {
  return a->size == b->size && memcmp(a->at, b->at, a->size) == 0;
}

bool mig_scan_keys_unique(mig_scan *s, size_t from) {
  size_t count = (s->keys.size - from) / sizeof(mig_span);
  mig_span *keys = count ? (mig_span *)(void *)(s->keys.data + from) : NULL;
  const mig_span *again = NULL;
  if (count > 1) qsort(keys, count, sizeof *keys, compare);
  for (size_t i = 1; i < count; i++)
    if (same(&keys[i - 1], &keys[i]) && (!again || keys[i].at < again->at)) again = &keys[i];
  s->keys.size = from;
  if (!again) return true;
  bool marked = again->size && again->at[0] == MIG_SCAN_MARK;
  int shown = again->size > 100 ? 100 : (int)again->size;
  mig_scan_wrong(s, (size_t)(again->at - s->text) - 1, "the key \"%s%.*s\" stands twice in this object",
                 marked ? "$" : "", shown - marked, again->at + marked);
  return mig_scan_hint(s, "only one of the two could count: remove the other");
}
