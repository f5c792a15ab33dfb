/* The window merge of backup/compare.h against a plain oracle: every order, every window size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backup/compare.h"

#define MAX_DOCS 400

typedef struct stream {
  bson_t *docs[MAX_DOCS];
  size_t count, given, fail_at; /* fail_at: 0 never, else the call that fails */
} stream;

static mig_pull stream_next(void *arg, bson_t *doc, mig_error *err) {
  stream *s = arg;
  if (s->fail_at && s->given + 1 == s->fail_at) {
    mig_fail(err, MIG_E_NETWORK, "the stream broke");
    return MIG_PULL_ERROR;
  }
  if (s->given == s->count) return MIG_PULL_END;
  const bson_t *from = s->docs[s->given++];
  assert_true(bson_init_static(doc, bson_get_data(from), from->len));
  return MIG_PULL_DOC;
}

static void add(stream *s, bson_t *doc) {
  assert_true(s->count < MAX_DOCS);
  s->docs[s->count++] = doc;
}

static void clear(stream *s) {
  for (size_t i = 0; i < s->count; i++) bson_destroy(s->docs[i]);
  *s = (stream){0};
}

static bson_t *int_doc(int id, int value) {
  return BCON_NEW("_id", BCON_INT32(id), "v", BCON_INT32(value));
}

/* An _id whose order the comparison does not know. */
static bson_t *opaque_doc(int id, int value) {
  return BCON_NEW("_id", "{", "k", BCON_INT32(id), "}", "v", BCON_INT32(value));
}

typedef struct log {
  mig_difference what[2 * MAX_DOCS];
  const char *text[2 * MAX_DOCS];
  size_t count;
  const stream *live;
  bool told[MAX_DOCS]; /* live documents that found() was given */
} log;

static bool log_found(void *arg, mig_difference what, const bson_t *archive, const bson_t *live, mig_error *err) {
  log *l = arg;
  (void)err;
  assert_int_equal(archive != NULL, what == MIG_DIFF_MISSING || what == MIG_DIFF_CHANGED);
  assert_int_equal(live != NULL, what != MIG_DIFF_MISSING);
  l->what[l->count++] = what;
  for (size_t i = 0; live && l->live && i < l->live->count; i++)
    if (mig_bson_same(l->live->docs[i], live)) l->told[i] = true;
  return true;
}

static mig_compare_result run(stream *archive, stream *live, size_t window, log *l) {
  mig_compare_result out;
  mig_error err;
  archive->given = live->given = 0;
  if (l) l->live = live;
  const mig_compare compare = {.archive = {archive, stream_next},
                               .live = {live, stream_next},
                               .window_bytes = window,
                               .found = l ? log_found : NULL,
                               .arg = l};
  assert_true(mig_compare_run(&compare, &out, &err));
  return out;
}

static void equal_streams_have_no_difference_in_a_window_of_two(void **state) {
  (void)state;
  stream a = {0}, b = {0};
  for (int i = 0; i < 300; i++) {
    add(&a, opaque_doc(i, i));
    add(&b, opaque_doc(i, i));
  }
  const mig_compare_result r = run(&a, &b, 400, NULL);
  assert_true(mig_compare_identical(&r));
  assert_int_equal(r.same, 300);
  assert_false(r.judged_early);
  assert_false(r.out_of_order);
  clear(&a);
  clear(&b);
}

static void two_empty_streams_are_the_same(void **state) {
  (void)state;
  stream a = {0}, b = {0};
  const mig_compare_result r = run(&a, &b, 0, NULL);
  assert_true(mig_compare_identical(&r));
}

static void missing_changed_and_extra_are_told_apart(void **state) {
  (void)state;
  stream a = {0}, b = {0};
  log l = {0};
  for (int i = 0; i < 10; i++)
    if (i != 7) add(&a, int_doc(i, 0));
  for (int i = 0; i < 10; i++)
    if (i != 3) add(&b, int_doc(i, i == 5));
  const mig_compare_result r = run(&a, &b, 0, &l);
  assert_int_equal(r.same, 7);
  assert_int_equal(r.missing, 1);
  assert_int_equal(r.changed, 1);
  assert_int_equal(r.extra, 1);
  assert_int_equal(r.id_count, 3);
  assert_string_equal(r.ids[0], "5");
  clear(&a);
  clear(&b);
}

