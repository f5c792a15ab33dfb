/* Guards without a server: their syntax, the guards that ask no server, comparing indexes, the one aggregation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "validators/index_spec.h"
#include "validators/query.h"
#include "validators/unique_keys.h"

static bson_t *json(const char *text) {
  bson_error_t error;
  bson_t *doc = bson_new_from_json((const uint8_t *)text, -1, &error);
  if (!doc) fail_msg("%s: %s", text, error.message);
  return doc;
}

/* ---- syntax ---- */

typedef struct syntax_case {
  const char *guard;
  const char *path; /* NULL: it is right */
  const char *what; /* must stand in the message */
} syntax_case;

static const syntax_case cases[] = {
    {"{\"collectionExists\": {\"collection\": \"users\"}}", NULL, NULL},
    {"{\"collectionExists\": {\"collection\": \"a.b c-ü\"}}", NULL, NULL},
    {"{\"collectionAbsent\": {\"collection\": \"users\"}}", NULL, NULL},
    {"{\"keepsDocuments\": {\"collection\": \"users\", \"ttl\": true}}", NULL, NULL},
    {"{\"fieldExists\": {\"collection\": \"u\", \"field\": \"a.b\"}}", NULL, NULL},
    {"{\"fieldAbsent\": {\"collection\": \"u\", \"field\": \"a\", \"filter\": {\"x\": 1}}}", NULL, NULL},
    {"{\"indexExists\": {\"collection\": \"u\", \"name\": \"a_1\"}}", NULL, NULL},
    {"{\"indexExists\": {\"collection\": \"u\", \"key\": {\"a\": 1}, \"options\": {\"unique\": true}}}", NULL, NULL},
    {"{\"indexAbsent\": {\"collection\": \"u\", \"key\": {\"a\": \"text\"}}}", NULL, NULL},
    {"{\"noIndexConflict\": {\"collection\": \"u\", \"key\": {\"a\": 1}, \"name\": \"n\"}}", NULL, NULL},
    {"{\"noDuplicates\": {\"collection\": \"u\", \"fields\": [\"a\", \"b.c\"], \"sparse\": true}}", NULL, NULL},
    {"{\"noDuplicates\": {\"collection\": \"u\", \"fields\": [\"2024.a\"]}}", NULL, NULL},
    {"{\"noDuplicates\": {\"collection\": \"u\", \"fields\": [\"a\"], \"collation\": {\"locale\": \"en\"}}}", NULL,
     NULL},
    {"{\"count\": {\"collection\": \"u\", \"filter\": {}, \"equals\": 0}}", NULL, NULL},
    {"{\"count\": {\"collection\": \"u\", \"min\": 1, \"max\": 1}}", NULL, NULL},
    {"{\"matches\": {\"collection\": \"u\", \"filter\": {\"a\": 1}, \"expect\": \"all\"}}", NULL, NULL},
    {"{\"notNull\": {\"collection\": \"u\", \"field\": \"a.b.c.d.e.f\"}}", NULL, NULL},
    {"{\"fieldType\": {\"collection\": \"u\", \"field\": \"a\", \"type\": [\"int\", \"null\"]}}", NULL, NULL},
    {"{\"references\": {\"collection\": \"u\", \"field\": \"a\", \"to\": \"v.b.c\"}}", NULL, NULL},
    {"{\"documentSize\": {\"collection\": \"u\", \"max\": \"15.5 MiB\"}}", NULL, NULL},
    {"{\"schema\": {\"collection\": \"u\", \"schema\": {}}}", NULL, NULL},
    {"{\"storeSpace\": {\"min\": 0}}", NULL, NULL},
    {"{\"storeSpace\": {\"min\": \"1.5 GiB\", \"max\": \"2tb\"}}", NULL, NULL},
    {"{\"serverVersion\": {\"min\": \"4.0\"}}", NULL, NULL},
    {"{\"serverVersion\": {\"min\": \"7\", \"max\": \"7\"}}", NULL, NULL},

    {"{}", "guards.0", "exactly one key"},
    {"{\"notNull\": {\"collection\": \"u\", \"field\": \"a.b.c.d.e.f.g\"}}", "guards.0.notNull.field",
     "more than 6 parts"},
    {"{\"fieldType\": {\"collection\": \"u\", \"field\": \"a\", \"type\": \"strin\"}}", "guards.0.fieldType.type",
     "did you mean \"string\"?"},
    {"{\"fieldType\": {\"collection\": \"u\", \"field\": \"a\", \"type\": []}}", "guards.0.fieldType.type",
     "not a type"},
    {"{\"references\": {\"collection\": \"u\", \"field\": \"a\", \"to\": \"v\"}}", "guards.0.references.to",
     "\"customers._id\""},
    {"{\"references\": {\"collection\": \"u\", \"field\": \"a\", \"to\": \"v.$x\"}}", "guards.0.references.to",
     "\"customers._id\""},
    {"{\"references\": {\"collection\": \"u\", \"field\": \"a\", \"to\": {\"collection\": \"v\"}}}",
     "guards.0.references.to", "\"customers._id\""},
    {"{\"documentSize\": {\"collection\": \"u\", \"max\": \"16 MiB\"}}", "guards.0.documentSize.max",
     "less than 16 MiB"},
    {"{\"documentSize\": {\"collection\": \"u\", \"max\": \"lots\"}}", "guards.0.documentSize.max", "not a size"},
    {"{\"count\": {}, \"matches\": {}}", "guards.0", "here are 2"},
    {"{\"noDuplicate\": {}}", "guards.0.noDuplicate", "did you mean \"noDuplicates\"?"},
    {"{\"colectionExist\": {}}", "guards.0.colectionExist", "did you mean \"collectionExists\"?"},
    {"{\"qqqq\": {}}", "guards.0.qqqq", "unknown guard \"qqqq\""},
    {"{\"count\": []}", "guards.0.count", "must be a document"},
    {"{\"count\": 1}", "guards.0.count", "must be a document"},

    {"{\"collectionExists\": {}}", "guards.0.collectionExists", "collection"},
    {"{\"collectionExists\": {\"colection\": \"u\"}}", "guards.0.collectionExists.colection", "\"collection\""},
    {"{\"collectionExists\": {\"collection\": \"migrationlogs\"}}", "guards.0.collectionExists.collection",
     "migrationlogs"},
    {"{\"fieldExists\": {\"collection\": \"u\", \"field\": \"a..b\"}}", "guards.0.fieldExists.field", "a..b"},
    {"{\"fieldExists\": {\"collection\": \"u\", \"field\": \"a\", \"filter\": 1}}", "guards.0.fieldExists.filter",
     "filter"},
    {"{\"indexExists\": {\"collection\": \"u\"}}", "guards.0.indexExists",
     "guard indexExists: give \"name\" or \"key\""},
    {"{\"indexAbsent\": {\"collection\": \"u\", \"name\": \"a\", \"key\": {\"a\": 1}}}", "guards.0.indexAbsent.key",
     "not both"},
    {"{\"indexAbsent\": {\"collection\": \"u\", \"key\": {}}}", "guards.0.indexAbsent.key", "key"},
    {"{\"noIndexConflict\": {\"collection\": \"u\", \"name\": \"n\"}}", "guards.0.noIndexConflict", "key"},
    {"{\"noDuplicates\": {\"collection\": \"u\", \"fields\": []}}", "guards.0.noDuplicates.fields", "fields"},
    {"{\"noDuplicates\": {\"collection\": \"u\", \"fields\": \"a\"}}", "guards.0.noDuplicates.fields", "fields"},
    {"{\"noDuplicates\": {\"collection\": \"u\", \"fields\": [\"a\", \"a\"]}}", "guards.0.noDuplicates.fields",
     "twice"},
    {"{\"noDuplicates\": {\"collection\": \"u\", \"fields\": [\"a.0.b\"]}}", "guards.0.noDuplicates.fields", "number"},
    {"{\"noDuplicates\": {\"collection\": \"u\", \"feilds\": [\"a\"]}}", "guards.0.noDuplicates.feilds", "\"fields\""},
    {"{\"count\": {\"collection\": \"u\"}}", "guards.0.count", "\"equals\", \"min\" or \"max\""},
    {"{\"count\": {\"collection\": \"u\", \"equals\": 1, \"min\": 1}}", "guards.0.count.equals", "not both"},
    {"{\"count\": {\"collection\": \"u\", \"min\": 2, \"max\": 1}}", "guards.0.count.min", "more than"},
    {"{\"count\": {\"collection\": \"u\", \"equals\": -1}}", "guards.0.count.equals", "equals"},
    {"{\"count\": {\"collection\": \"u\", \"equals\": \"1\"}}", "guards.0.count.equals", "equals"},
    {"{\"matches\": {\"collection\": \"u\", \"filter\": {}, \"expect\": \"any\"}}", "guards.0.matches.expect",
     "\"any\""},
    {"{\"matches\": {\"collection\": \"u\", \"expect\": \"all\"}}", "guards.0.matches", "filter"},
    {"{\"storeSpace\": {}}", "guards.0.storeSpace", "min"},
    {"{\"storeSpace\": {\"min\": \"2G\"}}", "guards.0.storeSpace.min", "not a size"},
    {"{\"storeSpace\": {\"min\": -1}}", "guards.0.storeSpace.min", "not a size"},
    {"{\"storeSpace\": {\"min\": \"1.\"}}", "guards.0.storeSpace.min", "not a size"},
    {"{\"storeSpace\": {\"min\": \"1.2.3 GB\"}}", "guards.0.storeSpace.min", "not a size"},
    {"{\"storeSpace\": {\"min\": \"99999999999999999999\"}}", "guards.0.storeSpace.min", "not a size"},
    {"{\"storeSpace\": {\"min\": \"9999999999 TiB\"}}", "guards.0.storeSpace.min", "not a size"},
    {"{\"storeSpace\": {\"min\": 1, \"max\": true}}", "guards.0.storeSpace.max", "not a size"},
    {"{\"storeSpace\": {\"min\": \"2 KiB\", \"max\": 2047}}", "guards.0.storeSpace.min", "more than"},
    {"{\"serverVersion\": {}}", "guards.0.serverVersion", "\"min\" or \"max\""},
    {"{\"serverVersion\": {\"min\": 4.4}}", "guards.0.serverVersion.min", "min"},
    {"{\"serverVersion\": {\"min\": \"4.x\"}}", "guards.0.serverVersion.min", "4.x"},
    {"{\"serverVersion\": {\"min\": \"4.\"}}", "guards.0.serverVersion.min", "4."},
    {"{\"serverVersion\": {\"max\": \"1.2.3.4.5\"}}", "guards.0.serverVersion.max", "1.2.3.4.5"},
    {"{\"serverVersion\": {\"min\": \"10.0\", \"max\": \"9.9\"}}", "guards.0.serverVersion.min", "above"},
};

