#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* the four above must stand before cmocka.h */
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unit/archive_fixture.h"
#include "backup/snapshot.h"
#include "base/clock.h"

typedef struct fixture {
  mig_db *db;
  mig_caps caps;
  mig_store *store;
  mig_work work;
  char folder[64];
  int warnings;
  mig_error err;
} fixture;

static mig_caps probed;
static bool is_probed;

static void must(bool ok, const mig_error *err) {
  if (!ok) fixture_print(err);
  assert_true(ok);
}

static void drop_database(fixture *f) {
  bson_t command = BSON_INITIALIZER;
  mig_cursor *c = NULL;
  const bson_t *doc = NULL;
  BSON_APPEND_INT32(&command, "dropDatabase", 1);
  must(mig_db_command(f->db, MIG_WRITE, &command, NULL, &f->err), &f->err);
  bson_destroy(&command);
  must(mig_db_collections(f->db, NULL, &c, &f->err), &f->err);
  assert_int_equal(mig_cursor_next(c, &doc, &f->err), MIG_NEXT_END);
  mig_cursor_close(c);
}

static void on_message(void *arg, mig_level level, const char *text) {
  fixture *f = arg;
  if (level == MIG_WARNING) f->warnings++;
  print_message("  %s\n", text);
}

static int setup(void **state) {
  static mig_observer observer;
  fixture *f = calloc(1, sizeof *f);
  char name[64];
  snprintf(name, sizeof name, "mig_snapshot_%ld", (long)getpid());
  mig_db_options options = {.uri = getenv("MIG_TEST_URI"), .database = name};
  snprintf(f->folder, sizeof f->folder, "/tmp/mig-snapshot-XXXXXX");
  if (!mkdtemp(f->folder) || !mig_store_open(f->folder, true, &f->store, &f->err) ||
      !mig_db_open(&options, &f->db, &f->err)) {
    fixture_print(&f->err);
    return -1;
  }
  if (!is_probed && !mig_caps_probe(f->db, MIG_PROBE_TRY, &probed, &f->err)) {
    fixture_print(&f->err);
    return -1;
  }
  is_probed = true;
  f->caps = probed;
  observer = (mig_observer){.arg = f, .message = on_message};
  f->work = (mig_work){.db = f->db, .caps = &f->caps, .observer = &observer};
  drop_database(f);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  char command[128];
  drop_database(f);
  mig_db_close(f->db);
  mig_store_close(f->store);
  snprintf(command, sizeof command, "rm -rf '%s'", f->folder);
  int gone = system(command);
  free(f);
  return gone;
}

static void run(fixture *f, const char *json) {
  bson_error_t error;
  bson_t *command = bson_new_from_json((const uint8_t *)json, -1, &error);
  assert_non_null(command);
  must(mig_db_command(f->db, MIG_WRITE, command, NULL, &f->err), &f->err);
  bson_destroy(command);
}

static void insert(fixture *f, const char *collection, const bson_t *const *documents, size_t count) {
  mig_insert what = {collection, documents, count, true};
  must(mig_db_insert(f->db, &what, &f->err), &f->err);
}

/* _id 0 ... count - 1, some 150 bytes each */
static void fill(fixture *f, const char *collection, int count) {
  bson_t *batch[500];
  char text[100];
  memset(text, 'x', sizeof text);
  text[99] = 0;
  for (int n = 0; n < count;) {
    size_t k = 0;
    for (; k < 500 && n < count; k++, n++) {
      batch[k] = bson_new();
      BSON_APPEND_INT32(batch[k], "_id", n);
      BSON_APPEND_UTF8(batch[k], "text", text);
      BSON_APPEND_DOUBLE(batch[k], "half", n / 2.0);
    }
    insert(f, collection, (const bson_t *const *)batch, k);
    while (k) bson_destroy(batch[--k]);
  }
}

