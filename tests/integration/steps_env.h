/*
 * steps_env.h - what the tests of steps share: a database of their own, collections c, d and v in it, steps as JSON
 */
#ifndef MIG_TESTS_STEPS_ENV_H
#define MIG_TESTS_STEPS_ENV_H

#include "migrations/migration.h"
#include "support.h"

static mig_db *db;
static char db_name[40];
static mig_caps caps;

static inline int open_db(void **state) {
  mig_error err = {0};
  (void)state;
  db = test_db(db_name);
  assert_ok(mig_caps_probe(db, MIG_PROBE_AGAIN, &caps, &err), err);
  return 0;
}

static inline int close_db(void **state) {
  (void)state;
  test_db_drop(db);
  return 0;
}

static inline int drop_c(void **state) {
  static const char *const names[] = {"c", "d", "v", NULL};
  (void)state;
  mig_db_abort(db);
  for (const char *const *n = names; *n; n++) {
    bson_t *drop = BCON_NEW("drop", BCON_UTF8(*n));
    mig_db_command(db, MIG_WRITE, drop, NULL, NULL);
    bson_destroy(drop);
  }
  return 0;
}

static inline bson_t *json(const char *text) {
  bson_error_t error;
  bson_t *doc = bson_new_from_json((const uint8_t *)text, -1, &error);
  if (!doc) fail_msg("%s: %s", text, error.message);
  return doc;
}

/* docs: a JSON array */
static inline void seed(const char *docs) {
  char text[4000];
  snprintf(text, sizeof text, "{\"insert\": \"c\", \"documents\": %s}", docs);
  test_run(db, json(text));
}

static inline void parse(const char *text, mig_step *step) {
  mig_error err = {0};
  bson_t *doc = json(text);
  assert_ok(mig_step_parse(doc, "up.0", step, &err), err);
  bson_destroy(doc);
}

static inline bool run_with(mig_work *w, const char *text, mig_error *err) {
  mig_step step;
  parse(text, &step);
  *err = (mig_error){0};
  bool ok = step.def->run(&step, w, err);
  mig_step_clear(&step);
  return ok;
}

static inline void run_ok(const char *text) {
  mig_work w = {.db = db, .caps = &caps};
  mig_error err;
  assert_ok(run_with(&w, text, &err), err);
}

static inline void run_fails(const char *text, mig_error *err) {
  mig_work w = {.db = db, .caps = &caps};
  if (run_with(&w, text, err)) fail_msg("%s did not fail", text);
}

