/* Texts put in order, ages, and the values at a path: what steps compute here and not on the server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "migrations/age.h"
#include "migrations/steps/leaf.h"
#include "migrations/text.h"

static void is(const char *text, size_t size, mig_text_op op, const char *wanted, size_t wanted_size) {
  mig_buf out = MIG_BUF(MIG_TEXT_MAX);
  mig_error err = {0};
  if (!mig_text_sanitize(&op, 1, text, size, &out, &err)) fail_msg("%s: %s", mig_text_op_name(op), err.what);
  if (out.size != wanted_size || memcmp(mig_buf_text(&out), wanted, wanted_size) != 0)
    fail_msg("%s of \"%s\" is \"%s\"", mig_text_op_name(op), text, mig_buf_text(&out));
  mig_buf_free(&out);
}

#define IS(text, op, wanted) is(text, sizeof(text) - 1, op, wanted, sizeof(wanted) - 1)

static void blanks_are_those_of_unicode(void **state) {
  (void)state;
  IS("  a b\t\r\n", MIG_TEXT_TRIM, "a b");
  IS("\xC2\xA0\xE3\x80\x80\xE2\x80\xAF"
     "a\xE2\x80\x89",
     MIG_TEXT_TRIM, "a");
  IS("", MIG_TEXT_TRIM, "");
  IS(" \t ", MIG_TEXT_TRIM, "");
  IS("\xE2\x80\x8B"
     "a",
     MIG_TEXT_TRIM,
     "\xE2\x80\x8B"
     "a"); /* a zero width space is none */
  IS("a \t b\xC2\xA0\n c", MIG_TEXT_COLLAPSE, "a b c");
  IS(" a  ", MIG_TEXT_COLLAPSE, " a ");
}

static void control_characters_go_but_line_ends_stay(void **state) {
  (void)state;
  IS("a\x01\x1F\x7F\xC2\x80\xC2\x9F"
     "b\tc\r\nd",
     MIG_TEXT_STRIP_CONTROL, "ab\tc\r\nd");
  IS("a\0b", MIG_TEXT_STRIP_CONTROL, "ab");
  IS("\xF0\x9F\x98\x80", MIG_TEXT_STRIP_CONTROL, "\xF0\x9F\x98\x80");
}

static void zero_bytes_are_characters(void **state) {
  (void)state;
  IS(" a\0 b ", MIG_TEXT_TRIM, "a\0 b");
}

static void case_and_normal_form_follow_unicode(void **state) {
  mig_text_op ops[] = {MIG_TEXT_LOWER, MIG_TEXT_UPPER, MIG_TEXT_NFC};
  mig_error err = {0};
  (void)state;
  if (!mig_text_unicode()) {
    for (size_t i = 0; i < 3; i++) assert_false(mig_text_op_available(ops[i], &err));
    printf("skipped: this build has no libunistring\n");
    skip();
  }
  IS("\xC3\x84\xCE\xA3 \xCE\xA3", MIG_TEXT_LOWER, "\xC3\xA4\xCF\x82 \xCF\x83");
  IS("stra\xC3\x9F"
     "e",
     MIG_TEXT_UPPER, "STRASSE");
  IS("I", MIG_TEXT_LOWER, "i"); /* whatever the locale says */
  IS("e\xCC\x81", MIG_TEXT_NFC, "\xC3\xA9");
  IS("a\0B", MIG_TEXT_LOWER, "a\0b");
  IS("", MIG_TEXT_UPPER, "");
}

static void bytes_that_are_no_text_are_refused(void **state) {
  static const char *const bad[] = {"a\xFF", "\xC3", "\xE2\x82", "\xC0\x80x", "\xED\xA0\x80"};
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    mig_buf out = MIG_BUF(MIG_TEXT_MAX);
    mig_error err = {0};
    mig_text_op op = MIG_TEXT_TRIM;
    if (i == 3 || i == 4) { /* libbson lets some of these through: whatever comes, it must not be read past its end */
      (void)mig_text_sanitize(&op, 1, bad[i], strlen(bad[i]), &out, &err);
    } else {
      assert_false(mig_text_sanitize(&op, 1, bad[i], strlen(bad[i]), &out, &err));
      assert_non_null(strstr(err.what, "UTF-8"));
    }
    mig_buf_free(&out);
  }
}

