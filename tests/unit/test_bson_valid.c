/* Our structure check against libbson's iterator: the same verdict on whole, cut and altered documents of all types. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bsonx.h"

#define MAX_DEPTH 200

/* What mig_bson_valid() was before it did the walking itself. */
static bool libbson_says(const uint8_t *data, size_t size, int depth) {
  bson_t doc;
  bson_iter_t it;
  if (depth > MAX_DEPTH || size > UINT32_MAX || !bson_init_static(&doc, data, size) || !bson_iter_init(&it, &doc))
    return false;
  while (bson_iter_next(&it)) {
    const uint8_t *inner = NULL, *code = NULL;
    uint32_t inner_size = 0, code_size = 0;
    if (BSON_ITER_HOLDS_DOCUMENT(&it))
      bson_iter_document(&it, &inner_size, &inner);
    else if (BSON_ITER_HOLDS_ARRAY(&it))
      bson_iter_array(&it, &inner_size, &inner);
    else if (BSON_ITER_HOLDS_CODEWSCOPE(&it)) {
      code = (const uint8_t *)bson_iter_codewscope(&it, &code_size, &inner_size, &inner);
      if (!code) return false;
    } else
      continue;
    if (!libbson_says(inner, inner_size, depth + 1)) return false;
  }
  return it.err_off == 0;
}

static bson_t *every_type(void) {
  bson_oid_t oid;
  bson_decimal128_t decimal;
  bson_t *scope = BCON_NEW("s", BCON_INT32(1)), *d = bson_new(), inner;
  bson_oid_init_from_string(&oid, "0123456789abcdef01234567");
  bson_decimal128_from_string("1.5", &decimal);
  BSON_APPEND_DOUBLE(d, "double", 1.5);
  BSON_APPEND_UTF8(d, "text", "some text");
  BSON_APPEND_UTF8(d, "", "");
  BSON_APPEND_DOCUMENT_BEGIN(d, "document", &inner);
  BSON_APPEND_INT32(&inner, "a", 1);
  bson_append_document_end(d, &inner);
  BSON_APPEND_ARRAY_BEGIN(d, "array", &inner);
  BSON_APPEND_UTF8(&inner, "0", "x");
  BSON_APPEND_BOOL(&inner, "1", true);
  bson_append_array_end(d, &inner);
  BSON_APPEND_BINARY(d, "binary", BSON_SUBTYPE_BINARY, (const uint8_t *)"abcd", 4);
  BSON_APPEND_BINARY(d, "old", BSON_SUBTYPE_BINARY_DEPRECATED, (const uint8_t *)"abcd", 4);
  BSON_APPEND_BINARY(d, "none", BSON_SUBTYPE_UUID, (const uint8_t *)"", 0);
  BSON_APPEND_UNDEFINED(d, "undefined");
  BSON_APPEND_OID(d, "oid", &oid);
  BSON_APPEND_BOOL(d, "bool", false);
  BSON_APPEND_DATE_TIME(d, "date", 1);
  BSON_APPEND_NULL(d, "null");
  BSON_APPEND_REGEX(d, "regex", "^a.b$", "im");
  BSON_APPEND_DBPOINTER(d, "pointer", "db.c", &oid);
  BSON_APPEND_CODE(d, "code", "f()");
  BSON_APPEND_SYMBOL(d, "symbol", "s");
  BSON_APPEND_CODE_WITH_SCOPE(d, "scope", "g()", scope);
  BSON_APPEND_INT32(d, "int", 7);
  BSON_APPEND_TIMESTAMP(d, "timestamp", 1, 2);
  BSON_APPEND_INT64(d, "long", 8);
  BSON_APPEND_DECIMAL128(d, "decimal", &decimal);
  BSON_APPEND_MINKEY(d, "min");
  BSON_APPEND_MAXKEY(d, "max");
  bson_destroy(scope);
  return d;
}

/* In a block of its own size, so that a sanitizer sees a read past its end. */
static void agree(const uint8_t *data, size_t size, size_t *good) {
  uint8_t *copy = malloc(size ? size : 1);
  memcpy(copy, data, size);
  const bool theirs = libbson_says(copy, size, 1), ours = mig_bson_valid(copy, size);
  if (ours != theirs) print_error("%zu bytes: libbson says %d, we say %d\n", size, theirs, ours);
  assert_int_equal(ours, theirs);
  *good += ours;
  free(copy);
}

