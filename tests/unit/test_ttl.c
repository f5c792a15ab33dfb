/* Which documents a TTL index removes by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "backup/ttl.h"

#define NOW INT64_C(1795245300000)

static bool expired(bson_t *doc) {
  bson_t *indexes = BCON_NEW("0", "{", "key", "{", "_id", BCON_INT32(1), "}", "name", "_id_", "}", "1", "{", "key", "{",
                             "at", BCON_INT32(1), "}", "name", "at_1", "expireAfterSeconds", BCON_INT32(60), "}");
  bool yes = mig_ttl_expired(indexes, doc, NOW);
  bson_destroy(indexes);
  bson_destroy(doc);
  return yes;
}

static void a_date_older_than_the_limit_has_expired(void **state) {
  (void)state;
  assert_true(expired(BCON_NEW("at", BCON_DATE_TIME(NOW - 60000))));
  assert_true(expired(BCON_NEW("at", BCON_DATE_TIME(INT64_MIN + 1000000))));
  assert_false(expired(BCON_NEW("at", BCON_DATE_TIME(NOW - 59999))));
  assert_false(expired(BCON_NEW("at", BCON_DATE_TIME(NOW + 1))));
}

static void the_earliest_date_of_an_array_counts(void **state) {
  (void)state;
  assert_true(expired(BCON_NEW("at", "[", BCON_DATE_TIME(NOW), BCON_DATE_TIME(NOW - 70000), "]")));
  assert_false(expired(BCON_NEW("at", "[", BCON_DATE_TIME(NOW), BCON_UTF8("x"), "]")));
  assert_false(expired(BCON_NEW("at", "[", "]")));
}

static void what_is_no_date_never_expires(void **state) {
  (void)state;
  assert_false(expired(BCON_NEW("at", BCON_INT64(1))));
  assert_false(expired(BCON_NEW("at", BCON_NULL)));
  assert_false(expired(BCON_NEW("other", BCON_DATE_TIME(0))));
}

static void without_a_ttl_index_nothing_expires(void **state) {
  (void)state;
  bson_t *doc = BCON_NEW("at", BCON_DATE_TIME(0)),
         *indexes = BCON_NEW("0", "{", "key", "{", "at", BCON_INT32(1), "}", "}");
  bson_t *odd = BCON_NEW("0", "{", "key", "{", "at", BCON_INT32(1), "}", "expireAfterSeconds", BCON_UTF8("soon"), "}",
                         "1", BCON_INT32(1));
  assert_false(mig_ttl_expired(indexes, doc, NOW));
  assert_false(mig_ttl_expired(odd, doc, NOW));
  assert_false(mig_ttl_expired(NULL, doc, NOW));
  bson_destroy(odd);
  bson_destroy(indexes);
  bson_destroy(doc);
}

static void in_doubt_nothing_expires(void **state) {
  (void)state;
  bson_t *doc = BCON_NEW("at", BCON_DATE_TIME(0), "keep", BCON_BOOL(true));
  bson_t *partial = BCON_NEW("0", "{", "key", "{", "at", BCON_INT32(1), "}", "expireAfterSeconds", BCON_INT32(60),
                             "partialFilterExpression", "{", "keep", BCON_BOOL(false), "}", "}");
  bson_t *two = BCON_NEW("0", "{", "key", "{", "at", BCON_INT32(1), "keep", BCON_INT32(1), "}", "expireAfterSeconds",
                         BCON_INT32(60), "}");
  assert_false(mig_ttl_expired(partial, doc, NOW));
  assert_false(mig_ttl_expired(two, doc, NOW));
  bson_destroy(partial);
  bson_destroy(two);
  bson_destroy(doc);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_date_older_than_the_limit_has_expired),
      cmocka_unit_test(the_earliest_date_of_an_array_counts),
      cmocka_unit_test(what_is_no_date_never_expires),
      cmocka_unit_test(without_a_ttl_index_nothing_expires),
      cmocka_unit_test(in_doubt_nothing_expires),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