static void syntax_is_checked_with_the_place_and_the_nearest_name(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    mig_error err = {0};
    bson_t *guard = json(cases[i].guard);
    bool ok = mig_guard_check_syntax(guard, "guards.0", &err);
    if (ok != !cases[i].path) fail_msg("%s: %s", cases[i].guard, ok ? "accepted" : err.what);
    if (!ok) {
      assert_int_equal(err.code, MIG_E_INPUT);
      assert_string_equal(err.json_path, cases[i].path);
      if (!strstr(err.what, cases[i].what)) fail_msg("%s: \"%s\" lacks %s", cases[i].guard, err.what, cases[i].what);
    }
    assert_int_equal(mig_guard_check_syntax(guard, NULL, NULL), ok); /* neither path nor error is needed */
    bson_destroy(guard);
  }
}

static void every_guard_has_help_and_is_found_by_its_name(void **state) {
  (void)state;
  size_t n = 0;
  for (const mig_guard_def *const *g = mig_guard_table(); *g; g++, n++) {
    assert_ptr_equal(mig_guard_find((*g)->name), *g);
    assert_true(strlen((*g)->help) > 10);
    assert_non_null((*g)->run);
    for (const mig_arg *a = (*g)->args; a->name; a++) assert_true(strlen(a->help) > 5);
  }
  assert_true(n >= 12);
  assert_null(mig_guard_find("count "));
}