static bool take(fixture *f, const mig_snapshot_want *wants, size_t count, uint32_t chunk_bytes,
                 mig_snapshot_info *out) {
  mig_snapshot_options options = {.store = f->store,
                                  .label = "0001_x",
                                  .reason = "test",
                                  .whole_database = !wants,
                                  .wants = wants,
                                  .want_count = count,
                                  .archive = {.chunk_bytes = chunk_bytes}};
  return mig_snapshot_take(&f->work, &options, out, &f->err);
}

static mig_archive *open_verified(fixture *f, const mig_snapshot_info *info) {
  mig_archive *a = NULL;
  must(mig_archive_open(info->path, &a, &f->err) && mig_archive_verify(a, NULL, &f->err), &f->err);
  assert_string_equal(mig_archive_contents(a)->digest, info->digest);
  assert_string_equal(mig_archive_contents(a)->id, info->id);
  return a;
}

static size_t files_in_store(fixture *f) {
  char **names = NULL;
  size_t count = 0;
  must(mig_fs_list(f->folder, &names, &count, &f->err), &f->err);
  mig_fs_names_free(names, count);
  return count;
}

/* Live documents in _id order and those of the archive: the same bytes. */
static void same_as_live(fixture *f, mig_archive *a, const char *collection) {
  bson_t command = BSON_INITIALIZER, sort, got;
  mig_cursor *live = NULL;
  mig_archive_cursor *kept = NULL;
  const bson_t *doc = NULL;
  const mig_collection_entry *e = mig_manifest_find(mig_archive_contents(a), collection);
  assert_non_null(e);
  BSON_APPEND_UTF8(&command, "find", collection);
  BSON_APPEND_DOCUMENT_BEGIN(&command, "sort", &sort);
  BSON_APPEND_INT32(&sort, e->natural_order ? "$natural" : "_id", 1);
  bson_append_document_end(&command, &sort);
  must(mig_db_query(f->db, &command, &live, &f->err), &f->err);
  must(mig_archive_documents(a, e, 0, &kept, &f->err), &f->err);
  while (mig_cursor_next(live, &doc, &f->err) == MIG_NEXT_DOC) {
    assert_int_equal(mig_archive_cursor_next(kept, &got, &f->err), MIG_ARCHIVE_DOC);
    assert_true(mig_bson_same(doc, &got));
  }
  assert_int_equal(mig_archive_cursor_next(kept, &got, &f->err), MIG_ARCHIVE_END);
  mig_archive_cursor_close(kept);
  mig_cursor_close(live);
  bson_destroy(&command);
}

static void every_type_comes_through_unchanged(void **state) {
  fixture *f = *state;
  mig_snapshot_info info;
  bson_t *documents[FIXTURE_DOCUMENTS];
  const bson_t *good[FIXTURE_DOCUMENTS];
  size_t n = 0;
  for (unsigned i = 0; i < FIXTURE_DOCUMENTS; i++) {
    documents[i] = fixture_document(i);
    if (i != 5 && i != 6 && i != 8) good[n++] = documents[i]; /* servers refuse these, or add an _id */
  }
  insert(f, "types", good, n);
  mig_snapshot_want want = {"types", MIG_HOLDS_DOCUMENTS};
  must(take(f, &want, 1, 700, &info), &f->err);
  assert_int_equal(info.documents, n);
  mig_archive *a = open_verified(f, &info);
  same_as_live(f, a, "types");
  mig_archive_cursor *c = NULL;
  bson_t got;
  size_t found = 0;
  must(mig_archive_documents(a, &mig_archive_contents(a)->collections[0], 0, &c, &f->err), &f->err);
  while (mig_archive_cursor_next(c, &got, &f->err) == MIG_ARCHIVE_DOC)
    for (size_t i = 0; i < n; i++) found += mig_bson_same(&got, good[i]);
  assert_int_equal(found, n); /* what was inserted, not only what the server gives */
  mig_archive_cursor_close(c);
  mig_archive_free(a);
  for (unsigned i = 0; i < FIXTURE_DOCUMENTS; i++) bson_destroy(documents[i]);
  mig_snapshot_info_clear(&info);
}

