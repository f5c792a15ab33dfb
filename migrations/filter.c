#include "migrations/filter.h"

#include <string.h>

bson_t *mig_filter_all(const bson_t *const *parts) {
  const bson_t *only = NULL;
  bson_t *all = bson_new(), list;
  uint32_t count = 0;
  BSON_APPEND_ARRAY_BEGIN(all, "$and", &list);
  for (; *parts; parts++) {
    char buffer[16];
    const char *key;
    if (bson_empty(*parts)) continue;
    bson_uint32_to_string(count++, &key, buffer, sizeof buffer);
    BSON_APPEND_DOCUMENT(&list, key, *parts);
    only = *parts;
  }
  bson_append_array_end(all, &list);
  if (count > 1) return all;
  bson_destroy(all);
  return only ? bson_copy(only) : bson_new();
}

bson_t *mig_filter_and(const bson_t *a, const bson_t *b) {
  const bson_t *parts[] = {a ? a : b, a ? b : NULL, NULL};
  return mig_filter_all(parts);
}

bson_t *mig_filter_exists(const char *field, bool exists) {
  bson_t *filter = bson_new(), condition;
  BSON_APPEND_DOCUMENT_BEGIN(filter, field, &condition);
  BSON_APPEND_BOOL(&condition, "$exists", exists);
  bson_append_document_end(filter, &condition);
  return filter;
}

bson_t *mig_filter_type(const char *field, bool is, const char *type) {
  bson_t *filter = bson_new(), condition, negated;
  BSON_APPEND_DOCUMENT_BEGIN(filter, field, &condition);
  if (is) {
    BSON_APPEND_UTF8(&condition, "$type", type);
  } else {
    BSON_APPEND_DOCUMENT_BEGIN(&condition, "$not", &negated);
    BSON_APPEND_UTF8(&negated, "$type", type);
    bson_append_document_end(&condition, &negated);
  }
  bson_append_document_end(filter, &condition);
  return filter;
}

bool mig_fields_overlap(const char *a, const char *b) {
  size_t n = strlen(a), m = strlen(b), shorter = n < m ? n : m;
  if (strncmp(a, b, shorter) != 0) return false;
  return n == m || (n < m ? b : a)[shorter] == '.';
}
