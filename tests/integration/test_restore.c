/* Documents come back byte for byte, whatever happened to them. */
#include "restore_env.h"

static void documents_removed_changed_and_added_come_back(void **state) {
  env *e = *state;
  insert_numbered(e, "users", 0, 2500, 0);
  snapshot(e);
  char *before = fingerprint(e);
  run_json(e, "{\"delete\":\"users\",\"deletes\":[{\"q\":{\"_id\":{\"$gte\":100,\"$lt\":1400}},\"limit\":0}]}");
  run_json(e, "{\"update\":\"users\",\"updates\":[{\"q\":{\"_id\":{\"$gte\":2000}},\"u\":{\"$set\":{\"v\":9}},"
              "\"multi\":true}]}");
  insert_numbered(e, "users", 5000, 300, 7);
  e->w.batch_documents = 70; /* the counters add up over batches */
  const mig_restore_options options = {.displaced_store = e->store};
  mig_restore_report r = restore_like(e, &options, before);
  const mig_restore_collection *row = row_of(&r, "users");
  assert_int_equal(row->missing, 1300);
  assert_int_equal(row->changed, 500);
  assert_int_equal(row->extra, 300);
  assert_string_equal(row->strategy, "delta");
  assert_int_equal(r.written, 1800);
  assert_int_equal(r.removed, 300);
  assert_int_equal(r.displaced_documents, 800);
  assert_false(r.identical);
  mig_restore_report_clear(&r);
  mig_free(before);
}

static void nothing_changed_means_nothing_written(void **state) {
  env *e = *state;
  insert_numbered(e, "users", 0, 10, 0);
  snapshot(e);
  char *before = fingerprint(e);
  const mig_restore_options options = {.displaced_store = e->store};
  mig_restore_report r = restore_like(e, &options, before);
  assert_true(r.identical);
  assert_int_equal(r.written + r.removed, 0);
  assert_null(r.displaced_path);
  assert_string_equal(row_of(&r, "users")->strategy, "none");
  mig_restore_report_clear(&r);
  mig_free(before);
}

static void dry_run_counts_and_writes_nothing(void **state) {
  env *e = *state;
  mig_error err;
  mig_restore_report r;
  insert_numbered(e, "users", 0, 10, 0);
  snapshot(e);
  run_json(e, "{\"delete\":\"users\",\"deletes\":[{\"q\":{\"_id\":3},\"limit\":1}]}");
  char *damaged = fingerprint(e);
  const mig_restore_options options = {.dry_run = true, .displaced_store = e->store};
  CHECK(try_restore(e, &options, &r, &err), err);
  assert_int_equal(row_of(&r, "users")->missing, 1);
  assert_false(r.identical);
  assert_null(r.displaced_path);
  char *after = fingerprint(e);
  assert_string_equal(damaged, after);
  mig_restore_report_clear(&r);
  mig_free(damaged);
  mig_free(after);
}

static void an_emptied_and_a_dropped_collection_come_back(void **state) {
  env *e = *state;
  insert_numbered(e, "emptied", 0, 3000, 0);
  insert_numbered(e, "dropped", 0, 3000, 0);
  run_json(e, "{\"create\":\"empty\"}");
  snapshot(e);
  char *before = fingerprint(e);
  run_json(e, "{\"delete\":\"emptied\",\"deletes\":[{\"q\":{},\"limit\":0}]}");
  run_json(e, "{\"drop\":\"dropped\"}");
  run_json(e, "{\"drop\":\"empty\"}");
  const mig_restore_options options = {.displaced_store = e->store};
  mig_restore_report r = restore_like(e, &options, before);
  assert_true(row_of(&r, "dropped")->created);
  assert_true(row_of(&r, "empty")->created);
  assert_string_equal(row_of(&r, "dropped")->strategy, "swap");
  assert_string_equal(row_of(&r, "emptied")->strategy, "delta");
  assert_null(r.displaced_path);
  mig_restore_report_clear(&r);
  mig_free(before);
}

