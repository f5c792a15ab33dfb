/*
 * manifest.json into the model. Fields are picked leniently; then the model must pass mig_manifest_check() and must
 * give the very same text when written again: so unknown or repeated fields, other spellings of a number, and anything
 * before or after are refused without a rule for each.
 */
#include <string.h>

#include "backup/json_out.h"
#include "backup/manifest_internal.h"
#include "base/names.h"

static bool bad(mig_error *err, const char *field) {
  return mig_fail(err, MIG_E_ARCHIVE, "the manifest's \"%s\" is missing or wrong", field);
}

static bool get_text(const bson_t *doc, const char *field, bool nullable, char **out, mig_error *err) {
  const char *text = NULL;
  bson_iter_t it;
  if (mig_bson_str(doc, field, &text)) return (*out = mig_strdup(text)) || mig_no_memory(err, "manifest");
  return (nullable && mig_bson_find(doc, field, &it) && BSON_ITER_HOLDS_NULL(&it)) || bad(err, field);
}

static bool get_name(const bson_t *doc, const char *field, char **out, mig_error *err) {
  const char *text = NULL;
  if (!mig_bson_str(doc, field, &text)) return bad(err, field);
  return (*out = mig_name_decode(text, err)) != NULL;
}

static bool get_number(const bson_t *doc, const char *field, uint64_t *out, mig_error *err) {
  int64_t n = -1;
  if (!mig_bson_int(doc, field, &n) || n < 0) return bad(err, field);
  *out = (uint64_t)n;
  return true;
}

static bool get_sum(const bson_t *doc, const char *field, bool nullable, char out[static MIG_SHA256_HEX],
                    mig_error *err) {
  const char *text = NULL;
  bson_iter_t it;
  out[0] = 0;
  if (nullable && mig_bson_find(doc, field, &it) && BSON_ITER_HOLDS_NULL(&it)) return true;
  if (!mig_bson_str(doc, field, &text) || strlen(text) != MIG_SHA256_HEX - 1 ||
      strspn(text, "0123456789abcdef") != MIG_SHA256_HEX - 1)
    return bad(err, field);
  memcpy(out, text, MIG_SHA256_HEX);
  return true;
}

static bool get_bson(const bson_t *doc, const char *field, bson_t **out, mig_error *err) {
  const char *text = NULL;
  return mig_bson_str(doc, field, &text) ? mig_json_unbson(text, out, err) : bad(err, field);
}

/* The array at `field`, and zeroed room for one item of `size` bytes for each element. */
static bool get_array(const bson_t *doc, const char *field, size_t size, bson_iter_t *it, void **items,
                      mig_error *err) {
  bson_t array;
  if (!mig_bson_arr(doc, field, &array)) return bad(err, field);
  size_t count = bson_count_keys(&array);
  /* An element takes many more bytes of text than it takes here: the manifest's own limit bounds this. */
  if (!(*items = mig_alloc((count + 1) * size))) return mig_no_memory(err, "manifest");
  return bson_iter_init(it, &array) || bad(err, field);
}

static bool parse_chunk(const bson_t *doc, mig_chunk *k, mig_error *err) {
  return get_text(doc, "member", false, &k->member, err) && get_number(doc, "offset", &k->offset, err) &&
         get_number(doc, "storedBytes", &k->stored_bytes, err) && get_number(doc, "rawBytes", &k->raw_bytes, err) &&
         get_number(doc, "documents", &k->documents, err) && get_sum(doc, "sha256", false, k->sha256, err) &&
         get_sum(doc, "rawSha256", false, k->raw_sha256, err) && get_bson(doc, "firstBson", &k->first, err) &&
         get_bson(doc, "lastBson", &k->last, err);
}

static bool parse_chunks(const bson_t *doc, mig_collection_entry *c, mig_error *err) {
  bson_iter_t it;
  bson_t one;
  void *items = NULL;
  if (!get_array(doc, "chunks", sizeof *c->chunks, &it, &items, err)) {
    mig_free(items);
    return false;
  }
  c->chunks = items;
  while (bson_iter_next(&it)) {
    if (!BSON_ITER_HOLDS_DOCUMENT(&it) || !mig_bson_iter_doc(&it, &one)) return bad(err, "chunks");
    if (!parse_chunk(&one, &c->chunks[c->chunk_count++], err)) return false;
  }
  return true;
}

static bool get_holds(const bson_t *doc, mig_holds *out, mig_error *err) {
  const char *text = "";
  mig_bson_str(doc, "holds", &text);
  for (mig_holds h = MIG_HOLDS_ABSENT; h <= MIG_HOLDS_DOCUMENTS; h++)
    if (strcmp(text, mig_holds_name(h)) == 0) {
      *out = h;
      return true;
    }
  return bad(err, "holds");
}

