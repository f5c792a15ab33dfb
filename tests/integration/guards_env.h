/*
 * guards_env.h - what the tests of guards share: a database of their own, guards as JSON, and whether they are right
 */
#ifndef MIG_TESTS_GUARDS_ENV_H
#define MIG_TESTS_GUARDS_ENV_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "validators/index_spec.h"
#include "validators/query.h"

#define ODD "odd name.\xC3\xBC-x 'q'"

static mig_db *db;
static mig_caps caps;
static mig_work work;
static char last_warning[1000];
static int skipped;

static inline void on_message(void *arg, mig_level level, const char *text) {
  (void)arg;
  if (level == MIG_WARNING) snprintf(last_warning, sizeof last_warning, "%s", text);
}

static const mig_observer observer = {.message = on_message};
static const mig_guard_env env = {&work, "/tmp"};

static inline bson_t *json(const char *text) {
  bson_error_t error;
  bson_t *doc = bson_new_from_json((const uint8_t *)text, -1, &error);
  if (!doc) fail_msg("%s: %s", text, error.message);
  return doc;
}

static inline bool command(const char *text, mig_error *err) {
  bson_t *doc = json(text);
  bool ok = mig_db_command(db, MIG_WRITE, doc, NULL, err);
  bson_destroy(doc);
  return ok;
}

static inline void must(const char *text) {
  mig_error err = {0};
  if (!command(text, &err)) fail_msg("%s: %s: %s", text, err.what, err.why);
}

static inline void drop(const char *collection) {
  bson_t doc = BSON_INITIALIZER;
  mig_error err;
  BSON_APPEND_UTF8(&doc, "drop", collection);
  (void)mig_db_command(db, MIG_WRITE, &doc, NULL, &err); /* it need not be there */
  bson_destroy(&doc);
}

/* documents: a JSON object {"0": {...}, ...}, in the order given; they replace what was there. */
static inline void seed(const char *collection, const char *documents) {
  bson_t *all = json(documents);
  const bson_t *list[64];
  bson_t views[64];
  size_t n = 0;
  bson_iter_t it;
  mig_error err = {0};
  drop(collection);
  assert_true(bson_iter_init(&it, all));
  while (bson_iter_next(&it) && n < 64) {
    assert_true(mig_bson_iter_doc(&it, &views[n]));
    list[n] = &views[n];
    n++;
  }
  mig_insert what = {collection, list, n, false};
  if (!mig_db_insert(db, &what, &err)) fail_msg("%s: %s", err.what, err.why);
  bson_destroy(all);
}

static inline bool run(const char *guard, mig_guard_result *out) {
  mig_error err = {0};
  bson_t *doc = json(guard);
  last_warning[0] = 0;
  if (!mig_guard_check_syntax(doc, "guards.0", &err)) fail_msg("%s: %s", guard, err.what);
  if (!mig_guard_run(&env, doc, out, &err)) fail_msg("%s: %s: %s", guard, err.what, err.why);
  bson_destroy(doc);
  if (out->holds) {
    assert_null(out->ids);
    assert_null(out->query);
    assert_string_equal(out->why, "");
  } else {
    assert_true(out->why[0]);
  }
  return out->holds;
}

static inline void holds(const char *guard) {
  mig_guard_result r;
  if (!run(guard, &r)) fail_msg("%s refused: %s", guard, r.why);
}

static inline mig_guard_result refused(const char *guard, const char *why) {
  mig_guard_result r;
  if (run(guard, &r)) fail_msg("%s holds", guard);
  if (!strstr(r.why, why)) fail_msg("%s: \"%s\" lacks \"%s\"", guard, r.why, why);
  return r;
}

static inline void refuses(const char *guard, const char *why) {
  mig_guard_result r = refused(guard, why);
  mig_guard_result_clear(&r);
}

