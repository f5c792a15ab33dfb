/* The rules of the format document that concern the manifest alone: names, order, and sizes that can be true. */
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "backup/manifest_internal.h"
#include "backup/spec.h"
#include "base/names.h"

#define TAR_BLOCK 512u
#define STEERS    "no option or index has a field that steers a command"

static bool broken(mig_error *err, const char *member, const char *rule) {
  return mig_fail(err, MIG_E_ARCHIVE, "the manifest's entry for %s breaks a rule: %s", member ? member : "?", rule);
}

static bool is_id_document(const bson_t *doc) {
  bson_iter_t it;
  if (!doc || !bson_iter_init(&it, doc)) return false;
  if (!bson_iter_next(&it)) return true;
  return strcmp(bson_iter_key(&it), "_id") == 0 && !bson_iter_next(&it);
}

static bool check_chunk(const mig_manifest *m, const mig_collection_entry *c, size_t number, mig_error *err) {
  const mig_chunk *k = &c->chunks[number];
  char *name = mig_member_of_chunk(m, c->name, number);
  if (!name) return mig_no_memory(err, "name");
  bool named = k->member && strcmp(name, k->member) == 0;
  mig_free(name);
  if (!named) return broken(err, k->member, "chunks are named and numbered in order");
  uint64_t most = k->documents == 1 ? MIG_DOCUMENT_MAX_BYTES : MIG_CHUNK_MAX_BYTES;
  if (k->documents == 0) return broken(err, k->member, "a chunk holds at least one document");
  if (k->raw_bytes > most || k->raw_bytes / 5 < k->documents) return broken(err, k->member, "its rawBytes cannot be");
  const uint64_t seal = m->encryption.used ? MIG_SEAL_OVERHEAD : 0;
  if (k->stored_bytes <= seal || k->stored_bytes - seal > ZSTD_compressBound((size_t)k->raw_bytes))
    return broken(err, k->member, "its storedBytes cannot be");
  if (!is_id_document(k->first) || !is_id_document(k->last))
    return broken(err, k->member, "first and last hold an _id or nothing");
  if (m->encryption.used && (!bson_empty(k->first) || !bson_empty(k->last)))
    return broken(err, k->member, "an encrypted chunk does not tell its first and last _id");
  return true;
}

/* An array document of {"key": {...}, "name": ...}, numbered from 0. */
static bool check_indexes(const mig_collection_entry *c, mig_error *err) {
  bson_iter_t it;
  bson_t spec, key;
  const char *name = NULL;
  uint32_t n = 0;
  if (!bson_iter_init(&it, c->indexes)) return broken(err, c->metadata_member, "indexes are an array");
  while (bson_iter_next(&it)) {
    char buffer[16];
    const char *expected = NULL;
    bson_uint32_to_string(n++, &expected, buffer, sizeof buffer);
    if (strcmp(expected, bson_iter_key(&it)) != 0 || !BSON_ITER_HOLDS_DOCUMENT(&it) || !mig_bson_iter_doc(&it, &spec) ||
        !mig_bson_doc(&spec, "key", &key) || !mig_bson_str(&spec, "name", &name))
      return broken(err, c->metadata_member, "indexes are documents with key and name");
    if (mig_spec_steers(&spec)) return broken(err, c->metadata_member, STEERS);
  }
  return true;
}

static bool check_documents(const mig_manifest *m, const mig_collection_entry *c, mig_error *err) {
  uint64_t documents = 0, raw_bytes = 0;
  if (c->holds != MIG_HOLDS_DOCUMENTS && (c->chunk_count || c->sha256[0]))
    return broken(err, c->metadata_member, "only a collection that holds documents has chunks");
  if (c->holds == MIG_HOLDS_DOCUMENTS && !c->sha256[0]) return broken(err, c->metadata_member, "it has no sha256");
  for (size_t i = 0; i < c->chunk_count; i++) {
    if (!check_chunk(m, c, i, err)) return false;
    documents += c->chunks[i].documents;
    raw_bytes += c->chunks[i].raw_bytes;
  }
  if (documents != c->documents || raw_bytes != c->raw_bytes)
    return broken(err, c->metadata_member, "documents and rawBytes are the sums of the chunks");
  return true;
}

/* What the entry says about the collection follows from info. */
static bool check_info(const mig_collection_entry *c, mig_error *err) {
  const char *type = "collection";
  bool capped = false;
  bson_t options;
  mig_options_of(c->info, &options);
  if (mig_spec_steers(&options)) return broken(err, c->metadata_member, STEERS);
  mig_bson_str(c->info, "type", &type);
  mig_bson_bool(c->info, "options.capped", &capped);
  if (strcmp(type, c->type) != 0) return broken(err, c->metadata_member, "its type is that of info");
  /* a restore would make the view alone, and lose them; a displaced archive says "documents" and has none */
  if (strcmp(type, "view") == 0 && (c->documents || c->chunk_count))
    return broken(err, c->metadata_member, "a view holds no documents");
  if (capped != c->natural_order) return broken(err, c->metadata_member, "its order is natural if it is capped");
  return true;
}

