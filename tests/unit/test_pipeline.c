#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* the four above must stand before cmocka.h */
#include <cmocka.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "backup/pipeline.h"

#define ITEMS 500

typedef struct item {
  int number, squared;
} item;

typedef struct line {
  int fails_at, finish_fails_at, expected;
  bool in_order;
  atomic_int inside, most, worked;
} line;

static void dawdle(int number) {
  const struct timespec t = {0, (number * 7919) % 5 * 100000};
  nanosleep(&t, NULL);
}

static bool work(void *arg, unsigned worker, void *what, mig_error *err) {
  line *l = arg;
  item *i = what;
  (void)worker;
  const int inside = atomic_fetch_add(&l->inside, 1) + 1;
  int most = atomic_load(&l->most);
  while (inside > most && !atomic_compare_exchange_weak(&l->most, &most, inside)) {
  }
  dawdle(i->number);
  i->squared = i->number * i->number;
  atomic_fetch_sub(&l->inside, 1);
  atomic_fetch_add(&l->worked, 1);
  return i->number != l->fails_at || mig_fail(err, MIG_E_FAILED, "item %d", i->number);
}

static bool finish(void *arg, void *what, mig_error *err) {
  line *l = arg;
  const item *i = what;
  if (i->number != l->expected++ || i->squared != i->number * i->number) l->in_order = false;
  return i->number != l->finish_fails_at || mig_fail(err, MIG_E_STORE, "item %d", i->number);
}

static mig_pipeline *open_line(line *l, unsigned workers, bool finishes, size_t budget) {
  mig_pipeline *p = NULL;
  mig_error err;
  const mig_pipeline_options o = {.workers = workers,
                                  .budget_bytes = budget,
                                  .item_size = sizeof(item),
                                  .work = work,
                                  .finish = finishes ? finish : NULL,
                                  .arg = l};
  assert_true(mig_pipeline_open(&o, &p, &err));
  return p;
}

/* Puts all items in, unless it fails before. */
static bool put_all(mig_pipeline *p, size_t bytes, mig_error *err) {
  void *what = NULL;
  for (int n = 0; n < ITEMS; n++) {
    if (!mig_pipeline_take(p, &what, err)) return false;
    ((item *)what)->number = n;
    mig_pipeline_put(p, what, bytes);
  }
  return mig_pipeline_drain(p, err);
}

static void items_are_finished_in_the_order_they_were_put_in(void **state) {
  (void)state;
  for (unsigned workers = 1; workers <= 4; workers++) {
    line l = {.fails_at = -1, .finish_fails_at = -1, .in_order = true};
    mig_error err = {0};
    mig_pipeline *p = open_line(&l, workers, true, 1 << 20);
    assert_true(put_all(p, 1, &err));
    mig_pipeline_free(p);
    assert_true(l.in_order);
    assert_int_equal(l.expected, ITEMS);
    assert_true(atomic_load(&l.most) <= (int)workers);
  }
}

static void the_budget_bounds_what_is_inside(void **state) {
  (void)state;
  line l = {.fails_at = -1, .finish_fails_at = -1, .in_order = true};
  mig_error err = {0};
  mig_pipeline *p = open_line(&l, 4, true, 10);
  assert_true(put_all(p, 10, &err)); /* each fills it alone */
  mig_pipeline_free(p);
  assert_int_equal(atomic_load(&l.most), 1);
  assert_int_equal(l.expected, ITEMS);
}

static void the_first_failure_in_order_is_the_one_told(void **state) {
  (void)state;
  for (int which = 0; which < 2; which++) {
    line l = {.fails_at = which ? -1 : 100, .finish_fails_at = which ? 100 : -1, .in_order = true};
    mig_error err = {0};
    void *what = NULL;
    mig_pipeline *p = open_line(&l, 3, true, 1 << 20);
    assert_false(put_all(p, 1, &err));
    assert_string_equal(err.what, "item 100");
    assert_int_equal(err.code, which ? MIG_E_STORE : MIG_E_FAILED);
    assert_int_equal(l.expected, which ? 101 : 100); /* nothing behind it was finished */
    assert_false(mig_pipeline_take(p, &what, &err));
    assert_null(what);
    assert_false(mig_pipeline_drain(p, &err));
    mig_pipeline_free(p);
  }
}

