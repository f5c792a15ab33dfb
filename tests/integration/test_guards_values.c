/* Guards on values, references, schema and size: every one both ways, offenders found again by the query shown. */
#include "guards_env.h"

static void not_null_looks_into_arrays(void **state) {
  (void)state;
  seed("users",
       "{\"0\": {\"_id\": 1, \"e\": \"a\", \"i\": [{\"s\": 1}, {\"s\": 2}]}, \"1\": {\"_id\": 2, \"e\": null, \"i\": "
       "[]}, \"2\": {\"_id\": 3, \"i\": [{\"s\": 1}, {}]}, \"3\": {\"_id\": 4, \"e\": 0, \"i\": [{\"s\": null}], "
       "\"k\": 1}}");
  holds("{\"notNull\": {\"collection\": \"users\", \"field\": \"_id\"}}");
  refuses_with("{\"notNull\": {\"collection\": \"users\", \"field\": \"e\"}}",
               "in 2 documents of users the field e is null or missing", "users", 2, 2);
  refuses_with("{\"notNull\": {\"collection\": \"users\", \"field\": \"i.s\"}}", "in 2 documents", "users", 2, 2);
  refuses_with("{\"notNull\": {\"collection\": \"users\", \"field\": \"i.s\", \"filter\": {\"k\": 1}}}",
               "in 1 document of users", "users", 1, 1);
  holds("{\"notNull\": {\"collection\": \"nowhere\", \"field\": \"e\"}}");
  assert_non_null(strstr(last_warning, "there is no collection nowhere"));
}

static void field_type_is_strict_about_arrays(void **state) {
  (void)state;
  seed("users", "{\"0\": {\"_id\": 1, \"e\": \"a\", \"i\": [{\"p\": 1}, {\"p\": {\"$numberDecimal\": \"2.5\"}}]}, "
                "\"1\": {\"_id\": 2, \"e\": [\"a\"], \"i\": [{\"p\": 1}, {\"p\": \"x\"}]}, \"2\": {\"_id\": 3, \"e\": "
                "null}, \"3\": {\"_id\": 4, \"e\": 5, \"i\": {\"p\": {\"$numberLong\": \"7\"}}}}");
  refuses_with("{\"fieldType\": {\"collection\": \"users\", \"field\": \"e\", \"type\": \"string\"}}",
               "in 3 documents of users the field e is not of type string", "users", 3, 3);
  refuses_with("{\"fieldType\": {\"collection\": \"users\", \"field\": \"e\", \"type\": [\"string\", \"null\", "
               "\"int\"]}}",
               "not of type string or null or int", "users", 1, 1);
  holds("{\"fieldType\": {\"collection\": \"users\", \"field\": \"e\", \"type\": [\"string\", \"null\", \"array\", "
        "\"number\"]}}");
  refuses_with("{\"fieldType\": {\"collection\": \"users\", \"field\": \"i.p\", \"type\": \"number\"}}",
               "in 1 document of users the field i.p is not of type number", "users", 1, 1);
  refuses_with("{\"fieldType\": {\"collection\": \"users\", \"field\": \"i\", \"type\": \"array\"}}", "in 1 document",
               "users", 1, 1);
  holds("{\"fieldType\": {\"collection\": \"users\", \"field\": \"missing\", \"type\": \"date\"}}");
}

static void references_are_followed_also_from_arrays(void **state) {
  (void)state;
  seed("customers", "{\"0\": {\"_id\": 1, \"code\": \"a\"}, \"1\": {\"_id\": 2, \"code\": \"b\"}}");
  seed("orders", "{\"0\": {\"_id\": 1, \"c\": 1, \"l\": [{\"x\": [\"a\", \"b\"]}]}, \"1\": {\"_id\": 2, \"c\": null}, "
                 "\"2\": {\"_id\": 3}, \"3\": {\"_id\": 4, \"c\": 9, \"l\": [{\"x\": \"a\"}, {\"x\": \"q\"}, {\"x\": "
                 "\"r\"}]}, \"4\": {\"_id\": 5, \"c\": 2, \"l\": [], \"k\": 1}}");
  refuses_with("{\"references\": {\"collection\": \"orders\", \"field\": \"c\", \"to\": \"customers._id\"}}",
               "in 1 document of orders the field c refers to nothing in customers._id: 9 (in _id 4)", "orders", 1, 1);
  refuses_with("{\"references\": {\"collection\": \"orders\", \"field\": \"l.x\", \"to\": \"customers.code\"}}",
               "in 1 document of orders", "orders", 1, 1);
  holds("{\"references\": {\"collection\": \"orders\", \"field\": \"c\", \"to\": \"customers._id\", \"filter\": "
        "{\"k\": 1}}}");
  refuses("{\"references\": {\"collection\": \"orders\", \"field\": \"c\", \"to\": \"custmers._id\"}}",
          "in 3 documents");
  assert_non_null(strstr(last_warning, "did you mean customers?"));
  seed("a.b", "{\"0\": {\"_id\": 1}, \"1\": {\"_id\": 2}, \"2\": {\"_id\": 9}}");
  holds("{\"references\": {\"collection\": \"orders\", \"field\": \"c\", \"to\": {\"collection\": \"a.b\", \"field\": "
        "\"_id\"}}}");
  holds("{\"references\": {\"collection\": \"nowhere\", \"field\": \"}\", \"to\": \"customers._id\"}}");
  drop("a.b");
}

