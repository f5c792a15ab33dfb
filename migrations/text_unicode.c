/* Case and normalization: a table of their own would age; libunistring's is kept. */
#include "migrations/text.h"

#ifdef MIG_UNISTRING

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <unicase.h>
#include <uninorm.h>

bool mig_text_unicode(void) {
  return true;
}

bool mig_text_unicode_apply(mig_text_op op, const char *text, size_t size, mig_buf *out, mig_error *err) {
  const uint8_t *in = (const uint8_t *)text;
  size_t length = 0;
  uint8_t *made = op == MIG_TEXT_LOWER   ? u8_tolower(in, size, NULL, NULL, NULL, &length)
                  : op == MIG_TEXT_UPPER ? u8_toupper(in, size, NULL, NULL, NULL, &length)
                                         : u8_normalize(UNINORM_NFC, in, size, NULL, &length);
  if (!made && size) {
    bool memory = errno == ENOMEM;
    return memory ? mig_no_memory(err, "text") : mig_fail(err, MIG_E_FAILED, "a text is not valid UTF-8");
  }
  bool ok = mig_buf_add(out, made, length, err);
  free(made);
  return ok;
}

#else

bool mig_text_unicode(void) {
  return false;
}

bool mig_text_unicode_apply(mig_text_op op, const char *text, size_t size, mig_buf *out, mig_error *err) {
  (void)text, (void)size, (void)out;
  mig_fail(err, MIG_E_UNSUPPORTED, "this build of mig cannot do \"%s\"", mig_text_op_name(op));
  mig_why(err, "it was built without libunistring, which knows the characters of Unicode");
  return mig_hint(err, "install libunistring-dev and build mig again, or leave \"%s\" out", mig_text_op_name(op));
}

#endif