static void many_documents_are_all_there_in_id_order(void **state) {
  fixture *f = *state;
  mig_snapshot_info info;
  fill(f, "many", 20000);
  mig_snapshot_want want = {"many", MIG_HOLDS_DOCUMENTS};
  must(take(f, &want, 1, 1 << 16, &info), &f->err);
  assert_int_equal(info.documents, 20000);
  assert_int_equal(f->work.counts.documents_read, 20000);
  assert_int_equal(f->work.counts.bytes_read, info.raw_bytes);
  mig_archive *a = open_verified(f, &info);
  const mig_collection_entry *e = &mig_archive_contents(a)->collections[0];
  assert_true(e->chunk_count > 30);
  int64_t last = -1, first = 0;
  for (size_t i = 0; i < e->chunk_count; i++) {
    assert_true(mig_bson_int(e->chunks[i].first, "_id", &first));
    assert_int_equal(first, last + 1);
    assert_true(mig_bson_int(e->chunks[i].last, "_id", &last));
  }
  assert_int_equal(last, 19999);
  same_as_live(f, a, "many");
  mig_archive_free(a);
  mig_snapshot_info_clear(&info);
}

static void metadata_is_enough_to_make_the_collection_again(void **state) {
  fixture *f = *state;
  mig_snapshot_info info;
  bson_t live, entry;
  bool found = false;
  run(f, "{\"create\": \"meta\"}");
  run(f, "{\"createIndexes\": \"meta\", \"indexes\": [{\"key\": {\"a\": 1, \"b\": -1}, \"name\": \"a_b\", \"unique\": "
         "true}]}");
  mig_snapshot_want want = {"meta", MIG_HOLDS_METADATA};
  must(take(f, &want, 1, 0, &info), &f->err);
  mig_archive *a = open_verified(f, &info);
  const mig_collection_entry *e = mig_manifest_find(mig_archive_contents(a), "meta");
  assert_int_equal(e->holds, MIG_HOLDS_METADATA);
  assert_int_equal(e->chunk_count, 0);
  must(mig_db_indexes(f->db, "meta", &live, &f->err), &f->err);
  assert_int_equal(bson_count_keys(&live), 2);
  assert_true(mig_bson_same(&live, e->indexes));
  bson_destroy(&live);
  must(mig_db_collection_info(f->db, "meta", &entry, &found, &f->err), &f->err);
  assert_true(mig_bson_same(&entry, e->info));
  bson_destroy(&entry);
  mig_archive_free(a);
  mig_snapshot_info_clear(&info);
}

static void a_missing_collection_is_recorded_as_absent(void **state) {
  fixture *f = *state;
  mig_snapshot_info info;
  fill(f, "there", 3);
  mig_snapshot_want wants[] = {{"there", MIG_HOLDS_METADATA},
                               {"nowhere", MIG_HOLDS_DOCUMENTS},
                               {"there", MIG_HOLDS_DOCUMENTS}}; /* twice: the larger wish counts */
  must(take(f, wants, 3, 0, &info), &f->err);
  mig_archive *a = open_verified(f, &info);
  const mig_manifest *m = mig_archive_contents(a);
  assert_int_equal(m->collection_count, 2);
  assert_int_equal(mig_manifest_find(m, "nowhere")->holds, MIG_HOLDS_ABSENT);
  assert_int_equal(mig_manifest_find(m, "there")->documents, 3);
  mig_archive_free(a);
  mig_snapshot_info_clear(&info);
}

