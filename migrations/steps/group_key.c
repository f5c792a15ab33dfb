#include "migrations/steps/group_key.h"

#include <stdio.h>
#include <string.h>

#include "migrations/steps/common.h"

static bool dotted(const char *field) {
  return strchr(field, '.') != NULL;
}

/* "$" and the first `depth` parts of the path; NULL when it has fewer. */
static char *path_at(const char *field, int depth) {
  const char *end = mig_bson_path_end(field, depth);
  return end ? mig_strdup_printf("$%.*s", (int)(end - field), field) : NULL;
}

/* The number of elements; 0 of what is no array, for which $size would be an error. */
static bson_t *size_of(const char *path) {
  return BCON_NEW("$size", "{", "$cond", "[", "{", "$isArray", "[", BCON_UTF8(path), "]", "}", BCON_UTF8(path), "[",
                  "]", "]", "}");
}

static bson_t *lists_in(const char *path) {
  return BCON_NEW("$size", "{", "$filter", "{", "input", "{", "$cond", "[", "{", "$isArray", "[", BCON_UTF8(path), "]",
                  "}", BCON_UTF8(path), "[", "]", "]", "}", "as", "e", "cond", "{", "$isArray", "[", "$$e", "]", "}",
                  "}", "}");
}

static void append(bson_t *array, const bson_t *expression) {
  char buffer[16];
  const char *key;
  bson_uint32_to_string(bson_count_keys(array), &key, buffer, sizeof buffer);
  BSON_APPEND_DOCUMENT(array, key, expression);
}

/* Every element of the array at `depth` has the rest of the path, and no part of that is an array again. */
static bson_t *complete(const char *field, int depth) {
  bson_t *all = bson_new(), conditions = BSON_INITIALIZER;
  char *array = path_at(field, depth), *path = NULL;
  bson_t *elements = size_of(array ? array : "");
  for (int d = depth + 1; (path = path_at(field, d)) != NULL; d++) {
    char *further = path_at(field, d + 1);
    bson_t *found = size_of(path), *lists = lists_in(path);
    bson_t *same = BCON_NEW("$eq", "[", BCON_DOCUMENT(found), BCON_DOCUMENT(elements), "]");
    bson_t *none = BCON_NEW("$eq", "[", BCON_DOCUMENT(lists), BCON_INT32(0), "]");
    append(&conditions, same);
    if (further) append(&conditions, none);
    bson_destroy(found);
    bson_destroy(lists);
    bson_destroy(same);
    bson_destroy(none);
    mig_free(further);
    mig_free(path);
  }
  BSON_APPEND_ARRAY(all, "$and", &conditions);
  bson_destroy(&conditions);
  bson_destroy(elements);
  mig_free(array);
  return all;
}

/* {$switch: ...}: from the outside in, the first part that is an array, or is neither a document nor missing. */
static bson_t *shape_of(const char *field) {
  bson_t *shape = bson_new(), body, branches = BSON_INITIALIZER;
  for (int depth = 1;; depth++) {
    char *path = path_at(field, depth), *further = path_at(field, depth + 1);
    if (path && further) {
      bson_t *sure = complete(field, depth);
      bson_t *array = BCON_NEW("case", "{", "$isArray", "[", BCON_UTF8(path), "]", "}", "then", "{", "$cond", "[",
                               BCON_DOCUMENT(sure), BCON_INT32(depth), BCON_NULL, "]", "}");
      bson_t *other = BCON_NEW("case", "{", "$not", "[", "{", "$in", "[", "{", "$type", BCON_UTF8(path), "}", "[",
                               "object", "missing", "null", "undefined", "]", "]", "}", "]", "}", "then", BCON_NULL);
      append(&branches, array);
      append(&branches, other);
      bson_destroy(sure);
      bson_destroy(array);
      bson_destroy(other);
    }
    const bool more = path && further;
    mig_free(path);
    mig_free(further);
    if (!more) break;
  }
  BSON_APPEND_DOCUMENT_BEGIN(shape, "$switch", &body);
  BSON_APPEND_ARRAY(&body, "branches", &branches);
  BSON_APPEND_INT32(&body, "default", 0);
  bson_append_document_end(shape, &body);
  bson_destroy(&branches);
  return shape;
}

/* An empty list at the end of a path is what an array without elements gives, too: no value. */
static bson_t *value_of(const char *field) {
  char *path = mig_strdup_printf("$%s", field);
  const char *text = path ? path : "";
  bson_t *value = dotted(field) ? BCON_NEW("$cond", "[", "{", "$eq", "[", BCON_UTF8(text), "[", "]", "]", "}",
                                           BCON_NULL, "{", "$ifNull", "[", BCON_UTF8(text), BCON_NULL, "]", "}", "]")
                                : BCON_NEW("$ifNull", "[", BCON_UTF8(text), BCON_NULL, "]");
  mig_free(path);
  return value;
}

void mig_group_key(const mig_step *step, bson_t *out, const char *name) {
  bson_t fields, key;
  bson_iter_t it;
  mig_step_doc(step, "fields", &fields);
  BSON_APPEND_DOCUMENT_BEGIN(out, name, &key);
  if (bson_iter_init(&it, &fields)) {
    for (uint32_t n = 0; bson_iter_next(&it); n++) {
      const char *field = bson_iter_utf8(&it, NULL);
      char own[16];
      bson_t *value = value_of(field);
      snprintf(own, sizeof own, "v%u", n);
      BSON_APPEND_DOCUMENT(&key, own, value);
      bson_destroy(value);
      if (!dotted(field)) continue;
      bson_t *shape = shape_of(field);
      snprintf(own, sizeof own, "s%u", n);
      BSON_APPEND_DOCUMENT(&key, own, shape);
      bson_destroy(shape);
    }
  }
  bson_append_document_end(out, &key);
}

static void append_not_null(bson_t *array, const bson_t *expression) {
  bson_t *ne = BCON_NEW("$ne", "[", BCON_DOCUMENT(expression), BCON_NULL, "]");
  append(array, ne);
  bson_destroy(ne);
}

bool mig_group_key_certain(const mig_step *step, bson_t *out) {
  bson_t key = BSON_INITIALIZER, parts, part, expr, all = BSON_INITIALIZER, any = BSON_INITIALIZER;
  bson_iter_t it;
  mig_group_key(step, &key, "key");
  bool ok = mig_bson_doc(&key, "key", &parts) && bson_iter_init(&it, &parts), paths = false;
  while (ok && bson_iter_next(&it)) {
    const bool shape = *bson_iter_key(&it) == 's';
    if (!mig_bson_iter_doc(&it, &part)) continue;
    append_not_null(shape ? &all : &any, &part);
    paths = paths || shape;
  }
  if (paths && !mig_step_flag(step, "includeMissing")) {
    bson_t *one = BCON_NEW("$or", BCON_ARRAY(&any));
    append(&all, one);
    bson_destroy(one);
  }
  if (paths) {
    BSON_APPEND_DOCUMENT_BEGIN(out, "$expr", &expr);
    BSON_APPEND_ARRAY(&expr, "$and", &all);
    bson_append_document_end(out, &expr);
  }
  bson_destroy(&any);
  bson_destroy(&all);
  bson_destroy(&key);
  return paths;
}