static void many_fields_are_refused_before_any_server_sees_them(void **state) {
  (void)state;
  mig_error err;
  bson_t guard = BSON_INITIALIZER, args, fields;
  BSON_APPEND_DOCUMENT_BEGIN(&guard, "noDuplicates", &args);
  BSON_APPEND_UTF8(&args, "collection", "u");
  BSON_APPEND_ARRAY_BEGIN(&args, "fields", &fields);
  for (int i = 0; i < 33; i++) {
    char key[16], name[16];
    snprintf(key, sizeof key, "%d", i);
    snprintf(name, sizeof name, "f%d", i);
    BSON_APPEND_UTF8(&fields, key, name);
  }
  bson_append_array_end(&args, &fields);
  bson_append_document_end(&guard, &args);
  assert_false(mig_guard_check_syntax(&guard, "guards.0", &err));
  assert_non_null(strstr(err.what, "1 to 32 fields, not 33"));
  bson_destroy(&guard);
}

/* ---- guards that ask no server ---- */

static bool run(const char *guard, const mig_guard_env *env, mig_guard_result *out) {
  mig_error err = {0};
  bson_t *doc = json(guard);
  if (!mig_guard_run(env, doc, out, &err)) fail_msg("%s: %s %s", guard, err.what, err.why);
  bson_destroy(doc);
  return out->holds;
}

