#include "backup/dump_meta.h"

#include <string.h>

#include "backup/json_out.h"
#include "backup/manifest_internal.h"
#include "backup/spec.h"
#include "base/json_source.h"

static bool put(mig_buf *b, const char *before, const bson_t *doc, const mig_collection_entry *c, mig_error *err) {
  char *json = mig_bson_canonical_json(doc);
  bool ok = json != NULL;
  if (!ok) {
    mig_fail(err, MIG_E_UNSUPPORTED, "the options or indexes of %s cannot be written as JSON", c->name);
    mig_why(err, "they hold text that is not UTF-8");
  }
  ok = ok && mig_buf_printf(b, err, "%s", before) && mig_buf_add(b, json, strlen(json), err);
  mig_free(json);
  return ok;
}

static bool put_uuid(mig_buf *b, const bson_t *info, mig_error *err) {
  bson_iter_t it;
  bson_subtype_t subtype = BSON_SUBTYPE_BINARY;
  uint32_t size = 0;
  const uint8_t *u = NULL;
  if (mig_bson_find(info, "info.uuid", &it) && BSON_ITER_HOLDS_BINARY(&it)) bson_iter_binary(&it, &subtype, &size, &u);
  if (size != 16) return true;
  bool ok = mig_buf_printf(b, err, ",\"uuid\":\"");
  for (uint32_t i = 0; ok && i < size; i++) ok = mig_buf_printf(b, err, "%02x", u[i]);
  return ok && mig_buf_printf(b, err, "\"");
}

bool mig_dump_meta_write(const mig_collection_entry *c, mig_buf *b, mig_error *err) {
  bson_t options, spec;
  bson_iter_t it;
  const char *separator = "";
  mig_options_of(c->info, &options);
  bool ok = put(b, "{\"options\":", &options, c, err) && mig_buf_printf(b, err, ",\"indexes\":[");
  if (ok && c->indexes && bson_iter_init(&it, c->indexes)) {
    for (; ok && bson_iter_next(&it); separator = ",")
      ok = mig_bson_iter_doc(&it, &spec) ? put(b, separator, &spec, c, err)
                                         : mig_fail(err, MIG_E_ARCHIVE, "%s: an index is no document", c->name);
  }
  return ok && mig_buf_printf(b, err, "]") && put_uuid(b, c->info, err) &&
         mig_buf_printf(b, err, ",\"collectionName\":") && mig_json_text(b, c->name, err) &&
         mig_buf_printf(b, err, ",\"type\":") && mig_json_text(b, c->type, err) &&
         (c->holds != MIG_HOLDS_METADATA || strcmp(c->type, "view") == 0 ||
          mig_buf_printf(b, err, ",\"holds\":\"metadata\"")) &&
         mig_buf_printf(b, err, "}\n");
}

void mig_dump_meta_clear(mig_dump_meta *m) {
  if (m->info) bson_destroy(m->info);
  if (m->indexes) bson_destroy(m->indexes);
  mig_free(m->collection);
  mig_free(m->type);
  *m = (mig_dump_meta){0};
}

static bool bad(const mig_source *s, const char *key, const char *what, mig_error *err) {
  mig_fail(err, MIG_E_INPUT, "\"%s\" %s", key, what);
  mig_at_path(err, key, "");
  return mig_source_blame(s, err);
}

/* 32 hex digits as mongodump writes them. */
static bool append_uuid(bson_t *info, const char *text) {
  uint8_t bytes[16];
  if (strlen(text) != 32 || strspn(text, "0123456789abcdefABCDEF") != 32) return false;
  for (size_t i = 0; i < 16; i++) {
    const char pair[3] = {text[2 * i], text[2 * i + 1], 0};
    bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
  }
  return BSON_APPEND_BINARY(info, "uuid", BSON_SUBTYPE_UUID, bytes, sizeof bytes);
}

