/* The order of documents that come from a dump, and the names of its files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backup/dump_names.h"
#include "backup/dump_sort.h"

#define CHECK(call, err)                                                                                               \
  do {                                                                                                                 \
    if (!(call)) fail_msg("%s: %s (%s)", #call, (err).what, (err).why);                                                \
  } while (0)

static void add(mig_dump_sort *s, uint32_t collection, bool natural, uint64_t offset, bson_t *doc) {
  mig_error err;
  const mig_dump_place place = {.collection = collection, .bytes = doc->len, .offset = offset};
  CHECK(mig_dump_sort_add(s, &place, natural, doc, &err), err);
  bson_destroy(doc);
}

static uint64_t next(mig_dump_sort *s, uint32_t *collection) {
  mig_dump_place place = {0};
  mig_error err;
  bool more = false;
  CHECK(mig_dump_sort_next(s, &place, &more, &err), err);
  *collection = place.collection;
  return more ? place.offset : UINT64_MAX;
}

/* Adds the values in a random sequence; they must come back as listed. */
static void types_sort_as_on_a_server(void **state) {
  (void)state;
  static const char *const values[] = {"{\"$minKey\":1}",
                                       "null",
                                       "{\"$numberDouble\":\"NaN\"}",
                                       "{\"$numberDouble\":\"-Infinity\"}",
                                       "-5",
                                       "{\"$numberDecimal\":\"-4.5\"}",
                                       "{\"$numberDouble\":\"-0.5\"}",
                                       "0",
                                       "{\"$numberDecimal\":\"0.25\"}",
                                       "1",
                                       "{\"$numberLong\":\"9007199254740993\"}",
                                       "{\"$numberLong\":\"9007199254740994\"}",
                                       "{\"$numberDouble\":\"1e300\"}",
                                       "\"\"",
                                       "\"A\"",
                                       "\"a\"",
                                       "\"aa\"",
                                       "{\"a\":1}",
                                       "{\"a\":1,\"b\":0}",
                                       "{\"a\":2}",
                                       "{\"b\":1}",
                                       "{\"a\":\"x\"}",
                                       "[1]",
                                       "[1,2]",
                                       "[2]",
                                       "{\"$binary\":{\"base64\":\"/w==\",\"subType\":\"00\"}}",
                                       "{\"$binary\":{\"base64\":\"AAA=\",\"subType\":\"00\"}}",
                                       "{\"$binary\":{\"base64\":\"AAA=\",\"subType\":\"05\"}}",
                                       "{\"$oid\":\"000000000000000000000001\"}",
                                       "{\"$oid\":\"f00000000000000000000000\"}",
                                       "false",
                                       "true",
                                       "{\"$date\":{\"$numberLong\":\"-1\"}}",
                                       "{\"$date\":{\"$numberLong\":\"1\"}}",
                                       "{\"$timestamp\":{\"t\":1,\"i\":2}}",
                                       "{\"$timestamp\":{\"t\":2,\"i\":1}}",
                                       "{\"$regularExpression\":{\"pattern\":\"a\",\"options\":\"\"}}",
                                       "{\"$code\":\"f\"}",
                                       "{\"$maxKey\":1}"};
  const size_t n = sizeof values / sizeof *values;
  srand(1);
  for (int round = 0; round < 50; round++) {
    mig_dump_sort *s = NULL;
    mig_error err;
    size_t sequence[64];
    uint32_t collection = 0;
    CHECK(mig_dump_sort_new("/tmp", round % 2 ? 200 : 0, &s, &err), err); /* in memory, and by many runs */
    for (size_t i = 0; i < n; i++) sequence[i] = i;
    for (size_t i = n - 1; i > 0; i--) {
      const size_t k = (size_t)rand() % (i + 1), was = sequence[i];
      sequence[i] = sequence[k];
      sequence[k] = was;
    }
    for (size_t i = 0; i < n; i++) {
      char json[200];
      bson_error_t error;
      snprintf(json, sizeof json, "{\"before\":1,\"_id\":%s}", values[sequence[i]]);
      bson_t *doc = bson_new_from_json((const uint8_t *)json, -1, &error);
      if (!doc) fail_msg("%s: %s", json, error.message);
      add(s, 0, false, sequence[i], doc);
    }
    CHECK(mig_dump_sort_sorted(s, &err), err);
    for (size_t i = 0; i < n; i++) {
      const uint64_t found = next(s, &collection);
      if (found != i) fail_msg("%s stands where %s should", values[found], values[i]);
    }
    assert_true(next(s, &collection) == UINT64_MAX);
    mig_dump_sort_free(s);
  }
}