static void a_dropped_database_comes_back(void **state) {
  env *e = *state;
  insert_numbered(e, "users", 0, 100, 0);
  insert_numbered(e, "orders", 0, 100, 0);
  snapshot(e);
  char *before = fingerprint(e);
  run_json(e, "{\"dropDatabase\":1}");
  restore(e, before);
  mig_free(before);
}

static void everything_replaced_by_other_documents_comes_back(void **state) {
  env *e = *state;
  bson_oid_t oid;
  insert_numbered(e, "users", 0, 2000, 0);
  snapshot(e);
  char *before = fingerprint(e);
  run_json(e, "{\"delete\":\"users\",\"deletes\":[{\"q\":{},\"limit\":0}]}");
  for (int i = 0; i < 500; i++) {
    bson_oid_init(&oid, NULL);
    insert(e, "users", BCON_NEW("_id", BCON_OID(&oid), "other", BCON_BOOL(true)));
  }
  restore(e, before);
  mig_free(before);
}

static void a_collection_that_was_not_there_is_dropped_and_saved_whole(void **state) {
  env *e = *state;
  mig_error err;
  mig_archive *displaced = NULL;
  insert_numbered(e, "users", 0, 5, 0);
  char *before = fingerprint(e);
  const mig_snapshot_want wants[] = {{"users", MIG_HOLDS_DOCUMENTS}, {"later", MIG_HOLDS_DOCUMENTS}};
  snapshot_of(e, wants, 2);
  insert_numbered(e, "later", 0, 1234, 0);
  const mig_restore_options options = {.displaced_store = e->store, .displaced_reason = "test"};
  mig_restore_report r = restore_like(e, &options, before);
  assert_true(row_of(&r, "later")->dropped);
  assert_non_null(r.displaced_path);
  CHECK(mig_archive_open(r.displaced_path, &displaced, &err), err);
  CHECK(mig_archive_verify(displaced, NULL, &err), err);
  const mig_collection_entry *entry = mig_manifest_find(mig_archive_contents(displaced), "later");
  assert_non_null(entry);
  assert_int_equal(entry->documents, 1234);
  mig_archive_free(displaced);
  mig_restore_report_clear(&r);
  mig_free(before);
}

static void the_displaced_archive_holds_what_was_overwritten_and_is_refused_as_a_snapshot(void **state) {
  env *e = *state;
  mig_error err;
  mig_archive *displaced = NULL;
  mig_archive_cursor *c = NULL;
  mig_restore_report again;
  bson_t doc;
  int64_t v = 0;
  insert_numbered(e, "users", 0, 10, 0);
  snapshot(e);
  char *before = fingerprint(e);
  run_json(e, "{\"update\":\"users\",\"updates\":[{\"q\":{\"_id\":4},\"u\":{\"$set\":{\"v\":9}}}]}");
  const mig_restore_options options = {.displaced_store = e->store, .displaced_reason = "test"};
  mig_restore_report r = restore_like(e, &options, before);
  assert_non_null(r.displaced_id);
  CHECK(mig_archive_open(r.displaced_path, &displaced, &err), err);
  CHECK(mig_archive_verify(displaced, NULL, &err), err);
  const mig_collection_entry *entry = mig_manifest_find(mig_archive_contents(displaced), "users");
  assert_non_null(entry);
  CHECK(mig_archive_documents(displaced, entry, 0, &c, &err), err);
  assert_int_equal(mig_archive_cursor_next(c, &doc, &err), MIG_ARCHIVE_DOC);
  assert_true(mig_bson_int(&doc, "v", &v));
  assert_int_equal(v, 9);
  assert_int_equal(mig_archive_cursor_next(c, &doc, &err), MIG_ARCHIVE_END);
  mig_archive_cursor_close(c);
  assert_false(mig_restore_run(&e->w, displaced, &options, &again, &err));
  assert_int_equal(err.code, MIG_E_USAGE);
  mig_restore_report_clear(&again);
  mig_archive_free(displaced);
  mig_restore_report_clear(&r);
  mig_free(before);
}