static void what_is_given_up_is_freed(void **state) {
  (void)state;
  line l = {.fails_at = -1, .finish_fails_at = -1, .in_order = true};
  mig_error err = {0};
  void *what = NULL;
  mig_pipeline *p = open_line(&l, 2, true, 1 << 20);
  for (int n = 0; n < 4; n++) {
    assert_true(mig_pipeline_take(p, &what, &err));
    ((item *)what)->number = n;
    mig_pipeline_put(p, what, 1);
  }
  mig_pipeline_free(p); /* with items waiting and items in work: the sanitizers watch */
  mig_pipeline_free(NULL);
}

static void the_caller_can_take_them_out_in_order(void **state) {
  (void)state;
  line l = {.fails_at = -1, .finish_fails_at = -1};
  mig_error err = {0};
  void *what = NULL;
  int in = 0, out = 0;
  mig_pipeline *p = open_line(&l, 2, false, 1 << 20);
  for (;;) {
    while (in < ITEMS && (what = mig_pipeline_try_take(p))) {
      ((item *)what)->number = in++;
      mig_pipeline_put(p, what, 1);
    }
    assert_true(mig_pipeline_next(p, &what, &err));
    if (!what) break;
    assert_int_equal(((item *)what)->number, out);
    assert_int_equal(((item *)what)->squared, out * out);
    out++;
    mig_pipeline_done(p, what);
  }
  assert_int_equal(out, ITEMS);
  mig_pipeline_free(p);
}

static void a_failure_comes_out_in_its_turn(void **state) {
  (void)state;
  line l = {.fails_at = 2, .finish_fails_at = -1};
  mig_error err = {0};
  void *what = NULL;
  mig_pipeline *p = open_line(&l, 3, false, 1 << 20);
  for (int n = 0; n < 5; n++) {
    assert_non_null(what = mig_pipeline_try_take(p));
    ((item *)what)->number = n;
    mig_pipeline_put(p, what, 1);
  }
  assert_null(mig_pipeline_try_take(p)); /* workers + 2 are in it */
  for (int n = 0; n < 2; n++) {
    assert_true(mig_pipeline_next(p, &what, &err));
    assert_int_equal(((item *)what)->number, n);
    mig_pipeline_done(p, what);
  }
  assert_false(mig_pipeline_next(p, &what, &err));
  assert_string_equal(err.what, "item 2");
  assert_null(mig_pipeline_try_take(p));
  mig_pipeline_free(p);
}

static bool sleep_and_fail(void *arg, unsigned worker, void *what, mig_error *err) {
  const struct timespec t = {0, 300000000};
  (void)worker;
  nanosleep(&t, NULL);
  return ((const item *)what)->number != ((const line *)arg)->fails_at || mig_fail(err, MIG_E_FAILED, "it");
}

static void a_wait_ends_with_its_time_or_when_something_comes_out(void **state) {
  (void)state;
  for (int fails = 0; fails < 2; fails++) {
    line l = {.fails_at = fails};
    mig_error err = {0};
    void *what = NULL;
    mig_pipeline *p = NULL;
    const mig_pipeline_options o = {.workers = 1, .item_size = sizeof(item), .work = sleep_and_fail, .arg = &l};
    assert_true(mig_pipeline_open(&o, &p, &err));
    assert_true(mig_pipeline_wait(p, 60000)); /* nothing is in it */
    assert_non_null(what = mig_pipeline_try_take(p));
    ((item *)what)->number = 1;
    mig_pipeline_put(p, what, 1);
    assert_false(mig_pipeline_wait(p, 1));
    assert_true(mig_pipeline_wait(p, 60000));
    assert_int_equal(mig_pipeline_next(p, &what, &err), !fails);
    if (fails) assert_true(mig_pipeline_wait(p, 60000)); /* a failure is told without waiting, too */
    mig_pipeline_free(p);
  }
}

static void jobs_are_at_least_one_and_bounded(void **state) {
  (void)state;
  assert_true(mig_jobs(0) >= 1 && mig_jobs(0) <= 4);
  assert_int_equal(mig_jobs(3), 3);
  assert_int_equal(mig_jobs(1000), MIG_JOBS_MAX);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(items_are_finished_in_the_order_they_were_put_in),
      cmocka_unit_test(the_budget_bounds_what_is_inside),
      cmocka_unit_test(the_first_failure_in_order_is_the_one_told),
      cmocka_unit_test(what_is_given_up_is_freed),
      cmocka_unit_test(the_caller_can_take_them_out_in_order),
      cmocka_unit_test(a_failure_comes_out_in_its_turn),
      cmocka_unit_test(a_wait_ends_with_its_time_or_when_something_comes_out),
      cmocka_unit_test(jobs_are_at_least_one_and_bounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
