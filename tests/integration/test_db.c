/* The connection, the capability table and the lease against a real server. */
#include "tests/integration/support.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/names.h"
#include "run/lease.h"

static void collections_of(mig_db *db, const char *prefix, int *n) {
  mig_error err = {0};
  mig_cursor *c = NULL;
  const bson_t *doc = NULL;
  const char *name = NULL;
  *n = 0;
  assert_ok(mig_db_collections(db, NULL, &c, &err), err);
  while (mig_cursor_next(c, &doc, &err) == MIG_NEXT_DOC)
    if (mig_bson_str(doc, "name", &name) && strncmp(name, prefix, strlen(prefix)) == 0) (*n)++;
  mig_cursor_close(c);
}

static void probe_decides_everything_and_leaves_nothing(void **state) {
  (void)state;
  char name[40];
  mig_error err = {0};
  mig_caps caps, again;
  int left = 0;
  mig_db *db = test_db(name);
  assert_ok(mig_caps_probe(db, MIG_PROBE_TRY, &caps, &err), err);
  for (int i = 0; i < MIG_CAP_COUNT; i++) {
    printf("  %s: %s\n", mig_cap_name((mig_cap)i), mig_tri_name(caps.has[i]));
    assert_int_not_equal(caps.has[i], MIG_UNKNOWN);
  }
  collections_of(db, "migprobe_", &left);
  assert_int_equal(left, 0);
  assert_ok(mig_caps_probe(db, MIG_PROBE_READ, &again, &err), err); /* what was found is kept */
  assert_memory_equal(&caps, &again, sizeof caps);
  test_db_drop(db);
}

static void dry_probe_writes_nothing(void **state) {
  (void)state;
  char name[40];
  mig_error err = {0};
  mig_caps caps;
  int n = 0;
  mig_db *db = test_db(name);
  assert_ok(mig_caps_probe(db, MIG_PROBE_READ, &caps, &err), err);
  assert_int_equal(caps.has[MIG_CAP_UPDATE_PIPELINE], MIG_UNKNOWN);
  collections_of(db, "", &n);
  assert_int_equal(n, 0);
  test_db_drop(db);
}

static void write_errors_in_a_friendly_reply_are_failures(void **state) {
  (void)state;
  char name[40];
  mig_error err = {0};
  mig_db *db = test_db(name);
  test_run(db, BCON_NEW("insert", "c", "documents", "[", "{", "_id", BCON_INT32(1), "}", "]"));
  bson_t *again = BCON_NEW("insert", "c", "documents", "[", "{", "_id", BCON_INT32(1), "}", "]");
  assert_false(mig_db_command(db, MIG_WRITE, again, NULL, &err));
  assert_int_equal(err.code, MIG_E_SERVER);
  assert_non_null(strstr(err.what, name));
  bson_destroy(again);
  bson_t *a = BCON_NEW("_id", BCON_INT32(2)), *b = BCON_NEW("_id", BCON_INT32(1));
  const bson_t *both[] = {a, b};
  const mig_insert insert = {.collection = "c", .documents = both, .count = 2};
  assert_false(mig_db_insert(db, &insert, &err));
  bson_destroy(a);
  bson_destroy(b);
  test_db_drop(db);
}

static void errors_name_no_secret(void **state) {
  (void)state;
  mig_error err = {0};
  mig_db *db = NULL;
  const mig_db_options nowhere = {.uri = "mongodb://user:hunter2@127.0.0.1:1/app?serverSelectionTimeoutMS=300"};
  assert_false(mig_db_open(&nowhere, &db, &err));
  assert_null(db);
  assert_int_equal(err.code, MIG_E_NETWORK);
  assert_null(strstr(err.what, "hunter2"));
  assert_null(strstr(err.why, "hunter2"));
  const mig_db_options broken = {.uri = "mongodb://user:hunter2@[::1/app"};
  assert_false(mig_db_open(&broken, &db, &err));
  assert_int_equal(err.code, MIG_E_USAGE);
  assert_null(strstr(err.why, "hunter2"));
  const mig_db_options nameless = {.uri = "mongodb://127.0.0.1:1"};
  assert_false(mig_db_open(&nameless, &db, &err));
  assert_int_equal(err.code, MIG_E_USAGE);
  assert_non_null(strstr(err.what, "database"));
}

