/* Indexes, validators, options, views: brought back as recorded; documents of metadata-only snapshots stay untouched.
 */
#include "restore_env.h"

/* Every kind of index; those a server refuses are told. */
static const char *const kinds[][2] = {
    {"compound", "{\"key\":{\"a\":1,\"b\":-1},\"name\":\"compound\"}"},
    {"unique", "{\"key\":{\"u\":1},\"name\":\"unique\",\"unique\":true}"},
    {"sparse", "{\"key\":{\"s\":1},\"name\":\"sparse\",\"sparse\":true}"},
    {"TTL", "{\"key\":{\"t\":1},\"name\":\"ttl\",\"expireAfterSeconds\":360000}"},
    {"partial", "{\"key\":{\"p\":1},\"name\":\"partial\",\"partialFilterExpression\":{\"p\":{\"$gt\":5}}}"},
    {"text", "{\"key\":{\"x\":\"text\",\"y\":\"text\"},\"name\":\"text\",\"weights\":{\"x\":3,\"y\":1},"
             "\"default_language\":\"english\"}"},
    {"hashed", "{\"key\":{\"h\":\"hashed\"},\"name\":\"hashed\"}"},
    {"2dsphere", "{\"key\":{\"g\":\"2dsphere\"},\"name\":\"sphere\"}"},
    {"2d", "{\"key\":{\"f\":\"2d\"},\"name\":\"flat\",\"bits\":20}"},
    {"wildcard", "{\"key\":{\"w.$**\":1},\"name\":\"wildcard\"}"},
    {"hidden", "{\"key\":{\"i\":1},\"name\":\"hidden\",\"hidden\":true}"},
    {"collation", "{\"key\":{\"c\":1},\"name\":\"collation\",\"collation\":{\"locale\":\"de\",\"strength\":2}}"},
    {"descending, dotted, long name", "{\"key\":{\"deep.er\":-1},\"name\":\"a name of its own, with spaces\"}"},
};
#define KINDS (sizeof kinds / sizeof *kinds)

static bool create_index(env *e, const char *collection, const char *spec, mig_error *err) {
  char *command = mig_strdup_printf("{\"createIndexes\":\"%s\",\"indexes\":[%s]}", collection, spec);
  const bool ok = try_json(e, command, err);
  mig_free(command);
  return ok;
}

static void make_all_indexes(env *e, const char *collection) {
  mig_error err;
  for (size_t i = 0; i < KINDS; i++)
    if (!create_index(e, collection, kinds[i][1], &err)) skip_part(kinds[i][0], err.why);
}

static void insert_varied(env *e, const char *collection) {
  for (int i = 0; i < 20; i++)
    insert(e, collection,
           BCON_NEW("_id", BCON_INT32(i), "a", BCON_INT32(i), "u", BCON_INT32(i), "p", BCON_INT32(i), "x",
                    BCON_UTF8("some words"), "g", "{", "type", "Point", "coordinates", "[", BCON_DOUBLE(i),
                    BCON_DOUBLE(1), "]", "}", "f", "[", BCON_INT32(i), BCON_INT32(1), "]"));
}

static void every_kind_of_index_is_rebuilt_as_recorded(void **state) {
  env *e = *state;
  insert_varied(e, "users");
  make_all_indexes(e, "users");
  snapshot(e);
  char *before = fingerprint(e);
  run_json(e, "{\"dropIndexes\":\"users\",\"index\":\"*\"}");
  restore(e, before);
  run_json(e, "{\"drop\":\"users\"}");
  restore(e, before);
  mig_free(before);
}

static void indexes_dropped_changed_and_added_come_back(void **state) {
  env *e = *state;
  insert_numbered(e, "users", 0, 50, 0);
  run_json(e, "{\"createIndexes\":\"users\",\"indexes\":[{\"key\":{\"v\":1},\"name\":\"v\"},{\"key\":{\"text\":1},"
              "\"name\":\"text\",\"expireAfterSeconds\":360000},{\"key\":{\"a\":1,\"b\":1},\"name\":\"ab\"}]}");
  snapshot(e);
  char *before = fingerprint(e);
  run_json(e, "{\"dropIndexes\":\"users\",\"index\":\"v\"}");
  run_json(e, "{\"dropIndexes\":\"users\",\"index\":\"text\"}");
  run_json(e, "{\"dropIndexes\":\"users\",\"index\":\"ab\"}");
  run_json(e, "{\"createIndexes\":\"users\",\"indexes\":[{\"key\":{\"text\":1},\"name\":\"text\"},"
              "{\"key\":{\"b\":1,\"a\":1},\"name\":\"ab\"},{\"key\":{\"n\":1},\"name\":\"new\",\"unique\":true,"
              "\"sparse\":true}]}");
  const mig_restore_options options = {.displaced_store = e->store};
  mig_restore_report r = restore_like(e, &options, before);
  const mig_restore_collection *row = row_of(&r, "users");
  assert_int_equal(row->indexes_differing, 4);
  assert_int_equal(row->missing + row->changed + row->extra, 0);
  assert_string_equal(row->strategy, "delta");
  assert_int_equal(r.written + r.removed, 0);
  assert_null(r.displaced_path);
  mig_restore_report_clear(&r);
  mig_free(before);
}

