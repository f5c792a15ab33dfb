/* Steps that move documents between collections: nothing is lost, doubled or overwritten. */
#include "steps_env.h"

#define SOURCE "[{\"_id\": 1, \"n\": 1}, {\"_id\": \"x\", \"n\": 2}, {\"_id\": 3, \"n\": 3, \"skip\": true}]"

static void seed_d(const char *docs) {
  char text[2000];
  snprintf(text, sizeof text, "{\"insert\": \"d\", \"documents\": %s}", docs);
  test_run(db, json(text));
}

static void documents_go_through_the_pipeline_and_the_source_stays(void **state) {
  static const char *const step =
      "{\"migrateCollection\": {\"from\": \"c\", \"to\": \"d\", \"filter\": {\"skip\": {\"$exists\": false}}, "
      "\"pipeline\": [{\"$set\": {\"m\": {\"$add\": [\"$n\", 10]}}}, {\"$unset\": \"n\"}]}}";
  mig_work w = {.db = db, .caps = &caps};
  mig_error err;
  (void)state;
  seed(SOURCE);
  assert_ok(run_with(&w, step, &err), err);
  collection_is("c", "[{\"_id\": 1, \"n\": 1}, {\"_id\": 3, \"n\": 3, \"skip\": true}, {\"_id\": \"x\", \"n\": 2}]");
  collection_is("d", "[{\"_id\": 1, \"m\": 11}, {\"_id\": \"x\", \"m\": 12}]");
  assert_int_equal(w.counts.documents_written, 2);
  assert_ok(run_with(&w, step, &err), err); /* again: what is there is left */
  assert_int_equal(w.counts.documents_written, 2);
}

static void copying_goes_on_where_it_stopped(void **state) {
  mig_work w = {.db = db, .caps = &caps, .batch_documents = 40};
  seen s = {0};
  mig_observer observer = {.arg = &s, .progress = see};
  mig_error err;
  (void)state;
  if (!cursors_go_on()) skip_because("this server cannot continue a cursor");
  drop_c(NULL);
  seed_many(1000);
  w.observer = &observer;
  assert_ok(run_with(&w,
                     "{\"migrateCollection\": {\"from\": \"c\", \"to\": \"d\", \"filter\": {\"_id\": {\"$lt\": "
                     "333}}}}",
                     &err),
            err);
  assert_int_equal(w.counts.documents_written, 333);
  assert_ok(run_with(&w, "{\"migrateCollection\": {\"from\": \"c\", \"to\": \"d\"}}", &err), err);
  assert_int_equal(w.counts.documents_written, 1000);
  assert_int_equal(count("d", "{}"), 1000);
  assert_int_equal(s.done, 1000);
  assert_string_equal(s.what, "migrateCollection c");
}

static void a_document_that_is_there_and_differs_is_never_overwritten(void **state) {
  mig_error err;
  (void)state;
  seed(SOURCE);
  seed_d("[{\"_id\": \"x\", \"n\": \"mine\"}]");
  run_fails("{\"migrateCollection\": {\"from\": \"c\", \"to\": \"d\"}}", &err);
  assert_non_null(strstr(err.what, "1 documents with the same _id and another content"));
  assert_non_null(strstr(err.why, "_id \"x\""));
  collection_is("d", "[{\"_id\": \"x\", \"n\": \"mine\"}]");
}

static void an_unwound_document_needs_an_id_of_its_own(void **state) {
  mig_error err;
  (void)state;
  seed("[{\"_id\": 1, \"l\": [1, 2]}]");
  run_fails("{\"migrateCollection\": {\"from\": \"c\", \"to\": \"d\", \"pipeline\": [{\"$unwind\": \"$l\"}]}}", &err);
  assert_non_null(strstr(err.what, "two documents with the same _id 1"));
  assert_false(exists("d"));
  run_fails("{\"migrateCollection\": {\"from\": \"c\", \"to\": \"d\", \"pipeline\": [{\"$project\": {\"_id\": 0}}]}}",
            &err);
  assert_non_null(strstr(err.what, "without _id"));
  run_ok("{\"migrateCollection\": {\"from\": \"c\", \"to\": \"d\", \"pipeline\": [{\"$unwind\": \"$l\"}, {\"$set\": "
         "{\"_id\": {\"c\": \"$_id\", \"l\": \"$l\"}}}]}}");
  assert_int_equal(count("d", "{}"), 2);
}