static void snapshot_reads_see_one_time(void **state) {
  (void)state;
  char name[40];
  mig_error err = {0};
  mig_caps caps;
  int64_t n = 0;
  uint32_t s, i;
  mig_db *db = test_db(name);
  assert_ok(mig_caps_probe(db, MIG_PROBE_TRY, &caps, &err), err); /* on an empty database, too */
  if (!mig_caps_has(&caps, MIG_CAP_SNAPSHOT_READS)) {
    test_db_drop(db);
    skip_because("the server has no snapshot reads");
  }
  test_run(db, BCON_NEW("insert", "a", "documents", "[", "{", "_id", BCON_INT32(1), "}", "]", "writeConcern", "{", "w",
                        "majority", "}"));
  test_run(db, BCON_NEW("insert", "b", "documents", "[", "{", "_id", BCON_INT32(1), "}", "]", "writeConcern", "{", "w",
                        "majority", "}"));
  assert_ok(mig_db_snapshot_begin(db, &err), err);
  assert_ok(mig_db_count(db, "a", NULL, &n, &err), err);
  assert_int_equal(n, 1);
  assert_true(mig_db_snapshot_time(db, &s, &i));
  test_run(db, BCON_NEW("insert", "b", "documents", "[", "{", "_id", BCON_INT32(2), "}", "]", "writeConcern", "{", "w",
                        "majority", "}"));
  assert_ok(mig_db_count(db, "b", NULL, &n, &err), err);
  assert_int_equal(n, 1); /* the second came later */
  mig_db_snapshot_end(db);
  assert_ok(mig_db_count(db, "b", NULL, &n, &err), err);
  assert_int_equal(n, 2);
  test_db_drop(db);
}

/* Opens a transaction that inserts {_id: id} into c; the handle's session goes to *session. */
static void begin_and_insert(mig_db *db, int32_t id, uint8_t session[static MIG_SESSION_BYTES]) {
  mig_error err = {0};
  assert_ok(mig_db_session(db, session, &err), err);
  assert_ok(mig_db_begin(db, &err), err);
  test_run(db, BCON_NEW("insert", "c", "documents", "[", "{", "_id", BCON_INT32(id), "}", "]"));
}

static void killed_session_loses_what_is_open_and_keeps_what_was_committed(void **state) {
  (void)state;
  char name[40];
  mig_error err = {0};
  mig_caps caps;
  mig_db *other = NULL;
  int64_t n = 0;
  uint8_t first[MIG_SESSION_BYTES], second[MIG_SESSION_BYTES];
  mig_db *db = test_db(name);
  assert_ok(mig_caps_probe(db, MIG_PROBE_TRY, &caps, &err), err);
  if (!mig_caps_has(&caps, MIG_CAP_TRANSACTIONS)) {
    test_db_drop(db);
    skip_because("the server has no transactions");
  }
  assert_ok(mig_db_again(db, NULL, &other, &err), err);
  test_run(db, BCON_NEW("create", "c"));
  begin_and_insert(db, 1, first);
  assert_ok(mig_db_commit(db, &err), err);
  assert_ok(mig_db_kill_session(other, first, &err), err);
  assert_ok(mig_db_count(other, "c", NULL, &n, &err), err);
  assert_int_equal(n, 1);
  begin_and_insert(db, 2, second);
  assert_memory_equal(first, second, sizeof first); /* one session for all transactions of a handle */
  assert_ok(mig_db_kill_session(other, second, &err), err);
  int64_t began = mig_now_monotonic_ms();
  test_run(other, BCON_NEW("insert", "c", "documents", "[", "{", "_id", BCON_INT32(2), "}", "]"));
  assert_true(mig_now_monotonic_ms() - began < 20000); /* it need not wait for the transaction any more */
  assert_false(mig_db_commit(db, &err));
  mig_db_abort(db);
  assert_ok(mig_db_reconnect(db, &err), err);
  assert_ok(mig_db_session(db, second, &err), err);
  assert_memory_not_equal(first, second, sizeof first);
  mig_db_close(other);
  test_db_drop(db);
}