static void the_whole_database_leaves_out_what_is_migs_own(void **state) {
  fixture *f = *state;
  mig_snapshot_info info;
  static const char *const names[] = {"users",           "orders",     "migrationlogs",       "migrationlocks",
                                      "migrationevents", "migprobe_x", "odd name \xC3\xA9/.."};
  for (size_t i = 0; i < 6; i++) fill(f, names[i], 2);
  must(take(f, NULL, 0, 0, &info), &f->err);
  mig_archive *a = open_verified(f, &info);
  const mig_manifest *m = mig_archive_contents(a);
  assert_true(m->whole_database);
  assert_int_equal(m->collection_count, 3);
  assert_non_null(mig_manifest_find(m, "users"));
  assert_non_null(mig_manifest_find(m, "orders"));
  assert_non_null(mig_manifest_find(m, "migrationlogs"));
  mig_archive_free(a);
  mig_snapshot_info_clear(&info);
}

static void an_empty_collection_and_an_empty_database_are_snapshots_too(void **state) {
  fixture *f = *state;
  mig_snapshot_info info;
  must(take(f, NULL, 0, 0, &info), &f->err);
  assert_int_equal(info.documents, 0);
  mig_archive_free(open_verified(f, &info));
  mig_snapshot_info_clear(&info);
  run(f, "{\"create\": \"empty\"}");
  must(take(f, NULL, 0, 0, &info), &f->err);
  mig_archive *a = open_verified(f, &info);
  assert_int_equal(mig_manifest_find(mig_archive_contents(a), "empty")->holds, MIG_HOLDS_DOCUMENTS);
  mig_archive_free(a);
  mig_snapshot_info_clear(&info);
}

static void the_same_data_has_the_same_digest(void **state) {
  fixture *f = *state;
  mig_snapshot_info one, two, three;
  fill(f, "same", 100);
  mig_snapshot_want want = {"same", MIG_HOLDS_DOCUMENTS};
  must(take(f, &want, 1, 0, &one) && take(f, &want, 1, 1000, &two), &f->err);
  assert_string_equal(one.digest, two.digest);
  run(f, "{\"update\": \"same\", \"updates\": [{\"q\": {\"_id\": 50}, \"u\": {\"$set\": {\"half\": {\"$numberInt\": "
         "\"25\"}}}}]}");
  must(take(f, &want, 1, 0, &three), &f->err); /* 25 instead of 25.0 */
  assert_string_not_equal(one.digest, three.digest);
  mig_snapshot_info_clear(&one);
  mig_snapshot_info_clear(&two);
  mig_snapshot_info_clear(&three);
}

static void consistency_says_what_the_server_has(void **state) {
  fixture *f = *state;
  mig_snapshot_info info;
  fill(f, "a", 10);
  fill(f, "b", 10);
  must(take(f, NULL, 0, 0, &info), &f->err);
  bool at_time = mig_caps_has(&f->caps, MIG_CAP_SNAPSHOT_READS);
  assert_string_equal(info.consistency, at_time                                        ? "clusterTime"
                                        : mig_caps_has(&f->caps, MIG_CAP_TRANSACTIONS) ? "transaction"
                                                                                       : "perCollection");
  mig_archive *a = open_verified(f, &info);
  assert_int_equal(mig_archive_contents(a)->cluster_seconds != 0, at_time);
  mig_archive_free(a);
  mig_snapshot_info_clear(&info);
  if (!mig_caps_has(&f->caps, MIG_CAP_TRANSACTIONS)) return;
  f->caps.has[MIG_CAP_SNAPSHOT_READS] = MIG_NO; /* as before 5.0 */
  must(take(f, NULL, 0, 0, &info), &f->err);
  assert_string_equal(info.consistency, "transaction");
  assert_false(mig_db_in_transaction(f->db));
  mig_snapshot_info_clear(&info);
}