static void put_length(uint8_t *data, size_t size) {
  const uint32_t length = BSON_UINT32_TO_LE((uint32_t)size);
  memcpy(data, &length, sizeof length);
}

static void whole_documents_of_every_type_are_valid(void **state) {
  (void)state;
  bson_t *d = every_type(), empty = BSON_INITIALIZER;
  size_t good = 0;
  agree(bson_get_data(d), d->len, &good);
  agree(bson_get_data(&empty), empty.len, &good);
  assert_int_equal(good, 2);
  bson_destroy(d);
}

static void cut_documents_get_the_same_verdict(void **state) {
  (void)state;
  bson_t *d = every_type();
  uint8_t copy[1000];
  size_t good = 0;
  assert_true(d->len < sizeof copy);
  for (size_t n = 0; n < d->len; n++) {
    agree(bson_get_data(d), n, &good);
    memcpy(copy, bson_get_data(d), n);
    if (n < 5) continue;
    put_length(copy, n); /* a length that fits */
    agree(copy, n, &good);
    copy[n - 1] = 0; /* and an end */
    agree(copy, n, &good);
  }
  assert_true(good > 10); /* cut between two elements */
  bson_destroy(d);
}

static void each_byte_altered_gets_the_same_verdict(void **state) {
  (void)state;
  bson_t *d = every_type();
  uint8_t copy[1000];
  size_t good = 0, tries = 0;
  for (size_t i = 0; i < d->len; i++) {
    for (unsigned value = 0; value < 256; value++, tries++) {
      memcpy(copy, bson_get_data(d), d->len);
      copy[i] = (uint8_t)value;
      agree(copy, d->len, &good);
    }
  }
  assert_true(good > tries / 10 && good < tries * 9 / 10);
  bson_destroy(d);
}

static uint32_t next_random(uint32_t *x) { /* xorshift32 */
  *x ^= *x << 13;
  *x ^= *x >> 17;
  *x ^= *x << 5;
  return *x;
}

/* Bytes set, inserted and removed at random places, the length set right again: most are wrong deep inside. */
static void documents_altered_at_random_get_the_same_verdict(void **state) {
  (void)state;
  static const uint8_t telling[] = {0, 1, 2, 3, 4, 5, 8, 12, 13, 14, 15, 19, 0x7f, 0x80, 0xff};
  bson_t *d = every_type();
  uint8_t copy[1100];
  uint32_t x = 4711;
  size_t good = 0;
  for (int n = 0; n < 200000; n++) {
    size_t size = d->len;
    memcpy(copy, bson_get_data(d), size);
    for (uint32_t changes = 1 + next_random(&x) % 3; changes; changes--) {
      const size_t at = 4 + next_random(&x) % (size - 5);
      const uint32_t kind = next_random(&x) % 4;
      if (kind == 0 && size < sizeof copy)
        memmove(copy + at + 1, copy + at, size++ - at);
      else if (kind == 1 && size > 20)
        memmove(copy + at, copy + at + 1, --size - at);
      else
        copy[at] = kind == 2 ? telling[next_random(&x) % sizeof telling] : (uint8_t)next_random(&x);
    }
    put_length(copy, size);
    agree(copy, size, &good);
  }
  assert_true(good > 1000);
  bson_destroy(d);
}

static void depth_ends_where_a_server_s_does(void **state) {
  (void)state;
  bson_t *inner = BCON_NEW("x", BCON_INT32(1));
  size_t good = 0;
  for (int depth = 2; depth <= MAX_DEPTH + 5; depth++) {
    bson_t *outer = BCON_NEW("a", BCON_DOCUMENT(inner));
    bson_destroy(inner);
    inner = outer;
    agree(bson_get_data(inner), inner->len, &good);
  }
  assert_int_equal(good, MAX_DEPTH - 1);
  bson_destroy(inner);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(whole_documents_of_every_type_are_valid),
      cmocka_unit_test(cut_documents_get_the_same_verdict),
      cmocka_unit_test(each_byte_altered_gets_the_same_verdict),
      cmocka_unit_test(documents_altered_at_random_get_the_same_verdict),
      cmocka_unit_test(depth_ends_where_a_server_s_does),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
