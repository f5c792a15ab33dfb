#include "backup/archive_write.h"

#include <string.h>

#include "backup/archive_internal.h"
#include "backup/chunk_line.h"
#include "backup/manifest_internal.h"
#include "backup/sign.h"
#include "backup/tar_out.h"
#include "base/crash.h"

#define DEFAULT_CHUNK_BYTES (4u << 20)
#define DEFAULT_LEVEL       3

struct mig_archive_writer {
  mig_store *store;
  mig_manifest *manifest;
  mig_sink *sink;
  mig_tar_out *tar;
  mig_chunk_line *line;   /* from the first document to collection_end() its thread has tar, whole and the chunks */
  mig_hash *whole, *part; /* of the open collection; of a small member */
  mig_crypt *crypt;       /* NULL: in the clear */
  mig_collection_entry *current; /* the open collection: the manifest's last entry; NULL between collections */
  uint64_t documents;            /* given for it */
  bool sign_later;
};

static bool write_member(mig_archive_writer *w, const char *name, const void *data, size_t size, uint64_t *offset,
                         char sha256[static MIG_SHA256_HEX], mig_error *err) {
  mig_hash_add(w->part, data, size);
  mig_hash_hex(w->part, sha256);
  if (!mig_tar_out_member(w->tar, name, data, size, offset, err)) return false;
  mig_crash_point(MIG_CRASH_SNAPSHOT_MEMBER);
  return true;
}

static bool write_header(mig_archive_writer *w, mig_error *err) {
  mig_manifest *m = w->manifest;
  mig_buf json = MIG_BUF(MIG_HEADER_MAX_BYTES);
  bool ok = mig_manifest_header(m, &json, err) &&
            write_member(w, MIG_HEADER_MEMBER, json.data, json.size, &m->header_offset, m->header_sha256, err);
  m->header_bytes = json.size;
  mig_buf_free(&json);
  return ok;
}

/* Room in an array that only grows by one, doubled whenever the count reaches a power of two. */
static bool grow(void **items, size_t count, size_t size, mig_error *err) {
  if (count & (count - 1)) return true;
  void *grown = mig_realloc(*items, (count ? count * 2 : 1) * size);
  if (!grown) return mig_no_memory(err, "manifest");
  *items = grown;
  return true;
}

/* Called by the line, in order: a chunk is bound to its place before it is packed. */
static bool name_chunk(void *arg, size_t number, char **member, mig_error *err) {
  const mig_archive_writer *w = arg;
  *member = mig_member_of_chunk(w->manifest, w->current->name, number);
  return *member || mig_no_memory(err, "chunk");
}

/* Called by the line, in order. */
static bool write_chunk(void *arg, mig_packed *chunk, mig_error *err) {
  mig_archive_writer *w = arg;
  mig_collection_entry *c = w->current;
  mig_chunk *k = &chunk->info;
  void *items = c->chunks;
  if (!grow(&items, c->chunk_count, sizeof *c->chunks, err)) return false;
  c->chunks = items;
  mig_hash_add(w->whole, chunk->raw.data, chunk->raw.size);
  if (!mig_tar_out_member(w->tar, k->member, chunk->stored.data, chunk->stored.size, &k->offset, err)) return false;
  mig_crash_point(MIG_CRASH_SNAPSHOT_MEMBER);
  c->documents += k->documents;
  c->raw_bytes += k->raw_bytes;
  c->chunks[c->chunk_count++] = *k;
  memset(k, 0, sizeof *k);
  return true;
}

static bool open_line(mig_archive_writer *w, const mig_archive_options *o, mig_error *err) {
  const mig_chunk_line_options line = {.chunk_bytes = o && o->chunk_bytes ? o->chunk_bytes : DEFAULT_CHUNK_BYTES,
                                       .level = o && o->level ? o->level : DEFAULT_LEVEL,
                                       .jobs = o ? o->jobs : 0,
                                       .budget_bytes = MIG_ARCHIVE_MEMORY,
                                       .crypt = w->crypt,
                                       .name = name_chunk,
                                       .write = write_chunk,
                                       .arg = w};
  if (line.chunk_bytes > MIG_CHUNK_MAX_BYTES)
    return mig_fail(err, MIG_E_USAGE, "a chunk can have at most %u bytes", MIG_CHUNK_MAX_BYTES);
  return mig_chunk_line_open(&line, &w->line, err);
}

