/*
 * archive_fixture.h - a small snapshot with every kind of value, made without a server; for the archive tests and for
 * tests/golden/make_golden.c, which writes the same one with a fixed id and time
 */
#ifndef MIG_TESTS_ARCHIVE_FIXTURE_H
#define MIG_TESTS_ARCHIVE_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup/archive_read.h"
#include "backup/archive_write.h"

#define FIXTURE_TIME_MS   1795245300000 /* 2026-11-21T07:15:00Z */
#define FIXTURE_DOCUMENTS 9u

#define skip_because(what)                                                                                             \
  do {                                                                                                                 \
    printf("skipped: %s\n", what);                                                                                     \
    skip();                                                                                                            \
  } while (0)
/* Values that JSON or a careless copy would change. Made as bytes where libbson refuses to write them. */
static inline bson_t *fixture_document(unsigned n) {
  static const uint8_t not_utf8_id[] = {0x12, 0, 0, 0, 2, '_', 'i', 'd', 0, 4, 0, 0, 0, 0xC3, 0x28, 0xFF, 0, 0};
  static const uint8_t twice[] = {0x20, 0, 0, 0, 0x10, '_', 'i', 'd', 0, 2, 0, 0, 0, 0x10, 'a', 0,
                                  1,    0, 0, 0, 0x12, 'a', 0,   1,   0, 0, 0, 0, 0, 0,    0,   0};
  /* NaN with a payload, and -0.0 */
  static const uint8_t doubles[] = {0x24, 0, 0, 0, 0x10, '_',  'i', 'd', 0, 3, 0, 0, 0, 1, 'n', 0, 1,    0,
                                    0,    0, 0, 0, 0xF8, 0x7F, 1,   'z', 0, 0, 0, 0, 0, 0, 0,   0, 0x80, 0};
  if (n == 6) return bson_new_from_data(twice, sizeof twice);
  if (n == 7) return bson_new_from_data(doubles, sizeof doubles);
  if (n == 8) return bson_new_from_data(not_utf8_id, sizeof not_utf8_id);
  bson_t *d = bson_new(), inner;
  bson_oid_t oid;
  bson_decimal128_t decimal;
  bson_oid_init_from_string(&oid, "65f0c0ffee65f0c0ffee0001");
  bson_decimal128_from_string("-1.10E+3", &decimal);
  switch (n) {
  case 0:
    BSON_APPEND_OID(d, "_id", &oid);
    break;
  case 1:
    bson_append_utf8(d, "_id", 3, "nul\0inside", 10);
    break;
  case 2:
    BSON_APPEND_BINARY(d, "_id", BSON_SUBTYPE_UUID, (const uint8_t *)"0123456789abcdef", 16);
    break;
  case 3:
    BSON_APPEND_INT64(d, "_id", 5000000000);
    break;
  case 4:
    BSON_APPEND_DOCUMENT_BEGIN(d, "_id", &inner);
    BSON_APPEND_MINKEY(&inner, "a");
    BSON_APPEND_MAXKEY(&inner, "b");
    bson_append_document_end(d, &inner);
    break;
  default:
    break; /* without _id */
  }
  BSON_APPEND_INT32(d, "int32", 1);
  BSON_APPEND_INT64(d, "int64", 1);
  BSON_APPEND_DOUBLE(d, "double", 1.0);
  BSON_APPEND_DECIMAL128(d, "decimal", &decimal);
  BSON_APPEND_UTF8(d, "", "empty key, and \"quotes\" \\ \n \xE2\x82\xAC");
  BSON_APPEND_DATE_TIME(d, "far", 253402300800000); /* the year 10000 */
  BSON_APPEND_TIMESTAMP(d, "timestamp", 4294967295u, 7);
  BSON_APPEND_REGEX(d, "regex", "^a.*", "imx");
  BSON_APPEND_UNDEFINED(d, "undefined");
  BSON_APPEND_SYMBOL(d, "symbol", "s");
  BSON_APPEND_CODE(d, "code", "return 1");
  bson_init(&inner);
  BSON_APPEND_INT32(&inner, "$oid", 1); /* looks like Extended JSON and is none */
  BSON_APPEND_CODE_WITH_SCOPE(d, "scope", "f()", &inner);
  BSON_APPEND_DOCUMENT(d, "trap", &inner);
  bson_destroy(&inner);
  BSON_APPEND_DBPOINTER(d, "pointer", "db.c", &oid);
  BSON_APPEND_NULL(d, "null");
  BSON_APPEND_BOOL(d, "bool", true);
  return d;
}