static bool check_collection(const mig_manifest *m, const mig_collection_entry *c, mig_error *err) {
  if (!c->name || !mig_name_collection_ok(m->database, c->name, err)) {
    if (err) err->code = MIG_E_ARCHIVE;
    return false;
  }
  if (c->holds == MIG_HOLDS_ABSENT)
    return (!c->info && !c->indexes && !c->metadata_member && !c->chunk_count && !c->documents && !c->raw_bytes) ||
           broken(err, c->name, "an absent collection has nothing");
  if (!c->type || !c->info || !c->indexes) return broken(err, c->name, "type, info and indexes are needed");
  char *name = mig_member_of_metadata(m->database, c->name);
  if (!name) return mig_no_memory(err, "name");
  bool named = c->metadata_member && strcmp(name, c->metadata_member) == 0;
  mig_free(name);
  if (!named) return broken(err, c->metadata_member, "the metadata's name follows from the collection's");
  if (c->metadata_bytes == 0 || c->metadata_bytes > MIG_METADATA_MAX_BYTES)
    return broken(err, c->metadata_member, "its size cannot be");
  return check_info(c, err) && check_indexes(c, err) && check_documents(m, c, err);
}

static int by_text(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool check_unique(const mig_manifest *m, mig_error *err) {
  bool ok = true;
  const char **names = mig_alloc((m->collection_count + 1) * sizeof *names);
  if (!names) return mig_no_memory(err, "manifest");
  for (size_t i = 0; i < m->collection_count; i++) names[i] = m->collections[i].name;
  if (m->collection_count) qsort(names, m->collection_count, sizeof *names, by_text);
  for (size_t i = 1; ok && i < m->collection_count; i++)
    if (strcmp(names[i - 1], names[i]) == 0) ok = broken(err, names[i], "a collection stands there once");
  mig_free(names);
  return ok;
}

/* Members follow one another in the file: each begins at a block, after the header of at least one block. */
static bool check_offsets(const mig_manifest *m, mig_error *err) {
  mig_member_walk walk = {0};
  mig_member member;
  uint64_t end = 0;
  while (mig_member_next(m, &walk, &member)) {
    if (member.offset % TAR_BLOCK || member.offset > INT64_MAX / 2 || member.offset < end + TAR_BLOCK)
      return broken(err, member.name, "its offset cannot be");
    end = member.offset + (member.bytes + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
  }
  return true;
}

static bool check_origin(const mig_manifest *m, mig_error *err) {
  static const char *const reached[] = {"clusterTime", "transaction", "perCollection"};
  bool known = false;
  for (size_t i = 0; i < 3; i++) known = known || (m->consistency && strcmp(m->consistency, reached[i]) == 0);
  if (!known) return broken(err, MIG_HEADER_MEMBER, "consistency is not a known word");
  if ((m->cluster_seconds != 0) != (strcmp(m->consistency, "clusterTime") == 0))
    return broken(err, MIG_HEADER_MEMBER, "clusterTime belongs to that consistency");
  if (!m->id || !*m->id || strlen(m->id) > 200 || m->id[0] == '.' ||
      m->id[strspn(m->id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")])
    return broken(err, MIG_HEADER_MEMBER, "the id has 1 to 200 of [A-Za-z0-9_.-]");
  if (m->created_unix_ms < 0 || m->created_unix_ms > 253402300799999) /* the year 9999 */
    return broken(err, MIG_HEADER_MEMBER, "createdUnixMs cannot be");
  if (m->encryption.used && !mig_encryption_ok(&m->encryption))
    return broken(err, MIG_HEADER_MEMBER, "the encryption's values cannot be");
  if (m->header_bytes == 0 || m->header_bytes > MIG_HEADER_MAX_BYTES)
    return broken(err, MIG_HEADER_MEMBER, "its size cannot be");
  if (m->database && mig_name_database_ok(m->database, err)) return true;
  if (err) err->code = MIG_E_ARCHIVE;
  return false;
}

/* It is about documents that were not all read at one time. */
static bool check_written(const mig_manifest *m, const mig_collection_entry *c, mig_error *err) {
  if (c->written == MIG_WRITTEN_UNKNOWN) return true;
  if (c->holds == MIG_HOLDS_DOCUMENTS && strcmp(m->consistency, "perCollection") == 0) return true;
  return broken(err, c->name, "writtenMeanwhile does not belong there");
}

bool mig_manifest_check(const mig_manifest *m, mig_error *err) {
  if (!check_origin(m, err)) return false;
  for (size_t i = 0; i < m->collection_count; i++)
    if (!check_collection(m, &m->collections[i], err) || !check_written(m, &m->collections[i], err)) return false;
  return check_unique(m, err) && check_offsets(m, err);
}