static bool parse_collection(const bson_t *doc, mig_collection_entry *c, mig_error *err) {
  const char *order = "";
  bool written = false;
  if (!get_name(doc, "collection", &c->name, err) || !get_holds(doc, &c->holds, err)) return false;
  if (c->holds == MIG_HOLDS_ABSENT) return true;
  if (!mig_bson_str(doc, "order", &order)) return bad(err, "order");
  c->natural_order = strcmp(order, "natural") == 0;
  if (mig_bson_bool(doc, "writtenMeanwhile", &written))
    c->written = written ? MIG_WRITTEN_SOMETHING : MIG_WRITTEN_NOTHING;
  return get_text(doc, "type", false, &c->type, err) && get_number(doc, "documents", &c->documents, err) &&
         get_number(doc, "rawBytes", &c->raw_bytes, err) && get_sum(doc, "sha256", true, c->sha256, err) &&
         get_bson(doc, "infoBson", &c->info, err) && get_bson(doc, "indexesBson", &c->indexes, err) &&
         parse_chunks(doc, c, err) && get_text(doc, "metadata.member", false, &c->metadata_member, err) &&
         get_number(doc, "metadata.offset", &c->metadata_offset, err) &&
         get_number(doc, "metadata.bytes", &c->metadata_bytes, err) &&
         get_sum(doc, "metadata.sha256", false, c->metadata_sha256, err);
}

static bool parse_collections(const bson_t *doc, mig_manifest *m, mig_error *err) {
  bson_iter_t it;
  bson_t one;
  void *items = NULL;
  if (!get_array(doc, "collections", sizeof *m->collections, &it, &items, err)) {
    mig_free(items);
    return false;
  }
  m->collections = items;
  while (bson_iter_next(&it)) {
    if (!BSON_ITER_HOLDS_DOCUMENT(&it) || !mig_bson_iter_doc(&it, &one)) return bad(err, "collections");
    mig_collection_entry *c = &m->collections[m->collection_count++];
    if (!parse_collection(&one, c, err)) return c->name ? mig_fail_at(err, "collection %s", c->name) : false;
  }
  return true;
}

static bool parse_origin(const bson_t *doc, mig_manifest *m, mig_error *err) {
  uint64_t created = 0;
  bool ok = get_text(doc, "id", false, &m->id, err) && get_text(doc, "tool", false, &m->tool, err) &&
            get_text(doc, "reason", false, &m->reason, err) && get_text(doc, "migration", true, &m->migration, err) &&
            get_text(doc, "direction", true, &m->direction, err) && get_number(doc, "createdUnixMs", &created, err) &&
            get_name(doc, "database", &m->database, err);
  m->created_unix_ms = (int64_t)created;
  return ok;
}

static bool parse_circumstances(const bson_t *doc, mig_manifest *m, mig_error *err) {
  bson_t time;
  uint64_t seconds = 0, increment = 0;
  if (!mig_bson_bool(doc, "wholeDatabase", &m->whole_database)) return bad(err, "wholeDatabase");
  if (!get_text(doc, "server.version", false, &m->server_version, err) ||
      !get_text(doc, "server.product", false, &m->server_product, err) ||
      !get_text(doc, "server.topology", false, &m->topology, err) ||
      !get_text(doc, "consistency", false, &m->consistency, err))
    return false;
  if (mig_bson_doc(doc, "clusterTime", &time) &&
      (!get_number(&time, "seconds", &seconds, err) || !get_number(&time, "increment", &increment, err)))
    return false;
  m->cluster_seconds = (uint32_t)seconds; /* what was cut off here shows when the text is compared */
  m->cluster_increment = (uint32_t)increment;
  return get_number(doc, "header.offset", &m->header_offset, err) &&
         get_number(doc, "header.bytes", &m->header_bytes, err) &&
         get_sum(doc, "header.sha256", false, m->header_sha256, err);
}

/* Format 1, with no feature but encryption. */
static bool check_format(const bson_t *doc, bool *encrypted, mig_error *err) {
  int64_t format = 0;
  bson_t features;
  const char *feature = NULL;
  if (!mig_bson_int(doc, "format", &format)) return bad(err, "format");
  if (format == MIG_SNAPSHOT_FORMAT && mig_bson_arr(doc, "features", &features)) {
    const uint32_t count = bson_count_keys(&features);
    *encrypted = count == 1 && mig_bson_str(&features, "0", &feature) && strcmp(feature, MIG_FEATURE_ENCRYPTION) == 0;
    if (count == 0 || *encrypted) return true;
  }
  mig_fail(err, MIG_E_ARCHIVE, "format %lld is not one that this mig can read", (long long)format);
  mig_why(err, "it reads format %d, with the optional feature " MIG_FEATURE_ENCRYPTION, MIG_SNAPSHOT_FORMAT);
  return mig_hint(err, "use a newer mig");
}