static void a_server_that_promised_too_much_is_read_collection_by_collection(void **state) {
  fixture *f = *state;
  mig_snapshot_info info;
  if (mig_caps_has(&f->caps, MIG_CAP_SNAPSHOT_READS))
    skip_because("the server keeps this promise: it has snapshot reads");
  fill(f, "a", 10);
  fill(f, "b", 10);
  f->caps.has[MIG_CAP_SNAPSHOT_READS] = MIG_YES; /* it is not true */
  must(take(f, NULL, 0, 0, &info), &f->err);
  assert_string_equal(info.consistency, "perCollection");
  assert_int_equal(info.documents, 20);
  assert_int_equal(f->work.counts.documents_read, 20); /* the first try is not counted */
  assert_int_equal(files_in_store(f), 1);
  mig_snapshot_info_clear(&info);
}

typedef struct meddler {
  fixture *f;
  const char *command, *then;
  int calls, at;
} meddler;

/* Somebody else's commands, right between two reads. */
static bool meddle(void *arg, mig_error *err) {
  meddler *m = arg;
  (void)err;
  if (++m->calls == m->at) {
    mig_db *other = NULL;
    mig_error local = {0};
    assert_true(mig_db_again(m->f->db, NULL, &other, &local));
    for (const char *json = m->command; json; json = json == m->command ? m->then : NULL) {
      bson_t *command = bson_new_from_json((const uint8_t *)json, -1, NULL);
      if (!mig_db_command(other, MIG_WRITE, command, NULL, &local)) fixture_print(&local);
      bson_destroy(command);
    }
    mig_db_close(other);
  }
  return true;
}

static void changes_of_collections_meanwhile_are_refused(void **state) {
  fixture *f = *state;
  static const char *const commands[] = {
      "{\"drop\": \"a\"}",
      "{\"create\": \"late\"}",
      "{\"createIndexes\": \"a\", \"indexes\": [{\"key\": {\"half\": 1}, \"name\": \"half_1\"}]}",
  };
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
    mig_snapshot_info info;
    drop_database(f);
    fill(f, "a", 10);
    fill(f, "b", 10);
    meddler m = {f, commands[i], NULL, 0, 2};
    f->work.checkpoint = meddle;
    f->work.checkpoint_arg = &m;
    if (take(f, NULL, 0, 0, &info)) fail_msg("not noticed: %s", commands[i]);
    print_message("  %s %s\n", f->err.what, f->err.why);
    assert_true(f->err.hint[0] || f->err.code == MIG_E_SERVER);
    assert_null(info.path);
    assert_int_equal(files_in_store(f), 0);
  }
}

/* The update keeps count and size. */
static void writes_to_documents_meanwhile_are_told(void **state) {
  fixture *f = *state;
  fill(f, "a", 10);
  fill(f, "b", 10);
  f->caps.has[MIG_CAP_SNAPSHOT_READS] = f->caps.has[MIG_CAP_TRANSACTIONS] = MIG_NO;
  for (int at = 0; at <= 3; at += 3) { /* never; when the second collection is about to be read */
    mig_snapshot_info info;
    const mig_snapshot_want wants[] = {{"a", MIG_HOLDS_DOCUMENTS}, {"b", MIG_HOLDS_DOCUMENTS}};
    meddler m = {f,
                 "{\"update\": \"a\", \"updates\": [{\"q\": {\"_id\": 5}, \"u\": {\"$set\": {\"half\": "
                 "{\"$numberDouble\": \"77.0\"}}}}]}",
                 NULL, 0, at};
    f->work.checkpoint = meddle;
    f->work.checkpoint_arg = &m;
    must(take(f, wants, 2, 0, &info), &f->err);
    assert_true(m.calls >= at);
    assert_string_equal(info.consistency, "perCollection");
    assert_non_null(info.written);
    assert_int_equal(bson_count_keys(info.written), at ? 1 : 0);
    mig_archive *a = open_verified(f, &info);
    for (size_t i = 0; i < 2; i++) {
      const mig_collection_entry *entry = mig_manifest_find(mig_archive_contents(a), wants[i].collection);
      assert_int_equal(entry->written, at && i == 0 ? MIG_WRITTEN_SOMETHING : MIG_WRITTEN_NOTHING);
    }
    mig_archive_free(a);
    mig_snapshot_info_clear(&info);
  }
}

