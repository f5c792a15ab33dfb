/* The argument table of steps and guards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/args.h"

static const mig_arg table[] = {
    {"collection", MIG_ARG_COLLECTION, true, "collection to change"},
    {"field", MIG_ARG_FIELD, false, "a field"},
    {"fields", MIG_ARG_FIELDS, false, "some fields"},
    {"flag", MIG_ARG_BOOL, false, "yes or no"},
    {"count", MIG_ARG_INT, false, "how many"},
    {"filter", MIG_ARG_DOCUMENT, false, "a filter"},
    {"documents", MIG_ARG_DOCUMENTS, false, "some documents"},
    {"pipeline", MIG_ARG_PIPELINE, false, "stages"},
    {"update", MIG_ARG_UPDATE, false, "an update"},
    {"key", MIG_ARG_KEY, false, "an index key"},
    {"collections", MIG_ARG_COLLECTIONS, false, "some collections"},
    {"text", MIG_ARG_STRING, false, "some text"},
    {"any", MIG_ARG_ANY, false, "whatever"},
    {0},
};

static bool try_json(const char *json, mig_error *err) {
  bson_error_t error;
  bson_t *doc = bson_new_from_json((const uint8_t *)json, -1, &error);
  if (!doc) fail_msg("%s: %s", json, error.message);
  bool ok = mig_args_check("step", "demo", table, doc, "up.0.demo", err);
  bson_destroy(doc);
  return ok;
}

static void good_arguments_pass(void **state) {
  static const char *const good[] = {
      "{\"collection\": \"users\"}",
      "{\"collection\": \"a.b\", \"field\": \"x\", \"fields\": [\"a\", \"b.c\"], \"flag\": false, \"count\": 0}",
      "{\"collection\": \"u\", \"filter\": {}, \"documents\": [{}], \"pipeline\": [{\"$set\": {\"a\": 1}}]}",
      "{\"collection\": \"u\", \"update\": {\"$set\": {\"a\": 1}}, \"key\": {\"a\": 1, \"b\": -1, \"c\": \"text\"}}",
      "{\"collection\": \"u\", \"update\": [{\"$set\": {\"a\": 1}}], \"collections\": [\"a\"], \"text\": \"x\"}",
      "{\"collection\": \"u\", \"count\": 3.0, \"any\": null}",
      "{\"collection\": \"u\", \"count\": {\"$numberLong\": \"5000000000\"}, \"key\": {\"$**\": 1}}",
  };
  (void)state;
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    mig_error err = {0};
    if (!try_json(good[i], &err)) fail_msg("%s: %s (%s)", good[i], err.what, err.why);
  }
}

static void bad_arguments_are_refused_with_their_path(void **state) {
  static const struct {
    const char *json, *what, *path;
  } bad[] = {
      {"{}", "step \"demo\" lacks the argument \"collection\"", "up.0.demo"},
      {"{\"colection\": \"u\"}", "unknown argument \"colection\" of step \"demo\"; did you mean \"collection\"?",
       "up.0.demo.colection"},
      {"{\"collection\": \"u\", \"zzzzzz\": 1}", "unknown argument \"zzzzzz\" of step \"demo\"", "up.0.demo.zzzzzz"},
      {"{\"collection\": 5}", "argument \"collection\" of step \"demo\" must be a collection name, not 5",
       "up.0.demo.collection"},
      {"{\"collection\": \"\"}", "argument \"collection\" of step \"demo\" must be a collection name, not \"\"",
       "up.0.demo.collection"},
      {"{\"collection\": \"$x\"}", NULL, "up.0.demo.collection"},
      {"{\"collection\": \"system.users\"}", NULL, "up.0.demo.collection"},
      {"{\"collection\": \"migrationlogs\"}", NULL, "up.0.demo.collection"},
      {"{\"collection\": \"migrationlocks\"}", NULL, "up.0.demo.collection"},
      {"{\"collection\": \"a\\u0000b\"}", NULL, "up.0.demo.collection"},
      {"{\"collection\": \"u\", \"field\": \"a..b\"}", NULL, "up.0.demo.field"},
      {"{\"collection\": \"u\", \"field\": \".a\"}", NULL, "up.0.demo.field"},
      {"{\"collection\": \"u\", \"field\": \"a.\"}", NULL, "up.0.demo.field"},
      {"{\"collection\": \"u\", \"field\": \"a.$b\"}", NULL, "up.0.demo.field"},
      {"{\"collection\": \"u\", \"field\": null}", NULL, "up.0.demo.field"},
      {"{\"collection\": \"u\", \"fields\": []}", NULL, "up.0.demo.fields"},
      {"{\"collection\": \"u\", \"fields\": [1]}", NULL, "up.0.demo.fields"},
      {"{\"collection\": \"u\", \"fields\": \"a\"}", NULL, "up.0.demo.fields"},
      {"{\"collection\": \"u\", \"flag\": 1}", "argument \"flag\" of step \"demo\" must be true or false, not 1",
       "up.0.demo.flag"},
      {"{\"collection\": \"u\", \"count\": -1}", NULL, "up.0.demo.count"},
      {"{\"collection\": \"u\", \"count\": 1.5}", NULL, "up.0.demo.count"},
      {"{\"collection\": \"u\", \"count\": {\"$numberDouble\": \"NaN\"}}", NULL, "up.0.demo.count"},
      {"{\"collection\": \"u\", \"filter\": [1]}", NULL, "up.0.demo.filter"},
      {"{\"collection\": \"u\", \"documents\": [1]}", NULL, "up.0.demo.documents"},
      {"{\"collection\": \"u\", \"documents\": []}", NULL, "up.0.demo.documents"},
      {"{\"collection\": \"u\", \"pipeline\": [{\"set\": 1}]}", NULL, "up.0.demo.pipeline"},
      {"{\"collection\": \"u\", \"pipeline\": [{\"$set\": 1, \"$unset\": 2}]}", NULL, "up.0.demo.pipeline"},
      {"{\"collection\": \"u\", \"pipeline\": [{}]}", NULL, "up.0.demo.pipeline"},
      {"{\"collection\": \"u\", \"update\": {}}", NULL, "up.0.demo.update"},
      {"{\"collection\": \"u\", \"update\": {\"a\": 1}}", NULL, "up.0.demo.update"},
      {"{\"collection\": \"u\", \"update\": 1}", NULL, "up.0.demo.update"},
      {"{\"collection\": \"u\", \"key\": {}}", NULL, "up.0.demo.key"},
      {"{\"collection\": \"u\", \"key\": {\"a\": 0}}", NULL, "up.0.demo.key"},
      {"{\"collection\": \"u\", \"key\": {\"a\": true}}", NULL, "up.0.demo.key"},
      {"{\"collection\": \"u\", \"key\": {\"\": 1}}", NULL, "up.0.demo.key"},
      {"{\"collection\": \"u\", \"collections\": [\"system.js\"]}", NULL, "up.0.demo.collections"},
      {"{\"collection\": \"u\", \"text\": \"\"}", NULL, "up.0.demo.text"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    mig_error err = {0};
    if (try_json(bad[i].json, &err)) fail_msg("%s was accepted", bad[i].json);
    assert_int_equal(err.code, MIG_E_INPUT);
    if (bad[i].what) assert_string_equal(err.what, bad[i].what);
    assert_string_equal(err.json_path, bad[i].path);
    assert_true(err.hint[0] || err.why[0]);
  }
}

static void an_unknown_argument_lists_the_known_ones(void **state) {
  mig_error err = {0};
  (void)state;
  assert_false(try_json("{\"colection\": \"u\"}", &err));
  assert_non_null(strstr(err.hint, "arguments of demo: collection, field (optional), fields (optional)"));
}

static void no_error_value_is_fine(void **state) {
  (void)state;
  assert_false(try_json("{\"colection\": \"u\"}", NULL));
  assert_false(try_json("{}", NULL));
  assert_false(try_json("{\"collection\": 5}", NULL));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(good_arguments_pass),
      cmocka_unit_test(bad_arguments_are_refused_with_their_path),
      cmocka_unit_test(an_unknown_argument_lists_the_known_ones),
      cmocka_unit_test(no_error_value_is_fine),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