static void unique_values_exchanged_between_documents_come_back(void **state) {
  env *e = *state;
  for (int i = 0; i < 6; i++) {
    char mail[16];
    snprintf(mail, sizeof mail, "m%d", i);
    insert(e, "users", BCON_NEW("_id", BCON_INT32(i), "mail", BCON_UTF8(mail)));
  }
  run_json(e, "{\"createIndexes\":\"users\",\"indexes\":[{\"key\":{\"mail\":1},\"name\":\"mail_1\",\"unique\":true}]}");
  snapshot(e);
  char *before = fingerprint(e);
  /* round about: each gets the next one's; the last of the chain is new */
  run_json(e, "{\"delete\":\"users\",\"deletes\":[{\"q\":{},\"limit\":0}]}");
  for (int i = 0; i < 6; i++) {
    char mail[16];
    snprintf(mail, sizeof mail, "m%d", (i + 1) % 6);
    insert(e, "users", BCON_NEW("_id", BCON_INT32(i), "mail", BCON_UTF8(mail)));
  }
  restore(e, before);
  /* and a value that another _id took over */
  run_json(e, "{\"delete\":\"users\",\"deletes\":[{\"q\":{\"_id\":2},\"limit\":1}]}");
  insert(e, "users", BCON_NEW("_id", BCON_INT32(1000), "mail", BCON_UTF8("m2")));
  restore(e, before);
  mig_free(before);
}

static void ids_of_every_type_come_back(void **state) {
  env *e = *state;
  bson_oid_t oid;
  bson_decimal128_t dec;
  bson_oid_init_from_string(&oid, "0123456789abcdef01234567");
  bson_decimal128_from_string("3.50", &dec);
  bson_t *docs[] = {BCON_NEW("_id", BCON_INT32(1)),
                    BCON_NEW("_id", BCON_INT64(5000000000)),
                    BCON_NEW("_id", BCON_DOUBLE(2.5)),
                    BCON_NEW("_id", BCON_DECIMAL128(&dec)),
                    BCON_NEW("_id", BCON_UTF8("")),
                    BCON_NEW("_id", BCON_UTF8("text")),
                    BCON_NEW("_id", "{", "}"),
                    BCON_NEW("_id", "{", "a", BCON_INT32(1), "b", BCON_UTF8("x"), "}"),
                    BCON_NEW("_id", BCON_BIN(BSON_SUBTYPE_UUID, (const uint8_t *)"0123456789abcdef", 16)),
                    BCON_NEW("_id", BCON_OID(&oid)),
                    BCON_NEW("_id", BCON_BOOL(true)),
                    BCON_NEW("_id", BCON_DATE_TIME(-1)),
                    BCON_NEW("_id", BCON_TIMESTAMP(1, 2)),
                    BCON_NEW("_id", BCON_NULL),
                    BCON_NEW("_id", BCON_MINKEY),
                    BCON_NEW("_id", BCON_MAXKEY),
                    BCON_NEW("_id", BCON_TIMESTAMP(0, 0)),
                    BCON_NEW("_id", BCON_DOUBLE(-0.5))};
  const size_t n = sizeof docs / sizeof *docs;
  mig_error err;
  for (size_t i = 0; i < n; i++) {
    char *json = mig_bson_json(docs[i]);
    if (!try_insert(e, "mixed", docs[i], &err)) skip_part(json, err.why);
    mig_free(json);
    bson_destroy(docs[i]);
  }
  snapshot(e);
  char *before = fingerprint(e);
  run_json(e, "{\"update\":\"mixed\",\"updates\":[{\"q\":{},\"u\":{\"$set\":{\"x\":1}},\"multi\":true}]}");
  restore(e, before);
  run_json(e, "{\"delete\":\"mixed\",\"deletes\":[{\"q\":{},\"limit\":0}]}");
  restore(e, before);
  run_json(e, "{\"drop\":\"mixed\"}");
  restore(e, before);
  mig_free(before);
}

