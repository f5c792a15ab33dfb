/*
 * json_source.h - the text of a JSON file (a migration, metadata of a dump), parsed, and where in it each part stands
 *
 *     mig_source_parse("migrations/0001_x.json", &text, &src, err)  -->  src->doc  -->  mig_source_free(src)
 *     on an error found later:  return mig_source_blame(src, err);   // "file:line:column: " in front, by
 * err->json_path
 *
 * Extended JSON v2, with comments. Refused, with the place: a byte order mark, zero bytes, text that is not UTF-8,
 * equal keys in one object, nesting deeper than 90, anything behind the object, and Extended JSON that libbson would
 * misread. Query operators ($type, $regex, $options) stay operators.
 * Units: lines and columns count from 1; a column is a character (a tab is one).
 */
#ifndef MIG_BASE_JSON_SOURCE_H
#define MIG_BASE_JSON_SOURCE_H

#include "base/bsonx.h"

typedef struct mig_place {
  size_t line, column;
} mig_place;

typedef struct mig_source {
  char *path;
  mig_buf text; /* rewritten by json_scan.h, every byte at its old offset */
  bson_t *doc;
} mig_source;

/* Takes over *text in any case (it is empty afterwards). */
bool mig_source_parse(const char *path, mig_buf *text, mig_source **out, mig_error *err);
void mig_source_free(mig_source *s);

/* Where a path such as "up.0.addField.value" stands: its key, or the element of a list; the nearest part there is. */
mig_place mig_source_find(const mig_source *s, const char *json_path);
/* Where each element of the list under a top-level key stands: the first key inside it. places has room for count. */
void mig_source_items(const mig_source *s, const char *key, size_t count, mig_place *places);
/* Puts "path:line:column: " in front of err->what; always false. */
bool mig_source_blame(const mig_source *s, mig_error *err);

#endif
