/*
 * bsonx.h - small, safe ways to read and build BSON; documents come from servers, files and archives: all untrusted
 *
 * Paths are dotted ("run.fence"). Getters return false, and leave *out alone, when the path is missing or of
 * another type: a getter never converts, except that numbers of the three integer-like types read as int64.
 * Borrowed results live as long as the document they point into.
 */
#ifndef MIG_BASE_BSONX_H
#define MIG_BASE_BSONX_H

#include <bson/bson.h>

#include "base/mem.h"

/* libbson 2.3 gave this a new name and deprecated the old one, the only one that 1.x has; both do the same. */
#ifdef BSON_APPEND_ARRAY_UNSAFE_BEGIN
#undef BSON_APPEND_ARRAY_BEGIN
#define BSON_APPEND_ARRAY_BEGIN BSON_APPEND_ARRAY_UNSAFE_BEGIN
#endif

bool mig_bson_find(const bson_t *doc, const char *path, bson_iter_t *out);
bool mig_bson_str(const bson_t *doc, const char *path, const char **out);
bool mig_bson_int(const bson_t *doc, const char *path,
                  int64_t *out); /* int32, int64, or a double with an exact integer value */
bool mig_bson_bool(const bson_t *doc, const char *path, bool *out);
bool mig_bson_date(const bson_t *doc, const char *path, int64_t *unix_ms);
/* A view (bson_init_static: not to be destroyed) of an embedded document or array. */
bool mig_bson_doc(const bson_t *doc, const char *path, bson_t *view);
bool mig_bson_arr(const bson_t *doc, const char *path, bson_t *view);
bool mig_bson_iter_doc(const bson_iter_t *it, bson_t *view); /* document or array under the iterator */

bool mig_bson_same(const bson_t *a, const bson_t *b);    /* byte for byte */
bool mig_bson_same_id(const bson_t *a, const bson_t *b); /* their _id, byte for byte; false when one has none */
/* A document with the fields of `doc` except the top-level keys named (NULL-terminated list). New; free with
 * bson_destroy. */
bson_t *mig_bson_without(const bson_t *doc, const char *const *keys);
/* Relaxed Extended JSON of a document, or of an array document; free with mig_free. */
char *mig_bson_json(const bson_t *doc);
/* Canonical: every type shows. NULL also for what JSON cannot carry (text that is not UTF-8). Free with mig_free. */
char *mig_bson_canonical_json(const bson_t *doc);
char *mig_bson_array_json(const bson_t *array);
/* The value under `it` as shortened JSON ("ObjectId" and so on included), at most max characters; free with mig_free.
 */
char *mig_bson_value_json(const bson_iter_t *it, size_t max);
/* Appends what the array at `path` of doc holds, if it is one, to the array `list`. */
void mig_bson_append_all(bson_t *list, const bson_t *doc, const char *path);
/* Where the first `parts` parts of a path with dots end; NULL when it has fewer. */
const char *mig_bson_path_end(const char *path, int parts);
void mig_bson_append_text(bson_t *doc, const char *key, const char *text); /* null where there is none */
/* Structure check of bytes from outside: lengths, terminators, UTF-8 is NOT required, depth <= 200. */
bool mig_bson_valid(const uint8_t *data, size_t size);
/* A random (version 4) UUID in text. */
#define MIG_UUID_TEXT 37
bool mig_uuid(char text[static MIG_UUID_TEXT], mig_error *err);

#endif