static void ids_equal_for_the_server_but_not_in_bytes_are_removed_before_they_are_inserted(void **state) {
  (void)state;
  stream a = {0}, b = {0};
  log l = {0};
  add(&a, int_doc(1, 0));
  add(&b, BCON_NEW("_id", BCON_DOUBLE(1.0), "v", BCON_INT32(0)));
  const mig_compare_result r = run(&a, &b, 0, &l);
  assert_int_equal(r.missing, 1);
  assert_int_equal(r.extra, 1);
  assert_int_equal(l.what[0], MIG_DIFF_EXTRA);
  assert_int_equal(l.what[1], MIG_DIFF_MISSING);
  clear(&a);
  clear(&b);
}

static void nan_ids_with_other_payloads_are_other_ids(void **state) {
  (void)state;
  stream a = {0}, b = {0};
  const uint8_t one[] = {18, 0, 0, 0, 1, '_', 'i', 'd', 0, 1, 0, 0, 0, 0, 0, 0xf8, 0x7f, 0};
  const uint8_t two[] = {18, 0, 0, 0, 1, '_', 'i', 'd', 0, 2, 0, 0, 0, 0, 0, 0xf8, 0x7f, 0};
  add(&a, bson_new_from_data(one, sizeof one));
  add(&b, bson_new_from_data(two, sizeof two));
  mig_compare_result r = run(&a, &b, 0, NULL);
  assert_int_equal(r.missing, 1);
  assert_int_equal(r.extra, 1);
  clear(&a);
  clear(&b);
}

static void documents_without_an_id_are_never_partners(void **state) {
  (void)state;
  stream a = {0}, b = {0};
  add(&a, BCON_NEW("v", BCON_INT32(1)));
  add(&b, BCON_NEW("v", BCON_INT32(1)));
  const mig_compare_result r = run(&a, &b, 0, NULL);
  assert_int_equal(r.missing, 1);
  assert_int_equal(r.extra, 1);
  assert_string_equal(r.ids[0], "(no _id)");
  clear(&a);
  clear(&b);
}

static void another_order_makes_no_difference_while_the_window_has_room(void **state) {
  (void)state;
  stream a = {0}, b = {0};
  for (int i = 0; i < 200; i++) {
    add(&a, int_doc(i, 0));
    add(&b, int_doc((i * 77) % 200, 0));
  }
  const mig_compare_result r = run(&a, &b, 0, NULL);
  assert_true(mig_compare_identical(&r));
  assert_true(r.out_of_order);
  clear(&a);
  clear(&b);
}

static void a_wide_gap_in_known_ids_is_settled_in_a_small_window(void **state) {
  (void)state;
  stream a = {0}, b = {0};
  log l = {0};
  for (int i = 0; i < 300; i++) add(&a, int_doc(i, 0));
  for (int i = 0; i < 300; i++)
    if (i < 20 || i >= 280) add(&b, int_doc(i, 0));
  mig_compare_result r = run(&a, &b, 1000, &l);
  assert_false(r.unsettled);
  assert_int_equal(r.missing, 260);
  assert_int_equal(r.same, 40);
  r = run(&b, &a, 1000, NULL); /* the other way round: inserted by someone */
  assert_false(r.unsettled);
  assert_int_equal(r.extra, 260);
  clear(&a);
  clear(&b);
}

static void a_wide_gap_in_unknown_ids_says_unsettled_and_gives_every_live_document_away(void **state) {
  (void)state;
  stream a = {0}, b = {0};
  log l = {0};
  for (int i = 0; i < 300; i++) add(&a, opaque_doc(i, 0));
  for (int i = 1000; i < 1300; i++) add(&b, opaque_doc(i, 0));
  const mig_compare_result r = run(&a, &b, 1000, &l);
  assert_true(r.unsettled);
  assert_false(mig_compare_identical(&r));
  for (size_t i = 0; i < b.count; i++) assert_true(l.told[i]);
  clear(&a);
  clear(&b);
}

static void an_emptied_or_a_filled_collection_needs_no_window(void **state) {
  (void)state;
  stream a = {0}, none = {0};
  for (int i = 0; i < 300; i++) add(&a, opaque_doc(i, 0));
  mig_compare_result r = run(&a, &none, 1000, NULL);
  assert_false(r.unsettled);
  assert_int_equal(r.missing, 300);
  r = run(&none, &a, 1000, NULL);
  assert_false(r.unsettled);
  assert_int_equal(r.extra, 300);
  clear(&a);
}

