#include "backup/doc_order.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bsonx.h"

/* The server's order of types. */
static int rank(bson_type_t type) {
  switch (type) {
  case BSON_TYPE_MINKEY:
    return 1;
  case BSON_TYPE_UNDEFINED:
    return 2;
  case BSON_TYPE_NULL:
    return 3;
  case BSON_TYPE_DOUBLE:
  case BSON_TYPE_INT32:
  case BSON_TYPE_INT64:
  case BSON_TYPE_DECIMAL128:
    return 4;
  case BSON_TYPE_UTF8:
  case BSON_TYPE_SYMBOL:
    return 5;
  case BSON_TYPE_DOCUMENT:
    return 6;
  case BSON_TYPE_ARRAY:
    return 7;
  case BSON_TYPE_BINARY:
    return 8;
  case BSON_TYPE_OID:
    return 9;
  case BSON_TYPE_BOOL:
    return 10;
  case BSON_TYPE_DATE_TIME:
    return 11;
  case BSON_TYPE_TIMESTAMP:
    return 12;
  case BSON_TYPE_REGEX:
    return 13;
  case BSON_TYPE_DBPOINTER:
    return 14;
  case BSON_TYPE_CODE:
    return 15;
  case BSON_TYPE_CODEWSCOPE:
    return 16;
  case BSON_TYPE_MAXKEY:
    return 17;
  default:
    return 18;
  }
}

static int order_ints(int64_t x, int64_t y) {
  return (x > y) - (x < y);
}

static int order_bytes(const void *a, size_t a_size, const void *b, size_t b_size) {
  const size_t common = a_size < b_size ? a_size : b_size;
  const int first = common ? memcmp(a, b, common) : 0;
  return first ? first : (a_size > b_size) - (a_size < b_size);
}

/* A long double holds every int64 and every double. */
static long double number(const bson_iter_t *it) {
  char text[BSON_DECIMAL128_STRING];
  bson_decimal128_t decimal;
  if (BSON_ITER_HOLDS_DOUBLE(it)) return (long double)bson_iter_double(it);
  if (!bson_iter_decimal128(it, &decimal)) return (long double)bson_iter_as_int64(it);
  bson_decimal128_to_string(&decimal, text);
  return strtold(text, NULL);
}

static int order_numbers(const bson_iter_t *a, const bson_iter_t *b) {
  const long double x = number(a), y = number(b);
  if (isnan(x) || isnan(y)) return isnan(y) - isnan(x); /* NaN comes before all numbers */
  return (x > y) - (x < y);
}

static int order_binaries(const bson_iter_t *a, const bson_iter_t *b) {
  bson_subtype_t a_type, b_type;
  uint32_t a_size = 0, b_size = 0;
  const uint8_t *a_data = NULL, *b_data = NULL;
  bson_iter_binary(a, &a_type, &a_size, &a_data);
  bson_iter_binary(b, &b_type, &b_size, &b_data);
  if (a_size != b_size) return a_size > b_size ? 1 : -1;
  return a_type != b_type ? (a_type > b_type ? 1 : -1) : a_size ? memcmp(a_data, b_data, a_size) : 0;
}

/* Element by element: type, then name, then value, as the server does. */
static int order_documents(const bson_iter_t *a, const bson_iter_t *b) {
  bson_t x, y;
  bson_iter_t i, k;
  if (!mig_bson_iter_doc(a, &x) || !mig_bson_iter_doc(b, &y) || !bson_iter_init(&i, &x) || !bson_iter_init(&k, &y))
    return 0;
  for (;;) {
    const bool more_a = bson_iter_next(&i), more_b = bson_iter_next(&k);
    if (!more_a || !more_b) return (int)more_a - (int)more_b;
    int order = rank(bson_iter_type(&i)) - rank(bson_iter_type(&k));
    if (!order) order = strcmp(bson_iter_key(&i), bson_iter_key(&k));
    if (!order) order = mig_value_order(&i, &k);
    if (order) return order;
  }
}

static int order_same_rank(const bson_iter_t *a, const bson_iter_t *b) {
  uint32_t a_size = 0, b_size = 0, x_more = 0, y_more = 0, x = 0, y = 0;
  switch (rank(bson_iter_type(a))) {
  case 4:
    return order_numbers(a, b);
  case 5: {
    const char *s = BSON_ITER_HOLDS_UTF8(a) ? bson_iter_utf8(a, &a_size) : bson_iter_symbol(a, &a_size);
    const char *t = BSON_ITER_HOLDS_UTF8(b) ? bson_iter_utf8(b, &b_size) : bson_iter_symbol(b, &b_size);
    return order_bytes(s, a_size, t, b_size);
  }
  case 6:
  case 7:
    return order_documents(a, b);
  case 8:
    return order_binaries(a, b);
  case 9:
    return bson_oid_compare(bson_iter_oid(a), bson_iter_oid(b));
  case 10:
    return (int)bson_iter_bool(a) - (int)bson_iter_bool(b);
  case 11:
    return order_ints(bson_iter_date_time(a), bson_iter_date_time(b));
  case 12:
    bson_iter_timestamp(a, &x, &x_more);
    bson_iter_timestamp(b, &y, &y_more);
    return x != y ? order_ints(x, y) : order_ints(x_more, y_more);
  default:
    return 0;
  }
}

int mig_value_order(const bson_iter_t *a, const bson_iter_t *b) {
  const int ranks = rank(bson_iter_type(a)) - rank(bson_iter_type(b));
  return ranks ? ranks : order_same_rank(a, b);
}
