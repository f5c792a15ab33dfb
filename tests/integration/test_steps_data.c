/* The steps that change many documents by what is in them, on a real server, in and out of a transaction. */
#include "migrations/text.h"
#include "steps_env.h"

static const effect effects[] = {
    /* each update of a list sees what the ones before it did */
    {"[{\"_id\": 1, \"n\": 1}, {\"_id\": 2, \"n\": 5}, {\"_id\": 3, \"n\": 9}]",
     "{\"bulkUpdate\": {\"collection\": \"c\", \"updates\": [{\"filter\": {\"n\": 1}, \"update\": {\"$set\": {\"n\": "
     "5}}}, {\"filter\": {\"n\": 5}, \"update\": {\"$inc\": {\"n\": 2}}}, {\"filter\": {\"_id\": 4}, \"update\": "
     "{\"$set\": {\"n\": 4}}, \"upsert\": true}]}}",
     "[{\"_id\": 1, \"n\": 7}, {\"_id\": 2, \"n\": 7}, {\"_id\": 3, \"n\": 9}, {\"_id\": 4, \"n\": 4}]", 2},
    {"[{\"_id\": 1, \"e\": \"a\"}, {\"_id\": 2, \"e\": \"b\"}, {\"_id\": 3, \"e\": \"a\"}, {\"_id\": 4, \"e\": \"a\"}, "
     "{\"_id\": 5, \"e\": \"A\"}]",
     "{\"removeDuplicates\": {\"collection\": \"c\", \"fields\": [\"e\"], \"keep\": \"first\"}}",
     "[{\"_id\": 1, \"e\": \"a\"}, {\"_id\": 2, \"e\": \"b\"}, {\"_id\": 5, \"e\": \"A\"}]", 2},
    {"[{\"_id\": 1, \"e\": \"a\"}, {\"_id\": 3, \"e\": \"a\"}, {\"_id\": 4, \"e\": \"b\"}]",
     "{\"removeDuplicates\": {\"collection\": \"c\", \"fields\": [\"e\"], \"keep\": \"last\"}}",
     "[{\"_id\": 3, \"e\": \"a\"}, {\"_id\": 4, \"e\": \"b\"}]", 1},
    {"[{\"_id\": 1, \"e\": \"a\", \"t\": 5}, {\"_id\": 2, \"e\": \"a\", \"t\": 9}, {\"_id\": 3, \"e\": \"a\", \"t\": "
     "9}, {\"_id\": 4, \"e\": \"a\"}]",
     "{\"removeDuplicates\": {\"collection\": \"c\", \"fields\": [\"e\"], \"keep\": {\"sort\": {\"t\": -1}}}}",
     "[{\"_id\": 2, \"e\": \"a\", \"t\": 9}]", 3},
    /* one of two fields may be missing; numbers by value; a whole array is one value, its elements are not */
    {"[{\"_id\": 1, \"a\": 1}, {\"_id\": 2, \"a\": 1.0, \"b\": null}, {\"_id\": 3, \"a\": 1, \"b\": 2}, {\"_id\": 4, "
     "\"a\": [1, 2]}, {\"_id\": 5, \"a\": [1, 2]}, {\"_id\": 6, \"a\": [2, 1]}]",
     "{\"removeDuplicates\": {\"collection\": \"c\", \"fields\": [\"a\", \"b\"], \"keep\": \"first\"}}",
     "[{\"_id\": 1, \"a\": 1}, {\"_id\": 3, \"a\": 1, \"b\": 2}, {\"_id\": 4, \"a\": [1, 2]}, {\"_id\": 6, \"a\": [2, "
     "1]}]",
     2},
    {"[{\"_id\": 1, \"x\": {\"y\": 1}, \"k\": 1}, {\"_id\": 2, \"x\": {\"y\": 1}, \"k\": 1}, {\"_id\": 3, \"x\": "
     "{\"y\": 1}}]",
     "{\"removeDuplicates\": {\"collection\": \"c\", \"fields\": [\"x.y\"], \"keep\": \"first\", \"filter\": {\"k\": "
     "1}}}",
     "[{\"_id\": 1, \"x\": {\"y\": 1}, \"k\": 1}, {\"_id\": 3, \"x\": {\"y\": 1}}]", 1},
    {"[{\"_id\": 1, \"z\": 1}, {\"_id\": 2, \"z\": 2}, {\"_id\": 3, \"e\": null}]",
     "{\"removeDuplicates\": {\"collection\": \"c\", \"fields\": [\"e\"], \"keep\": \"first\"}}",
     "[{\"_id\": 1, \"z\": 1}, {\"_id\": 2, \"z\": 2}, {\"_id\": 3, \"e\": null}]", 0},
    {"[{\"_id\": 1, \"z\": 1}, {\"_id\": 2, \"z\": 2}, {\"_id\": 3, \"e\": null}]",
     "{\"removeDuplicates\": {\"collection\": \"c\", \"fields\": [\"e\"], \"keep\": \"first\", \"includeMissing\": "
     "true}}",
     "[{\"_id\": 1, \"z\": 1}]", 2},
    {"[{\"_id\": 1, \"n\": \"  a \\u00a0 b\\t\", \"k\": \" k \"}, {\"_id\": 2, \"n\": 5}, {\"_id\": 3, \"n\": \"ok\"}]",
     "{\"sanitizeStrings\": {\"collection\": \"c\", \"fields\": [\"n\"], \"operations\": [\"trim\", \"collapse\"]}}",
     "[{\"_id\": 1, \"n\": \"a b\", \"k\": \" k \"}, {\"_id\": 2, \"n\": 5}, {\"_id\": 3, \"n\": \"ok\"}]", 2},
    {"[{\"_id\": 1, \"t\": [\" a\", 1, [\" deep\"], {\"x\": \" x\"}], \"i\": [{\"s\": \"b \"}, {\"q\": 1}, {\"s\": "
     "[\" c\"]}]}]",
     "{\"sanitizeStrings\": {\"collection\": \"c\", \"fields\": [\"t\", \"i.s\"], \"operations\": [\"trim\"]}}",
     "[{\"_id\": 1, \"t\": [\"a\", 1, [\" deep\"], {\"x\": \" x\"}], \"i\": [{\"s\": \"b\"}, {\"q\": 1}, {\"s\": "
     "[\"c\"]}]}]",
     1},
    {"[{\"_id\": 1, \"n\": \"a\\u0007\\u007fb\\nc\\u0085\"}, {\"_id\": 2, \"n\": \"  \"}]",
     "{\"sanitizeStrings\": {\"collection\": \"c\", \"fields\": [\"n\"], \"operations\": [\"stripControl\", "
     "\"trim\"]}}",
     "[{\"_id\": 1, \"n\": \"ab\\nc\"}, {\"_id\": 2, \"n\": \"\"}]", 2},
    {"[{\"_id\": 1, \"r\": 7, \"x\": 7}, {\"_id\": 2, \"r\": [7, 8, {\"$numberLong\": \"7\"}]}, {\"_id\": 3, \"r\": "
     "8}, {\"_id\": 4}]",
     "{\"updateReferences\": {\"collection\": \"c\", \"field\": \"r\", \"from\": 7, \"to\": 8}}",
     "[{\"_id\": 1, \"r\": 8, \"x\": 7}, {\"_id\": 2, \"r\": [8, 8, 8]}, {\"_id\": 3, \"r\": 8}, {\"_id\": 4}]", 2},
    {"[{\"_id\": 1, \"i\": [{\"p\": {\"$oid\": \"5f5f5f5f5f5f5f5f5f5f5f5f\"}}, {\"p\": \"other\"}]}]",
     "{\"updateReferences\": {\"collection\": \"c\", \"field\": \"i.p\", \"from\": {\"$oid\": "
     "\"5f5f5f5f5f5f5f5f5f5f5f5f\"}, \"to\": \"new\"}}",
     "[{\"_id\": 1, \"i\": [{\"p\": \"new\"}, {\"p\": \"other\"}]}]", 1},
};