static void store_space_is_compared_with_the_free_space(void **state) {
  (void)state;
  mig_guard_env env = {NULL, "/tmp"};
  mig_guard_result r;
  assert_true(run("{\"storeSpace\": {\"min\": 1}}", &env, &r));
  assert_true(run("{\"storeSpace\": {\"min\": {\"$numberLong\": \"1\"}, \"max\": \"1000000 TiB\"}}", &env, &r));
  assert_false(run("{\"storeSpace\": {\"min\": \"1000000 TiB\"}}", &env, &r));
  assert_non_null(strstr(r.why, "/tmp"));
  assert_non_null(strstr(r.why, "at least 976.6 PiB"));
  assert_non_null(strstr(r.hint, "--store"));
  mig_guard_result_clear(&r);
  assert_false(run("{\"storeSpace\": {\"min\": 0, \"max\": 0}}", &env, &r));
  assert_non_null(strstr(r.why, "at most 0 bytes"));
  mig_guard_result_clear(&r);
}

static void store_space_without_a_store_is_an_error_not_an_answer(void **state) {
  (void)state;
  mig_guard_env env = {NULL, NULL};
  mig_guard_result r;
  mig_error err;
  bson_t *doc = json("{\"storeSpace\": {\"min\": 1}}");
  assert_false(mig_guard_run(&env, doc, &r, &err));
  assert_int_equal(err.code, MIG_E_USAGE);
  assert_non_null(strstr(err.what, "guard storeSpace"));
  assert_false(r.holds);
  bson_destroy(doc);
}

