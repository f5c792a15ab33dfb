/*
 * restore_env.h - for the restore tests: a database of its own, a store, a snapshot, and a fingerprint of everything
 *
 *     restore_setup --> snapshot() --> damage --> restore() --> assert same fingerprint() --> restore_teardown
 *
 * The fingerprint is made without any code of backup/: documents' bytes, index specs and options as the server lists
 * them. What a server cannot do is told by skip_part() and counted, never passed over.
 */
#ifndef MIG_TESTS_RESTORE_ENV_H
#define MIG_TESTS_RESTORE_ENV_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/restore.h"
#include "base/hash.h"

typedef struct env {
  mig_db *db;
  mig_caps caps;
  mig_work w;
  mig_store *store;
  char database[64], folder[64];
  char *snapshot;       /* path of the last */
  uint32_t chunk_bytes; /* of snapshots; 0: as always */
} env;

static unsigned parts_skipped;
static mig_caps probed;
static bool is_probed;

static inline void skip_part(const char *what, const char *lacks) {
  parts_skipped++;
  print_message("    part skipped: %s: %s\n", what, lacks);
}

#define CHECK(call, err)                                                                                               \
  do {                                                                                                                 \
    if (!(call)) fail_msg("%s: %s (%s)", #call, (err).what, (err).why);                                                \
  } while (0)

static inline mig_db *open_database(const char *name) {
  mig_db *db = NULL;
  mig_error err;
  const mig_db_options options = {.uri = getenv("MIG_TEST_URI"), .database = name};
  CHECK(mig_db_open(&options, &db, &err), err);
  return db;
}

/* Runs a command and frees it; false when the server refuses. */
static inline bool try_command(env *e, bson_t *command, mig_error *err) {
  bson_t reply;
  const bool ok = mig_db_command(e->db, MIG_WRITE, command, &reply, err);
  bson_destroy(&reply);
  bson_destroy(command);
  return ok;
}

static inline void run_command(env *e, bson_t *command) {
  mig_error err;
  CHECK(try_command(e, command, &err), err);
}

static inline bool try_json(env *e, const char *json, mig_error *err) {
  bson_error_t error;
  bson_t *command = bson_new_from_json((const uint8_t *)json, (ssize_t)strlen(json), &error);
  if (!command) fail_msg("%s: %s", json, error.message);
  return try_command(e, command, err);
}

static inline void run_json(env *e, const char *json) {
  mig_error err;
  if (!try_json(e, json, &err)) fail_msg("%s: %s (%s)", json, err.what, err.why);
}

static inline bool try_insert(env *e, const char *collection, const bson_t *doc, mig_error *err) {
  const mig_insert what = {.collection = collection, .documents = &doc, .count = 1, .bypass_validation = true};
  return mig_db_insert(e->db, &what, err);
}

static inline void insert(env *e, const char *collection, bson_t *doc) {
  mig_error err;
  CHECK(try_insert(e, collection, doc, &err), err);
  bson_destroy(doc);
}

static inline void insert_numbered(env *e, const char *collection, int first, int count, int value) {
  mig_error err;
  for (int done = 0; done < count;) {
    bson_t *docs[1000];
    size_t n = 0;
    for (; done < count && n < 1000; done++, n++)
      docs[n] = BCON_NEW("_id", BCON_INT32(first + done), "v", BCON_INT32(value), "text", BCON_UTF8("some more text"));
    const mig_insert what = {
        .collection = collection, .documents = (const bson_t *const *)docs, .count = n, .bypass_validation = true};
    CHECK(mig_db_insert(e->db, &what, &err), err);
    while (n) bson_destroy(docs[--n]);
  }
}

static inline int64_t count_of(env *e, const char *collection) {
  int64_t n = 0;
  mig_error err;
  CHECK(mig_db_count(e->db, collection, NULL, &n, &err), err);
  return n;
}

static inline void env_open(env *e) {
  mig_error err;
  e->db = open_database(e->database);
  if (!is_probed) {
    CHECK(mig_caps_probe(e->db, MIG_PROBE_TRY, &probed, &err), err);
    is_probed = true;
    run_json(e, "{\"dropDatabase\": 1}"); /* what the probe keeps is not part of the tests */
  }
  e->caps = probed;
  e->w = (mig_work){.db = e->db, .caps = &e->caps};
  CHECK(mig_store_open(e->folder, true, &e->store, &err), err);
}

static inline int restore_setup(void **state) {
  static int number;
  env *e = calloc(1, sizeof *e);
  snprintf(e->database, sizeof e->database, "mig_restore_%ld_%d", (long)getpid(), ++number);
  snprintf(e->folder, sizeof e->folder, "/tmp/mig-restore-XXXXXX");
  if (!mkdtemp(e->folder)) return -1;
  env_open(e);
  *state = e;
  return 0;
}

static inline int restore_teardown(void **state) {
  env *e = *state;
  mig_error err;
  char command[128];
  try_json(e, "{\"dropDatabase\": 1}", &err);
  mig_store_close(e->store);
  mig_db_close(e->db);
  mig_free(e->snapshot);
  snprintf(command, sizeof command, "rm -rf '%s'", e->folder);
  const int removed = system(command);
  free(e);
  return removed;
}

/* --- fingerprint --- */

static inline void add_documents(env *e, const char *collection, bool natural, mig_buf *text) {
  mig_error err;
  mig_cursor *c = NULL;
  mig_hash *hash = NULL;
  const bson_t *doc = NULL;
  char hex[MIG_SHA256_HEX];
  int64_t n = 0;
  bson_t *find = BCON_NEW("find", BCON_UTF8(collection), "sort", "{", natural ? "$natural" : "_id", BCON_INT32(1), "}");
  CHECK(mig_hash_new(&hash, &err), err);
  CHECK(mig_db_query(e->db, find, &c, &err), err);
  mig_next next;
  while ((next = mig_cursor_next(c, &doc, &err)) == MIG_NEXT_DOC) {
    mig_hash_add(hash, bson_get_data(doc), doc->len);
    n++;
  }
  assert_int_equal(next, MIG_NEXT_END);
  mig_hash_hex(hash, hex);
  CHECK(mig_buf_printf(text, &err, "  %lld documents %s\n", (long long)n, hex), err);
  mig_hash_free(hash);
  mig_cursor_close(c);
  bson_destroy(find);
}

static inline int by_text(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static inline void add_indexes(env *e, const char *collection, mig_buf *text) {
  static const char *const without[] = {"ns", NULL};
  mig_error err;
  bson_t indexes, spec;
  bson_iter_t it;
  char *lines[64];
  size_t n = 0;
  CHECK(mig_db_indexes(e->db, collection, &indexes, &err), err);
  assert_true(bson_iter_init(&it, &indexes));
  while (n < 64 && bson_iter_next(&it)) {
    if (!mig_bson_iter_doc(&it, &spec)) continue;
    bson_t *bare = mig_bson_without(&spec, without);
    lines[n++] = mig_bson_json(bare);
    bson_destroy(bare);
  }
  qsort(lines, n, sizeof *lines, by_text);
  for (size_t i = 0; i < n; i++) {
    CHECK(mig_buf_printf(text, &err, "  index %s\n", lines[i]), err);
    mig_free(lines[i]);
  }
  bson_destroy(&indexes);
}

/* Options as listed, but for defaults that collMod spells out and create does not, and the write concern of the
 * create command, which mongoeco takes for an option. */
static inline void add_options(const bson_t *info, mig_buf *text) {
  static const char *const without[] = {"validator", "validationLevel", "validationAction", "writeConcern", NULL};
  mig_error err;
  bson_t options, validator;
  const char *level = "strict", *action = "error";
  if (!mig_bson_doc(info, "options", &options)) return;
  bson_t *bare = mig_bson_without(&options, without);
  char *json = mig_bson_json(bare);
  CHECK(mig_buf_printf(text, &err, "  options %s\n", json), err);
  mig_free(json);
  bson_destroy(bare);
  if (!mig_bson_doc(&options, "validator", &validator) || bson_empty(&validator)) return;
  mig_bson_str(&options, "validationLevel", &level);
  mig_bson_str(&options, "validationAction", &action);
  json = mig_bson_json(&validator);
  CHECK(mig_buf_printf(text, &err, "  validator %s %s %s\n", level, action, json), err);
  mig_free(json);
}

/* Everything in the database as text, collections sorted by name. Free with mig_free. */
static inline char *fingerprint(env *e) {
  mig_error err;
  mig_cursor *c = NULL;
  const bson_t *doc = NULL;
  char *parts[256];
  size_t n = 0;
  mig_buf all = MIG_BUF(16u << 20);
  CHECK(mig_db_collections(e->db, NULL, &c, &err), err);
  while (mig_cursor_next(c, &doc, &err) == MIG_NEXT_DOC) {
    mig_buf text = MIG_BUF(1u << 20);
    const char *name = NULL, *type = "collection";
    bool capped = false;
    bson_t *info = bson_copy(doc);
    assert_true(mig_bson_str(info, "name", &name));
    mig_bson_str(info, "type", &type);
    mig_bson_bool(info, "options.capped", &capped);
    CHECK(mig_buf_printf(&text, &err, "%s (%s)\n", name, type), err);
    add_options(info, &text);
    if (strcmp(type, "view") != 0) {
      add_indexes(e, name, &text);
      add_documents(e, name, capped, &text);
    }
    assert_true(n < 256);
    parts[n++] = mig_strdup(mig_buf_text(&text));
    mig_buf_free(&text);
    bson_destroy(info);
  }
  mig_cursor_close(c);
  qsort(parts, n, sizeof *parts, by_text);
  for (size_t i = 0; i < n; i++) {
    CHECK(mig_buf_add(&all, parts[i], strlen(parts[i]), &err), err);
    mig_free(parts[i]);
  }
  char *text = mig_strdup(mig_buf_text(&all));
  mig_buf_free(&all);
  return text;
}

/* --- snapshot and restore --- */

static inline void snapshot_of(env *e, const mig_snapshot_want *wants, size_t count) {
  mig_error err;
  mig_snapshot_info info = {0};
  const mig_snapshot_options options = {.store = e->store,
                                        .label = "test",
                                        .reason = "test",
                                        .whole_database = !wants,
                                        .wants = wants,
                                        .want_count = count,
                                        .archive = {.chunk_bytes = e->chunk_bytes}};
  CHECK(mig_snapshot_take(&e->w, &options, &info, &err), err);
  mig_free(e->snapshot);
  e->snapshot = mig_strdup(info.path);
  mig_snapshot_info_clear(&info);
}

static inline void snapshot(env *e) {
  snapshot_of(e, NULL, 0);
}

static inline bool try_restore(env *e, const mig_restore_options *options, mig_restore_report *report, mig_error *err) {
  mig_archive *archive = NULL;
  memset(report, 0, sizeof *report);
  const bool ok = mig_archive_open(e->snapshot, &archive, err) && mig_restore_run(&e->w, archive, options, report, err);
  mig_archive_free(archive);
  return ok;
}

/* Restores, and the database must be what it was, and a second restore find nothing to do. */
static inline mig_restore_report restore_like(env *e, const mig_restore_options *options, const char *before) {
  mig_error err;
  mig_restore_report report, again;
  CHECK(try_restore(e, options, &report, &err), err);
  char *after = fingerprint(e);
  assert_string_equal(before, after);
  mig_free(after);
  CHECK(try_restore(e, options, &again, &err), err);
  assert_true(again.identical);
  assert_int_equal(again.written, 0);
  mig_restore_report_clear(&again);
  return report;
}

static inline void restore(env *e, const char *before) {
  const mig_restore_options options = {.displaced_store = e->store, .displaced_reason = "test"};
  mig_restore_report report = restore_like(e, &options, before);
  mig_restore_report_clear(&report);
}

static inline const mig_restore_collection *row_of(const mig_restore_report *r, const char *name) {
  for (size_t i = 0; i < r->count; i++)
    if (strcmp(r->collections[i].name, name) == 0) return &r->collections[i];
  fail_msg("no row of %s", name);
  return NULL;
}

static inline int run_restore_tests(const char *name, const struct CMUnitTest *tests, size_t count) {
  if (!getenv("MIG_TEST_URI")) {
    print_message("skipped: MIG_TEST_URI is not set\n");
    return 77;
  }
  const int failed = _cmocka_run_group_tests(name, tests, count, NULL, NULL);
  print_message("%u parts skipped for what this server lacks (%s %s)\n", parts_skipped, probed.product, probed.version);
  return failed;
}

#define RESTORE_TEST(f) cmocka_unit_test_setup_teardown(f, restore_setup, restore_teardown)

#endif