#define EFFECTS (sizeof effects / sizeof *effects)

static void steps_do_what_they_say(void **state) {
  (void)state;
  effects_happen(effects, EFFECTS);
}

static void steps_do_the_same_in_a_transaction(void **state) {
  (void)state;
  effects_happen_in_transactions(effects, EFFECTS);
}

/* Half of them are duplicates, in many more batches than one: exactly those go, and each is seen once. */
static void many_duplicates_go_in_batches(void **state) {
  seen s = {0};
  mig_observer observer = {.arg = &s, .progress = see};
  mig_work w = {.db = db, .caps = &caps, .observer = &observer, .batch_documents = 70};
  mig_error err;
  (void)state;
  if (!cursors_go_on()) skip_because("this server cannot continue a cursor");
  seed_many(3000);
  run_ok("{\"transform\": {\"collection\": \"c\", \"pipeline\": [{\"$set\": {\"h\": {\"$mod\": [\"$_id\", 1500]}}}]}}");
  assert_ok(
      run_with(&w, "{\"removeDuplicates\": {\"collection\": \"c\", \"fields\": [\"h\"], \"keep\": \"last\"}}", &err),
      err);
  assert_int_equal(count("c", "{}"), 1500);
  assert_int_equal(count("c", "{\"_id\": {\"$gte\": 1500}}"), 1500);
  assert_int_equal(w.counts.documents_written, 1500);
  assert_int_equal(s.done, 1500);
  /* a single group, larger than a batch */
  assert_ok(run_with(&w, "{\"removeDuplicates\": {\"collection\": \"c\", \"fields\": [\"text\"], \"keep\": \"first\"}}",
                     &err),
            err);
  assert_int_equal(count("c", "{}"), 1);
  assert_int_equal(count("c", "{\"_id\": 1500}"), 1);
}