static void versions_compare_number_by_number(void **state) {
  (void)state;
  static const struct {
    const char *version, *args;
    bool holds;
  } table[] = {
      {"5.0.7", "{\"min\": \"5.0\"}", true},      {"5.0.7", "{\"min\": \"5.0.8\"}", false},
      {"5.0.7", "{\"min\": \"4.4.18\"}", true},   {"10.0.0", "{\"min\": \"9.9\"}", true},
      {"7.0.77", "{\"max\": \"7\"}", true},       {"7.0.77", "{\"max\": \"7.0\"}", true},
      {"7.0.77", "{\"max\": \"7.0.76\"}", false}, {"8.0.4-1", "{\"min\": \"8.0.4\", \"max\": \"8.0.4\"}", true},
      {"4.0.0-rc1", "{\"max\": \"3.6\"}", false}, {"6.1.0-alpha-3-g12", "{\"min\": \"6.1\"}", true},
      {"4", "{\"min\": \"4.0.1\"}", false},       {"4.10.1", "{\"min\": \"4.9\", \"max\": \"4.11\"}", true},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    mig_caps caps = {.product = "MongoDB"};
    mig_work work = {.caps = &caps};
    mig_guard_env env = {&work, NULL};
    mig_guard_result r;
    char guard[200];
    snprintf(caps.version, sizeof caps.version, "%s", table[i].version);
    snprintf(guard, sizeof guard, "{\"serverVersion\": %s}", table[i].args);
    if (run(guard, &env, &r) != table[i].holds) fail_msg("%s %s", table[i].version, table[i].args);
    if (!r.holds) assert_non_null(strstr(r.why, table[i].version));
    mig_guard_result_clear(&r);
  }
}

static void a_wrong_guard_is_refused_at_run_time_too(void **state) {
  (void)state;
  mig_guard_env env = {NULL, "/tmp"};
  mig_guard_result r;
  mig_error err;
  bson_t *doc = json("{\"storeSpace\": {\"min\": \"much\"}}");
  assert_false(mig_guard_run(&env, doc, &r, &err));
  assert_int_equal(err.code, MIG_E_INPUT);
  assert_string_equal(err.json_path, "storeSpace.min");
  bson_destroy(doc);
}

static void a_long_reason_is_cut_between_characters(void **state) {
  (void)state;
  for (size_t shift = 0; shift < 4; shift++) {
    char text[2000];
    mig_guard_result r = {.holds = true};
    memset(text, 'a', shift);
    for (size_t i = shift; i + 2 < sizeof text; i += 2) memcpy(text + i, "\xC3\xBC", 3);
    assert_true(mig_guard_refuse(&r, "%s", text));
    assert_false(r.holds);
    assert_true(strlen(r.why) < sizeof r.why);
    assert_string_equal(r.why + strlen(r.why) - 3, "...");
    assert_true(bson_utf8_validate(r.why, strlen(r.why), false));
  }
}

static void names_cannot_move_the_cursor_or_break_the_encoding(void **state) {
  (void)state;
  mig_guard_result r = {.holds = true};
  mig_guard_refuse(&r, "a\x1B[2J\n\xFF\xC3(\xE2\x82\xAC\xC3\xBC\xF0\x9F\x98\x80\xED\xA0\x80\xC3");
  assert_string_equal(r.why, "a?[2J?\?\?(\xE2\x82\xAC\xC3\xBC\xF0\x9F\x98\x80????");
}

/* ---- indexes ---- */