static inline bool id_of(const bson_t *ids, const bson_t *doc) {
  bson_iter_t id, it;
  if (!bson_iter_init_find(&id, doc, "_id") || !bson_iter_init(&it, ids)) return false;
  while (bson_iter_next(&it)) {
    bson_t a = BSON_INITIALIZER, b = BSON_INITIALIZER;
    bson_append_iter(&a, "v", 1, &it);
    bson_append_iter(&b, "v", 1, &id);
    bool same = mig_bson_same(&a, &b);
    bson_destroy(&a);
    bson_destroy(&b);
    if (same) return true;
  }
  return false;
}

/* Runs the query as a person would who copied it from the screen: through its Extended JSON. Returns the documents it
 * finds; all the _ids shown are among them if it is a filter. */
static inline int64_t found_by(const char *collection, const mig_guard_result *r) {
  mig_error err = {0};
  mig_cursor *c = NULL;
  const bson_t *doc = NULL;
  int64_t n = 0, shown = 0;
  assert_non_null(r->query);
  char *text = mig_bson_json(r->query);
  /* libbson (not the shell) takes {"$type": "array"} for half of a binary */
  bson_t *query = strstr(text, "\"$type\"") ? bson_copy(r->query) : json(text), find = BSON_INITIALIZER;
  bool is_filter = !bson_has_field(query, "aggregate");
  BSON_APPEND_UTF8(&find, "find", collection);
  BSON_APPEND_DOCUMENT(&find, "filter", query);
  if (!mig_db_query(db, is_filter ? &find : query, &c, &err)) fail_msg("%s: %s: %s", text, err.what, err.why);
  mig_next next;
  while ((next = mig_cursor_next(c, &doc, &err)) == MIG_NEXT_DOC) {
    n++;
    if (is_filter && r->ids && id_of(r->ids, doc)) shown++;
  }
  if (next == MIG_NEXT_ERROR) fail_msg("%s: %s: %s", text, err.what, err.why);
  if (is_filter && r->ids) assert_int_equal(shown, bson_count_keys(r->ids));
  mig_cursor_close(c);
  bson_destroy(&find);
  bson_destroy(query);
  mig_free(text);
  return n;
}

static inline void refuses_with(const char *guard, const char *why, const char *collection, int64_t offenders,
                                uint32_t ids) {
  mig_guard_result r = refused(guard, why);
  if (r.offenders != offenders) fail_msg("%s: %lld offenders: %s", guard, (long long)r.offenders, r.why);
  assert_int_equal(r.ids ? bson_count_keys(r.ids) : 0, ids);
  assert_int_equal(found_by(collection, &r), offenders);
  mig_guard_result_clear(&r);
}

/* Only MongoDB itself decides whether a guard is right; others call themselves so too. */
static inline bool is_judge(void) {
  return mig_caps_has(&caps, MIG_CAP_COLLATION) && mig_caps_has(&caps, MIG_CAP_VIEWS) &&
         strcmp(caps.product, "MongoDB") == 0;
}

static inline bool open_database(const char *uri) {
  mig_error err = {0};
  char name[64];
  snprintf(name, sizeof name, "migtest_guards_%d", (int)getpid());
  mig_db_options options = {.uri = uri, .database = name};
  if (!mig_db_open(&options, &db, &err) || !mig_caps_probe(db, MIG_PROBE_TRY, &caps, &err)) {
    fprintf(stderr, "%s: %s\n", err.what, err.why);
    return false;
  }
  work = (mig_work){.db = db, .caps = &caps, .observer = &observer};
  printf("%s %s, %s\n", caps.product, caps.version, caps.topology);
  return true;
}

static inline void drop_database(void) {
  bson_t *doc = json("{\"dropDatabase\": 1}");
  (void)mig_db_command(db, MIG_WRITE, doc, NULL, NULL);
  bson_destroy(doc);
  mig_db_close(db);
}

static inline int run_guard_tests(int (*tests)(void)) {
  const char *uri = getenv("MIG_TEST_URI");
  if (!uri || !*uri) {
    printf("skipped: MIG_TEST_URI names no server\n");
    return 77;
  }
  if (!open_database(uri)) return 1;
  int failed = tests();
  printf("not tried on this server: %d\n", skipped);
  drop_database();
  return failed;
}

#endif