#define OLD "{\"$date\": \"2020-01-01T00:00:00Z\"}"
#define NEW "{\"$date\": \"2024-06-01T00:00:00Z\"}"

static void old_documents_move_and_others_stay(void **state) {
  mig_work w = {.db = db, .caps = &caps};
  mig_error err;
  (void)state;
  seed("[{\"_id\": 1, \"t\": " OLD "}, {\"_id\": 2, \"t\": " NEW "}, {\"_id\": 3}, {\"_id\": 4, \"t\": \"2019\"}, "
       "{\"_id\": 5, \"t\": [" OLD "]}, {\"_id\": 6, \"t\": " OLD ", \"keep\": true}]");
  assert_ok(run_with(&w,
                     "{\"archiveDocuments\": {\"from\": \"c\", \"to\": \"d\", \"field\": \"t\", \"olderThan\": "
                     "\"2024-01-01\", \"filter\": {\"keep\": {\"$exists\": false}}}}",
                     &err),
            err);
  collection_is("d", "[{\"_id\": 1, \"t\": " OLD "}]");
  collection_is("c", "[{\"_id\": 2, \"t\": " NEW "}, {\"_id\": 3}, {\"_id\": 4, \"t\": \"2019\"}, "
                     "{\"_id\": 5, \"t\": [" OLD "]}, {\"_id\": 6, \"t\": " OLD ", \"keep\": true}]");
  assert_int_equal(w.counts.documents_written, 2);
  run_ok("{\"archiveDocuments\": {\"from\": \"c\", \"to\": \"d\", \"field\": \"t\", \"olderThan\": \"1 day\"}}");
  assert_int_equal(count("d", "{}"), 3);
  assert_int_equal(count("c", "{}"), 3);
}

/* What is in the archive already and equal was copied by a run before: it only has to go from the source. */
static void archiving_goes_on_where_it_stopped(void **state) {
  mig_error err;
  (void)state;
  seed("[{\"_id\": 1, \"t\": " OLD "}, {\"_id\": 2, \"t\": " OLD "}]");
  seed_d("[{\"_id\": 1, \"t\": " OLD "}]");
  run_ok("{\"archiveDocuments\": {\"from\": \"c\", \"to\": \"d\", \"field\": \"t\", \"olderThan\": \"1 day\"}}");
  assert_int_equal(count("c", "{}"), 0);
  assert_int_equal(count("d", "{}"), 2);
  seed("[{\"_id\": 2, \"t\": " OLD ", \"other\": 1}]");
  run_fails("{\"archiveDocuments\": {\"from\": \"c\", \"to\": \"d\", \"field\": \"t\", \"olderThan\": \"1 day\"}}",
            &err);
  assert_non_null(strstr(err.what, "another content"));
  assert_int_equal(count("c", "{}"), 1);
}

/* Looks at every checkpoint, from another connection: no document is ever in neither place. */
typedef struct watcher {
  mig_db *other;
  int looks;
} watcher;

static bool all_are_somewhere(void *arg, mig_error *err) {
  watcher *w = arg;
  int64_t there = 0, here = 0, both = 0;
  bson_t *command =
      BCON_NEW("aggregate", "d", "pipeline", "[", "{", "$lookup", "{", "from", "c", "localField", "_id", "foreignField",
               "_id", "as", "l", "}", "}", "{", "$match", "{", "l", "{", "$ne", "[", "]", "}", "}", "}", "{", "$group",
               "{", "_id", BCON_NULL, "n", "{", "$sum", BCON_INT32(1), "}", "}", "}", "]", "cursor", "{", "}");
  bson_t doc;
  bool found = false;
  bool ok = mig_db_count(w->other, "c", NULL, &here, err) && mig_db_count(w->other, "d", NULL, &there, err) &&
            mig_db_first(w->other, command, &doc, &found, err);
  if (ok && found) mig_bson_int(&doc, "n", &both);
  bson_destroy(&doc);
  bson_destroy(command);
  w->looks++;
  return ok && (here + there - both == 300 || mig_fail(err, MIG_E_FAILED, "%lld here, %lld there, %lld in both",
                                                       (long long)here, (long long)there, (long long)both));
}