/* In the sequence in which servers list the fields, so that an export read again gives the same digest. */
static bool make_info(const mig_source *s, const bson_t *doc, const char *name, mig_dump_meta *m, mig_error *err) {
  bson_t options = BSON_INITIALIZER, view, inner;
  bson_iter_t it;
  const char *uuid = NULL;
  const bool is_view = strcmp(m->type, "view") == 0;
  bool ok = true;
  m->info = bson_new();
  BSON_APPEND_UTF8(m->info, "name", name);
  BSON_APPEND_UTF8(m->info, "type", m->type);
  BSON_APPEND_DOCUMENT(m->info, "options", doc && mig_bson_doc(doc, "options", &view) ? &view : &options);
  BSON_APPEND_DOCUMENT_BEGIN(m->info, "info", &inner);
  BSON_APPEND_BOOL(&inner, "readOnly", is_view);
  if (doc && mig_bson_str(doc, "uuid", &uuid) && *uuid && !append_uuid(&inner, uuid))
    ok = bad(s, "uuid", "is not one of 32 hex digits", err);
  bson_append_document_end(m->info, &inner);
  for (bool more = bson_iter_init(&it, m->indexes); more && bson_iter_next(&it);)
    if (mig_bson_iter_doc(&it, &view) && mig_index_is_own(&view)) BSON_APPEND_DOCUMENT(m->info, "idIndex", &view);
  bson_destroy(&options);
  return ok;
}

static bool make_indexes(const mig_source *s, const bson_t *doc, mig_dump_meta *m, mig_error *err) {
  bson_t array, spec, key;
  bson_iter_t it;
  const char *name = NULL;
  m->indexes = bson_new();
  if (!doc)
    return BCON_APPEND(m->indexes, "0", "{", "v", BCON_INT32(2), "key", "{", "_id", BCON_INT32(1), "}", "name",
                       BCON_UTF8("_id_"), "}"),
           true;
  if (!mig_bson_find(doc, "indexes", &it)) return true;
  if (!mig_bson_arr(doc, "indexes", &array)) return bad(s, "indexes", "must be a list", err);
  for (bool more = bson_iter_init(&it, &array); more && bson_iter_next(&it);)
    if (!mig_bson_iter_doc(&it, &spec) || !mig_bson_doc(&spec, "key", &key) || !mig_index_name(&spec, &name))
      return bad(s, "indexes", "must hold documents with key and name", err);
    else if (mig_spec_steers(&spec))
      return bad(s, "indexes", "hold a field that steers a command ($..., a session): no index has one", err);
  return bson_concat(m->indexes, &array) || mig_no_memory(err, "indexes");
}

static bool read_all(const mig_source *s, const char *collection, mig_dump_meta *m, mig_error *err) {
  const bson_t *doc = s ? s->doc : NULL;
  const char *said = NULL, *type = NULL, *holds = NULL;
  bson_t options, pipeline;
  if (doc) mig_bson_str(doc, "collectionName", &said);
  if (said && *said && !(m->collection = mig_strdup(said))) return mig_no_memory(err, "metadata");
  const char *name = collection ? collection : m->collection;
  if (!name) return bad(s, "collectionName", "is missing, and the file's name was cut", err);
  const bool has_options = doc && mig_bson_doc(doc, "options", &options);
  if (doc && !has_options && bson_has_field(doc, "options")) return bad(s, "options", "must be a document", err);
  if (has_options && mig_spec_steers(&options))
    return bad(s, "options", "hold a field that steers a command ($db, a session): no collection has one", err);
  if (!doc || !mig_bson_str(doc, "type", &type) || !*type)
    type = has_options && mig_bson_arr(&options, "pipeline", &pipeline) ? "view" : "collection"; /* older dumps */
  m->without_documents = doc && mig_bson_str(doc, "holds", &holds) && strcmp(holds, "metadata") == 0;
  m->type = mig_strdup(type);
  return (m->type || mig_no_memory(err, "metadata")) && make_indexes(s, doc, m, err) && make_info(s, doc, name, m, err);
}

static bool is_blank(const char *path, const mig_buf *json, mig_error *err) {
  if (json->size && strspn(mig_buf_text(json), " \t\r\n") < json->size) return false;
  mig_fail(err, MIG_E_INPUT, "%s is empty", path);
  mig_why(err, "mongodump writes indexes and options into it, also where there are few: they are lost");
  mig_hint(err, "dump it again, or take another copy");
  return true;
}

bool mig_dump_meta_read(const char *path, const char *collection, mig_buf *json, mig_dump_meta *out, mig_error *err) {
  mig_source *s = NULL;
  *out = (mig_dump_meta){0};
  bool ok = !json || (!is_blank(path, json, err) && mig_source_parse(path, json, &s, err));
  if (json) mig_buf_free(json);
  ok = ok && read_all(s, collection, out, err);
  mig_source_free(s);
  if (!ok) mig_dump_meta_clear(out);
  return ok;
}
