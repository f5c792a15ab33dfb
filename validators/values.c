#include "validators/values.h"

#include <stdio.h>
#include <string.h>

#define MAX_PATH 1000

bool mig_values_path_ok(const char *path, mig_error *err) {
  size_t parts = 1;
  for (const char *dot = strchr(path, '.'); dot; dot = strchr(dot + 1, '.')) parts++;
  if (strlen(path) > MAX_PATH) return mig_guard_bad(err, "field", "a field path of more than %d bytes", MAX_PATH);
  return parts <= MIG_VALUES_PARTS ||
         mig_guard_bad(err, "field", "a field path of more than %d parts cannot be looked at through arrays",
                       MIG_VALUES_PARTS);
}

typedef struct alternatives {
  bson_t *list; /* array under construction */
  uint32_t count;
  const bson_t *wrong;
} alternatives;

static void add(alternatives *a, const bson_t *filter) {
  char buffer[16];
  const char *key;
  bson_uint32_to_string(a->count++, &key, buffer, sizeof buffer);
  BSON_APPEND_DOCUMENT(a->list, key, filter);
}

/* {$or: [{path: wrong}, {first: {$elemMatch: (the same of the rest)}}, ...]}: each part in front may be an array. */
static bson_t *any_way(const char *path, const bson_t *wrong) {
  bson_t *out = bson_new(), list, plain = BSON_INITIALIZER;
  BSON_APPEND_ARRAY_BEGIN(out, "$or", &list);
  alternatives a = {&list, 0, wrong};
  BSON_APPEND_DOCUMENT(&plain, path, wrong);
  add(&a, &plain);
  bson_destroy(&plain);
  for (const char *dot = strchr(path, '.'); dot; dot = strchr(dot + 1, '.')) {
    char front[MAX_PATH + 1];
    bson_t one = BSON_INITIALIZER, match, *rest = any_way(dot + 1, wrong);
    snprintf(front, sizeof front, "%.*s", (int)(dot - path), path);
    BSON_APPEND_DOCUMENT_BEGIN(&one, front, &match);
    BSON_APPEND_DOCUMENT(&match, "$elemMatch", rest);
    bson_append_document_end(&one, &match);
    add(&a, &one);
    bson_destroy(rest);
    bson_destroy(&one);
  }
  bson_append_array_end(out, &list);
  if (a.count > 1) return out;
  bson_reinit(out);
  BSON_APPEND_DOCUMENT(out, path, wrong);
  return out;
}

bson_t *mig_values_filter(const char *path, const bson_t *const *wrong, size_t count) {
  if (count == 1) return any_way(path, wrong[0]);
  bson_t *out = bson_new(), list;
  BSON_APPEND_ARRAY_BEGIN(out, "$or", &list);
  alternatives a = {&list, 0, NULL};
  for (size_t i = 0; i < count; i++) {
    bson_t *one = any_way(path, wrong[i]);
    add(&a, one);
    bson_destroy(one);
  }
  bson_append_array_end(out, &list);
  return out;
}