static void a_wrong_order_in_a_small_window_never_passes_for_certain(void **state) {
  (void)state;
  stream a = {0}, b = {0};
  for (int i = 0; i < 300; i++) {
    add(&a, opaque_doc(i, 0));
    add(&b, opaque_doc((i / 30) * 30 + 29 - i % 30, 0)); /* blocks turned round */
  }
  const mig_compare_result r = run(&a, &b, 800, NULL);
  assert_true(r.unsettled || mig_compare_identical(&r));
  clear(&a);
  clear(&b);
}

static void a_broken_stream_is_an_error(void **state) {
  (void)state;
  stream a = {0}, b = {0};
  mig_compare_result out;
  mig_error err;
  for (int i = 0; i < 10; i++) add(&a, int_doc(i, 0));
  b.fail_at = 1;
  const mig_compare compare = {.archive = {&a, stream_next}, .live = {&b, stream_next}};
  assert_false(mig_compare_run(&compare, &out, &err));
  assert_int_equal(err.code, MIG_E_NETWORK);
  clear(&a);
}

static size_t allocations_left;
static bool fail_later(size_t size) {
  (void)size;
  return allocations_left > 0 && allocations_left-- > 0;
}

static void short_memory_is_a_clean_error_at_every_allocation(void **state) {
  (void)state;
  stream a = {0}, b = {0};
  mig_compare_result out;
  mig_error err;
  for (int i = 0; i < 20; i++) add(&a, int_doc(i, 0));
  for (int i = 0; i < 20; i++) add(&b, int_doc(19 - i, 0));
  const mig_compare compare = {.archive = {&a, stream_next}, .live = {&b, stream_next}};
  bool ok = false;
  for (size_t n = 0; !ok; n++) {
    assert_true(n < 10000);
    a.given = b.given = 0;
    allocations_left = n;
    mig_alloc_hook = fail_later;
    ok = mig_compare_run(&compare, &out, &err);
    mig_alloc_hook = NULL;
    if (!ok) assert_int_equal(err.code, MIG_E_NO_MEMORY);
  }
  assert_true(mig_compare_identical(&out));
  clear(&a);
  clear(&b);
}

static void shuffle(stream *s) {
  for (size_t i = s->count; i > 1; i--) {
    const size_t j = (size_t)rand() % i;
    bson_t *swap = s->docs[i - 1];
    s->docs[i - 1] = s->docs[j];
    s->docs[j] = swap;
  }
}

typedef struct oracle {
  int64_t same, missing, changed, extra;
} oracle;

/* Random streams; what is true is known from how they are made. */
static oracle make(stream *a, stream *b, bool opaque, int damage) {
  oracle o = {0};
  const int n = rand() % 150;
  for (int i = 0; i < n; i++) {
    bson_t *(*doc)(int, int) = opaque ? opaque_doc : int_doc;
    const int what = rand() % 100 < damage ? rand() % 3 : 3;
    if (what != 0) add(a, doc(i, 0));
    if (what != 1) add(b, doc(i, what == 2));
    o.extra += what == 0;
    o.missing += what == 1;
    o.changed += what == 2;
    o.same += what == 3;
  }
  return o;
}

static void assert_exact(const mig_compare_result *r, const oracle *o) {
  assert_int_equal(r->same, o->same);
  assert_int_equal(r->missing, o->missing);
  assert_int_equal(r->changed, o->changed);
  assert_int_equal(r->extra, o->extra);
}

static void random_streams_agree_with_the_oracle(void **state) {
  (void)state;
  srand(20261121);
  for (int round = 0; round < 3000; round++) {
    stream a = {0}, b = {0};
    log l = {0};
    const bool opaque = rand() % 2, shuffled = rand() % 2;
    const size_t window = rand() % 2 ? 0 : (size_t)(300 + rand() % 3000);
    const oracle o = make(&a, &b, opaque, rand() % 101);
    if (shuffled) shuffle(rand() % 2 ? &a : &b);
    const mig_compare_result r = run(&a, &b, window, &l);
    if (!window || (!shuffled && !opaque))
      assert_exact(&r, &o); /* room, or a known order */
    else if (!shuffled && !r.unsettled)
      assert_exact(&r, &o); /* one order, unknown */
    if (!window || !shuffled) assert_true(!r.unsettled || window);
    /* what the archive does not have byte for byte is always told, whatever the window: it must be saved */
    for (size_t i = 0; i < b.count; i++) {
      bool has = false;
      for (size_t j = 0; j < a.count && !has; j++) has = mig_bson_same(a.docs[j], b.docs[i]);
      if (!has) assert_true(l.told[i]);
    }
    /* and a difference is never overlooked */
    if (o.missing || o.changed || o.extra) assert_false(mig_compare_identical(&r));
    clear(&a);
    clear(&b);
  }
}