static void operations_come_in_their_order(void **state) {
  const mig_text_op ops[] = {MIG_TEXT_STRIP_CONTROL, MIG_TEXT_TRIM, MIG_TEXT_COLLAPSE};
  mig_buf out = MIG_BUF(MIG_TEXT_MAX);
  mig_error err = {0};
  (void)state;
  assert_true(mig_text_sanitize(ops, 3, "\x01 a \x02 b", 7, &out, &err));
  assert_string_equal(mig_buf_text(&out), "a b");
  mig_buf_free(&out);
}

#define NOW INT64_C(1717243200000) /* 2024-06-01T12:00:00Z */

static int64_t before(const char *text) {
  bson_t doc = BSON_INITIALIZER;
  bson_iter_t it;
  int64_t at = -1;
  BSON_APPEND_UTF8(&doc, "v", text);
  assert_true(bson_iter_init_find(&it, &doc, "v"));
  if (!mig_age_before(&it, NOW, &at)) at = -1;
  bson_destroy(&doc);
  return at;
}

static void ages_count_back_by_clock_or_calendar(void **state) {
  (void)state;
  assert_int_equal(before("30 s"), NOW - 30000);
  assert_int_equal(before("15min"), NOW - 900000);
  assert_int_equal(before("12 hours"), NOW - 43200000);
  assert_int_equal(before("90 days"), NOW - INT64_C(7776000000));
  assert_int_equal(before("2w"), NOW - INT64_C(1209600000));
  assert_int_equal(before("1 month"), INT64_C(1714564800000));  /* 2024-05-01T12:00Z */
  assert_int_equal(before("3 months"), INT64_C(1709294400000)); /* 2024-03-01T12:00Z */
  assert_int_equal(before("1 year"), INT64_C(1685620800000));   /* 2023-06-01T12:00Z */
  assert_int_equal(before("2024-02-29"), INT64_C(1709164800000));
}

static void the_last_of_a_month_stays_in_the_month(void **state) {
  bson_t *doc = BCON_NEW("v", "1 month");
  bson_iter_t it;
  int64_t at = 0;
  (void)state;
  assert_true(bson_iter_init_find(&it, doc, "v"));
  assert_true(mig_age_before(&it, INT64_C(1711843200000), &at)); /* 2024-03-31 */
  assert_int_equal(at, INT64_C(1709164800000));                  /* 2024-02-29 */
  bson_destroy(doc);
}

static void what_is_no_age_is_refused(void **state) {
  static const char *const bad[] = {"",          "90",           "days",           "0 days",     "-1 day",
                                    "5 m",       "1.5 days",     "90 daysx",       "2023-02-29", "2023-13-01",
                                    "2024-1-01", "2024-01-01T0", "9999999999 days"};
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    if (before(bad[i]) != -1) fail_msg("\"%s\" is taken", bad[i]);
}

static bool note(void *arg, const char *path, const bson_iter_t *value, mig_error *err) {
  char *text = arg;
  (void)value, (void)err;
  strcat(text, path);
  strcat(text, " ");
  return true;
}

static void leaves_are_reached_through_arrays(void **state) {
  bson_error_t error;
  const char *text =
      "{\"a\": [{\"b\": 1}, 5, {\"c\": 2}, {\"b\": [1, 2]}, [{\"b\": 3}]], \"x\": {\"y\": 1}, \"n\": []}";
  bson_t *doc = bson_new_from_json((const uint8_t *)text, -1, &error);
  char seen[200] = "";
  mig_error err = {0};
  (void)state;
  assert_true(mig_leaves(doc, "a.b", note, seen, &err));
  assert_string_equal(seen, "a.0.b a.3.b.0 a.3.b.1 a.4.0.b ");
  *seen = 0;
  assert_true(mig_leaves(doc, "x.y", note, seen, &err) && mig_leaves(doc, "n", note, seen, &err) &&
              mig_leaves(doc, "x.y.z", note, seen, &err) && mig_leaves(doc, "q", note, seen, &err));
  assert_string_equal(seen, "x.y ");
  bson_destroy(doc);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(blanks_are_those_of_unicode),
      cmocka_unit_test(control_characters_go_but_line_ends_stay),
      cmocka_unit_test(zero_bytes_are_characters),
      cmocka_unit_test(case_and_normal_form_follow_unicode),
      cmocka_unit_test(bytes_that_are_no_text_are_refused),
      cmocka_unit_test(operations_come_in_their_order),
      cmocka_unit_test(ages_count_back_by_clock_or_calendar),
      cmocka_unit_test(the_last_of_a_month_stays_in_the_month),
      cmocka_unit_test(what_is_no_age_is_refused),
      cmocka_unit_test(leaves_are_reached_through_arrays),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