static inline bson_t *fixture_info(const char *name, const char *type, bool capped) {
  bson_t *info = bson_new(), inner, rule;
  BSON_APPEND_UTF8(info, "name", name);
  BSON_APPEND_UTF8(info, "type", type);
  BSON_APPEND_DOCUMENT_BEGIN(info, "options", &inner);
  if (capped) {
    BSON_APPEND_BOOL(&inner, "capped", true);
    BSON_APPEND_INT64(&inner, "size", 4096);
  }
  BSON_APPEND_DOCUMENT_BEGIN(&inner, "validator", &rule);
  BSON_APPEND_DOUBLE(&rule, "age", -0.0);
  BSON_APPEND_REGEX(&rule, "mail", "@", "");
  bson_append_document_end(&inner, &rule);
  bson_append_document_end(info, &inner);
  BSON_APPEND_DOCUMENT_BEGIN(info, "info", &inner);
  BSON_APPEND_BOOL(&inner, "readOnly", false);
  BSON_APPEND_BINARY(&inner, "uuid", BSON_SUBTYPE_UUID,
                     (const uint8_t *)"\x01\x02\x03\x04\x05\x06\x47\x08\x89\x0A\x0B\x0C\x0D\x0E\x0F\x10", 16);
  bson_append_document_end(info, &inner);
  return info;
}

static inline void fixture_index(bson_t *array, const char *at, const char *field, const char *name, bool by_double) {
  bson_t spec, key;
  BSON_APPEND_DOCUMENT_BEGIN(array, at, &spec);
  BSON_APPEND_INT32(&spec, "v", 2);
  BSON_APPEND_DOCUMENT_BEGIN(&spec, "key", &key);
  if (by_double)
    bson_append_double(&key, field, -1, 1.0);
  else
    bson_append_int32(&key, field, -1, 1);
  bson_append_document_end(&spec, &key);
  BSON_APPEND_UTF8(&spec, "name", name);
  bson_append_document_end(array, &spec);
}

static inline bson_t *fixture_indexes(void) {
  bson_t *array = bson_new();
  fixture_index(array, "0", "_id", "_id_", false);
  fixture_index(array, "1", "int32", "int32_1", true);
  return array;
}

static inline mig_manifest *fixture_manifest(const char *id) {
  mig_manifest *m = mig_alloc(sizeof *m);
  m->id = mig_strdup(id);
  m->tool = mig_strdup("mig 0.1.0");
  m->reason = mig_strdup("before up of 0001_x");
  m->database = mig_strdup("app");
  m->migration = mig_strdup("0001_x");
  m->direction = mig_strdup("up");
  m->created_unix_ms = FIXTURE_TIME_MS;
  m->server_version = mig_strdup("5.0.7");
  m->server_product = mig_strdup("MongoDB");
  m->topology = mig_strdup("replica set rs0");
  m->consistency = mig_strdup("clusterTime");
  m->cluster_seconds = 1795245299;
  m->cluster_increment = 3;
  return m;
}

static inline bool fixture_collection(mig_archive_writer *w, const char *name, mig_holds holds, const char *type,
                                      bool capped, unsigned first, unsigned end, mig_error *err) {
  bson_t *info = holds == MIG_HOLDS_ABSENT ? NULL : fixture_info(name, type, capped);
  bson_t *indexes = holds == MIG_HOLDS_ABSENT ? NULL : fixture_indexes();
  bool ok = mig_archive_collection(w, name, holds, info, indexes, err);
  for (unsigned n = first; ok && n < end; n++) {
    bson_t *doc = fixture_document(n);
    ok = mig_archive_document(w, bson_get_data(doc), doc->len, err);
    bson_destroy(doc);
  }
  if (info) bson_destroy(info);
  if (indexes) bson_destroy(indexes);
  return ok && mig_archive_collection_end(w, err);
}

/* chunk_bytes 700: two documents or so a chunk. */
static inline bool fixture_archive(mig_store *store, const char *id, uint32_t chunk_bytes, char **path,
                                   mig_error *err) {
  mig_archive_writer *w = NULL;
  mig_archive_options options = {.chunk_bytes = chunk_bytes};
  char sum[MIG_SHA256_HEX];
  uint64_t bytes = 0;
  *path = NULL;
  bool ok = mig_archive_begin(store, fixture_manifest(id), &options, &w, err) &&
            fixture_collection(w, "every type", MIG_HOLDS_DOCUMENTS, "collection", false, 0, FIXTURE_DOCUMENTS, err) &&
            fixture_collection(w, "gone", MIG_HOLDS_ABSENT, NULL, false, 0, 0, err) &&
            fixture_collection(w, "a.view", MIG_HOLDS_METADATA, "view", false, 0, 0, err) &&
            fixture_collection(w, "empty", MIG_HOLDS_DOCUMENTS, "collection", false, 0, 0, err) &&
            fixture_collection(w, "capped", MIG_HOLDS_DOCUMENTS, "collection", true, 3, 5, err) &&
            mig_archive_finish(w, path, sum, &bytes, err);
  mig_archive_writer_free(w);
  return ok;
}

static inline void fixture_print(const mig_error *err) {
  fprintf(stderr, "%s\n  %s\n  %s\n", err->what, err->why, err->hint);
}

#endif
