/* manifest.json and mig-snapshot.json from the model. The text is canonical: one model, one text. */
#include <string.h>

#include "backup/json_out.h"
#include "backup/manifest_internal.h"
#include "base/clock.h"
#include "base/names.h"

#define READABLE_ID_MAX_BYTES 128u

static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";

static bool put(mig_buf *b, const char *text, mig_error *err) {
  return mig_buf_add(b, text, strlen(text), err);
}

static bool put_text(mig_buf *b, const char *before, const char *text, mig_error *err) {
  return put(b, before, err) && mig_json_text(b, text, err);
}

static bool put_always(mig_buf *b, const char *before, const char *text, mig_error *err) {
  return put_text(b, before, text ? text : "", err);
}

static bool put_number(mig_buf *b, const char *before, uint64_t n, mig_error *err) {
  return mig_buf_printf(b, err, "%s%llu", before, (unsigned long long)n);
}

static bool put_name(mig_buf *b, const char *before, const char *name, mig_error *err) {
  char *encoded = mig_name_encode(name);
  bool ok = encoded ? put_text(b, before, encoded, err) : mig_no_memory(err, "name");
  mig_free(encoded);
  return ok;
}

/* Exact bytes for programs and, for the plain types, the same for people. */
static bool put_id(mig_buf *b, const char *bson_key, const char *json_key, const bson_t *id, mig_error *err) {
  bson_iter_t it;
  if (!put(b, bson_key, err) || !mig_json_bson(b, id, err)) return false;
  if (!bson_iter_init(&it, id) || !bson_iter_next(&it)) return true;
  if (BSON_ITER_HOLDS_OID(&it)) {
    char hex[25];
    bson_oid_to_string(bson_iter_oid(&it), hex);
    return mig_buf_printf(b, err, "%s{\"$oid\":\"%s\"}", json_key, hex);
  }
  if (BSON_ITER_HOLDS_INT32(&it))
    return mig_buf_printf(b, err, "%s{\"$numberInt\":\"%d\"}", json_key, bson_iter_int32(&it));
  if (BSON_ITER_HOLDS_INT64(&it))
    return mig_buf_printf(b, err, "%s{\"$numberLong\":\"%lld\"}", json_key, (long long)bson_iter_int64(&it));
  if (!BSON_ITER_HOLDS_UTF8(&it)) return true;
  uint32_t size = 0;
  const char *text = bson_iter_utf8(&it, &size);
  return size > READABLE_ID_MAX_BYTES || (put(b, json_key, err) && mig_json_string(b, text, size, err));
}

/* The manifest is in the clear: of an encrypted chunk it tells no _id, even where verify() has learnt it. */
static bool put_ids(mig_buf *b, const mig_chunk *k, bool encrypted, mig_error *err) {
  const bson_t none = BSON_INITIALIZER;
  return put_id(b, ",\"firstBson\":", ",\"firstJson\":", encrypted ? &none : k->first, err) &&
         put_id(b, ",\"lastBson\":", ",\"lastJson\":", encrypted ? &none : k->last, err);
}

static bool put_chunk(mig_buf *b, const mig_chunk *k, bool encrypted, mig_error *err) {
  return put_text(b, "{\"member\":", k->member, err) && put_number(b, ",\"offset\":", k->offset, err) &&
         put_number(b, ",\"storedBytes\":", k->stored_bytes, err) &&
         put_number(b, ",\"rawBytes\":", k->raw_bytes, err) && put_number(b, ",\"documents\":", k->documents, err) &&
         put_text(b, ",\"sha256\":", k->sha256, err) && put_text(b, ",\"rawSha256\":", k->raw_sha256, err) &&
         put_ids(b, k, encrypted, err) && put(b, "}", err);
}

static bool put_written(mig_buf *b, mig_written written, mig_error *err) {
  if (written == MIG_WRITTEN_UNKNOWN) return true;
  return put(b, written == MIG_WRITTEN_SOMETHING ? ",\"writtenMeanwhile\":true" : ",\"writtenMeanwhile\":false", err);
}

static bool put_collection(mig_buf *b, const mig_collection_entry *c, bool encrypted, mig_error *err) {
  if (!put_name(b, "{\"collection\":", c->name, err) || !put_text(b, ",\"holds\":", mig_holds_name(c->holds), err))
    return false;
  if (c->holds == MIG_HOLDS_ABSENT) return put(b, "}", err);
  if (!put_text(b, ",\"type\":", c->type, err) ||
      !put_text(b, ",\"order\":", c->natural_order ? "natural" : "_id", err) || !put_written(b, c->written, err) ||
      !put_number(b, ",\"documents\":", c->documents, err) || !put_number(b, ",\"rawBytes\":", c->raw_bytes, err) ||
      !put_text(b, ",\"sha256\":", c->sha256[0] ? c->sha256 : NULL, err) || !put(b, ",\"infoBson\":", err) ||
      !mig_json_bson(b, c->info, err) || !put(b, ",\"indexesBson\":", err) || !mig_json_bson(b, c->indexes, err) ||
      !put(b, ",\"chunks\":[", err))
    return false;
  for (size_t i = 0; i < c->chunk_count; i++)
    if (!put(b, i ? ",\n" : "\n", err) || !put_chunk(b, &c->chunks[i], encrypted, err)) return false;
  return put_text(b, "],\"metadata\":{\"member\":", c->metadata_member, err) &&
         put_number(b, ",\"offset\":", c->metadata_offset, err) &&
         put_number(b, ",\"bytes\":", c->metadata_bytes, err) && put_text(b, ",\"sha256\":", c->metadata_sha256, err) &&
         put(b, "}}", err);
}

