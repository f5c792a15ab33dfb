/* Parsing: our walk checks and rewrites the text, libbson makes the values. */
#include "base/json_source.h"

#include <stdio.h>
#include <string.h>

#include "base/json_place.h"
#include "base/json_scan.h"

static bool blame_at(const mig_source *s, mig_error *err, size_t offset) {
  mig_place p = mig_place_at(&s->text, offset, NULL);
  return mig_fail_at(err, "%s:%zu:%zu", s->path, p.line, p.column);
}

bool mig_source_blame(const mig_source *s, mig_error *err) {
  if (!err) return false;
  mig_place p = mig_source_find(s, err->json_path);
  return mig_fail_at(err, "%s:%zu:%zu", s->path, p.line, p.column);
}

static bool starts_with(const mig_buf *b, const char *bytes, size_t size) {
  return b->size >= size && memcmp(b->data, bytes, size) == 0;
}

/* The first byte that is not part of a UTF-8 character; text->size when there is none. */
static size_t not_utf8(const mig_buf *text) {
  const char *p = (const char *)text->data;
  size_t i = 0;
  if (bson_utf8_validate(p, text->size, true)) return text->size;
  while (i < text->size) {
    unsigned char c = (unsigned char)p[i];
    size_t n = c < 0x80 ? 1 : c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    if (c >= 0x80 && (i + n > text->size || !bson_utf8_validate(p + i, n, true))) return i;
    i += n;
  }
  return 0;
}

static bool check_bytes(const mig_source *s, mig_error *err) {
  const mig_buf *text = &s->text;
  if (starts_with(text, "\xEF\xBB\xBF", 3)) {
    mig_fail(err, MIG_E_INPUT, "the file begins with a byte order mark");
    mig_hint(err, "save it as UTF-8 without one");
    return blame_at(s, err, 0);
  }
  if (starts_with(text, "\xFF\xFE", 2) || starts_with(text, "\xFE\xFF", 2)) {
    mig_fail(err, MIG_E_INPUT, "the file is UTF-16");
    mig_hint(err, "save it as UTF-8 without a byte order mark");
    return blame_at(s, err, 0);
  }
  const uint8_t *zero = text->size ? memchr(text->data, 0, text->size) : NULL;
  if (zero) {
    mig_fail(err, MIG_E_INPUT, "the file holds a zero byte: it is no text");
    return blame_at(s, err, (size_t)(zero - text->data));
  }
  size_t bad = text->size ? not_utf8(text) : 0;
  if (bad < text->size) {
    mig_fail(err, MIG_E_INPUT, "this byte is not UTF-8 (0x%02X)", text->data[bad]);
    mig_hint(err, "save the file as UTF-8");
    return blame_at(s, err, bad);
  }
  if (strspn(mig_buf_text(text), " \t\r\n") == text->size) {
    mig_fail(err, MIG_E_INPUT, "the file is empty");
    mig_hint(err, "the smallest migration is {\"up\": [{\"createCollection\": {\"collection\": \"users\"}}]}");
    return blame_at(s, err, 0);
  }
  return true;
}

static bool check_structure(mig_source *s, bool *marked, mig_error *err) {
  mig_scan scan = {.text = (char *)s->text.data, .size = s->text.size, .tidy = true};
  bool ok = mig_scan_document(&scan);
  *marked = scan.marked;
  if (ok) return true;
  mig_fail(err, scan.no_memory ? MIG_E_NO_MEMORY : MIG_E_INPUT, "%s", scan.wrong);
  if (scan.hint[0]) mig_hint(err, "%s", scan.hint);
  return blame_at(s, err, scan.wrong_at);
}

/* libbson does not say where: the deepest part that it refuses alone is the place. */
static size_t refused_at(mig_scan *scan, char open) {
  size_t own = scan->pos;
  bool first = true;
  mig_span key;
  while (mig_scan_next(scan, open, &first, &key) == MIG_SCAN_MEMBER) {
    size_t value = scan->pos;
    char *text = scan->text + value;
    mig_buf alone = MIG_BUF((size_t)128 << 20);
    if (!mig_scan_value(scan, NULL, 1)) break;
    bool built = mig_buf_add(&alone, "{\"v\":", 5, NULL) && mig_buf_add(&alone, text, scan->pos - value, NULL) &&
                 mig_buf_add(&alone, "}", 1, NULL);
    bson_t *doc = built ? bson_new_from_json(alone.data, (ssize_t)alone.size, NULL) : NULL;
    mig_buf_free(&alone);
    bson_destroy(doc);
    if (doc || !built) continue;
    mig_scan inner = *scan;
    inner.pos = value;
    return *text == '{' || *text == '[' ? refused_at(&inner, *text) : value;
  }
  return own;
}