static void a_collection_made_again_under_its_name_is_noticed(void **state) {
  fixture *f = *state;
  mig_snapshot_info info;
  meddler m = {f, "{\"drop\": \"a\"}", "{\"create\": \"a\"}", 0, 3};
  fill(f, "a", 10);
  fill(f, "b", 10);
  bson_t entry;
  bool found = false;
  bson_iter_t it;
  must(mig_db_collection_info(f->db, "a", &entry, &found, &f->err), &f->err);
  bool has_uuid = mig_bson_find(&entry, "info.uuid", &it);
  bson_destroy(&entry);
  if (!has_uuid) skip_because("the server tells no UUID"); /* then nobody can */
  f->work.checkpoint = meddle;
  f->work.checkpoint_arg = &m;
  assert_false(take(f, NULL, 0, 0, &info));
  print_message("  %s\n", f->err.what);
  assert_non_null(strstr(f->err.what, "made again"));
  assert_int_equal(files_in_store(f), 0);
}

static bool refuse_third(void *arg, mig_error *err) {
  int *calls = arg;
  return ++*calls < 3 || mig_fail(err, MIG_E_INTERRUPTED, "interrupted");
}

static void an_interruption_leaves_nothing(void **state) {
  fixture *f = *state;
  mig_snapshot_info info;
  int calls = 0;
  fill(f, "a", 10);
  fill(f, "b", 10);
  f->work.checkpoint = refuse_third;
  f->work.checkpoint_arg = &calls;
  assert_false(take(f, NULL, 0, 0, &info));
  assert_int_equal(f->err.code, MIG_E_INTERRUPTED);
  assert_int_equal(files_in_store(f), 0);
  assert_null(info.path);
}

static void a_full_store_is_a_clear_error(void **state) {
  fixture *f = *state;
  mig_snapshot_info info;
  struct rlimit before, limit;
  fill(f, "a", 2000);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  limit = (struct rlimit){4096, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &limit);
  bool ok = take(f, NULL, 0, 10000, &info);
  setrlimit(RLIMIT_FSIZE, &before);
  assert_false(ok);
  assert_int_equal(f->err.code, MIG_E_STORE);
  assert_non_null(strstr(f->err.what, f->folder));
  assert_int_equal(files_in_store(f), 0);
}

static void the_servers_own_collections_are_refused_by_name(void **state) {
  fixture *f = *state;
  mig_snapshot_info info;
  mig_snapshot_want want = {"system.views", MIG_HOLDS_DOCUMENTS};
  assert_false(take(f, &want, 1, 0, &info));
  assert_int_equal(f->err.code, MIG_E_UNSUPPORTED);
  assert_non_null(strstr(f->err.what, "system.views"));
}

static void a_view_is_kept_by_its_definition(void **state) {
  fixture *f = *state;
  mig_snapshot_info info;
  if (!mig_caps_has(&f->caps, MIG_CAP_VIEWS)) skip_because("the server has no views");
  fill(f, "base", 5);
  run(f, "{\"create\": \"seen\", \"viewOn\": \"base\", \"pipeline\": [{\"$match\": {\"_id\": 1}}]}");
  must(take(f, NULL, 0, 0, &info), &f->err);
  mig_archive *a = open_verified(f, &info);
  const mig_collection_entry *e = mig_manifest_find(mig_archive_contents(a), "seen");
  const char *on = NULL;
  assert_non_null(e);
  assert_string_equal(e->type, "view");
  assert_int_equal(e->holds, MIG_HOLDS_METADATA);
  assert_true(mig_bson_str(e->info, "options.viewOn", &on));
  assert_string_equal(on, "base");
  assert_null(mig_manifest_find(mig_archive_contents(a), "system.views"));
  mig_archive_free(a);
  mig_snapshot_info_clear(&info);
}