static inline int by_key(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Appends a document; sorted: its top-level fields by name. */
static inline void append(bson_t *list, uint32_t index, const bson_t *doc, bool sorted) {
  char buffer[16];
  const char *key;
  const char *fields[20];
  bson_iter_t it;
  bson_t out;
  size_t n = 0;
  bson_uint32_to_string(index, &key, buffer, sizeof buffer);
  if (!sorted) {
    BSON_APPEND_DOCUMENT(list, key, doc);
    return;
  }
  assert_true(bson_iter_init(&it, doc));
  while (bson_iter_next(&it) && n < 20) fields[n++] = bson_iter_key(&it);
  qsort(fields, n, sizeof *fields, by_key);
  BSON_APPEND_DOCUMENT_BEGIN(list, key, &out);
  for (size_t i = 0; i < n; i++) {
    assert_true(bson_iter_init_find(&it, doc, fields[i]));
    bson_append_iter(&out, NULL, 0, &it);
  }
  bson_append_document_end(list, &out);
}

/* The documents of a collection in _id order against those of a JSON array; sorted: whatever order their fields have.
 */
static inline void compare_collection(const char *collection, const char *docs, bool sorted) {
  mig_error err = {0};
  mig_cursor *cursor = NULL;
  const bson_t *doc = NULL;
  mig_next next;
  bson_iter_t it;
  char text[4000];
  snprintf(text, sizeof text, "{\"d\": %s}", docs);
  bson_t *parsed = json(text), got = BSON_INITIALIZER, wanted = BSON_INITIALIZER, view;
  bson_t *find = BCON_NEW("find", BCON_UTF8(collection), "sort", "{", "_id", BCON_INT32(1), "}");
  assert_ok(mig_db_query(db, find, &cursor, &err), err);
  for (uint32_t n = 0; (next = mig_cursor_next(cursor, &doc, &err)) == MIG_NEXT_DOC; n++) append(&got, n, doc, sorted);
  assert_ok(next == MIG_NEXT_END, err);
  mig_cursor_close(cursor);
  assert_true(mig_bson_arr(parsed, "d", &view) && bson_iter_init(&it, &view));
  for (uint32_t n = 0; bson_iter_next(&it); n++) {
    bson_t one;
    assert_true(mig_bson_iter_doc(&it, &one));
    append(&wanted, n, &one, sorted);
  }
  char *a = bson_as_canonical_extended_json(&wanted, NULL), *b = bson_as_canonical_extended_json(&got, NULL);
  assert_string_equal(b, a);
  bson_free(a);
  bson_free(b);
  bson_destroy(find);
  bson_destroy(&got);
  bson_destroy(&wanted);
  bson_destroy(parsed);
}

static inline void collection_is(const char *collection, const char *docs) {
  compare_collection(collection, docs, false);
}

/* Upserts leave the order of fields to the server. */
static inline void effect_is(const char *step, const char *docs) {
  compare_collection("c", docs, strstr(step, "\"key\"") != NULL);
}

static inline int64_t count(const char *collection, const char *filter) {
  mig_error err = {0};
  int64_t n = -1;
  bson_t *f = json(filter);
  assert_ok(mig_db_count(db, collection, f, &n, &err), err);
  bson_destroy(f);
  return n;
}

static inline bool exists(const char *collection) {
  mig_error err = {0};
  bson_t entry;
  bool found = false;
  assert_ok(mig_db_collection_info(db, collection, &entry, &found, &err), err);
  bson_destroy(&entry);
  return found;
}

/* What a step makes of the collection c, and how many documents it says beforehand that it will write. */
typedef struct effect {
  const char *before, *step, *after;
  int64_t estimate;
} effect;

static inline void check_estimate(const effect *e) {
  mig_work w = {.db = db, .caps = &caps};
  mig_error err = {0};
  mig_step step;
  int64_t n = -1;
  parse(e->step, &step);
  assert_ok(step.def->estimate(&step, &w, &n, &err), err);
  if (n != e->estimate) fail_msg("%s: estimate %lld", e->step, (long long)n);
  mig_step_clear(&step);
}

static inline void effects_happen(const effect *effects, size_t count) {
  for (size_t i = 0; i < count; i++) {
    drop_c(NULL);
    seed(effects[i].before);
    check_estimate(&effects[i]);
    run_ok(effects[i].step);
    effect_is(effects[i].step, effects[i].after);
  }
}

/* Aborted, there is none; committed, it is the same. */
static inline void effects_happen_in_transactions(const effect *effects, size_t count) {
  mig_error err = {0};
  if (!mig_caps_has(&caps, MIG_CAP_TRANSACTIONS)) skip_because("this server has no transactions");
  for (size_t i = 0; i < count; i++) {
    drop_c(NULL);
    seed(effects[i].before);
    assert_ok(mig_db_begin(db, &err), err);
    run_ok(effects[i].step);
    mig_db_abort(db);
    collection_is("c", effects[i].before);
    assert_ok(mig_db_begin(db, &err), err);
    run_ok(effects[i].step);
    assert_ok(mig_db_commit(db, &err), err);
    effect_is(effects[i].step, effects[i].after);
  }
}

/* mongoeco 4.11 refuses the getMore that libmongoc sends. */
static inline bool cursors_go_on(void) {
  bson_t *find = BCON_NEW("find", BCON_UTF8("d"), "batchSize", BCON_INT32(1));
  mig_cursor *cursor = NULL;
  const bson_t *doc = NULL;
  mig_error err = {0};
  mig_next next;
  test_run(db, json("{\"insert\": \"d\", \"documents\": [{\"_id\": 1}, {\"_id\": 2}]}"));
  assert_ok(mig_db_query(db, find, &cursor, &err), err);
  while ((next = mig_cursor_next(cursor, &doc, &err)) == MIG_NEXT_DOC) {
  }
  mig_cursor_close(cursor);
  bson_destroy(find);
  return next == MIG_NEXT_END;
}

static inline void seed_many(int32_t n) {
  bson_t *docs[1000];
  mig_error err = {0};
  for (int32_t from = 0; from < n; from += 1000) {
    size_t k = 0;
    for (int32_t i = from; i < n && i < from + 1000; i++)
      docs[k++] =
          BCON_NEW("_id", BCON_INT32(i), "x", BCON_INT32(i % 3), "text", BCON_UTF8("some text that has a length"));
    const mig_insert what = {.collection = "c", .documents = (const bson_t *const *)docs, .count = k};
    assert_ok(mig_db_insert(db, &what, &err), err);
    while (k) bson_destroy(docs[--k]);
  }
}

typedef struct seen {
  uint64_t calls, done;
  char what[60];
} seen;

static inline void see(void *arg, const char *what, uint64_t done, uint64_t total) {
  seen *s = arg;
  (void)total;
  s->calls++;
  s->done = done;
  snprintf(s->what, sizeof s->what, "%s", what);
}

#endif