static void a_schema_is_checked_or_the_server_is_said_to_lack_it(void **state) {
  static const char *const guard =
      "{\"schema\": {\"collection\": \"users\", \"schema\": {\"required\": [\"e\"], \"properties\": {\"e\": "
      "{\"bsonType\": \"string\"}}}}}";
  mig_error err = {0};
  mig_guard_result r;
  bson_t *doc = json(guard);
  (void)state;
  seed("users", "{\"0\": {\"_id\": 1, \"e\": \"a\"}, \"1\": {\"_id\": 2}, \"2\": {\"_id\": 3, \"e\": 5, \"k\": 1}}");
  bool ok = mig_guard_run(&env, doc, &r, &err);
  bson_destroy(doc);
  mig_guard_result_clear(&r);
  if (!ok) {
    assert_int_equal(err.code, MIG_E_UNSUPPORTED);
    assert_non_null(strstr(err.what, "cannot check documents against a $jsonSchema"));
    printf("  (this server has no $jsonSchema, and the guard says so: %s)\n", err.why);
    return;
  }
  refuses_with(guard, "2 documents of users do not obey the schema", "users", 2, 2);
  refuses_with("{\"schema\": {\"collection\": \"users\", \"schema\": {\"required\": [\"e\"], \"properties\": {\"e\": "
               "{\"bsonType\": \"string\"}}}, \"filter\": {\"k\": 1}}}",
               "1 document of users does not obey", "users", 1, 1);
  holds("{\"schema\": {\"collection\": \"users\", \"schema\": {\"required\": [\"_id\"]}}}");
  holds("{\"schema\": {\"collection\": \"nowhere\", \"schema\": {\"required\": [\"e\"]}}}");
}

static void document_size_finds_the_large_ones(void **state) {
  (void)state;
  char text[4000], filler[3000];
  memset(filler, 'x', sizeof filler - 1);
  filler[sizeof filler - 1] = 0;
  snprintf(text, sizeof text, "{\"0\": {\"_id\": 1, \"t\": \"%s\"}, \"1\": {\"_id\": 2, \"t\": \"x\"}}", filler);
  seed("users", text);
  holds("{\"documentSize\": {\"collection\": \"users\"}}");
  refuses_with("{\"documentSize\": {\"collection\": \"users\", \"max\": \"2 KiB\"}}",
               "1 document of users is larger than 2.0 KiB", "users", 1, 1);
  holds("{\"documentSize\": {\"collection\": \"users\", \"max\": \"2 KiB\", \"filter\": {\"_id\": 2}}}");
  /* {_id: int32 1, t: 2999 x}: 4 + 9 + 3 + 4 + 3000 + 1 bytes, to the byte */
  holds("{\"documentSize\": {\"collection\": \"users\", \"max\": 3021}}");
  refuses("{\"documentSize\": {\"collection\": \"users\", \"max\": 3020}}", "1 document");
}

/* What a transaction wrote is seen by the guards that verify it, and none of their tries aborts it. */
static void all_of_them_work_in_a_transaction(void **state) {
  mig_error err = {0};
  (void)state;
  if (!mig_caps_has(&caps, MIG_CAP_TRANSACTIONS)) {
    printf("skipped: this server has no transactions\n");
    skip();
  }
  seed("users", "{\"0\": {\"_id\": 1, \"e\": \"a\", \"r\": 1}}");
  if (!mig_db_begin(db, &err)) fail_msg("%s", err.what);
  must("{\"update\": \"users\", \"updates\": [{\"q\": {\"_id\": 1}, \"u\": {\"$set\": {\"e\": null, \"r\": 5}}}]}");
  refuses("{\"notNull\": {\"collection\": \"users\", \"field\": \"e\"}}", "in 1 document");
  refuses("{\"fieldType\": {\"collection\": \"users\", \"field\": \"e\", \"type\": \"string\"}}", "in 1 document");
  refuses("{\"references\": {\"collection\": \"users\", \"field\": \"r\", \"to\": \"users._id\"}}", "in 1 document");
  refuses("{\"schema\": {\"collection\": \"users\", \"schema\": {\"properties\": {\"e\": {\"bsonType\": "
          "\"string\"}}}}}",
          "1 document");
  refuses("{\"documentSize\": {\"collection\": \"users\", \"max\": 5}}", "1 document");
  mig_db_abort(db);
  holds("{\"notNull\": {\"collection\": \"users\", \"field\": \"e\"}}");
}

static int all(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(not_null_looks_into_arrays),
      cmocka_unit_test(field_type_is_strict_about_arrays),
      cmocka_unit_test(references_are_followed_also_from_arrays),
      cmocka_unit_test(a_schema_is_checked_or_the_server_is_said_to_lack_it),
      cmocka_unit_test(document_size_finds_the_large_ones),
      cmocka_unit_test(all_of_them_work_in_a_transaction),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void) {
  return run_guard_tests(all);
}
