/*
 * json_out.h - the two things that JSON text needs and printf has not: strings and base64
 *
 * Strings: ", \ and control characters are escaped (\u00xx), bytes that are not UTF-8 become U+FFFD. The result for
 * a given text never changes from version to version: the manifest's text is canonical.
 */
#ifndef MIG_BACKUP_JSON_OUT_H
#define MIG_BACKUP_JSON_OUT_H

#include <bson/bson.h>

#include "base/mem.h"

bool mig_json_string(mig_buf *out, const char *text, size_t size, mig_error *err); /* with the quotes */
bool mig_json_text(mig_buf *out, const char *text, mig_error *err);                /* NULL: null */
bool mig_json_base64(mig_buf *out, const void *data, size_t size, mig_error *err); /* with the quotes */
bool mig_json_bson(mig_buf *out, const bson_t *doc, mig_error *err);               /* base64 of its bytes */

/* Decodes base64; what is not valid BSON is refused. Free with bson_destroy. */
bool mig_json_unbson(const char *base64, bson_t **out, mig_error *err);

#endif
