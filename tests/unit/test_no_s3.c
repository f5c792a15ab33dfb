/* What a build without libcurl says: linked with backup/no_s3 in the place of backup/s3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* the four above must stand before cmocka.h */
#include <cmocka.h>
#include <string.h>

#include "backup/blob.h"
#include "backup/store.h"

static void a_build_without_libcurl_refuses_s3_and_says_what_to_do(void **state) {
  mig_store *s = NULL;
  mig_blob *b = NULL;
  mig_error err = {0};
  (void)state;
  assert_false(mig_store_open("s3://bucket/prefix", true, &s, &err));
  assert_int_equal(err.code, MIG_E_UNSUPPORTED);
  assert_non_null(strstr(err.why, "libcurl"));
  assert_non_null(strstr(err.hint, "--store"));
  assert_false(mig_blob_open("s3://bucket/x.mig.tar", &b, &err));
  assert_int_equal(err.code, MIG_E_UNSUPPORTED);
  assert_true(!s && !b);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_build_without_libcurl_refuses_s3_and_says_what_to_do)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
