#include "base/names.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

bool mig_name_database_ok(const char *db, mig_error *err) {
  size_t n = strlen(db);
  if (n == 0 || n > 63 || strpbrk(db, "/\\. \"$*<>:|?")) {
    mig_fail(err, MIG_E_USAGE, "\"%.80s\" cannot be a database name", db);
    return mig_hint(err, "1 to 63 bytes, none of / \\ . space \" $ * < > : | ?");
  }
  return true;
}

bool mig_name_collection_ok(const char *db, const char *collection, mig_error *err) {
  size_t n = strlen(collection);
  const char *bad = n == 0                                         ? "it is empty"
                    : collection[0] == '$' || collection[0] == '.' ? "it begins with $ or ."
                    : collection[n - 1] == '.'                     ? "it ends with ."
                    : n + (db ? strlen(db) : 0) + 1 > 255 ? "it is longer than 255 bytes with the database's name"
                                                          : NULL;
  if (!bad) return true;
  mig_fail(err, MIG_E_INPUT, "\"%.100s\" cannot be a collection name", collection);
  return mig_why(err, "%s", bad);
}

const char *mig_name_inside(const char *database, const char *name) {
  const size_t n = strlen(database);
  return strncmp(name, database, n) == 0 && name[n] == '.' && name[n + 1] ? name + n + 1 : NULL;
}

bool mig_name_reserved(const char *collection) {
  return strncmp(collection, "system.", 7) == 0 || strcmp(collection, MIG_LEDGER) == 0 ||
         strcmp(collection, MIG_EVENTS) == 0 || strcmp(collection, MIG_LOCKS) == 0 ||
         strncmp(collection, "migprobe_", 9) == 0 || strncmp(collection, "migstage_", 9) == 0 ||
         strncmp(collection, "migaside_", 9) == 0;
}

bool mig_name_steers_command(const char *key) {
  static const char *const keys[] = {"lsid",   "txnNumber", "startTransaction", "autocommit",
                                     "stmtId", "stmtIds",   "readConcern"};
  if (key[0] == '$') return true;
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
    if (strcmp(keys[i], key) == 0) return true;
  return false;
}

static bool plain(unsigned char c, bool first) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
         (c == '.' && !first);
}

char *mig_name_encode(const char *name) {
  static const char digits[] = "0123456789ABCDEF";
  char *out = mig_alloc(strlen(name) * 3 + 1);
  if (!out) return NULL;
  size_t n = 0;
  for (const unsigned char *p = (const unsigned char *)name; *p; p++) {
    if (plain(*p, n == 0)) {
      out[n++] = (char)*p;
    } else {
      out[n++] = '%';
      out[n++] = digits[*p >> 4];
      out[n++] = digits[*p & 15];
    }
  }
  return out;
}

static int hex_digit(char c) {
  const char *digits = "0123456789ABCDEF";
  const char *at = c ? strchr(digits, c) : NULL;
  return at ? (int)(at - digits) : -1;
}

char *mig_name_decode(const char *encoded, mig_error *err) {
  size_t size = strlen(encoded);
  char *out = mig_alloc(size + 1);
  if (!out) {
    mig_no_memory(err, "name");
    return NULL;
  }
  size_t n = 0;
  for (size_t i = 0; i < size; i++) {
    int hi = encoded[i] == '%' ? hex_digit(encoded[i + 1]) : 0;
    int lo = encoded[i] == '%' && hi >= 0 ? hex_digit(encoded[i + 2]) : 0;
    if (hi < 0 || lo < 0) break;
    out[n++] = encoded[i] == '%' ? (char)(hi * 16 + lo) : encoded[i];
    if (encoded[i] == '%') i += 2;
  }
  out[n] = 0;
  char *again = mig_name_encode(out);
  bool canonical = again && strcmp(again, encoded) == 0 && n > 0;
  mig_free(again);
  if (canonical) return out;
  mig_free(out);
  mig_fail(err, MIG_E_ARCHIVE, "\"%.100s\" is not an encoded name", encoded);
  return NULL;
}

/* Levenshtein distance, bounded: names here are short. */
static size_t distance(const char *a, const char *b) {
  size_t row[65];
  size_t n = strlen(b);
  if (n > 64 || strlen(a) > 64) return 99;
  for (size_t j = 0; j <= n; j++) row[j] = j;
  for (size_t i = 0; a[i]; i++) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < n; j++) {
      size_t cost = diagonal + (tolower((unsigned char)a[i]) != tolower((unsigned char)b[j]));
      diagonal = row[j + 1];
      size_t best = row[j] < row[j + 1] ? row[j] + 1 : row[j + 1] + 1;
      row[j + 1] = cost < best ? cost : best;
    }
  }
  return row[n];
}

const char *mig_name_nearest(const char *given, const char *const *candidates) {
  const char *best = NULL;
  size_t best_distance = strlen(given) / 3 + 2;
  for (; *candidates; candidates++) {
    size_t d = distance(given, *candidates);
    if (d < best_distance) {
      best = *candidates;
      best_distance = d;
    }
  }
  return best;
}