static bool put_encryption(mig_buf *b, const mig_encryption *e, mig_error *err) {
  if (!e->used) return true;
  bool ok = put(b, "\"encryption\":{\"cipher\":\"AES-256-GCM\"", err) &&
            put_text(b, ",\"kdf\":", e->passphrase ? "scrypt" : "HKDF-SHA256", err);
  if (e->passphrase)
    ok = ok && put_number(b, ",\"n\":", e->n, err) && put_number(b, ",\"r\":", e->r, err) &&
         put_number(b, ",\"p\":", e->p, err);
  return ok && put_text(b, ",\"salt\":", e->salt, err) && put_text(b, ",\"check\":", e->check, err) &&
         put(b, "},\n", err);
}

/* The fields that the header and the manifest share. */
static bool put_origin(mig_buf *b, const mig_manifest *m, mig_error *err) {
  char iso[MIG_TIME_TEXT];
  mig_time_iso(m->created_unix_ms, iso);
  return mig_buf_printf(b, err, "{\"format\":%d,\n\"features\":[%s],\n", MIG_SNAPSHOT_FORMAT,
                        m->encryption.used ? "\"" MIG_FEATURE_ENCRYPTION "\"" : "") &&
         put_encryption(b, &m->encryption, err) && put_text(b, "\"id\":", m->id, err) &&
         put_always(b, ",\n\"tool\":", m->tool, err) && put_always(b, ",\n\"reason\":", m->reason, err) &&
         put_text(b, ",\n\"migration\":", m->migration, err) && put_text(b, ",\n\"direction\":", m->direction, err) &&
         put_text(b, ",\n\"createdAt\":", iso, err) &&
         mig_buf_printf(b, err, ",\n\"createdUnixMs\":%lld", (long long)m->created_unix_ms) &&
         put_name(b, ",\n\"database\":", m->database, err);
}

bool mig_manifest_header(const mig_manifest *m, mig_buf *json, mig_error *err) {
  return put_origin(json, m, err) && put(json, "}\n", err);
}

static bool put_circumstances(mig_buf *b, const mig_manifest *m, mig_error *err) {
  if (!mig_buf_printf(b, err, ",\n\"wholeDatabase\":%s", m->whole_database ? "true" : "false") ||
      !put_always(b, ",\n\"server\":{\"version\":", m->server_version, err) ||
      !put_always(b, ",\"product\":", m->server_product, err) || !put_always(b, ",\"topology\":", m->topology, err) ||
      !put_text(b, "},\n\"consistency\":", m->consistency, err))
    return false;
  if (m->cluster_seconds == 0) return put(b, ",\n\"clusterTime\":null", err);
  return mig_buf_printf(b, err, ",\n\"clusterTime\":{\"seconds\":%u,\"increment\":%u}", m->cluster_seconds,
                        m->cluster_increment);
}

bool mig_manifest_body(const mig_manifest *m, mig_buf *b, mig_error *err) {
  if (!put_origin(b, m, err) || !put_circumstances(b, m, err) ||
      !put(b, ",\n\"header\":{\"member\":\"" MIG_HEADER_MEMBER "\"", err) ||
      !put_number(b, ",\"offset\":", m->header_offset, err) || !put_number(b, ",\"bytes\":", m->header_bytes, err) ||
      !put_text(b, ",\"sha256\":", m->header_sha256, err) || !put(b, "},\n\"collections\":[", err))
    return false;
  for (size_t i = 0; i < m->collection_count; i++)
    if (!put(b, i ? ",\n" : "\n", err) || !put_collection(b, &m->collections[i], m->encryption.used, err)) return false;
  return put_number(b, "],\n\"documents\":", m->documents, err) &&
         put_number(b, ",\n\"rawBytes\":", m->raw_bytes, err) && put_text(b, ",\n\"digest\":", m->digest, err) &&
         put(b, ",\n", err);
}

static bool put_mac(mig_buf *b, const mig_encryption *e, mig_error *err) {
  return !e->used || (put_text(b, "\"manifestHmac\":", e->mac[0] ? e->mac : zeros, err) && put(b, ",\n", err));
}

bool mig_manifest_write(const mig_manifest *m, mig_buf *b, mig_error *err) {
  char sum[MIG_SHA256_HEX];
  size_t start = b->size;
  if (!mig_manifest_body(m, b, err) || !put_mac(b, &m->encryption, err)) return false;
  /* The manifest's own sum is over all that stands before it, so that it can be checked without the file. */
  return mig_sha256_hex(b->data + start, b->size - start, sum, err) && put_text(b, "\"manifestSha256\":", sum, err) &&
         put_text(b, ",\n\"archiveSha256\":", m->archive_sha256[0] ? m->archive_sha256 : zeros, err) &&
         put(b, "}\n", err);
}