static bool try_run(fixture *f, const char *json) {
  bson_t *command = bson_new_from_json((const uint8_t *)json, -1, NULL);
  bool ok = mig_db_command(f->db, MIG_WRITE, command, NULL, &f->err);
  bson_destroy(command);
  return ok;
}

static const char *type_of(fixture *f, const char *collection, bool *capped) {
  static char type[32];
  bson_t entry;
  bool found = false;
  const char *text = "collection";
  must(mig_db_collection_info(f->db, collection, &entry, &found, &f->err), &f->err);
  mig_bson_str(&entry, "type", &text);
  *capped = false;
  mig_bson_bool(&entry, "options.capped", capped);
  snprintf(type, sizeof type, "%s", found ? text : "");
  bson_destroy(&entry);
  return type;
}

static void time_series_are_refused_by_name_with_and_without_documents(void **state) {
  fixture *f = *state;
  mig_snapshot_info info;
  bool capped;
  if (!try_run(f, "{\"create\": \"ts\", \"timeseries\": {\"timeField\": \"t\"}}") ||
      strcmp(type_of(f, "ts", &capped), "timeseries") != 0)
    skip_because("the server has no time series");
  assert_false(take(f, NULL, 0, 0, &info));
  assert_int_equal(f->err.code, MIG_E_UNSUPPORTED);
  assert_non_null(strstr(f->err.what, ".ts"));
  mig_snapshot_want want = {"ts", MIG_HOLDS_METADATA};
  assert_false(take(f, &want, 1, 0, &info)); /* no restore could bring them back */
  assert_int_equal(f->err.code, MIG_E_UNSUPPORTED);
  assert_non_null(strstr(f->err.what, ".ts"));
  assert_non_null(strstr(f->err.hint, "mig mark"));
}

static void a_capped_collection_keeps_its_order(void **state) {
  fixture *f = *state;
  mig_snapshot_info info;
  bool capped = false;
  if (!try_run(f, "{\"create\": \"ring\", \"capped\": true, \"size\": 65536}"))
    skip_because("the server takes no capped collection");
  type_of(f, "ring", &capped);
  if (!capped) skip_because("the server forgets that a collection is capped");
  run(f, "{\"insert\": \"ring\", \"documents\": [{\"_id\": 3}, {\"_id\": 1}, {\"_id\": 2}]}");
  fill(f, "other", 3);
  must(take(f, NULL, 0, 0, &info), &f->err);
  mig_archive *a = open_verified(f, &info);
  const mig_collection_entry *e = mig_manifest_find(mig_archive_contents(a), "ring");
  int64_t first = 0, last = 0;
  assert_true(e->natural_order);
  assert_true(mig_bson_int(e->chunks[0].first, "_id", &first) && mig_bson_int(e->chunks[0].last, "_id", &last));
  assert_int_equal(first, 3);
  assert_int_equal(last, 2);
  same_as_live(f, a, "ring");
  mig_archive_free(a);
  mig_snapshot_info_clear(&info);
}

static void all_collections_are_read_at_one_time(void **state) {
  fixture *f = *state;
  mig_snapshot_info info;
  if (!mig_caps_has(&f->caps, MIG_CAP_SNAPSHOT_READS)) skip_because("the server has no snapshot reads");
  fill(f, "a", 10);
  fill(f, "b", 10);
  /* after a was read and before b is: a write to b that the snapshot must not see */
  meddler m = {f, "{\"insert\": \"b\", \"documents\": [{\"_id\": 1000}]}", NULL, 0, 2};
  f->work.checkpoint = meddle;
  f->work.checkpoint_arg = &m;
  mig_snapshot_want wants[] = {{"a", MIG_HOLDS_DOCUMENTS}, {"b", MIG_HOLDS_DOCUMENTS}};
  must(take(f, wants, 2, 0, &info), &f->err);
  assert_true(m.calls >= 2);
  assert_int_equal(info.documents, 20);
  mig_snapshot_info_clear(&info);
}