typedef struct blocked {
  mig_db *db;
  bson_t *command;
  bool admin, ok;
  mig_error err;
} blocked;

static void *run_blocked(void *arg) {
  blocked *b = arg;
  bson_t reply;
  b->ok = b->admin ? mig_db_admin(b->db, b->command, &reply, &b->err)
                   : mig_db_command(b->db, MIG_WRITE, b->command, &reply, &b->err);
  bson_destroy(&reply);
  return NULL;
}

/* What waits for a transaction of ours on c is what the server is still at work on. */
static void is_waited_for(mig_db *db, const char *name, bson_t *command, bool admin) {
  mig_error err = {0}, still = {0};
  mig_db *other = NULL, *third = NULL;
  pthread_t thread;
  assert_ok(mig_db_again(db, NULL, &other, &err), err);
  assert_ok(mig_db_again(db, NULL, &third, &err), err);
  assert_ok(mig_db_begin(db, &err), err);
  test_run(db, BCON_NEW("update", "c", "updates", "[", "{", "q", "{", "_id", BCON_INT32(7), "}", "u", "{", "$set", "{",
                        "x", BCON_INT32(1), "}", "}", "}", "]"));
  blocked b = {.db = other, .command = command, .admin = admin};
  assert_int_equal(pthread_create(&thread, NULL, run_blocked, &b), 0);
  mig_sleep_ms(700);
  const bool done = mig_db_wait_writes(third, NULL, 2500, &still);
  mig_db_abort(db);
  pthread_join(thread, NULL);
  if (!b.ok) fail_msg("%s failed: %s", name, b.err.why);
  if (done) fail_msg("%s was not waited for", name);
  assert_ok(mig_db_wait_writes(third, NULL, 2500, &err), err);
  bson_destroy(command);
  mig_db_close(third);
  mig_db_close(other);
}

static bool tells_what_it_does(mig_db *db) {
  mig_error err;
  bson_t *command =
      BCON_NEW("aggregate", BCON_INT32(1), "pipeline", "[", "{", "$currentOp", "{", "}", "}", "]", "cursor", "{", "}");
  const bool ok = mig_db_admin(db, command, NULL, &err);
  bson_destroy(command);
  return ok;
}

static void fill(mig_db *db, const char *collection) {
  for (int32_t id = 0; id < 10; id++)
    test_run(db, BCON_NEW("insert", BCON_UTF8(collection), "documents", "[", "{", "_id", BCON_INT32(id), "of",
                          BCON_UTF8(collection), "}", "]"));
}

static void writes_of_every_kind_are_waited_for(void **state) {
  (void)state;
  char name[40], from[80], to[80];
  mig_error err = {0};
  mig_caps caps;
  mig_db *db = test_db(name);
  assert_ok(mig_caps_probe(db, MIG_PROBE_TRY, &caps, &err), err);
  if (!mig_caps_has(&caps, MIG_CAP_TRANSACTIONS) || !tells_what_it_does(db)) {
    test_db_drop(db);
    skip_because("the server has no transactions, or does not tell what it does");
  }
  fill(db, "c");
  fill(db, "z");
  snprintf(from, sizeof from, "%s.c", name);
  snprintf(to, sizeof to, "%s.d", name);
  is_waited_for(db, "delete",
                BCON_NEW("delete", "c", "deletes", "[", "{", "q", "{", "}", "limit", BCON_INT32(0), "}", "]"), false);
  fill(db, "c");
  is_waited_for(
      db, "findAndModify",
      BCON_NEW("findAndModify", "c", "query", "{", "_id", BCON_INT32(7), "}", "update", "{", "y", BCON_INT32(1), "}"),
      false);
  is_waited_for(db, "$merge",
                BCON_NEW("aggregate", "z", "pipeline", "[", "{", "$merge", "c", "}", "]", "cursor", "{", "}"), false);
  is_waited_for(db, "$out", BCON_NEW("aggregate", "z", "pipeline", "[", "{", "$out", "c", "}", "]", "cursor", "{", "}"),
                false);
  is_waited_for(
      db, "createIndexes",
      BCON_NEW("createIndexes", "c", "indexes", "[", "{", "key", "{", "v", BCON_INT32(1), "}", "name", "v", "}", "]"),
      false);
  is_waited_for(db, "collMod", BCON_NEW("collMod", "c", "validator", "{", "}"), false);
  is_waited_for(db, "renameCollection", BCON_NEW("renameCollection", BCON_UTF8(from), "to", BCON_UTF8(to)), true);
  fill(db, "c");
  is_waited_for(db, "drop", BCON_NEW("drop", "c"), false);
  test_db_drop(db);
}