static void an_id_of_one_becomes_one_again_and_not_one_point_zero(void **state) {
  env *e = *state;
  insert(e, "users", BCON_NEW("_id", BCON_INT32(1), "v", BCON_INT32(0)));
  insert(e, "users", BCON_NEW("_id", BCON_INT32(2), "v", BCON_INT32(0)));
  snapshot(e);
  char *before = fingerprint(e);
  run_json(e, "{\"delete\":\"users\",\"deletes\":[{\"q\":{\"_id\":1},\"limit\":1}]}");
  insert(e, "users", BCON_NEW("_id", BCON_DOUBLE(1.0), "v", BCON_INT32(0)));
  restore(e, before);
  mig_free(before);
}

static void swap_and_delta_can_be_asked_for(void **state) {
  env *e = *state;
  static const struct {
    mig_strategy strategy;
    const char *name;
  } ways[] = {{MIG_STRATEGY_SWAP, "swap"}, {MIG_STRATEGY_DELTA, "delta"}, {MIG_STRATEGY_AUTO, "delta"}};
  insert_numbered(e, "users", 0, 1500, 0);
  run_json(e, "{\"createIndexes\":\"users\",\"indexes\":[{\"key\":{\"v\":1},\"name\":\"v_1\"}]}");
  snapshot(e);
  char *before = fingerprint(e);
  for (size_t i = 0; i < 3; i++) {
    run_json(e, "{\"update\":\"users\",\"updates\":[{\"q\":{\"_id\":{\"$lt\":50}},\"u\":{\"$set\":{\"v\":9}},\"multi\":"
                "true}]}");
    const mig_restore_options options = {.strategy = ways[i].strategy, .displaced_store = e->store};
    mig_restore_report r = restore_like(e, &options, before);
    assert_string_equal(row_of(&r, "users")->strategy, ways[i].name);
    assert_int_equal(r.displaced_documents, 50);
    mig_restore_report_clear(&r);
  }
  mig_free(before);
}

static void only_the_named_collections_are_touched(void **state) {
  env *e = *state;
  mig_error err;
  mig_restore_report r;
  insert_numbered(e, "a", 0, 5, 0);
  insert_numbered(e, "b", 0, 5, 0);
  snapshot(e);
  run_json(e, "{\"delete\":\"a\",\"deletes\":[{\"q\":{},\"limit\":0}]}");
  run_json(e, "{\"delete\":\"b\",\"deletes\":[{\"q\":{},\"limit\":0}]}");
  const char *const only[] = {"b", NULL}, *const unknown[] = {"c", NULL};
  mig_restore_options options = {.only = only};
  CHECK(try_restore(e, &options, &r, &err), err);
  assert_int_equal(r.count, 1);
  assert_int_equal(count_of(e, "a"), 0);
  assert_int_equal(count_of(e, "b"), 5);
  mig_restore_report_clear(&r);
  options.only = unknown;
  assert_false(try_restore(e, &options, &r, &err));
  assert_int_equal(err.code, MIG_E_USAGE);
  mig_restore_report_clear(&r);
}

static void a_damaged_archive_writes_nothing(void **state) {
  env *e = *state;
  mig_error err;
  mig_restore_report r;
  insert_numbered(e, "users", 0, 500, 0);
  snapshot(e);
  run_json(e, "{\"delete\":\"users\",\"deletes\":[{\"q\":{},\"limit\":0}]}");
  char *damaged = fingerprint(e);
  FILE *f = fopen(e->snapshot, "r+b");
  assert_non_null(f);
  bool found = false; /* a byte inside the compressed chunk: behind its zstd magic */
  for (int c, run = 0; !found && (c = fgetc(f)) != EOF;) {
    static const uint8_t magic[] = {0x28, 0xb5, 0x2f, 0xfd};
    run = c == magic[run] ? run + 1 : c == magic[0];
    found = run == 4;
  }
  assert_true(found);
  assert_int_equal(fseek(f, 60, SEEK_CUR), 0);
  const int c = fgetc(f);
  assert_int_equal(fseek(f, -1, SEEK_CUR), 0);
  fputc(c ^ 1, f);
  fclose(f);
  const mig_restore_options options = {.displaced_store = e->store};
  assert_false(try_restore(e, &options, &r, &err));
  assert_int_equal(err.code, MIG_E_ARCHIVE);
  char *after = fingerprint(e);
  assert_string_equal(damaged, after);
  mig_restore_report_clear(&r);
  mig_free(damaged);
  mig_free(after);
}

