/* Names of migration files and their order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "migrations/migration.h"
#include "migrations/order.h"

static int by_name(const void *a, const void *b) {
  return mig_name_order(*(const char *const *)a, *(const char *const *)b);
}

static void names_sort_by_number_not_by_text(void **state) {
  static const char *const sorted[] = {"0_z",
                                       "1_x",
                                       "02_x",
                                       "3_x",
                                       "9_x",
                                       "0010_y",
                                       "10_z",
                                       "99_a",
                                       "100_a",
                                       "2024-12-31T23-59-59_x",
                                       "2025-01-02T00-00-00_a",
                                       "2025-01-02T00-00-00_b",
                                       "20250122001-a",
                                       "20250122002-a",
                                       "99999999999999999999999999_x",
                                       "100000000000000000000000000_x"};
  enum { N = sizeof sorted / sizeof *sorted };
  const char *names[N];
  (void)state;
  for (size_t i = 0; i < N; i++) names[i] = sorted[(i * 7) % N];
  qsort(names, N, sizeof *names, by_name);
  for (size_t i = 0; i < N; i++) assert_string_equal(names[i], sorted[i]);
}

static void order_is_total_and_antisymmetric(void **state) {
  static const char *const names[] = {"1_x",   "01_x", "001_x", "1-x", "1_x2",
                                      "1_x10", "a",    "",      "1",   "2025-01-02T00-00-00_a"};
  (void)state;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    for (size_t j = 0; j < sizeof names / sizeof *names; j++) {
      int forward = mig_name_order(names[i], names[j]), back = mig_name_order(names[j], names[i]);
      assert_true((forward == 0) == (i == j));
      assert_true((forward < 0) == (back > 0));
    }
  }
  assert_int_equal(mig_order_compare("0001", "1"), 0);
  assert_int_equal(mig_order_compare("0", "000"), 0);
  assert_true(mig_order_compare("1", "2") < 0);
}

static void good_names_are_split(void **state) {
  static const struct {
    const char *path, *order, *name;
  } good[] = {
      {"migrations/0001_users.json", "0001", "0001_users"},
      {"20250122001-name.json", "20250122001", "20250122001-name"},
      {"/x/2025-01-22T10-30-00_add.v2.json", "2025-01-22T10-30-00", "2025-01-22T10-30-00_add.v2"},
      {"1-a.json", "1", "1-a"},
      {"2025-a.json", "2025", "2025-a"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    char *order = NULL, *name = NULL;
    mig_error err = {0};
    if (!mig_name_split(good[i].path, &order, &name, &err)) fail_msg("%s: %s", err.what, err.why);
    assert_string_equal(order, good[i].order);
    assert_string_equal(name, good[i].name);
    mig_free(order);
    mig_free(name);
  }
}

static void bad_names_are_refused_and_named(void **state) {
  static const struct {
    const char *path, *why;
  } bad[] = {
      {"m/users.json", "it does not begin with a number or a time"},
      {"m/0001.json", "behind the number comes \"_\" or \"-\""},
      {"m/0001_.json", "there is no name behind the number"},
      {"m/0001x_y.json", "behind the number comes \"_\" or \"-\""},
      {"m/0001_a b.json", "a name is of letters, digits, \"_\", \"-\" and \".\""},
      {"m/0001_\xC3\xA9.json", "a name is of letters, digits, \"_\", \"-\" and \".\""},
      {"m/2025-01-22_x.json", "it begins with a date, but not with a date and time that exist"},
      {"m/2025-13-22T10-30-00_x.json", "it begins with a date, but not with a date and time that exist"},
      {"m/2025-01-22T25-30-00_x.json", "it begins with a date, but not with a date and time that exist"},
      {"m/0001_x.txt", "it does not end in .json, .c or .so"},
      {"m/.json", "it does not end in .json, .c or .so"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    char *order = NULL, *name = NULL;
    mig_error err = {0};
    assert_false(mig_name_split(bad[i].path, &order, &name, &err));
    assert_null(order);
    assert_null(name);
    assert_int_equal(err.code, MIG_E_INPUT);
    assert_string_equal(err.why, bad[i].why);
    assert_non_null(strstr(err.what, bad[i].path));
  }
}

static void a_very_long_name_is_refused(void **state) {
  char path[400] = "1_", *order = NULL, *name = NULL;
  (void)state;
  memset(path + 2, 'a', 300);
  strcpy(path + 302, ".json");
  assert_false(mig_name_split(path, &order, &name, NULL));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names_sort_by_number_not_by_text),
      cmocka_unit_test(order_is_total_and_antisymmetric),
      cmocka_unit_test(good_names_are_split),
      cmocka_unit_test(bad_names_are_refused_and_named),
      cmocka_unit_test(a_very_long_name_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