static bool third_time_fails(void *arg, mig_error *err) {
  int *left = arg;
  return (*left)-- > 0 || mig_fail(err, MIG_E_LEASE, "the lease is lost");
}

static void a_lost_lease_stops_each_before_its_next_batch(void **state) {
  static const char *const steps[] = {
      "{\"removeDuplicates\": {\"collection\": \"c\", \"fields\": [\"x\"], \"keep\": \"first\"}}",
      ("{\"sanitizeStrings\": {\"collection\": \"c\", \"fields\": [\"text\"], \"operations\": [\"collapse\", "
       "\"stripControl\"]}}"),
      "{\"updateReferences\": {\"collection\": \"c\", \"field\": \"x\", \"from\": 1, \"to\": 7}}",
      "{\"bulkUpdate\": {\"collection\": \"c\", \"updates\": [{\"filter\": {}, \"update\": {\"$set\": {\"y\": 1}}}]}}"};
  (void)state;
  if (!cursors_go_on()) skip_because("this server cannot continue a cursor");
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    int left = 2;
    mig_work w = {
        .db = db, .caps = &caps, .batch_documents = 10, .checkpoint = third_time_fails, .checkpoint_arg = &left};
    mig_error err;
    drop_c(NULL);
    seed_many(200);
    run_ok("{\"transform\": {\"collection\": \"c\", \"pipeline\": [{\"$set\": {\"text\": \"a  b\"}}]}}");
    if (run_with(&w, steps[i], &err)) fail_msg("%s went on", steps[i]);
    assert_int_equal(err.code, MIG_E_LEASE);
    assert_true(w.counts.documents_written <= 20);
  }
}

static void texts_change_by_the_rules_of_unicode(void **state) {
  mig_error err;
  static const char *const step = "{\"sanitizeStrings\": {\"collection\": \"c\", \"fields\": [\"n\"], \"operations\": "
                                  "[\"nfc\", \"upper\"]}}";
  (void)state;
  seed("[{\"_id\": 1, \"n\": \"stra\\u00dfe\"}, {\"_id\": 2, \"n\": \"e\\u0301\"}]");
  if (!mig_text_unicode()) {
    run_fails(step, &err);
    assert_int_equal(err.code, MIG_E_UNSUPPORTED);
    assert_non_null(strstr(err.hint, "libunistring"));
    collection_is("c", "[{\"_id\": 1, \"n\": \"stra\\u00dfe\"}, {\"_id\": 2, \"n\": \"e\\u0301\"}]");
    return;
  }
  run_ok(step);
  collection_is("c", "[{\"_id\": 1, \"n\": \"STRASSE\"}, {\"_id\": 2, \"n\": \"\\u00c9\"}]");
  run_ok("{\"sanitizeStrings\": {\"collection\": \"c\", \"fields\": [\"n\"], \"operations\": [\"lower\"]}}");
  collection_is("c", "[{\"_id\": 1, \"n\": \"strasse\"}, {\"_id\": 2, \"n\": \"\\u00e9\"}]");
}

