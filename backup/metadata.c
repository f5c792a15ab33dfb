/*
 * <db>/<collection>/metadata.json: enough to make the collection again without mig. The first lines are canonical
 * Extended JSON for people and other tools; the last two carry the same as exact BSON, because JSON cannot hold every
 * value a server may keep there.
 */
#include <string.h>

#include "backup/json_out.h"
#include "backup/manifest_internal.h"
#include "base/names.h"

static bool put_json(mig_buf *b, const bson_t *doc, mig_error *err) {
  char *json = doc ? bson_as_canonical_extended_json(doc, NULL) : NULL; /* NULL for text that is not UTF-8 */
  bool ok = json ? mig_buf_add(b, json, strlen(json), err) : mig_buf_add(b, "null", 4, err);
  bson_free(json);
  return ok;
}

static bool put_uuid(mig_buf *b, const bson_t *info, mig_error *err) {
  bson_iter_t it;
  bson_subtype_t subtype = BSON_SUBTYPE_BINARY;
  uint32_t size = 0;
  const uint8_t *u = NULL;
  if (mig_bson_find(info, "info.uuid", &it) && BSON_ITER_HOLDS_BINARY(&it)) bson_iter_binary(&it, &subtype, &size, &u);
  if (size != 16) return mig_buf_printf(b, err, ",\n\"uuid\":null");
  bool ok = mig_buf_printf(b, err, ",\n\"uuid\":\"");
  for (uint32_t i = 0; ok && i < size; i++)
    ok = mig_buf_printf(b, err, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", u[i]);
  return ok && mig_buf_printf(b, err, "\"");
}

static bool put_options(mig_buf *b, const bson_t *info, mig_error *err) {
  bson_t options = BSON_INITIALIZER, found;
  bool have = mig_bson_doc(info, "options", &found);
  bool ok = mig_buf_printf(b, err, ",\n\"options\":") && put_json(b, have ? &found : &options, err);
  bson_destroy(&options);
  return ok;
}

static bool put_indexes(mig_buf *b, const bson_t *indexes, mig_error *err) {
  bson_iter_t it;
  bson_t spec;
  const char *separator = "\n";
  if (!mig_buf_printf(b, err, ",\n\"indexes\":[")) return false;
  if (bson_iter_init(&it, indexes)) {
    while (bson_iter_next(&it)) {
      bool is_doc = mig_bson_iter_doc(&it, &spec);
      if (!mig_buf_printf(b, err, "%s", separator) || !put_json(b, is_doc ? &spec : NULL, err)) return false;
      separator = ",\n";
    }
  }
  return mig_buf_printf(b, err, "]");
}

static bool put_exact(mig_buf *b, const mig_collection_entry *c, mig_error *err) {
  return mig_buf_printf(b, err, ",\n\"infoBson\":") && mig_json_bson(b, c->info, err) &&
         mig_buf_printf(b, err, ",\n\"indexesBson\":") && mig_json_bson(b, c->indexes, err) &&
         mig_buf_printf(b, err, "}\n");
}

bool mig_metadata_write(const mig_manifest *m, const mig_collection_entry *c, mig_buf *b, mig_error *err) {
  char *db = mig_name_encode(m->database), *name = mig_name_encode(c->name);
  bool ok = db && name ? mig_buf_printf(b, err, "{\"format\":%d,\n\"database\":\"%s\",\n\"collection\":\"%s\",\n",
                                        MIG_SNAPSHOT_FORMAT, db, name)
                       : mig_no_memory(err, "name");
  ok = ok && mig_buf_printf(b, err, "\"type\":") && mig_json_text(b, c->type, err) &&
       mig_buf_printf(b, err, ",\n\"holds\":\"%s\"", mig_holds_name(c->holds)) && put_uuid(b, c->info, err) &&
       put_options(b, c->info, err) && put_indexes(b, c->indexes, err) && put_exact(b, c, err);
  mig_free(name);
  mig_free(db);
  return ok;
}

bool mig_metadata_check(const mig_collection_entry *c, const uint8_t *json, size_t size, mig_error *err) {
  mig_buf exact = MIG_BUF(MIG_METADATA_MAX_BYTES);
  if (!put_exact(&exact, c, err)) {
    mig_buf_free(&exact);
    return false;
  }
  /* Only the exact lines are compared: how libbson spells a number may change from version to version. */
  bool same = size >= exact.size && memcmp(json + size - exact.size, exact.data, exact.size) == 0;
  mig_buf_free(&exact);
  return same || mig_fail(err, MIG_E_ARCHIVE, "%s: is not the metadata that the manifest tells of", c->metadata_member);
}