static bool get_hex(const bson_t *doc, const char *field, char out[static MIG_CRYPT_HEX], mig_error *err) {
  const char *text = NULL;
  if (!mig_bson_str(doc, field, &text) || strlen(text) >= MIG_CRYPT_HEX) return bad(err, field);
  strcpy(out, text);
  return true;
}

/* What is not read here (the cipher) or read leniently shows when the text is compared. */
static bool parse_encryption(const bson_t *doc, mig_encryption *e, mig_error *err) {
  const char *kdf = "";
  if (!e->used) return true;
  mig_bson_str(doc, "encryption.kdf", &kdf);
  e->passphrase = strcmp(kdf, "scrypt") == 0;
  if (e->passphrase && (!get_number(doc, "encryption.n", &e->n, err) || !get_number(doc, "encryption.r", &e->r, err) ||
                        !get_number(doc, "encryption.p", &e->p, err)))
    return false;
  return get_hex(doc, "encryption.salt", e->salt, err) && get_hex(doc, "encryption.check", e->check, err) &&
         get_sum(doc, "manifestHmac", false, e->mac, err);
}

static bool parse_document(const bson_t *doc, mig_manifest *m, mig_error *err) {
  return check_format(doc, &m->encryption.used, err) && parse_encryption(doc, &m->encryption, err) &&
         parse_origin(doc, m, err) && parse_circumstances(doc, m, err) && parse_collections(doc, m, err) &&
         get_number(doc, "documents", &m->documents, err) && get_number(doc, "rawBytes", &m->raw_bytes, err) &&
         get_sum(doc, "digest", false, m->digest, err) && get_sum(doc, "archiveSha256", false, m->archive_sha256, err);
}

static bool same_text(const mig_manifest *m, const char *json, size_t size, mig_error *err) {
  mig_buf again = MIG_BUF(MIG_MANIFEST_MAX_BYTES);
  bool ok = mig_manifest_write(m, &again, err);
  if (ok && (again.size != size || memcmp(again.data, json, size) != 0)) {
    ok = mig_fail(err, MIG_E_ARCHIVE, "the manifest was altered");
    mig_why(err, "its text or its own SHA-256 is not what its content gives");
  }
  mig_buf_free(&again);
  return ok;
}

/* Every field has a key; text like [1,1,1,...] would take seven times its size as BSON. */
static bool is_sparse(const char *json, size_t size) {
  size_t commas = 0;
  bool inside = false;
  for (size_t i = 0; i < size; i++) {
    if (inside && json[i] == '\\')
      i++;
    else if (json[i] == '"')
      inside = !inside;
    else if (!inside && json[i] == ',')
      commas++;
  }
  return commas <= size / 8;
}

bool mig_manifest_parse(const char *json, size_t size, mig_manifest **out, mig_error *err) {
  bson_error_t error = {0};
  bson_t *doc = NULL;
  mig_manifest *m = NULL;
  bool ok = false;
  *out = NULL;
  if (size > MIG_MANIFEST_MAX_BYTES) {
    mig_fail(err, MIG_E_ARCHIVE, "the manifest is larger than %u bytes", MIG_MANIFEST_MAX_BYTES);
    goto done;
  }
  if (!is_sparse(json, size)) {
    mig_fail(err, MIG_E_ARCHIVE, "the manifest is not JSON of the form that mig writes");
    goto done;
  }
  doc = size ? bson_new_from_json((const uint8_t *)json, (ssize_t)size, &error) : NULL;
  if (!doc) {
    mig_fail(err, MIG_E_ARCHIVE, "the manifest is not JSON");
    mig_why(err, "%s", error.message);
    goto done;
  }
  if (!(m = mig_alloc(sizeof *m))) {
    mig_no_memory(err, "manifest");
    goto done;
  }
  if (!parse_document(doc, m, err)) goto done;
  bson_destroy(doc);
  doc = NULL;
  if (!mig_manifest_check(m, err) || !same_text(m, json, size, err) || !mig_manifest_check_totals(m, err)) goto done;
  *out = m;
  m = NULL;
  ok = true;
done:
  mig_manifest_free(m);
  if (doc) bson_destroy(doc);
  return ok;
}