static void a_new_unique_index_does_not_keep_old_documents_out(void **state) {
  env *e = *state;
  for (int i = 0; i < 10; i++) insert(e, "users", BCON_NEW("_id", BCON_INT32(i), "city", BCON_UTF8("Rome")));
  snapshot(e);
  char *before = fingerprint(e);
  run_json(e, "{\"delete\":\"users\",\"deletes\":[{\"q\":{\"_id\":{\"$gt\":0}},\"limit\":0}]}");
  run_json(e, "{\"createIndexes\":\"users\",\"indexes\":[{\"key\":{\"city\":1},\"name\":\"city\",\"unique\":true}]}");
  restore(e, before);
  mig_free(before);
}

static bool validator_works(env *e) {
  mig_error err;
  if (mig_caps_has(&e->caps, MIG_CAP_COLLMOD) &&
      try_json(e,
               "{\"collMod\":\"users\",\"validator\":{\"v\":{\"$gte\":0}},\"validationLevel\":\"strict\","
               "\"validationAction\":\"error\"}",
               &err))
    return true;
  skip_part("validator", "no collMod");
  return false;
}

static void a_validator_that_was_changed_or_removed_or_added_comes_back(void **state) {
  env *e = *state;
  mig_error err;
  insert_numbered(e, "users", 0, 50, 1);
  if (!validator_works(e)) return;
  snapshot(e);
  char *before = fingerprint(e);
  run_json(e, "{\"collMod\":\"users\",\"validator\":{\"v\":{\"$gte\":100}}}");
  restore(e, before);
  run_json(e, "{\"collMod\":\"users\",\"validator\":{},\"validationLevel\":\"off\"}");
  run_json(e, "{\"delete\":\"users\",\"deletes\":[{\"q\":{\"_id\":1},\"limit\":1}]}");
  restore(e, before);
  run_json(e, "{\"drop\":\"users\"}");
  restore(e, before);
  if (try_json(e, "{\"collMod\":\"users\",\"validationAction\":\"warn\",\"validationLevel\":\"moderate\"}", &err))
    restore(e, before);
  else
    skip_part("validationAction warn", err.why);
  mig_free(before);
  run_json(e, "{\"collMod\":\"users\",\"validator\":{}}");
  snapshot(e);
  before = fingerprint(e);
  assert_true(validator_works(e));
  restore(e, before);
  mig_free(before);
}

static void documents_that_break_their_own_validator_come_back(void **state) {
  env *e = *state;
  insert_numbered(e, "users", 0, 50, -1); /* older than the validator */
  if (!validator_works(e)) return;
  snapshot(e);
  char *before = fingerprint(e);
  run_json(e, "{\"delete\":\"users\",\"deletes\":[{\"q\":{\"_id\":{\"$lt\":20}},\"limit\":0}]}");
  restore(e, before);
  run_json(e, "{\"drop\":\"users\"}");
  restore(e, before);
  mig_free(before);
}

static void options_that_only_a_new_collection_can_have_come_back(void **state) {
  env *e = *state;
  mig_error err;
  static const char *const creates[][2] = {
      {"capped", "{\"create\":\"special\",\"capped\":true,\"size\":65536,\"max\":1000}"},
      {"collation", "{\"create\":\"special\",\"collation\":{\"locale\":\"en\",\"strength\":2}}"},
      {"pre-images (5.0)", "{\"create\":\"special\",\"recordPreImages\":true}"},
      {"pre- and post-images", "{\"create\":\"special\",\"changeStreamPreAndPostImages\":{\"enabled\":true}}"},
      {"clustered", "{\"create\":\"special\",\"clusteredIndex\":{\"key\":{\"_id\":1},\"unique\":true}}"},
  };
  for (size_t i = 0; i < sizeof creates / sizeof *creates; i++) {
    bson_t info;
    bool there = false;
    if (!try_json(e, creates[i][1], &err)) {
      skip_part(creates[i][0], err.why);
      continue;
    }
    CHECK(mig_db_collection_info(e->db, "special", &info, &there, &err), err);
    bson_t options;
    const bool kept = there && mig_bson_doc(&info, "options", &options) && !bson_empty(&options);
    bson_destroy(&info);
    if (!kept) skip_part(creates[i][0], "accepted and not kept");
    for (int n = 0; n < 30; n++) insert(e, "special", BCON_NEW("_id", BCON_INT32((n * 7) % 30), "v", BCON_INT32(n)));
    snapshot(e);
    char *before = fingerprint(e);
    insert(e, "special", BCON_NEW("_id", BCON_INT32(1000)));
    restore(e, before);
    run_json(e, "{\"drop\":\"special\"}");
    restore(e, before);
    run_json(e, "{\"drop\":\"special\"}");
    insert_numbered(e, "special", 0, 5, 0); /* now without the options */
    restore(e, before);
    mig_free(before);
    run_json(e, "{\"drop\":\"special\"}");
  }
}