static void collections_stay_apart_and_natural_ones_keep_their_sequence(void **state) {
  (void)state;
  mig_dump_sort *s = NULL;
  mig_error err;
  uint32_t collection = 0;
  CHECK(mig_dump_sort_new("/tmp", 4000, &s, &err), err);
  for (int i = 0; i < 3000; i++) {
    add(s, 1, false, (uint64_t)(3000 - i), BCON_NEW("_id", BCON_INT32(3000 - i)));
    add(s, 0, true, (uint64_t)i, BCON_NEW("_id", BCON_INT32(-i)));
  }
  CHECK(mig_dump_sort_sorted(s, &err), err);
  for (uint64_t i = 0; i < 3000; i++) {
    assert_int_equal(next(s, &collection), i);
    assert_int_equal(collection, 0);
  }
  for (uint64_t i = 1; i <= 3000; i++) {
    assert_int_equal(next(s, &collection), i);
    assert_int_equal(collection, 1);
  }
  assert_true(next(s, &collection) == UINT64_MAX);
  mig_dump_sort_free(s);
}

static void documents_without_an_id_and_with_a_large_one_come_through(void **state) {
  (void)state;
  mig_dump_sort *s = NULL;
  mig_error err;
  uint32_t collection = 0;
  char *large = calloc(1, 300001);
  memset(large, 'x', 300000);
  CHECK(mig_dump_sort_new("/tmp", 1000, &s, &err), err);
  add(s, 0, false, 1, BCON_NEW("a", BCON_INT32(1)));
  add(s, 0, false, 2, BCON_NEW("_id", BCON_UTF8(large)));
  add(s, 0, false, 3, BCON_NEW("_id", BCON_UTF8("x")));
  CHECK(mig_dump_sort_sorted(s, &err), err);
  unsigned seen = 0;
  for (int i = 0; i < 3; i++) seen |= 1u << next(s, &collection);
  assert_int_equal(seen, 14);
  assert_true(next(s, &collection) == UINT64_MAX);
  mig_dump_sort_free(s);
  free(large);
  CHECK(mig_dump_sort_new("/tmp", 0, &s, &err), err); /* nothing at all */
  CHECK(mig_dump_sort_sorted(s, &err), err);
  assert_true(next(s, &collection) == UINT64_MAX);
  mig_dump_sort_free(s);
  mig_dump_sort_free(NULL);
}

static void names_are_escaped_as_mongodump_does(void **state) {
  (void)state;
  static const char *const pairs[][2] = {{"users", "users"},         {"a b/c", "a+b%2Fc"},   {"..", ".."},
                                         {"a+b%", "a%2Bb%25"},       {"\xC3\xA9", "%C3%A9"}, {"x.y-z_~", "x.y-z_~"},
                                         {"system.js", "system.js"}, {"$odd", "%24odd"}};
  mig_error err;
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    bool cut = true;
    char *name = mig_dump_name(pairs[i][0], &err),
         *back = mig_dump_unname(pairs[i][1], strlen(pairs[i][1]), &cut, &err);
    assert_string_equal(name, pairs[i][1]);
    assert_string_equal(back, pairs[i][0]);
    assert_false(cut);
    mig_free(name);
    mig_free(back);
  }
  static const char *const bad[] = {"a%", "a%2", "a%zz", "a%00b", NULL};
  for (const char *const *b = bad; *b; b++) assert_null(mig_dump_unname(*b, strlen(*b), NULL, &err));
}

/* The sum is what `printf %s xxx... | sha1sum | xxd -r -p | basenc --base64url` gives. */
static void long_names_are_cut_and_summed(void **state) {
  (void)state;
  char name[240];
  mig_error err;
  bool cut = false;
  memset(name, 'x', 239);
  name[239] = 0;
  char *file = mig_dump_name(name, &err);
  assert_int_equal(strlen(file), 238);
  assert_memory_equal(file + 205, "xxx%24", 6);
  assert_string_equal(file + 211, "Nq75d-cu3iRxNs-ce3Tvf9gagoU");
  assert_null(mig_dump_unname(file, strlen(file), &cut, &err));
  assert_true(cut);
  mig_free(file);
  name[238] = 0;
  file = mig_dump_name(name, &err);
  assert_string_equal(file, name);
  mig_free(file);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(types_sort_as_on_a_server),
      cmocka_unit_test(collections_stay_apart_and_natural_ones_keep_their_sequence),
      cmocka_unit_test(documents_without_an_id_and_with_a_large_one_come_through),
      cmocka_unit_test(names_are_escaped_as_mongodump_does),
      cmocka_unit_test(long_names_are_cut_and_summed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