static const struct {
  const char *index, *key, *options, *collation;
  mig_index_match match;
  const char *option;
} indexes[] = {
#define EMAIL "{\"v\": 2, \"key\": {\"email\": 1}, \"name\": \"email_1\""
    {EMAIL "}", "{\"email\": 1}", "{}", NULL, MIG_INDEX_SAME, NULL},
    {EMAIL "}", "{\"email\": 1.0}", "{\"unique\": false, \"background\": true}", NULL, MIG_INDEX_SAME, NULL},
    {EMAIL "}", "{\"email\": {\"$numberLong\": \"1\"}}", "{}", NULL, MIG_INDEX_SAME, NULL},
    {EMAIL "}", "{\"email\": -1}", "{}", NULL, MIG_INDEX_OTHER_KEY, "key"},
    {EMAIL "}", "{\"email\": 1, \"a\": 1}", "{}", NULL, MIG_INDEX_OTHER_KEY, "key"},
    {EMAIL "}", "{\"email\": \"hashed\"}", "{}", NULL, MIG_INDEX_OTHER_KEY, "key"},
    {EMAIL "}", "{\"email\": 1}", "{\"unique\": true}", NULL, MIG_INDEX_OTHER_SIGNATURE, "unique"},
    {EMAIL ", \"unique\": true}", "{\"email\": 1}", "{}", NULL, MIG_INDEX_OTHER_SIGNATURE, "unique"},
    {EMAIL ", \"unique\": true}", "{\"email\": 1}", "{\"unique\": 1}", NULL, MIG_INDEX_SAME, NULL},
    {EMAIL ", \"sparse\": true}", "{\"email\": 1}", "{}", NULL, MIG_INDEX_OTHER_SIGNATURE, "sparse"},
    {EMAIL ", \"partialFilterExpression\": {\"a\": 1, \"b\": 2}}", "{\"email\": 1}",
     "{\"partialFilterExpression\": {\"b\": 2.0, \"a\": 1}}", NULL, MIG_INDEX_SAME, NULL},
    {EMAIL ", \"partialFilterExpression\": {\"a\": 1, \"b\": 2}}", "{\"email\": 1}",
     "{\"partialFilterExpression\": {\"a\": 1}}", NULL, MIG_INDEX_OTHER_SIGNATURE, "partialFilterExpression"},
    {EMAIL ", \"expireAfterSeconds\": 60}", "{\"email\": 1}", "{\"expireAfterSeconds\": 60.0}", NULL, MIG_INDEX_SAME,
     NULL},
    {EMAIL ", \"expireAfterSeconds\": 60}", "{\"email\": 1}", "{}", NULL, MIG_INDEX_OTHER_OPTIONS,
     "expireAfterSeconds"},
    {EMAIL "}", "{\"email\": 1}", "{\"expireAfterSeconds\": 60}", NULL, MIG_INDEX_OTHER_OPTIONS, "expireAfterSeconds"},
    {EMAIL ", \"hidden\": true}", "{\"email\": 1}", "{}", NULL, MIG_INDEX_SAME, NULL},
#define FULL "\"collation\": {\"locale\": \"en\", \"caseLevel\": false, \"strength\": 2, \"numericOrdering\": false}"
    {EMAIL ", " FULL "}", "{\"email\": 1}", "{}", "{\"locale\": \"en\", \"strength\": 2}", MIG_INDEX_SAME, NULL},
    {EMAIL ", " FULL "}", "{\"email\": 1}", "{}", "{\"locale\": \"en\"}", MIG_INDEX_OTHER_COLLATION, "collation"},
    {EMAIL ", " FULL "}", "{\"email\": 1}", "{}", NULL, MIG_INDEX_OTHER_COLLATION, "collation"},
    {EMAIL "}", "{\"email\": 1}", "{}", "{\"locale\": \"simple\"}", MIG_INDEX_SAME, NULL},
    {EMAIL ", \"collation\": {\"locale\": \"simple\"}}", "{\"email\": 1}", "{}", NULL, MIG_INDEX_SAME, NULL},
#define TEXT                                                                                                           \
  "{\"v\": 2, \"key\": {\"_fts\": \"text\", \"_ftsx\": 1, \"z\": 1}, \"name\": \"t\", \"weights\": {\"a\": 5, "        \
  "\"b.c\": 1}, \"default_language\": \"english\", \"language_override\": \"language\", \"textIndexVersion\": 3}"
    {TEXT, "{\"b.c\": \"text\", \"a\": \"text\", \"z\": 1}", "{\"weights\": {\"a\": 5}}", NULL, MIG_INDEX_SAME, NULL},
    {TEXT, "{\"b.c\": \"text\", \"a\": \"text\", \"z\": 1}", "{}", NULL, MIG_INDEX_OTHER_OPTIONS, "weights"},
    {TEXT, "{\"a\": \"text\", \"z\": 1}", "{\"weights\": {\"a\": 5}}", NULL, MIG_INDEX_OTHER_KEY, "key"},
    {TEXT, "{\"a\": \"text\", \"b.c\": \"text\"}", "{\"weights\": {\"a\": 5}}", NULL, MIG_INDEX_OTHER_KEY, "key"},
    {TEXT, "{\"a\": \"text\", \"b.c\": \"text\", \"z\": 1}",
     "{\"weights\": {\"a\": 5}, \"default_language\": \"german\"}", NULL, MIG_INDEX_OTHER_OPTIONS, "default_language"},
    {"{\"v\": 2, \"key\": {\"p\": \"2dsphere\"}, \"name\": \"p\", \"2dsphereIndexVersion\": 3}",
     "{\"p\": \"2dsphere\"}", "{}", NULL, MIG_INDEX_SAME, NULL},
};

