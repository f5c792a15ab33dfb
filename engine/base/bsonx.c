#include "base/bsonx.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"

bool mig_bson_find(const bson_t *doc, const char *path, bson_iter_t *out) {
  bson_iter_t it;
  return bson_iter_init(&it, doc) && bson_iter_find_descendant(&it, path, out);
}

bool mig_bson_str(const bson_t *doc, const char *path, const char **out) {
  bson_iter_t it;
  if (!mig_bson_find(doc, path, &it) || !BSON_ITER_HOLDS_UTF8(&it)) return false;
  uint32_t size = 0;
  const char *text = bson_iter_utf8(&it, &size);
  if (strlen(text) != size) return false; /* a zero byte inside: not a C string */
  *out = text;
  return true;
}

bool mig_bson_int(const bson_t *doc, const char *path, int64_t *out) {
  bson_iter_t it;
  if (!mig_bson_find(doc, path, &it)) return false;
  if (BSON_ITER_HOLDS_INT32(&it))
    *out = bson_iter_int32(&it);
  else if (BSON_ITER_HOLDS_INT64(&it))
    *out = bson_iter_int64(&it);
  else if (BSON_ITER_HOLDS_DOUBLE(&it)) {
    double d = bson_iter_double(&it);
    if (!(d >= -9007199254740992.0 && d <= 9007199254740992.0) || (double)(int64_t)d < d || (double)(int64_t)d > d)
      return false;
    *out = (int64_t)d;
  } else
    return false;
  return true;
}

bool mig_bson_bool(const bson_t *doc, const char *path, bool *out) {
  bson_iter_t it;
  if (!mig_bson_find(doc, path, &it) || !BSON_ITER_HOLDS_BOOL(&it)) return false;
  *out = bson_iter_bool(&it);
  return true;
}

bool mig_bson_date(const bson_t *doc, const char *path, int64_t *unix_ms) {
  bson_iter_t it;
  if (!mig_bson_find(doc, path, &it) || !BSON_ITER_HOLDS_DATE_TIME(&it)) return false;
  *unix_ms = bson_iter_date_time(&it);
  return true;
}

bool mig_bson_iter_doc(const bson_iter_t *it, bson_t *view) {
  uint32_t size = 0;
  const uint8_t *data = NULL;
  if (BSON_ITER_HOLDS_DOCUMENT(it))
    bson_iter_document(it, &size, &data);
  else if (BSON_ITER_HOLDS_ARRAY(it))
    bson_iter_array(it, &size, &data);
  return data && bson_init_static(view, data, size);
}

bool mig_bson_doc(const bson_t *doc, const char *path, bson_t *view) {
  bson_iter_t it;
  return mig_bson_find(doc, path, &it) && BSON_ITER_HOLDS_DOCUMENT(&it) && mig_bson_iter_doc(&it, view);
}

bool mig_bson_arr(const bson_t *doc, const char *path, bson_t *view) {
  bson_iter_t it;
  return mig_bson_find(doc, path, &it) && BSON_ITER_HOLDS_ARRAY(&it) && mig_bson_iter_doc(&it, view);
}

bool mig_bson_same(const bson_t *a, const bson_t *b) {
  return a->len == b->len && memcmp(bson_get_data(a), bson_get_data(b), a->len) == 0;
}

bool mig_bson_same_id(const bson_t *a, const bson_t *b) {
  bson_iter_t x, y;
  bson_t one = BSON_INITIALIZER, two = BSON_INITIALIZER;
  bool ok = bson_iter_init_find(&x, a, "_id") && bson_iter_init_find(&y, b, "_id");
  if (ok) {
    bson_append_iter(&one, "_id", 3, &x);
    bson_append_iter(&two, "_id", 3, &y);
    ok = mig_bson_same(&one, &two);
  }
  bson_destroy(&one);
  bson_destroy(&two);
  return ok;
}

bson_t *mig_bson_without(const bson_t *doc, const char *const *keys) {
  bson_t *out = bson_new();
  bson_iter_t it;
  if (!bson_iter_init(&it, doc)) return out;
  while (bson_iter_next(&it)) {
    bool drop = false;
    for (const char *const *key = keys; *key && !drop; key++) drop = strcmp(*key, bson_iter_key(&it)) == 0;
    if (!drop) bson_append_iter(out, NULL, 0, &it);
  }
  return out;
}