static void strings_equal_under_a_collation_are_told_apart(void **state) {
  env *e = *state;
  mig_error err;
  if (!mig_caps_has(&e->caps, MIG_CAP_COLLATION) ||
      !try_json(e, "{\"create\":\"words\",\"collation\":{\"locale\":\"en\",\"strength\":2}}", &err)) {
    skip_part("collation", "not on this server");
    return;
  }
  insert(e, "words", BCON_NEW("_id", BCON_UTF8("Apple"), "v", BCON_INT32(0)));
  insert(e, "words", BCON_NEW("_id", BCON_UTF8("pear"), "v", BCON_INT32(0)));
  snapshot(e);
  char *before = fingerprint(e);
  run_json(e, "{\"delete\":\"words\",\"deletes\":[{\"q\":{\"_id\":\"Apple\"},\"limit\":1}]}");
  insert(e, "words", BCON_NEW("_id", BCON_UTF8("APPLE"), "v", BCON_INT32(0)));
  restore(e, before);
  mig_free(before);
}

static void a_view_comes_back_by_its_definition(void **state) {
  env *e = *state;
  mig_error err;
  insert_numbered(e, "users", 0, 10, 0);
  if (!mig_caps_has(&e->caps, MIG_CAP_VIEWS)) {
    skip_part("views", "not on this server");
    return;
  }
  run_json(e, "{\"create\":\"young\",\"viewOn\":\"users\",\"pipeline\":[{\"$match\":{\"v\":0}}]}");
  snapshot(e);
  char *before = fingerprint(e);
  run_json(e, "{\"collMod\":\"young\",\"viewOn\":\"users\",\"pipeline\":[]}");
  restore(e, before);
  run_json(e, "{\"drop\":\"young\"}");
  restore(e, before);
  run_json(e, "{\"drop\":\"young\"}");
  insert_numbered(e, "young", 0, 5, 0); /* a collection took its place */
  restore(e, before);
  run_json(e, "{\"drop\":\"users\"}");
  if (try_json(e, "{\"create\":\"users\",\"viewOn\":\"others\",\"pipeline\":[]}", &err)) restore(e, before);
  mig_free(before);
}

static void metadata_only_leaves_the_documents_alone(void **state) {
  env *e = *state;
  insert_numbered(e, "users", 0, 10, 0);
  run_json(e, "{\"createIndexes\":\"users\",\"indexes\":[{\"key\":{\"v\":1},\"name\":\"v\"}]}");
  const mig_snapshot_want wants[] = {{"users", MIG_HOLDS_METADATA}};
  snapshot_of(e, wants, 1);
  insert_numbered(e, "users", 100, 5, 0);
  char *before = fingerprint(e);
  run_json(e, "{\"dropIndexes\":\"users\",\"index\":\"v\"}");
  run_json(e, "{\"createIndexes\":\"users\",\"indexes\":[{\"key\":{\"text\":1},\"name\":\"t\"}]}");
  restore(e, before);
  mig_free(before);
}

static void metadata_only_of_a_missing_collection_is_an_error_that_names_it(void **state) {
  env *e = *state;
  mig_error err;
  mig_restore_report r;
  insert_numbered(e, "users", 0, 10, 0);
  const mig_snapshot_want wants[] = {{"users", MIG_HOLDS_METADATA}};
  snapshot_of(e, wants, 1);
  run_json(e, "{\"drop\":\"users\"}");
  const mig_restore_options options = {.displaced_store = e->store};
  assert_false(try_restore(e, &options, &r, &err));
  assert_non_null(strstr(err.what, ".users"));
  mig_restore_report_clear(&r);
}

static void odd_collection_names_come_back(void **state) {
  env *e = *state;
  mig_error err;
  static const char *const names[] = {"with space", "with.dot", "\xc3\xbcml\xc3\xa4ut", "per%cent", "-dash", "a/b"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    bson_t *doc = BCON_NEW("_id", BCON_INT32(1));
    if (!try_insert(e, names[i], doc, &err)) skip_part(names[i], err.why);
    bson_destroy(doc);
  }
  snapshot(e);
  char *before = fingerprint(e);
  run_json(e, "{\"dropDatabase\":1}");
  restore(e, before);
  mig_free(before);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RESTORE_TEST(every_kind_of_index_is_rebuilt_as_recorded),
      RESTORE_TEST(indexes_dropped_changed_and_added_come_back),
      RESTORE_TEST(a_new_unique_index_does_not_keep_old_documents_out),
      RESTORE_TEST(a_validator_that_was_changed_or_removed_or_added_comes_back),
      RESTORE_TEST(documents_that_break_their_own_validator_come_back),
      RESTORE_TEST(options_that_only_a_new_collection_can_have_come_back),
      RESTORE_TEST(strings_equal_under_a_collation_are_told_apart),
      RESTORE_TEST(a_view_comes_back_by_its_definition),
      RESTORE_TEST(metadata_only_leaves_the_documents_alone),
      RESTORE_TEST(metadata_only_of_a_missing_collection_is_an_error_that_names_it),
      RESTORE_TEST(odd_collection_names_come_back),
  };
  return run_restore_tests("restore_metadata", tests, sizeof tests / sizeof *tests);
}
