#include "backup/doc_id.h"

#include <math.h>
#include <string.h>

void mig_doc_id_of(const bson_t *doc, mig_doc_id *out) {
  bson_iter_t it, after;
  out->data = NULL;
  out->size = 0;
  if (!bson_iter_init(&it, doc)) return;
  while (bson_iter_next(&it)) {
    if (strcmp(bson_iter_key(&it), "_id") != 0) continue;
    after = it;
    const size_t start = bson_iter_offset(&it);
    const size_t end = bson_iter_next(&after) ? bson_iter_offset(&after) : doc->len - 1;
    out->data = bson_get_data(doc) + start;
    out->size = end - start;
    out->value = it;
    return;
  }
}

bool mig_doc_id_same(const mig_doc_id *a, const mig_doc_id *b) {
  if (!a->data || !b->data) return false; /* without an _id nothing says that two documents are the same one */
  return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

uint64_t mig_doc_id_hash(const mig_doc_id *id) {
  uint64_t hash = 14695981039346656037u;
  for (size_t i = 0; i < id->size; i++) hash = (hash ^ id->data[i]) * 1099511628211u;
  hash ^= hash >> 32;
  return hash;
}

static int rank(bson_type_t type) {
  switch (type) {
  case BSON_TYPE_NULL:
    return 5;
  case BSON_TYPE_INT32:
  case BSON_TYPE_INT64:
  case BSON_TYPE_DOUBLE:
    return 10;
  case BSON_TYPE_UTF8:
    return 15;
  case BSON_TYPE_BINARY:
    return 30;
  case BSON_TYPE_OID:
    return 35;
  case BSON_TYPE_BOOL:
    return 40;
  case BSON_TYPE_DATE_TIME:
    return 45;
  default:
    return 0;
  }
}

static bool order_numbers(const bson_iter_t *a, const bson_iter_t *b, int *out) {
  const bool whole = bson_iter_type(a) != BSON_TYPE_DOUBLE && bson_iter_type(b) != BSON_TYPE_DOUBLE;
  if (whole) {
    const int64_t x = bson_iter_as_int64(a), y = bson_iter_as_int64(b);
    *out = (x > y) - (x < y);
    return true;
  }
  const double x = BSON_ITER_HOLDS_DOUBLE(a) ? bson_iter_double(a) : (double)bson_iter_as_int64(a);
  const double y = BSON_ITER_HOLDS_DOUBLE(b) ? bson_iter_double(b) : (double)bson_iter_as_int64(b);
  /* past 2^53 an int64 as a double is rounded: then the order is not known here */
  if (isnan(x) || isnan(y) || fabs(x) > 9007199254740992.0 || fabs(y) > 9007199254740992.0) return false;
  *out = (x > y) - (x < y);
  return true;
}

static int order_bytes(const void *a, size_t a_size, const void *b, size_t b_size) {
  const size_t common = a_size < b_size ? a_size : b_size;
  const int first = common ? memcmp(a, b, common) : 0;
  return first ? first : (a_size > b_size) - (a_size < b_size);
}

static bool order_binaries(const bson_iter_t *a, const bson_iter_t *b, int *out) {
  bson_subtype_t a_type, b_type;
  uint32_t a_size = 0, b_size = 0;
  const uint8_t *a_data = NULL, *b_data = NULL;
  bson_iter_binary(a, &a_type, &a_size, &a_data);
  bson_iter_binary(b, &b_type, &b_size, &b_data);
  /* the server compares length, subtype, bytes; libbson hides a length for the old subtype 2 */
  if (a_type == BSON_SUBTYPE_BINARY_DEPRECATED || b_type == BSON_SUBTYPE_BINARY_DEPRECATED) return false;
  if (a_size != b_size)
    *out = a_size > b_size ? 1 : -1;
  else if (a_type != b_type)
    *out = a_type > b_type ? 1 : -1;
  else
    *out = a_size ? memcmp(a_data, b_data, a_size) : 0;
  return true;
}

static bool order_same_rank(const bson_iter_t *a, const bson_iter_t *b, int *out) {
  uint32_t a_size = 0, b_size = 0;
  switch (bson_iter_type(a)) {
  case BSON_TYPE_NULL:
    *out = 0;
    return true;
  case BSON_TYPE_BINARY:
    return order_binaries(a, b, out);
  case BSON_TYPE_OID:
    *out = bson_oid_compare(bson_iter_oid(a), bson_iter_oid(b));
    return true;
  case BSON_TYPE_BOOL:
    *out = (int)bson_iter_bool(a) - (int)bson_iter_bool(b);
    return true;
  case BSON_TYPE_DATE_TIME: {
    const int64_t x = bson_iter_date_time(a), y = bson_iter_date_time(b);
    *out = (x > y) - (x < y);
    return true;
  }
  case BSON_TYPE_UTF8: {
    const char *x = bson_iter_utf8(a, &a_size), *y = bson_iter_utf8(b, &b_size);
    *out = order_bytes(x, a_size, y, b_size);
    return true;
  }
  default:
    return order_numbers(a, b, out);
  }
}

bool mig_doc_id_order(const mig_doc_id *a, const mig_doc_id *b, int *out) {
  if (!a->data || !b->data) return false;
  const int a_rank = rank(bson_iter_type(&a->value)), b_rank = rank(bson_iter_type(&b->value));
  if (!a_rank || !b_rank) return false;
  if (a_rank != b_rank) {
    *out = a_rank - b_rank;
    return true;
  }
  return order_same_rank(&a->value, &b->value, out);
}

bool mig_doc_id_append(bson_t *to, const char *key, const bson_t *doc) {
  mig_doc_id id;
  mig_doc_id_of(doc, &id);
  return id.data && bson_append_iter(to, key, -1, &id.value);
}

bool mig_doc_id_filter(bson_t *filter, const bson_t *doc) {
  bson_t inner;
  if (!BSON_APPEND_DOCUMENT_BEGIN(filter, "_id", &inner)) return false;
  const bool ok = mig_doc_id_append(&inner, "$eq", doc);
  return bson_append_document_end(filter, &inner) && ok;
}

char *mig_doc_id_json(const bson_t *doc) {
  mig_doc_id id;
  mig_doc_id_of(doc, &id);
  return id.data ? mig_bson_value_json(&id.value, 120) : mig_strdup("(no _id)");
}