static void known_orders_are_the_servers(void **state) {
  (void)state;
  const bson_t *ascending[] = {BCON_NEW("_id", BCON_NULL),
                               BCON_NEW("_id", BCON_DOUBLE(-1.5)),
                               BCON_NEW("_id", BCON_INT32(0)),
                               BCON_NEW("_id", BCON_DOUBLE(0.5)),
                               BCON_NEW("_id", BCON_INT64(1)),
                               BCON_NEW("_id", BCON_INT64(9007199254740993)),
                               BCON_NEW("_id", BCON_UTF8("")),
                               BCON_NEW("_id", BCON_UTF8("B")),
                               BCON_NEW("_id", BCON_UTF8("a")),
                               BCON_NEW("_id", BCON_UTF8("aa")),
                               BCON_NEW("_id", BCON_BIN(0, (const uint8_t *)"z", 1)),
                               BCON_NEW("_id", BCON_BIN(0, (const uint8_t *)"aa", 2)),
                               BCON_NEW("_id", BCON_BIN(4, (const uint8_t *)"aa", 2)),
                               BCON_NEW("_id", BCON_BOOL(false)),
                               BCON_NEW("_id", BCON_BOOL(true)),
                               BCON_NEW("_id", BCON_DATE_TIME(-1)),
                               BCON_NEW("_id", BCON_DATE_TIME(1))};
  const size_t n = sizeof ascending / sizeof *ascending;
  for (size_t i = 0; i < n; i++) {
    for (size_t j = 0; j < n; j++) {
      mig_doc_id a, b;
      int order = 0;
      mig_doc_id_of(ascending[i], &a);
      mig_doc_id_of(ascending[j], &b);
      if (!mig_doc_id_order(&a, &b, &order)) continue; /* not known, as a great int64 against a double */
      assert_true(i < j ? order < 0 : i > j ? order > 0 : order == 0);
    }
  }
  for (size_t i = 0; i < n; i++) bson_destroy((bson_t *)(uintptr_t)ascending[i]);
}

static void an_id_is_found_wherever_it_stands(void **state) {
  (void)state;
  bson_t *first = BCON_NEW("_id", BCON_INT32(7), "z", BCON_INT32(1));
  bson_t *last = BCON_NEW("z", BCON_INT32(1), "_id", BCON_INT32(7));
  bson_t filter = BSON_INITIALIZER;
  mig_doc_id a, b;
  mig_doc_id_of(first, &a);
  mig_doc_id_of(last, &b);
  assert_true(mig_doc_id_same(&a, &b));
  assert_true(mig_doc_id_hash(&a) == mig_doc_id_hash(&b));
  assert_true(mig_doc_id_filter(&filter, last));
  int64_t id = 0;
  assert_true(mig_bson_int(&filter, "_id.$eq", &id));
  assert_int_equal(id, 7);
  bson_destroy(&filter);
  bson_destroy(first);
  bson_destroy(last);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(two_empty_streams_are_the_same),
      cmocka_unit_test(equal_streams_have_no_difference_in_a_window_of_two),
      cmocka_unit_test(missing_changed_and_extra_are_told_apart),
      cmocka_unit_test(ids_equal_for_the_server_but_not_in_bytes_are_removed_before_they_are_inserted),
      cmocka_unit_test(nan_ids_with_other_payloads_are_other_ids),
      cmocka_unit_test(documents_without_an_id_are_never_partners),
      cmocka_unit_test(another_order_makes_no_difference_while_the_window_has_room),
      cmocka_unit_test(a_wide_gap_in_known_ids_is_settled_in_a_small_window),
      cmocka_unit_test(a_wide_gap_in_unknown_ids_says_unsettled_and_gives_every_live_document_away),
      cmocka_unit_test(an_emptied_or_a_filled_collection_needs_no_window),
      cmocka_unit_test(a_wrong_order_in_a_small_window_never_passes_for_certain),
      cmocka_unit_test(a_broken_stream_is_an_error),
      cmocka_unit_test(short_memory_is_a_clean_error_at_every_allocation),
      cmocka_unit_test(random_streams_agree_with_the_oracle),
      cmocka_unit_test(known_orders_are_the_servers),
      cmocka_unit_test(an_id_is_found_wherever_it_stands),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
