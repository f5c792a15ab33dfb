/* A build without libmicrohttpd: `mig serve` says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#undef MIG_HAVE_SERVER
#include "cli/cmd_serve.c"

static void serve_says_what_the_build_lacks(void **state) {
  (void)state;
  mig_error err = {0};
  assert_false(cmd_serve(NULL, &err));
  assert_int_equal(err.code, MIG_E_UNSUPPORTED);
  assert_non_null(strstr(err.why, "libmicrohttpd"));
  assert_true(err.hint[0]);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(serve_says_what_the_build_lacks)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