static void indexes_compare_as_servers_compare_them(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof indexes / sizeof *indexes; i++) {
    const char *option = NULL;
    bson_t *index = json(indexes[i].index), *key = json(indexes[i].key), *options = json(indexes[i].options);
    bson_t *collation = indexes[i].collation ? json(indexes[i].collation) : NULL;
    mig_index_wish wish = {key, options, collation};
    mig_index_match match = mig_index_compare(index, &wish, &option);
    if (match != indexes[i].match || (option != NULL) != (indexes[i].option != NULL) ||
        (option && strcmp(option, indexes[i].option) != 0))
      fail_msg("case %zu: %s: %d %s", i, indexes[i].index, match, option ? option : "same");
    bson_destroy(index);
    bson_destroy(key);
    bson_destroy(options);
    if (collation) bson_destroy(collation);
  }
}

static void default_names_are_the_drivers(void **state) {
  (void)state;
  static const char *const table[][2] = {
      {"{\"email\": 1}", "email_1"},
      {"{\"a\": 1.0, \"b.c\": {\"$numberLong\": \"-1\"}}", "a_1_b.c_-1"},
      {"{\"t\": \"text\", \"p\": \"2dsphere\"}", "t_text_p_2dsphere"},
      {"{\"$**\": 1}", "$**_1"},
      {"{\"_id\": 1}", "_id_"},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    char name[MIG_INDEX_NAME], small[8];
    bson_t *key = json(table[i][0]);
    mig_index_default_name(key, name, sizeof name);
    assert_string_equal(name, table[i][1]);
    mig_index_default_name(key, small, sizeof small); /* cut, not overrun */
    assert_true(strlen(small) < sizeof small);
    bson_destroy(key);
  }
}

/* ---- the aggregation of noDuplicates ---- */

static void shared_parts_of_paths_are_unwound_once(void **state) {
  (void)state;
  bson_t none = BSON_INITIALIZER;
  mig_unique_keys what = {.collection = "u", .field = {"a.b", "a.c", "a"}, .fields = 3, .filter = &none};
  bson_t *command = mig_unique_keys_command(&what);
  char *text = bson_as_canonical_extended_json(command, NULL);
  int unwinds = 0;
  for (const char *p = text; (p = strstr(p, "\"$unwind\"")); p++) unwinds++;
  assert_int_equal(unwinds, 3);
  assert_non_null(strstr(text, "\"allowDiskUse\" : true"));
  assert_null(strstr(text, "$push"));
  assert_null(strstr(text, "\"$match\" : { }"));
  bson_free(text);
  bson_destroy(command);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(syntax_is_checked_with_the_place_and_the_nearest_name),
      cmocka_unit_test(every_guard_has_help_and_is_found_by_its_name),
      cmocka_unit_test(many_fields_are_refused_before_any_server_sees_them),
      cmocka_unit_test(store_space_is_compared_with_the_free_space),
      cmocka_unit_test(store_space_without_a_store_is_an_error_not_an_answer),
      cmocka_unit_test(versions_compare_number_by_number),
      cmocka_unit_test(a_wrong_guard_is_refused_at_run_time_too),
      cmocka_unit_test(a_long_reason_is_cut_between_characters),
      cmocka_unit_test(names_cannot_move_the_cursor_or_break_the_encoding),
      cmocka_unit_test(indexes_compare_as_servers_compare_them),
      cmocka_unit_test(default_names_are_the_drivers),
      cmocka_unit_test(shared_parts_of_paths_are_unwound_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