bool mig_archive_begin(mig_store *store, mig_manifest *manifest, const mig_archive_options *options,
                       mig_archive_writer **out, mig_error *err) {
  const mig_key *key = mig_store_key(store);
  *out = NULL;
  mig_archive_writer *w = mig_alloc(sizeof *w);
  if (!w) {
    mig_manifest_free(manifest);
    return mig_no_memory(err, "archive");
  }
  w->store = store;
  w->manifest = manifest;
  w->sign_later = options && options->sign_later;
  if (!manifest->id || !manifest->database) {
    mig_fail(err, MIG_E_FAILED, "a snapshot needs an id and the database's name");
    goto done;
  }
  if ((key && !mig_crypt_new(key, manifest->id, &manifest->encryption, &w->crypt, err)) ||
      !open_line(w, options, err) || !mig_hash_new(&w->whole, err) || !mig_hash_new(&w->part, err) ||
      !mig_store_create(store, manifest->id, &w->sink, err) ||
      !mig_tar_out_open(w->sink, manifest->created_unix_ms, &w->tar, err))
    goto done;
  if (write_header(w, err)) *out = w;
done:
  if (!*out) mig_archive_writer_free(w);
  return *out != NULL;
}

mig_manifest *mig_archive_manifest(mig_archive_writer *w) {
  return w->manifest;
}

static bool describe(mig_archive_writer *w, mig_collection_entry *c, const bson_t *info, const bson_t *indexes,
                     mig_error *err) {
  const char *type = "collection"; /* what a server that does not tell has */
  mig_bson_str(info, "type", &type);
  mig_bson_bool(info, "options.capped", &c->natural_order);
  c->info = bson_copy(info);
  c->indexes = indexes ? bson_copy(indexes) : bson_new();
  c->type = mig_strdup(type);
  c->metadata_member = mig_member_of_metadata(w->manifest->database, c->name);
  return (c->type && c->metadata_member) || mig_no_memory(err, "collection");
}

bool mig_archive_collection(mig_archive_writer *w, const char *name, mig_holds holds, const bson_t *info,
                            const bson_t *indexes, mig_error *err) {
  mig_manifest *m = w->manifest;
  if (w->current || (holds != MIG_HOLDS_ABSENT && !info) || mig_manifest_find(m, name))
    return mig_fail(err, MIG_E_FAILED, "%s.%s: collections go into an archive one after another, each once",
                    m->database, name);
  void *items = m->collections;
  if (!grow(&items, m->collection_count, sizeof *m->collections, err)) return false;
  m->collections = items;
  mig_collection_entry *c = &m->collections[m->collection_count];
  memset(c, 0, sizeof *c);
  c->holds = holds;
  if (!(c->name = mig_strdup(name))) return mig_no_memory(err, "collection");
  m->collection_count++;
  w->current = c;
  w->documents = 0;
  return holds == MIG_HOLDS_ABSENT || describe(w, c, info, indexes, err);
}

bool mig_archive_document(mig_archive_writer *w, const uint8_t *bson, size_t size, mig_error *err) {
  if (!w->current || w->current->holds != MIG_HOLDS_DOCUMENTS)
    return mig_fail(err, MIG_E_FAILED, "no collection of %s is open for documents", w->manifest->database);
  const char *name = w->current->name;
  if (size > MIG_DOCUMENT_MAX_BYTES)
    return mig_fail(err, MIG_E_UNSUPPORTED, "%s.%s: a document of %zu bytes is larger than a server takes back",
                    w->manifest->database, name, size);
  if (!mig_bson_valid(bson, size)) {
    mig_fail(err, MIG_E_SERVER, "%s.%s: a document is not valid BSON", w->manifest->database, name);
    return mig_why(err, "document %llu in reading order, %zu bytes", (unsigned long long)(w->documents + 1), size);
  }
  w->documents++;
  return mig_chunk_line_document(w->line, bson, size, err);
}

bool mig_archive_collection_end(mig_archive_writer *w, mig_error *err) {
  mig_collection_entry *c = w->current;
  mig_buf json = MIG_BUF(MIG_METADATA_MAX_BYTES);
  if (!c) return mig_fail(err, MIG_E_FAILED, "no collection of %s is open", w->manifest->database);
  if (!mig_chunk_line_end(w->line, err)) return false;
  w->current = NULL;
  if (c->holds == MIG_HOLDS_ABSENT) return true;
  if (c->holds == MIG_HOLDS_DOCUMENTS) mig_hash_hex(w->whole, c->sha256);
  bool ok = mig_metadata_write(w->manifest, c, &json, err) &&
            write_member(w, c->metadata_member, json.data, json.size, &c->metadata_offset, c->metadata_sha256, err);
  c->metadata_bytes = json.size;
  mig_buf_free(&json);
  return ok;
}

