/*
 * text.h - what sanitizeStrings does to one text
 *
 *     unsigned ops[] = ...;  mig_text_sanitize(ops, count, text, size, &out, err)
 *
 * Text is UTF-8; zero bytes inside are characters like others. Blanks are what Unicode calls White_Space. lower, upper
 * and nfc need libunistring: a build without it refuses them (MIG_E_UNSUPPORTED) rather than do half of it. Errors:
 * MIG_E_FAILED for bytes that are not UTF-8. Case is changed without regard to a language, by Unicode's full mappings.
 */
#ifndef MIG_MIGRATIONS_TEXT_H
#define MIG_MIGRATIONS_TEXT_H

#include "base/mem.h"

typedef enum mig_text_op {
  MIG_TEXT_TRIM,     /* blanks at both ends go */
  MIG_TEXT_COLLAPSE, /* blanks in a row become one space */
  MIG_TEXT_LOWER,
  MIG_TEXT_UPPER,
  MIG_TEXT_STRIP_CONTROL, /* control characters (Cc) go, but tab, line feed and carriage return */
  MIG_TEXT_NFC,
  MIG_TEXT_OPS
} mig_text_op;

#define MIG_TEXT_MAX (32u << 20)

const char *mig_text_op_name(mig_text_op op); /* "trim", "stripControl" ... */
bool mig_text_op_find(const char *name, mig_text_op *out);
bool mig_text_op_available(mig_text_op op, mig_error *err);

/* The operations in their order. *out (emptied first; made with MIG_BUF(MIG_TEXT_MAX)) holds the new text. */
bool mig_text_sanitize(const mig_text_op *ops, size_t count, const char *text, size_t size, mig_buf *out,
                       mig_error *err);

/* text_unicode.c: the part that needs the library. */
bool mig_text_unicode(void);
bool mig_text_unicode_apply(mig_text_op op, const char *text, size_t size, mig_buf *out, mig_error *err);

#endif