static void second_taker_is_told_who_holds_the_lease(void **state) {
  (void)state;
  char name[40];
  mig_error err = {0};
  mig_lease *a = NULL, *b = NULL;
  mig_lease_state s;
  const mig_lease_options options = {.ttl_ms = 60000, .reason = "first"};
  mig_db *db = test_db(name);
  assert_ok(mig_lease_take(db, &options, &a, &err), err);
  assert_false(mig_lease_take(db, &options, &b, &err));
  assert_null(b);
  assert_int_equal(err.code, MIG_E_LEASE);
  assert_non_null(strstr(err.what, "first"));
  assert_non_null(strstr(err.why, "held since 20"));
  assert_ok(mig_lease_look(db, &s, &err), err);
  assert_true(s.locked && !s.expired && !s.holder_dead);
  int64_t fence = mig_lease_fence(a);
  mig_lease_release(a);
  assert_ok(mig_lease_take(db, &options, &b, &err), err);
  assert_true(mig_lease_fence(b) > fence);
  mig_lease_release(b);
  test_db_drop(db);
}

static void lease_that_ran_out_may_be_taken_and_its_loser_stops(void **state) {
  (void)state;
  char name[40];
  mig_error err = {0};
  mig_lease *a = NULL, *b = NULL;
  mig_lease_state was;
  const mig_lease_options options = {.ttl_ms = 600000, .reason = "test"};
  mig_db *db = test_db(name);
  assert_ok(mig_lease_take(db, &options, &a, &err), err);
  assert_ok(mig_lease_check(a, &err), err);
  assert_ok(mig_lease_look(db, &was, &err) && mig_lease_force_unlock(db, &was, &err), err);
  assert_true(was.locked);
  assert_false(mig_lease_check(a, &err));
  assert_int_equal(err.code, MIG_E_LEASE);
  assert_false(mig_lease_touch(a, &err));
  assert_ok(mig_lease_take(db, &options, &b, &err), err);
  assert_false(mig_lease_check(a, &err)); /* for ever */
  mig_lease_release(a);                   /* must not release b's */
  assert_ok(mig_lease_check(b, &err), err);
  mig_lease_release(b);
  test_db_drop(db);
}

static void lease_is_refreshed_by_its_own_thread(void **state) {
  (void)state;
  char name[40];
  mig_error err = {0};
  mig_lease *a = NULL;
  mig_lease_state before, after;
  const mig_lease_options options = {.ttl_ms = 6000, .reason = "short"};
  mig_db *db = test_db(name);
  assert_ok(mig_lease_take(db, &options, &a, &err), err);
  assert_ok(mig_lease_look(db, &before, &err), err);
  mig_sleep_ms(3500);
  assert_ok(mig_lease_look(db, &after, &err), err);
  assert_true(after.expires_unix_ms > before.expires_unix_ms);
  assert_ok(mig_lease_check(a, &err), err);
  mig_lease_release(a);
  test_db_drop(db);
}

int main(void) {
  test_uri();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(probe_decides_everything_and_leaves_nothing),
      cmocka_unit_test(dry_probe_writes_nothing),
      cmocka_unit_test(write_errors_in_a_friendly_reply_are_failures),
      cmocka_unit_test(errors_name_no_secret),
      cmocka_unit_test(snapshot_reads_see_one_time),
      cmocka_unit_test(killed_session_loses_what_is_open_and_keeps_what_was_committed),
      cmocka_unit_test(writes_of_every_kind_are_waited_for),
      cmocka_unit_test(second_taker_is_told_who_holds_the_lease),
      cmocka_unit_test(lease_that_ran_out_may_be_taken_and_its_loser_stops),
      cmocka_unit_test(lease_is_refreshed_by_its_own_thread),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