static bool refuse_later(void *arg, mig_error *err) {
  int *left = arg;
  return (*left)-- > 0 || mig_fail(err, MIG_E_LEASE, "the lease is lost");
}

static void a_lost_lease_stops_it_and_it_converges_when_run_again(void **state) {
  env *e = *state;
  mig_error err;
  mig_restore_report r;
  insert_numbered(e, "users", 0, 300, 0);
  snapshot(e);
  char *before = fingerprint(e);
  run_json(e, "{\"delete\":\"users\",\"deletes\":[{\"q\":{},\"limit\":0}]}");
  const mig_restore_options options = {.displaced_store = e->store};
  for (int n = 0; n < 6; n++) {
    int left = n;
    e->w.checkpoint = refuse_later;
    e->w.checkpoint_arg = &left;
    e->w.batch_documents = 100;
    if (!try_restore(e, &options, &r, &err)) assert_int_equal(err.code, MIG_E_LEASE);
    mig_restore_report_clear(&r);
  }
  e->w.checkpoint = NULL;
  restore(e, before);
  mig_free(before);
}

static void large_gaps_in_opaque_ids_are_settled_by_swap(void **state) {
  env *e = *state;
  /* ids whose order the client does not know, and more difference than the window holds */
  char *filler = malloc(200001);
  memset(filler, 'x', 200000);
  filler[200000] = 0;
  for (int i = 0; i < 250; i++) insert(e, "big", BCON_NEW("_id", "{", "k", BCON_INT32(i), "}", "f", BCON_UTF8(filler)));
  snapshot(e);
  char *before = fingerprint(e);
  run_json(e, "{\"delete\":\"big\",\"deletes\":[{\"q\":{},\"limit\":0}]}");
  for (int i = 1000; i < 1250; i++)
    insert(e, "big", BCON_NEW("_id", "{", "k", BCON_INT32(i), "}", "f", BCON_UTF8(filler)));
  const mig_restore_options options = {.displaced_store = e->store};
  mig_restore_report r = restore_like(e, &options, before);
  assert_string_equal(row_of(&r, "big")->strategy, "swap");
  assert_int_equal(r.displaced_documents, 250);
  assert_int_equal(row_of(&r, "big")->missing, 250);
  assert_int_equal(row_of(&r, "big")->extra, 250);
  mig_restore_report_clear(&r);
  mig_free(before);
  free(filler);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RESTORE_TEST(documents_removed_changed_and_added_come_back),
      RESTORE_TEST(nothing_changed_means_nothing_written),
      RESTORE_TEST(dry_run_counts_and_writes_nothing),
      RESTORE_TEST(an_emptied_and_a_dropped_collection_come_back),
      RESTORE_TEST(a_dropped_database_comes_back),
      RESTORE_TEST(everything_replaced_by_other_documents_comes_back),
      RESTORE_TEST(a_collection_that_was_not_there_is_dropped_and_saved_whole),
      RESTORE_TEST(the_displaced_archive_holds_what_was_overwritten_and_is_refused_as_a_snapshot),
      RESTORE_TEST(unique_values_exchanged_between_documents_come_back),
      RESTORE_TEST(ids_of_every_type_come_back),
      RESTORE_TEST(an_id_of_one_becomes_one_again_and_not_one_point_zero),
      RESTORE_TEST(swap_and_delta_can_be_asked_for),
      RESTORE_TEST(only_the_named_collections_are_touched),
      RESTORE_TEST(a_damaged_archive_writes_nothing),
      RESTORE_TEST(a_lost_lease_stops_it_and_it_converges_when_run_again),
      RESTORE_TEST(large_gaps_in_opaque_ids_are_settled_by_swap),
  };
  return run_restore_tests("restore", tests, sizeof tests / sizeof *tests);
}