static void at_no_moment_is_a_document_in_neither_place(void **state) {
  watcher watch = {0};
  mig_work w = {.db = db, .caps = &caps, .batch_documents = 37, .checkpoint = all_are_somewhere};
  mig_error err = {0};
  (void)state;
  if (!cursors_go_on()) skip_because("this server cannot continue a cursor");
  drop_c(NULL);
  seed_many(300);
  run_ok("{\"addField\": {\"collection\": \"c\", \"field\": \"t\", \"value\": " OLD "}}");
  assert_ok(mig_db_again(db, NULL, &watch.other, &err), err);
  w.checkpoint_arg = &watch;
  assert_ok(
      run_with(&w,
               "{\"archiveDocuments\": {\"from\": \"c\", \"to\": \"d\", \"field\": \"t\", \"olderThan\": \"1 day\"}}",
               &err),
      err);
  assert_true(watch.looks >= 2 * (300 / 37));
  assert_int_equal(count("d", "{}"), 300);
  assert_int_equal(count("c", "{}"), 0);
  mig_db_close(watch.other);
}

/* Somebody else changes a document between the copy and the removal. */
static bool change_one(void *arg, mig_error *err) {
  watcher *w = arg;
  if (++w->looks != 3) return true; /* before the batch, before the insert, before the removal */
  bson_t *command = BCON_NEW("update", "c", "updates", "[", "{", "q", "{", "_id", BCON_INT32(2), "}", "u", "{", "$set",
                             "{", "late", BCON_BOOL(true), "}", "}", "}", "]");
  bool ok = mig_db_command(w->other, MIG_WRITE, command, NULL, err);
  bson_destroy(command);
  return ok;
}

static void a_document_that_is_changed_meanwhile_is_not_removed(void **state) {
  watcher watch = {0};
  mig_work w = {.db = db, .caps = &caps, .checkpoint = change_one};
  mig_error err = {0};
  (void)state;
  seed("[{\"_id\": 1, \"t\": " OLD "}, {\"_id\": 2, \"t\": " OLD "}]");
  assert_ok(mig_db_again(db, NULL, &watch.other, &err), err);
  w.checkpoint_arg = &watch;
  assert_false(run_with(
      &w, "{\"archiveDocuments\": {\"from\": \"c\", \"to\": \"d\", \"field\": \"t\", \"olderThan\": \"1 day\"}}",
      &err));
  assert_non_null(strstr(err.what, "1 documents were changed by somebody else meanwhile"));
  assert_int_equal(count("c", "{\"_id\": 2, \"late\": true}"), 1);
  mig_db_close(watch.other);
}

static void both_work_in_a_transaction(void **state) {
  static const char *const move = "{\"archiveDocuments\": {\"from\": \"c\", \"to\": \"d\", \"field\": \"t\", "
                                  "\"olderThan\": \"1 day\"}}";
  mig_error err = {0};
  (void)state;
  if (!mig_caps_has(&caps, MIG_CAP_TRANSACTIONS)) skip_because("this server has no transactions");
  seed("[{\"_id\": 1, \"t\": " OLD "}, {\"_id\": 2, \"t\": " OLD "}]");
  for (int commit = 0; commit < 2; commit++) {
    assert_ok(mig_db_begin(db, &err), err);
    run_ok(move);
    run_ok("{\"migrateCollection\": {\"from\": \"d\", \"to\": \"v\", \"pipeline\": [{\"$project\": {\"_id\": 1}}]}}");
    if (commit)
      assert_ok(mig_db_commit(db, &err), err);
    else
      mig_db_abort(db);
    collection_is("c", commit ? "[]" : "[{\"_id\": 1, \"t\": " OLD "}, {\"_id\": 2, \"t\": " OLD "}]");
    collection_is("d", commit ? "[{\"_id\": 1, \"t\": " OLD "}, {\"_id\": 2, \"t\": " OLD "}]" : "[]");
    collection_is("v", commit ? "[{\"_id\": 1}, {\"_id\": 2}]" : "[]");
  }
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, drop_c, drop_c)
  const struct CMUnitTest tests[] = {
      T(documents_go_through_the_pipeline_and_the_source_stays),
      T(copying_goes_on_where_it_stopped),
      T(a_document_that_is_there_and_differs_is_never_overwritten),
      T(an_unwound_document_needs_an_id_of_its_own),
      T(old_documents_move_and_others_stay),
      T(archiving_goes_on_where_it_stopped),
      T(at_no_moment_is_a_document_in_neither_place),
      T(a_document_that_is_changed_meanwhile_is_not_removed),
      T(both_work_in_a_transaction),
  };
  test_uri();
  return cmocka_run_group_tests(tests, open_db, close_db);
}
