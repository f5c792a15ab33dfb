/* When are two index specs, or two collections' options, the same? */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "backup/spec.h"

static bson_t *from_json(const char *json) {
  bson_error_t error;
  bson_t *doc = bson_new_from_json((const uint8_t *)json, (ssize_t)strlen(json), &error);
  if (!doc) fail_msg("%s: %s", json, error.message);
  return doc;
}

static bool same(const char *a, const char *b) {
  bson_t *x = from_json(a), *y = from_json(b);
  const bool forth = mig_spec_same(x, y), back = mig_spec_same(y, x);
  assert_int_equal(forth, back);
  bson_destroy(x);
  bson_destroy(y);
  return forth;
}

static void specs_are_the_same_in_any_order_of_fields_and_kind_of_number(void **state) {
  (void)state;
  assert_true(same("{\"v\":2,\"key\":{\"a\":1},\"name\":\"a_1\"}", "{\"name\":\"a_1\",\"key\":{\"a\":1.0},\"v\":2}"));
  assert_true(same("{\"v\":2,\"ns\":\"x.y\",\"name\":\"n\"}", "{\"v\":2,\"name\":\"n\"}"));
}

static void a_number_is_no_other_number(void **state) {
  (void)state;
  const char *const nan = "{\"a\":{\"$numberDouble\":\"NaN\"}}";
  assert_true(same(nan, nan));
  assert_false(same(nan, "{\"a\":5}"));
  assert_false(same(nan, "{\"a\":5.0}"));
  assert_false(same(nan, "{\"a\":{\"$numberLong\":\"5\"}}"));
  assert_false(same("{\"a\":{\"$numberLong\":\"9007199254740993\"}}", "{\"a\":9007199254740992.0}"));
  assert_false(
      same("{\"a\":{\"$numberLong\":\"9223372036854775807\"}}", "{\"a\":{\"$numberDouble\":\"9223372036854775808\"}}"));
  assert_false(same("{\"a\":{\"$numberDouble\":\"Infinity\"}}", "{\"a\":1}"));
  assert_true(same("{\"a\":{\"$numberLong\":\"-3\"}}", "{\"a\":-3.0}"));
}

static void the_order_of_an_index_key_counts(void **state) {
  (void)state;
  assert_false(same("{\"key\":{\"a\":1,\"b\":1}}", "{\"key\":{\"b\":1,\"a\":1}}"));
  assert_false(same("{\"key\":{\"a\":1}}", "{\"key\":{\"a\":-1}}"));
  assert_false(same("{\"key\":{\"a\":1}}", "{\"key\":{\"a\":1,\"b\":1}}"));
  assert_false(same("{\"key\":{\"a\":\"text\"}}", "{\"key\":{\"a\":1}}"));
}

static void an_option_more_is_another_spec(void **state) {
  (void)state;
  assert_false(same("{\"name\":\"n\",\"unique\":true}", "{\"name\":\"n\"}"));
  assert_false(same("{\"name\":\"n\",\"expireAfterSeconds\":1}", "{\"name\":\"n\",\"expireAfterSeconds\":2}"));
}

static bool validators(const char *a, const char *b) {
  bson_t *x = from_json(a), *y = from_json(b);
  const bool forth = mig_options_validator_same(x, y), back = mig_options_validator_same(y, x);
  assert_int_equal(forth, back);
  bson_destroy(x);
  bson_destroy(y);
  return forth;
}

static void validators_count_as_the_server_acts(void **state) {
  (void)state;
  assert_true(validators("{}", "{\"validator\":{},\"validationLevel\":\"strict\",\"validationAction\":\"error\"}"));
  assert_false(validators("{}", "{\"validator\":{},\"validationLevel\":\"off\"}"));
  assert_false(validators("{\"validationAction\":\"warn\"}", "{\"validator\":{}}"));
  assert_true(validators("{\"validator\":{\"a\":1}}",
                         "{\"validator\":{\"a\":1},\"validationLevel\":\"strict\",\"validationAction\":\"error\"}"));
  assert_false(validators("{\"validator\":{\"a\":1}}", "{\"validator\":{\"a\":1},\"validationAction\":\"warn\"}"));
  assert_false(validators("{\"validator\":{\"a\":1}}", "{\"validator\":{\"a\":1},\"validationLevel\":\"off\"}"));
  assert_false(validators("{\"validator\":{\"a\":1}}", "{}"));
  assert_false(validators("{\"validator\":{\"a\":1}}", "{\"validator\":{\"a\":2}}"));
}

static void validators_and_pipelines_are_the_same_byte_for_byte(void **state) {
  (void)state;
  const char *const nan = "{\"validator\":{\"a\":{\"$lt\":{\"$numberDouble\":\"NaN\"}}}}";
  assert_true(validators(nan, nan));
  assert_false(validators(nan, "{\"validator\":{\"a\":{\"$lt\":5}}}"));
  assert_false(validators("{\"validator\":{\"a\":1}}", "{\"validator\":{\"a\":1.0}}"));
  bson_t *a = from_json("{\"viewOn\":\"x\",\"pipeline\":[{\"$addFields\":{\"n\":{\"$numberLong\":\"1\"}}}]}");
  bson_t *b = from_json("{\"viewOn\":\"x\",\"pipeline\":[{\"$addFields\":{\"n\":1.0}}]}");
  assert_true(mig_options_fixed_same(a, a));
  assert_false(mig_options_fixed_same(a, b));
  bson_destroy(a);
  bson_destroy(b);
}

static void fixed_options_ignore_what_collmod_sets(void **state) {
  (void)state;
  bson_t *a = from_json("{\"capped\":false,\"validator\":{\"a\":1}}"), *b = from_json("{}");
  bson_t *c = from_json("{\"capped\":true,\"size\":4096}"), *d = from_json("{\"collation\":{\"locale\":\"de\"}}");
  assert_true(mig_options_fixed_same(a, b));
  assert_false(mig_options_fixed_same(b, c));
  assert_false(mig_options_fixed_same(b, d));
  assert_false(mig_options_fixed_same(c, d));
  bson_destroy(a);
  bson_destroy(b);
  bson_destroy(c);
  bson_destroy(d);
}

static void the_collections_own_index_is_known(void **state) {
  (void)state;
  const char *const own[] = {"{\"key\":{\"_id\":1},\"name\":\"_id_\"}", "{\"key\":{\"_id\":1.0},\"name\":\"x\"}",
                             "{\"key\":{\"_id\":1},\"clustered\":true}"};
  const char *const others[] = {"{\"key\":{\"_id\":\"hashed\"}}", "{\"key\":{\"_id\":-1}}",
                                "{\"key\":{\"_id\":1,\"a\":1}}", "{\"name\":\"_id_\"}"};
  for (size_t i = 0; i < 3; i++) {
    bson_t *spec = from_json(own[i]);
    assert_true(mig_index_is_own(spec));
    bson_destroy(spec);
  }
  for (size_t i = 0; i < 4; i++) {
    bson_t *spec = from_json(others[i]);
    assert_false(mig_index_is_own(spec));
    bson_destroy(spec);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(specs_are_the_same_in_any_order_of_fields_and_kind_of_number),
      cmocka_unit_test(a_number_is_no_other_number),
      cmocka_unit_test(the_order_of_an_index_key_counts),
      cmocka_unit_test(an_option_more_is_another_spec),
      cmocka_unit_test(validators_count_as_the_server_acts),
      cmocka_unit_test(validators_and_pipelines_are_the_same_byte_for_byte),
      cmocka_unit_test(fixed_options_ignore_what_collmod_sets),
      cmocka_unit_test(the_collections_own_index_is_known),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