/* What was described is bound to the key: mig_archive_unlock() will compare. */
static bool authenticate(mig_archive_writer *w, mig_error *err) {
  mig_buf body = MIG_BUF(MIG_MANIFEST_MAX_BYTES);
  const bool ok = !w->crypt || (mig_manifest_body(w->manifest, &body, err) &&
                                mig_crypt_mac(w->crypt, body.data, body.size, w->manifest->encryption.mac, err));
  mig_buf_free(&body);
  return ok;
}

/* The file's own sum is taken with zeros where it will stand, then put there. */
static bool write_manifest(mig_archive_writer *w, mig_error *err) {
  mig_manifest *m = w->manifest;
  mig_buf json = MIG_BUF(MIG_MANIFEST_MAX_BYTES);
  char sum[MIG_SHA256_HEX];
  uint64_t offset = 0;
  m->archive_sha256[0] = 0;
  bool ok =
      mig_manifest_seal(m, err) && mig_manifest_check(m, err) && authenticate(w, err) &&
      mig_manifest_write(m, &json, err) &&
      write_member(w, MIG_MANIFEST_MEMBER, json.data, json.size, &offset, sum, err) &&
      mig_tar_out_close(w->tar, m->archive_sha256, err) &&
      mig_sink_patch(w->sink, offset + json.size - MIG_MANIFEST_TAIL_BYTES, m->archive_sha256, MIG_SHA256_HEX - 1, err);
  mig_buf_free(&json);
  return ok;
}

/* What is in the store now, read by the reader that a restore will use. */
static bool read_back(mig_archive_writer *w, char sha256[static MIG_SHA256_HEX], uint64_t *bytes, mig_error *err) {
  mig_archive *a = NULL;
  bool ok = mig_archive_open(mig_sink_path(w->sink), &a, err) &&
            (!w->crypt || mig_archive_authentic(a, w->crypt, err)) && mig_archive_read_back(a, sha256, bytes, err);
  if (ok && strcmp(mig_archive_contents(a)->archive_sha256, w->manifest->archive_sha256) != 0)
    ok = mig_fail(err, MIG_E_ARCHIVE, "%s holds another archive than the one written", mig_sink_path(w->sink));
  if (!ok) {
    mig_fail_at(err, "the new snapshot was read back and is not what was written");
    mig_hint(err,
             "the disk or file system of the store is not to be trusted: check it, or choose another with --store");
  }
  mig_archive_free(a);
  return ok;
}

bool mig_archive_sign(const mig_archive_writer *w, const char *path, mig_error *err) {
  const mig_sign_key *key = mig_store_sign_key(w->store);
  return !key || mig_sign_manifest(key, w->manifest, path, err) ||
         mig_fail_at(err, "the new snapshot could not be signed");
}

/* One without the signature that was asked for is taken away again: each further try would leave one more. */
static bool sign_or_remove(const mig_archive_writer *w, char **path, mig_error *err) {
  mig_error ignored;
  if (w->sign_later || mig_archive_sign(w, *path, err)) return true;
  mig_store_remove(w->store, *path, &ignored);
  mig_free(*path);
  *path = NULL;
  return false;
}

bool mig_archive_finish(mig_archive_writer *w, char **path, char sha256[static MIG_SHA256_HEX], uint64_t *bytes,
                        mig_error *err) {
  *path = NULL;
  if (w->current) return mig_fail(err, MIG_E_FAILED, "collection %s is still open", w->current->name);
  if (!write_manifest(w, err)) return false;
  mig_crash_point(MIG_CRASH_SNAPSHOT_WRITTEN);
  if (!mig_sink_settle(w->sink, err) || !read_back(w, sha256, bytes, err)) return false;
  mig_crash_point(MIG_CRASH_SNAPSHOT_SYNCED);
  if (!mig_sink_publish(w->sink, NULL, path, err)) return false;
  mig_crash_point(MIG_CRASH_SNAPSHOT_PUBLISHED);
  return sign_or_remove(w, path, err);
}

void mig_archive_writer_free(mig_archive_writer *w) {
  if (!w) return;
  mig_chunk_line_free(w->line); /* its thread may be writing */
  mig_tar_out_free(w->tar);
  mig_sink_free(w->sink);
  mig_crypt_free(w->crypt);
  mig_hash_free(w->part);
  mig_hash_free(w->whole);
  mig_manifest_free(w->manifest);
  mig_free(w);
}
