/* Messages of a module's process: whatever bytes come, a whole message, none yet, or an error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "migrations/module/wire.h"

static void messages_come_out_one_by_one_however_they_are_cut(void **state) {
  mig_buf in = MIG_BUF(MIG_WIRE_MAX);
  mig_error err = {0};
  bson_t *a = BCON_NEW("op", "log", "text", "hello"), *b = BCON_NEW("op", "end"), *got = NULL;
  int messages = 0;
  (void)state;
  mig_buf both = MIG_BUF(1000);
  assert_true(mig_buf_add(&both, bson_get_data(a), a->len, &err) && mig_buf_add(&both, bson_get_data(b), b->len, &err));
  for (size_t i = 0; i < both.size; i++) {
    assert_true(mig_buf_add(&in, both.data + i, 1, &err));
    assert_true(mig_wire_take(&in, &got, &err));
    if (!got) continue;
    assert_true(mig_bson_same(got, messages ? b : a));
    bson_destroy(got);
    messages++;
  }
  assert_int_equal(messages, 2);
  assert_int_equal(in.size, 0);
  mig_buf_free(&in);
  mig_buf_free(&both);
  bson_destroy(a);
  bson_destroy(b);
}

static void nonsense_is_an_error(void **state) {
  static const struct {
    const char *bytes;
    size_t size;
  } bad[] = {{"\0\0\0\0", 4},         {"\4\0\0\0", 4},           {"\377\377\377\377", 4},
             {"\1\0\0\4", 4},         {"\6\0\0\0\2\0", 6},       {"\5\0\0\0\1", 5},
             {"\10\0\0\0\2a\0\0", 8}, {"\10\0\0\0\120a\0\0", 8}, {"\14\0\0\0\3a\0\377\0\0\0\0", 12}};
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    mig_buf in = MIG_BUF(1000);
    mig_error err = {0};
    bson_t *got = NULL;
    assert_true(mig_buf_add(&in, bad[i].bytes, bad[i].size, &err));
    if (mig_wire_take(&in, &got, &err)) fail_msg("row %zu was taken for a message", i);
    assert_null(got);
    assert_non_null(strstr(err.what, "makes no sense"));
    mig_buf_free(&in);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(messages_come_out_one_by_one_however_they_are_cut),
                                     cmocka_unit_test(nonsense_is_an_error)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
