#include "base/json_scan.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool mig_scan_wrong(mig_scan *s, size_t at, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(s->wrong, sizeof s->wrong, fmt, ap);
  va_end(ap);
  s->wrong_at = at;
  return false;
}

bool mig_scan_hint(mig_scan *s, const char *hint) {
  snprintf(s->hint, sizeof s->hint, "%s", hint);
  return false;
}

static int peek(const mig_scan *s, size_t ahead) {
  return s->pos + ahead < s->size ? (unsigned char)s->text[s->pos + ahead] : -1;
}

/* At "/": skips a comment and, when tidying, puts spaces in its place; line breaks stay, so that positions stay true.
 */
static bool comment(mig_scan *s) {
  size_t start = s->pos, end;
  if (peek(s, 1) == '/') {
    const char *stop = memchr(s->text + start, '\n', s->size - start);
    end = stop ? (size_t)(stop - s->text) : s->size;
  } else if (peek(s, 1) == '*') {
    const char *stop = start + 2 < s->size ? memmem(s->text + start + 2, s->size - start - 2, "*/", 2) : NULL;
    if (!stop) return mig_scan_wrong(s, start, "this comment has no end");
    end = (size_t)(stop - s->text) + 2;
  } else {
    return mig_scan_wrong(s, start, "unexpected \"/\"");
  }
  for (size_t i = start; s->tidy && i < end; i++)
    if (s->text[i] != '\n') s->text[i] = ' ';
  s->pos = end;
  return true;
}

bool mig_scan_space(mig_scan *s) {
  for (;;) {
    int c = peek(s, 0);
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
      s->pos++;
    else if (c != '/')
      return true;
    else if (!comment(s))
      return false;
  }
}

/* What stands at pos, for messages: one whole character. */
static void here(const mig_scan *s, char text[static 40]) {
  int c = peek(s, 0);
  size_t n = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
  if (c < 0)
    snprintf(text, 40, "the end of the file");
  else if (c < 0x20 || c == 0x7F)
    snprintf(text, 40, "a control character");
  else if (s->pos + n > s->size)
    snprintf(text, 40, "half a character");
  else
    snprintf(text, 40, "\"%.*s\"", (int)n, s->text + s->pos);
}

static bool expected(mig_scan *s, const char *what) {
  char found[40];
  here(s, found);
  int c = peek(s, 0);
  mig_scan_wrong(s, s->pos, "expected %s, found %s", what, found);
  if (c == '\'') mig_scan_hint(s, "keys and text stand in double quotes");
  return false;
}