static void texts_that_become_equal_under_a_unique_index_fail(void **state) {
  mig_error err;
  (void)state;
  seed("[{\"_id\": 1, \"n\": \"a\"}, {\"_id\": 2, \"n\": \" a\"}]");
  run_ok("{\"createUniqueConstraint\": {\"collection\": \"c\", \"key\": {\"n\": 1}}}");
  run_fails("{\"sanitizeStrings\": {\"collection\": \"c\", \"fields\": [\"n\"], \"operations\": [\"trim\"]}}", &err);
  assert_int_equal(err.server_code, 11000);
  collection_is("c", "[{\"_id\": 1, \"n\": \"a\"}, {\"_id\": 2, \"n\": \" a\"}]");
}

static void a_reference_that_only_the_server_takes_for_equal_is_named(void **state) {
  mig_error err;
  (void)state;
  seed("[{\"_id\": 1, \"r\": {\"$numberDecimal\": \"7.0\"}}]");
  if (count("c", "{\"r\": 7}") == 0) skip_because("for this server a decimal 7.0 is not 7");
  run_fails("{\"updateReferences\": {\"collection\": \"c\", \"field\": \"r\", \"from\": 7, \"to\": 8}}", &err);
  assert_non_null(strstr(err.what, "1 documents still refer by r"));
}

static void a_unique_constraint_is_kept_and_enforced(void **state) {
  mig_error err;
  (void)state;
  seed("[{\"_id\": 1, \"e\": \"a\"}, {\"_id\": 2, \"e\": \"b\"}]");
  run_ok("{\"createUniqueConstraint\": {\"collection\": \"c\", \"key\": {\"e\": 1}}}");
  run_fails("{\"insert\": {\"collection\": \"c\", \"documents\": [{\"_id\": 3, \"e\": \"a\"}]}}", &err);
  assert_int_equal(err.server_code, 11000);
  run_ok("{\"dropIndex\": {\"collection\": \"c\", \"name\": \"e_1\"}}");
  run_ok("{\"insert\": {\"collection\": \"c\", \"documents\": [{\"_id\": 3, \"e\": \"a\"}]}}");
  run_fails("{\"createUniqueConstraint\": {\"collection\": \"c\", \"key\": {\"e\": 1}}}", &err);
  assert_non_null(strstr(err.hint, "removeDuplicates"));
}

static void a_validator_is_set_enforced_and_taken_away(void **state) {
  mig_error err;
  (void)state;
  if (!mig_caps_has(&caps, MIG_CAP_COLLMOD) || !mig_caps_has(&caps, MIG_CAP_VALIDATOR)) {
    seed("[{\"_id\": 1}]");
    run_fails("{\"setValidator\": {\"collection\": \"c\", \"validator\": {\"n\": {\"$exists\": true}}}}", &err);
    assert_int_equal(err.code, MIG_E_UNSUPPORTED);
    return;
  }
  seed("[{\"_id\": 1, \"n\": 1}]");
  run_ok("{\"setValidator\": {\"collection\": \"c\", \"validator\": {\"$jsonSchema\": {\"required\": [\"n\"]}}}}");
  run_fails("{\"insert\": {\"collection\": \"c\", \"documents\": [{\"_id\": 2}]}}", &err);
  run_ok("{\"setValidator\": {\"collection\": \"c\", \"validator\": {}}}");
  run_ok("{\"insert\": {\"collection\": \"c\", \"documents\": [{\"_id\": 2}]}}");
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, drop_c, drop_c)
  const struct CMUnitTest tests[] = {
      T(steps_do_what_they_say),
      T(steps_do_the_same_in_a_transaction),
      T(many_duplicates_go_in_batches),
      T(a_lost_lease_stops_each_before_its_next_batch),
      T(texts_change_by_the_rules_of_unicode),
      T(texts_that_become_equal_under_a_unique_index_fail),
      T(a_reference_that_only_the_server_takes_for_equal_is_named),
      T(a_unique_constraint_is_kept_and_enforced),
      T(a_validator_is_set_enforced_and_taken_away),
  };
  test_uri();
  return cmocka_run_group_tests(tests, open_db, close_db);
}