/* libbson 1.x writes an empty document as "{  }", 2.x as "{ }": from us it is the latter with both. */
static void single_spaces(char *json) {
  bool quoted = false;
  char *to = json;
  for (const char *p = json; *p; p++) {
    if (!quoted && p[0] == ' ' && p[1] == ' ') continue;
    if (*p == '"') quoted = !quoted;
    if (quoted && p[0] == '\\' && p[1]) *to++ = *p++;
    *to++ = *p;
  }
  *to = 0;
}

static char *own(char *from_bson, const char *otherwise) {
  char *copy = mig_strdup(from_bson ? from_bson : otherwise);
  bson_free(from_bson);
  if (copy) single_spaces(copy);
  return copy;
}

char *mig_bson_json(const bson_t *doc) {
  /* libbson cannot write text that is not UTF-8 */
  return own(bson_as_relaxed_extended_json(doc, NULL), "{\"$unprintable\": true}");
}

char *mig_bson_canonical_json(const bson_t *doc) {
  char *json = bson_as_canonical_extended_json(doc, NULL);
  char *mine = json ? mig_strdup(json) : NULL;
  bson_free(json);
  return mine;
}

char *mig_bson_array_json(const bson_t *array) {
  bson_t outer = BSON_INITIALIZER;
  bson_iter_t it;
  BSON_APPEND_ARRAY(&outer, "a", array);
  char *json = bson_iter_init_find(&it, &outer, "a") ? mig_bson_value_json(&it, SIZE_MAX) : NULL;
  bson_destroy(&outer);
  return json;
}

char *mig_bson_value_json(const bson_iter_t *it, size_t max) {
  bson_t one = BSON_INITIALIZER;
  bson_append_iter(&one, "v", 1, it);
  char *json = mig_bson_json(&one);
  bson_destroy(&one);
  if (!json) return NULL;
  /* { "v" : VALUE } */
  char *start = strchr(json, ':'), *end = strrchr(json, '}');
  if (start && end && end > start && strncmp(json, "{\"$unp", 6) != 0) {
    start++;
    while (*start == ' ') start++;
    while (end > start && end[-1] == ' ') end--;
    *end = 0;
    memmove(json, start, (size_t)(end - start) + 1);
  }
  size_t n = strlen(json);
  if (n > max && max > 3) {
    size_t cut = max - 3;
    while (cut && ((unsigned char)json[cut] & 0xC0) == 0x80) cut--;
    memcpy(json + cut, "...", 4);
  }
  return json;
}

void mig_bson_append_text(bson_t *doc, const char *key, const char *text) {
  if (text)
    BSON_APPEND_UTF8(doc, key, text);
  else
    BSON_APPEND_NULL(doc, key);
}

void mig_bson_append_all(bson_t *list, const bson_t *doc, const char *path) {
  bson_t array;
  bson_iter_t it;
  char buffer[16];
  const char *key = NULL;
  uint32_t count = bson_count_keys(list);
  if (!mig_bson_arr(doc, path, &array) || !bson_iter_init(&it, &array)) return;
  while (bson_iter_next(&it)) {
    const size_t size = bson_uint32_to_string(count++, &key, buffer, sizeof buffer);
    bson_append_iter(list, key, (int)size, &it);
  }
}

const char *mig_bson_path_end(const char *path, int parts) {
  const char *end = path - 1;
  for (int i = 0; i < parts; i++) {
    if (end >= path && !*end) return NULL;
    end += 1 + strcspn(end + 1, ".");
  }
  return end;
}

bool mig_uuid(char text[static MIG_UUID_TEXT], mig_error *err) {
  char h[33];
  if (!mig_random_hex(16, h, err)) return false;
  h[12] = '4';
  h[16] = "89ab"[(h[16] >= 'a' ? h[16] - 'a' + 10 : h[16] - '0') & 3];
  snprintf(text, MIG_UUID_TEXT, "%.8s-%.4s-%.4s-%.4s-%.12s", h, h + 8, h + 12, h + 16, h + 20);
  return true;
}
