/*
 * Extended JSON that libbson 1.23 takes without a word and turns into something else: 31 February becomes 2 March, a
 * number that is none becomes 0 or NaN, unknown options of a regular expression vanish. What it refuses itself is
 * left to it. The rules are those of the Extended JSON v2 specification.
 */
#include <bson/bson.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_scan.h"

static bool is(const mig_span *s, const char *text) {
  return s && s->at && s->size == strlen(text) && memcmp(s->at, text, s->size) == 0;
}

/* The raw value without its quotes, as a C string; false when it is no plain text of that size. */
static bool plain_text(const mig_span *raw, char *out, size_t size) {
  if (raw->size < 2 || raw->at[0] != '"' || raw->size - 2 >= size || memchr(raw->at, '\\', raw->size)) return false;
  memcpy(out, raw->at + 1, raw->size - 2);
  out[raw->size - 2] = 0;
  return true;
}

static bool special(const char *text) {
  return strcmp(text, "NaN") == 0 || strcmp(text, "Infinity") == 0 || strcmp(text, "-Infinity") == 0;
}

static const char *check_double(const mig_span *raw) {
  char text[400], *end = NULL;
  if (!plain_text(raw, text, sizeof text)) return "$numberDouble takes a number as text";
  if (special(text)) return NULL;
  strtod(text, &end);
  bool ok = *text && !*end && strspn(text, "+-.0123456789eE") == strlen(text);
  return ok ? NULL : "$numberDouble takes a number as text, such as \"1.5\", \"NaN\" or \"-Infinity\"";
}

static const char *check_decimal(const mig_span *raw) {
  char text[200];
  bson_decimal128_t value;
  bool ok = plain_text(raw, text, sizeof text) && bson_decimal128_from_string(text, &value);
  return ok ? NULL : "$numberDecimal takes a number as text, of at most 34 digits, such as \"1.50\"";
}

static const char *check_integer(const mig_span *raw) {
  char text[40];
  bool ok = plain_text(raw, text, sizeof text) && *text && strspn(text, "-0123456789") == strlen(text);
  return ok ? NULL : "$numberInt and $numberLong take a whole number as text, such as \"42\"";
}

static const char *check_day(const mig_span *raw) {
  static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  char text[64];
  if (!plain_text(raw, text, sizeof text) || strlen(text) < 10) return NULL; /* libbson says what is wrong */
  int year = atoi(text), month = atoi(text + 5), day = atoi(text + 8);
  if (month < 1 || month > 12) return NULL;
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return day < 1 || day > days[month - 1] + (month == 2 && leap) ? "there is no such day in that month" : NULL;
}

static const char *check_options(const mig_span *raw) {
  char text[16];
  bool ok = plain_text(raw, text, sizeof text) && strspn(text, "imsxlu") == strlen(text);
  return ok ? NULL : "options of a regular expression are of the letters i, m, s, x, l, u";
}

static const char *check_uint32(const mig_span *raw) {
  char text[12] = "";
  if (raw->size && raw->size < sizeof text) memcpy(text, raw->at, raw->size);
  bool ok = *text && strspn(text, "0123456789") == strlen(text) && strtoull(text, NULL, 10) <= UINT32_MAX;
  return ok ? NULL : "the parts of a $timestamp are whole numbers from 0 to 4294967295";
}

static const char *check_subtype(const mig_span *raw) {
  char text[4];
  bool ok = plain_text(raw, text, sizeof text) && strlen(text) >= 1 && strlen(text) <= 2;
  return ok ? NULL : "subType takes one or two hexadecimal digits";
}

const char *mig_scan_misread(const mig_span *parent, const mig_span *key, const mig_span *raw) {
  if (is(parent, "$regularExpression") && is(key, "options")) return check_options(raw);
  if (is(parent, "$timestamp") && (is(key, "t") || is(key, "i"))) return check_uint32(raw);
  if (is(parent, "$binary") && is(key, "subType")) return check_subtype(raw);
  if (!key->size || key->at[0] != '$') return NULL;
  if (is(key, "$numberDouble")) return check_double(raw);
  if (is(key, "$numberDecimal")) return check_decimal(raw);
  if (is(key, "$numberInt") || is(key, "$numberLong")) return check_integer(raw);
  if (is(key, "$date")) return check_day(raw);
  if (is(key, "$binary") && raw->at[0] == '"') return "$binary takes {\"base64\": ..., \"subType\": ...}";
  if (is(key, "$scope") && memchr(raw->at, MIG_SCAN_MARK, raw->size)) return "$scope cannot hold query operators";
  if (is(key, "$undefined") && !is(raw, "true")) return "$undefined takes true";
  return NULL;
}
