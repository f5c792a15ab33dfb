/* The rules of retention.h, on times alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "backup/retention.h"

/* "20260301T0915" and so on, as milliseconds. */
static int64_t at(const char *text) {
  struct tm t = {0};
  assert_int_equal(sscanf(text, "%4d%2d%2dT%2d%2d", &t.tm_year, &t.tm_mon, &t.tm_mday, &t.tm_hour, &t.tm_min), 5);
  t.tm_year -= 1900;
  t.tm_mon -= 1;
  return (int64_t)timegm(&t) * 1000;
}

/* Judges the times (oldest first, NULL-terminated) and insists on the pattern: '.' removed, anything else kept. */
static void judged(const mig_keep *rules, const char *const *times, const char *pattern) {
  int64_t taken[64];
  unsigned kept[64];
  char found[65];
  size_t n = 0;
  for (; times[n]; n++) taken[n] = at(times[n]);
  mig_keep_judge(rules, taken, n, kept);
  for (size_t i = 0; i < n; i++) found[i] = kept[i] ? 'k' : '.';
  found[n] = 0;
  assert_string_equal(found, pattern);
}

static void last_keeps_the_newest(void **state) {
  (void)state;
  static const char *const times[] = {"20260101T0000", "20260101T0000", "20260102T0000", "20260102T0001", NULL};
  judged(&(mig_keep){.last = 1}, times, "...k");
  judged(&(mig_keep){.last = 3}, times, ".kkk");
  judged(&(mig_keep){.last = 9}, times, "kkkk");
}

static void daily_keeps_the_newest_of_each_day_that_has_one(void **state) {
  (void)state;
  static const char *const times[] = {
      "20260101T0100", "20260103T0000", "20260103T2359", "20260110T0000", "20260110T0001", "20260110T0002", NULL};
  judged(&(mig_keep){.daily = 1}, times, ".....k");
  judged(&(mig_keep){.daily = 2}, times, "..k..k"); /* days without any do not count */
  judged(&(mig_keep){.daily = 3}, times, "k.k..k");
}

static void the_oldest_fills_a_place_that_is_left(void **state) {
  (void)state;
  static const char *const times[] = {"20260110T0000", "20260110T0001", "20260110T0002", NULL};
  judged(&(mig_keep){.daily = 1}, times, "..k");
  judged(&(mig_keep){.daily = 2}, times, "k.k");
}

static void weeks_begin_on_monday_also_across_a_year(void **state) {
  (void)state;
  /* 2025-12-29 is the Monday of the week that holds 1 January 2026, a Thursday */
  static const char *const times[] = {"20251221T0000", "20251228T2359", "20251229T0000",
                                      "20260104T2359", "20260105T0000", NULL};
  judged(&(mig_keep){.weekly = 2}, times, "...kk");
  judged(&(mig_keep){.weekly = 3}, times, ".k.kk");
}

static void monthly_keeps_the_newest_of_each_month(void **state) {
  (void)state;
  static const char *const times[] = {"20250131T0000", "20250201T0000", "20260131T2359",
                                      "20260201T0000", "20260228T0000", NULL};
  judged(&(mig_keep){.monthly = 2}, times, "..k.k");
  judged(&(mig_keep){.monthly = 3}, times, ".kk.k");
}

static void within_counts_back_from_the_newest(void **state) {
  (void)state;
  static const char *const times[] = {"20240228T0000", "20240229T0000", "20240301T0001", "20240331T0000", NULL};
  judged(&(mig_keep){.within = {.hours = 1}}, times, "...k");
  judged(&(mig_keep){.within = {.days = 31}}, times, "..kk"); /* exactly that old is too old */
  judged(&(mig_keep){.within = {.days = 32}}, times, ".kkk");
  judged(&(mig_keep){.within = {.months = 1}}, times, "...k"); /* 31 February is 2 March */
  judged(&(mig_keep){.within = {.years = 1}}, times, "kkkk");
}

static void what_one_rule_keeps_is_kept(void **state) {
  (void)state;
  static const char *const times[] = {"20260101T0000", "20260201T0000", "20260301T0000", "20260301T0001", NULL};
  judged(&(mig_keep){.last = 1, .monthly = 2}, times, ".k.k");
  judged(&(mig_keep){.last = 2, .monthly = 2}, times, ".kkk");
  judged(&(mig_keep){0}, times, "....");
  int64_t taken[2] = {0, 1};
  unsigned kept[2];
  char text[MIG_KEEP_TEXT];
  mig_keep_judge(&(mig_keep){.last = 1, .daily = 1, .weekly = 1, .monthly = 1, .within = {.days = 1}}, taken, 2, kept);
  mig_keep_text(kept[1], text);
  assert_string_equal(text, "last, daily, weekly, monthly, within");
  mig_keep_text(kept[0], text);
  assert_string_equal(text, "within");
  mig_keep_judge(&(mig_keep){.last = 1}, NULL, 0, NULL); /* nothing to judge */
}

/* Against the rules said once more, slowly: for every rule and number, on random times. */
static void judges_as_the_rules_said_slowly(void **state) {
  (void)state;
  srand(7);
  for (int round = 0; round < 500; round++) {
    const size_t n = (size_t)rand() % 30 + 1;
    const int64_t places = rand() % 8 + 1;
    int64_t taken[30], seen[30], t = 1700000000000 + rand();
    unsigned kept[30];
    size_t days = 0;
    for (size_t i = 0; i < n; i++) taken[i] = t += rand() % 90000000;
    mig_keep_judge(&(mig_keep){.daily = places}, taken, n, kept);
    for (size_t i = n; i-- > 0;) {
      const int64_t day = taken[i] / 86400000;
      bool known = false;
      for (size_t k = 0; k < days; k++) known = known || seen[k] == day;
      bool keep = (!known || i == 0) && (int64_t)days < places;
      if (keep) seen[days++] = day;
      assert_int_equal(kept[i] != 0, keep);
    }
  }
}

static void spans_are_read_as_written_or_refused(void **state) {
  (void)state;
  static const char *const bad[] = {"",    "d",    "1",      "1x",  "1d1d", "1d1y", "-1d",
                                    "1 d", "1.5d", "99999d", "1h1", "ymdh", NULL};
  mig_keep_span s;
  assert_true(mig_keep_span_parse("2y5m7d3h", &s));
  assert_true(s.years == 2 && s.months == 5 && s.days == 7 && s.hours == 3);
  assert_true(mig_keep_span_parse("1y12h", &s) && s.years == 1 && s.months == 0 && s.hours == 12);
  assert_true(mig_keep_span_parse("9999d", &s) && s.days == 9999);
  for (const char *const *b = bad; *b; b++) {
    if (mig_keep_span_parse(*b, &s)) fail_msg("\"%s\" was taken", *b);
  }
  assert_false(mig_keep_any(&(mig_keep){0}));
  assert_true(mig_keep_any(&(mig_keep){.within = {.hours = 1}}));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(last_keeps_the_newest),
      cmocka_unit_test(daily_keeps_the_newest_of_each_day_that_has_one),
      cmocka_unit_test(the_oldest_fills_a_place_that_is_left),
      cmocka_unit_test(weeks_begin_on_monday_also_across_a_year),
      cmocka_unit_test(monthly_keeps_the_newest_of_each_month),
      cmocka_unit_test(within_counts_back_from_the_newest),
      cmocka_unit_test(what_one_rule_keeps_is_kept),
      cmocka_unit_test(judges_as_the_rules_said_slowly),
      cmocka_unit_test(spans_are_read_as_written_or_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
