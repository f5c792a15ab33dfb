/* A build without libunistring: its half of text_unicode.c, compiled here, takes the place of the library's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#undef MIG_UNISTRING
#include "migrations/text_unicode.c" /* on purpose: the other branch of it */

static void what_needs_unicode_is_refused_with_what_to_do(void **state) {
  static const mig_text_op needs[] = {MIG_TEXT_LOWER, MIG_TEXT_UPPER, MIG_TEXT_NFC};
  (void)state;
  for (size_t i = 0; i < 3; i++) {
    mig_buf out = MIG_BUF(100);
    mig_error err = {0};
    assert_false(mig_text_op_available(needs[i], &err));
    assert_int_equal(err.code, MIG_E_UNSUPPORTED);
    assert_non_null(strstr(err.what, mig_text_op_name(needs[i])));
    assert_non_null(strstr(err.hint, "libunistring-dev"));
    assert_false(mig_text_sanitize(&needs[i], 1, "abc", 3, &out, &err));
    mig_buf_free(&out);
  }
}

static void the_others_work_as_ever(void **state) {
  const mig_text_op op = MIG_TEXT_TRIM;
  mig_buf out = MIG_BUF(100);
  mig_error err = {0};
  (void)state;
  assert_true(mig_text_op_available(op, &err) && mig_text_sanitize(&op, 1, " a ", 3, &out, &err));
  assert_string_equal(mig_buf_text(&out), "a");
  mig_buf_free(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_needs_unicode_is_refused_with_what_to_do),
      cmocka_unit_test(the_others_work_as_ever),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