static bool refused(const mig_source *s, const bson_error_t *error, mig_error *err) {
  mig_scan scan = {.text = (char *)s->text.data, .size = s->text.size};
  mig_scan_space(&scan);
  size_t at = refused_at(&scan, '{');
  mig_fail(err, MIG_E_INPUT, "this is not valid Extended JSON");
  char why[sizeof error->message];
  memcpy(why, error->message, sizeof why);
  for (char *mark = why; (mark = strchr(mark, MIG_SCAN_MARK)) != NULL;) *mark = '$';
  mig_why(err, "%s", why);
  mig_hint(err, "see the Extended JSON v2 specification for how each type is written");
  return blame_at(s, err, at);
}

/* Gives the marked operators their '$' back. */
static void unmark(const bson_t *from, bson_t *to) {
  bson_iter_t it;
  if (!bson_iter_init(&it, from)) return;
  while (bson_iter_next(&it)) {
    char key[16];
    const char *name = bson_iter_key(&it);
    bson_t child, inner;
    if (name[0] == MIG_SCAN_MARK && strlen(name) < sizeof key) {
      memcpy(key, name, strlen(name) + 1);
      key[0] = '$';
      name = key;
    }
    if (BSON_ITER_HOLDS_DOCUMENT(&it) && mig_bson_iter_doc(&it, &child)) {
      bson_append_document_begin(to, name, -1, &inner);
      unmark(&child, &inner);
      bson_append_document_end(to, &inner);
    } else if (BSON_ITER_HOLDS_ARRAY(&it) && mig_bson_iter_doc(&it, &child)) {
      BSON_APPEND_ARRAY_BEGIN(to, name, &inner);
      unmark(&child, &inner);
      bson_append_array_end(to, &inner);
    } else {
      bson_append_iter(to, name, -1, &it);
    }
  }
}

static bool parse(mig_source *s, bool marked, mig_error *err) {
  bson_error_t error = {0};
  s->doc = bson_new_from_json(s->text.data, (ssize_t)s->text.size, &error);
  if (!s->doc) return refused(s, &error, err);
  if (!marked) return true;
  bson_t *plain = bson_new();
  unmark(s->doc, plain);
  bson_destroy(s->doc);
  s->doc = plain;
  return true;
}

static const char *left_over(const bson_t *doc, char *path, size_t size, size_t used);

static const char *left_over_in(const bson_iter_t *it, char *path, size_t size, size_t used) {
  bson_t child;
  if ((BSON_ITER_HOLDS_DOCUMENT(it) || BSON_ITER_HOLDS_ARRAY(it)) && mig_bson_iter_doc(it, &child))
    return left_over(&child, path, size, used);
  return NULL;
}

/* A type's wrapper beside other keys is taken for a plain document: find one. Fills path. */
static const char *left_over(const bson_t *doc, char *path, size_t size, size_t used) {
  static const char *const wrappers[] = {
      "$oid",    "$date",      "$numberLong",        "$numberInt", "$numberDouble", "$numberDecimal", "$binary",
      "$uuid",   "$timestamp", "$regularExpression", "$dbPointer", "$symbol",       "$code",          "$scope",
      "$minKey", "$maxKey",    "$undefined",         NULL};
  bson_iter_t it;
  if (!bson_iter_init(&it, doc)) return NULL;
  while (bson_iter_next(&it)) {
    const char *key = bson_iter_key(&it), *found = NULL;
    int n = snprintf(path + used, size - used, "%s%s", used ? "." : "", key);
    size_t end = n < 0 || (size_t)n >= size - used ? size - 1 : used + (size_t)n;
    for (const char *const *w = wrappers; key[0] == '$' && *w; w++)
      if (strcmp(*w, key) == 0) return *w;
    found = left_over_in(&it, path, size, end);
    if (found) return found;
    path[used] = 0;
  }
  return NULL;
}

static bool check_wrappers(const mig_source *s, mig_error *err) {
  char path[256] = "";
  const char *key = left_over(s->doc, path, sizeof path, 0);
  if (!key) return true;
  mig_fail(err, MIG_E_INPUT, "\"%s\" must be the only key of its object", key);
  mig_why(err, "beside other keys it would not be read as that type");
  if (err) memcpy(err->json_path, path, sizeof path);
  return mig_source_blame(s, err);
}

bool mig_source_parse(const char *path, mig_buf *text, mig_source **out, mig_error *err) {
  bool marked = false;
  *out = NULL;
  mig_source *s = mig_alloc(sizeof *s);
  bool ok = s && (s->path = mig_strdup(path));
  if (!ok) mig_no_memory(err, "migration file");
  if (s) {
    s->text = *text;
    *text = MIG_BUF(text->maximum);
  } else {
    mig_buf_free(text);
  }
  ok = ok && check_bytes(s, err) && check_structure(s, &marked, err) && parse(s, marked, err) && check_wrappers(s, err);
  if (ok)
    *out = s;
  else
    mig_source_free(s);
  return ok;
}

void mig_source_free(mig_source *s) {
  if (!s) return;
  mig_buf_free(&s->text);
  bson_destroy(s->doc);
  mig_free(s->path);
  mig_free(s);
}