/* Killed at every point of writing: the store holds a whole archive or none with a final name. */
static void a_kill_anywhere_leaves_a_whole_archive_or_none(void **state) {
#ifndef MIG_CRASH_POINTS
  (void)state;
  skip_because("this build has no crash points");
#else
  fixture *f = *state;
  static const char *const points[] = {"snapshot_member:1", "snapshot_member:3", "snapshot_written:1",
                                       "snapshot_synced:1", "snapshot_published:1"};
  fill(f, "a", 50);
  for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
    pid_t child = fork();
    if (child == 0) {
      mig_db *own = NULL;
      mig_snapshot_info info;
      setenv("MIG_CRASH_AT", points[i], 1);
      if (!mig_db_again(f->db, NULL, &own, &f->err)) _exit(1);
      f->work.db = own;
      take(f, NULL, 0, 1000, &info);
      _exit(2);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    mig_store_item *items = NULL;
    size_t count = 0;
    must(mig_store_list(f->store, &items, &count, &f->err), &f->err);
    assert_int_equal(count, i == 4 ? 1 : 0);
    for (size_t k = 0; k < count; k++) {
      mig_archive *a = NULL;
      must(mig_archive_open(items[k].path, &a, &f->err) && mig_archive_verify(a, NULL, &f->err), &f->err);
      assert_int_equal(mig_archive_contents(a)->documents, 50);
      mig_archive_free(a);
    }
    mig_store_items_free(items, count);
  }
#endif
}

static void the_estimate_is_about_right(void **state) {
  fixture *f = *state;
  int64_t documents = 0, bytes = 0;
  fill(f, "a", 1000);
  mig_snapshot_want wants[] = {{"a", MIG_HOLDS_DOCUMENTS}, {"none", MIG_HOLDS_DOCUMENTS}};
  must(mig_snapshot_estimate(&f->work, wants, 2, &documents, &bytes, &f->err), &f->err);
  print_message("  1000 documents of 150 bytes: %lld, %lld bytes\n", (long long)documents, (long long)bytes);
  assert_true(documents >= 0 && bytes >= 0);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      T(every_type_comes_through_unchanged),
      T(many_documents_are_all_there_in_id_order),
      T(metadata_is_enough_to_make_the_collection_again),
      T(a_missing_collection_is_recorded_as_absent),
      T(the_whole_database_leaves_out_what_is_migs_own),
      T(an_empty_collection_and_an_empty_database_are_snapshots_too),
      T(the_same_data_has_the_same_digest),
      T(consistency_says_what_the_server_has),
      T(writes_to_documents_meanwhile_are_told),
      T(a_server_that_promised_too_much_is_read_collection_by_collection),
      T(changes_of_collections_meanwhile_are_refused),
      T(a_collection_made_again_under_its_name_is_noticed),
      T(an_interruption_leaves_nothing),
      T(a_full_store_is_a_clear_error),
      T(the_servers_own_collections_are_refused_by_name),
      T(a_view_is_kept_by_its_definition),
      T(time_series_are_refused_by_name_with_and_without_documents),
      T(a_capped_collection_keeps_its_order),
      T(all_collections_are_read_at_one_time),
      T(a_kill_anywhere_leaves_a_whole_archive_or_none),
      T(the_estimate_is_about_right),
  };
  if (!getenv("MIG_TEST_URI")) {
    printf("skipped: MIG_TEST_URI names no server\n");
    return 77;
  }
  if (getenv("MIG_TEST_ONLY")) cmocka_set_test_filter(getenv("MIG_TEST_ONLY")); /* "a_view*" */
  return cmocka_run_group_tests(tests, NULL, NULL);
}