static int hex4(const mig_scan *s, size_t at) {
  int value = 0;
  for (size_t i = at; i < at + 4; i++) {
    int c = i < s->size ? (unsigned char)s->text[i] : 0;
    int digit = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

/* At the backslash. */
static bool escape(mig_scan *s) {
  int c = peek(s, 1);
  if (c > 0 && strchr("\"\\/bfnrt", c)) {
    s->pos += 2;
    return true;
  }
  if (c != 'u') return mig_scan_wrong(s, s->pos, "this escape is none of JSON's");
  int unit = hex4(s, s->pos + 2);
  if (unit < 0) return mig_scan_wrong(s, s->pos, "\\u takes four hexadecimal digits");
  bool high = unit >= 0xD800 && unit < 0xDC00;
  if (high) {
    int low = peek(s, 6) == '\\' && peek(s, 7) == 'u' ? hex4(s, s->pos + 8) : -1;
    high = low >= 0xDC00 && low < 0xE000;
  }
  if (unit >= 0xD800 && unit < 0xE000 && !high)
    return mig_scan_wrong(s, s->pos, "half of a surrogate pair is not a character");
  s->pos += high ? 12 : 6;
  return true;
}

/* At the quote. span: what stands between the quotes. */
static bool string(mig_scan *s, mig_span *span) {
  size_t start = s->pos++;
  for (;;) {
    int c = peek(s, 0);
    if (c < 0) return mig_scan_wrong(s, start, "this text has no closing quote");
    if (c == '"') break;
    if (c == '\\') {
      if (!escape(s)) return false;
    } else if (c < 0x20) {
      mig_scan_wrong(s, s->pos,
                     c == '\n' || c == '\r' ? "a line ends inside a text" : "a control character inside a text");
      return mig_scan_hint(s, "write it as an escape: \\n, \\t, \\u0000 ...");
    } else {
      s->pos++;
    }
  }
  *span = (mig_span){s->text + start + 1, s->pos - start - 1};
  s->pos++;
  return true;
}

static bool digits(mig_scan *s) {
  size_t start = s->pos;
  while (peek(s, 0) >= '0' && peek(s, 0) <= '9') s->pos++;
  return s->pos > start;
}

/* libbson makes another number of a larger one, without a word. */
static bool whole_number_fits(const char *text, size_t size) {
  const char *most = *text == '-' ? "9223372036854775808" : "9223372036854775807";
  if (*text == '-') {
    text++;
    size--;
  }
  return size < 19 || (size == 19 && memcmp(text, most, 19) <= 0);
}

static bool number(mig_scan *s) {
  size_t start = s->pos;
  if (peek(s, 0) == '-') s->pos++;
  bool zero = peek(s, 0) == '0';
  size_t first = s->pos;
  bool ok = digits(s) && !(zero && s->pos > first + 1);
  const size_t whole = s->pos;
  if (ok && peek(s, 0) == '.') {
    s->pos++;
    ok = digits(s);
  }
  if (ok && (peek(s, 0) == 'e' || peek(s, 0) == 'E')) {
    s->pos++;
    if (peek(s, 0) == '+' || peek(s, 0) == '-') s->pos++;
    ok = digits(s);
  }
  if (!ok) return mig_scan_wrong(s, start, "this is not a number as JSON writes it");
  if (whole != s->pos || whole_number_fits(s->text + start, s->pos - start)) return true;
  mig_scan_wrong(s, start, "this whole number does not fit into 64 bits");
  return mig_scan_hint(s, "write {\"$numberDecimal\": \"...\"} or {\"$numberDouble\": \"...\"}");
}

static bool word(mig_scan *s) {
  static const char *const words[] = {"true", "false", "null", NULL};
  size_t n = 0;
  while (peek(s, n) > 0 && (peek(s, n) | 32) >= 'a' && (peek(s, n) | 32) <= 'z') n++;
  for (const char *const *w = words; *w; w++) {
    if (n == strlen(*w) && memcmp(s->text + s->pos, *w, n) == 0) {
      s->pos += n;
      return true;
    }
  }
  if (n == 0) return expected(s, "a value");
  mig_scan_wrong(s, s->pos, "expected a value, found %.*s", n > 40 ? 40 : (int)n, s->text + s->pos);
  if (n == 3 || n == 8)
    mig_scan_hint(
        s, "not a number and infinity are written {\"$numberDouble\": \"NaN\"}, {\"$numberDouble\": \"Infinity\"}");
  return false;
}

mig_scan_at mig_scan_next(mig_scan *s, char open, bool *first, mig_span *key) {
  int close = open == '{' ? '}' : ']';
  *key = (mig_span){NULL, 0};
  bool begin = *first;
  *first = false;
  if (begin) s->pos++;
  if (!mig_scan_space(s)) return MIG_SCAN_WRONG;
  if (peek(s, 0) == close) {
    s->pos++;
    return MIG_SCAN_END;
  }
  if (!begin) {
    if (peek(s, 0) != ',') {
      expected(s, open == '{' ? "\",\" or \"}\"" : "\",\" or \"]\"");
      return MIG_SCAN_WRONG;
    }
    size_t comma = s->pos++;
    if (!mig_scan_space(s)) return MIG_SCAN_WRONG;
    if (peek(s, 0) == close) {
      mig_scan_wrong(s, comma, "a comma with nothing behind it");
      return MIG_SCAN_WRONG;
    }
  }
  if (open == '[') return MIG_SCAN_MEMBER;
  if (peek(s, 0) != '"') {
    expected(s, "a key in double quotes");
    return MIG_SCAN_WRONG;
  }
  if (!string(s, key) || (s->tidy && !mig_scan_tidy_key(s, key)) || !mig_scan_space(s)) return MIG_SCAN_WRONG;
  if (peek(s, 0) != ':') {
    expected(s, "\":\" after the key");
    return MIG_SCAN_WRONG;
  }
  s->pos++;
  return mig_scan_space(s) ? MIG_SCAN_MEMBER : MIG_SCAN_WRONG;
}

static bool container(mig_scan *s, char open, const mig_span *parent, int depth) {
  size_t start = s->pos, from = s->keys.size;
  bool first = true;
  mig_span key;
  mig_scan_at at;
  if (depth >= MIG_SCAN_DEPTH) return mig_scan_wrong(s, start, "nested deeper than %d levels", MIG_SCAN_DEPTH);
  while ((at = mig_scan_next(s, open, &first, &key)) == MIG_SCAN_MEMBER) {
    size_t value = s->pos;
    if (s->tidy && open == '{' && !mig_scan_add_key(s, key)) return false;
    if (!mig_scan_value(s, &key, depth + 1)) return false;
    mig_span raw = {s->text + value, s->pos - value};
    const char *why = s->tidy && open == '{' ? mig_scan_misread(parent, &key, &raw) : NULL;
    if (why) return mig_scan_wrong(s, value, "%s", why);
  }
  return at == MIG_SCAN_END && (!s->tidy || open == '[' || mig_scan_keys_unique(s, from));
}

bool mig_scan_value(mig_scan *s, const mig_span *key, int depth) {
  mig_span text;
  int c = peek(s, 0);
  if (c == '{' || c == '[') return container(s, (char)c, key, depth);
  if (c == '"') return string(s, &text);
  if (c == '-' || (c >= '0' && c <= '9')) return number(s);
  return word(s);
}

static bool document(mig_scan *s) {
  mig_span none = {NULL, 0};
  if (!mig_scan_space(s)) return false;
  if (peek(s, 0) != '{') return expected(s, "\"{\"");
  if (!mig_scan_value(s, &none, 0) || !mig_scan_space(s)) return false;
  if (s->pos == s->size) return true;
  mig_scan_wrong(s, s->pos, "something stands behind the end of the object");
  return mig_scan_hint(s, "a migration file holds one object: {\"up\": [...]}");
}

bool mig_scan_document(mig_scan *s) {
  s->pos = 0;
  s->keys = MIG_BUF((size_t)256 << 20);
  bool ok = document(s);
  mig_buf_free(&s->keys);
  return ok;
}
