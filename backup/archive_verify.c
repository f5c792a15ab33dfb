/*
 * Verifying: one pass over the whole file. Chunks are read, unpacked and checked by several threads; what comes out, in
 * the file's order, goes into the sum of the file and that of the collection. The file's sum is taken twice from where
 * the manifest's archiveSha256 stands: as it is, and with zeros in its place.
 */
#include <string.h>

#include "backup/archive_internal.h"
#include "backup/chunk.h"
#include "backup/manifest_internal.h"
#include "backup/pipeline.h"
#include "backup/store.h"

#define PIECE_BYTES   (256u << 10)
#define IDS_MAX_BYTES (16u << 20) /* of encrypted chunks, kept in memory as long as the archive is open */

typedef struct pass {
  mig_archive *a;
  const mig_observer *observer;
  mig_pipeline *chunks;
  mig_hash *whole, *collection;
  bool own;      /* written by this process: see mig_archive_read_back */
  mig_buf small; /* header, metadata */
  uint8_t *piece;
  uint64_t at;      /* all before this is in the sums */
  size_t ids_bytes; /* kept so far */
} pass;

typedef struct loading {
  const mig_archive *a;
  mig_chunk *chunk;
  mig_chunk_reader *reader;
} loading;

static void add(pass *p, const void *data, size_t size) {
  mig_hash_add(p->whole, data, size);
  p->at += size;
}

/* The bytes between members (headers, padding) and behind the last one. */
static bool add_until(pass *p, uint64_t end, mig_error *err) {
  while (p->at < end) {
    size_t n = end - p->at < PIECE_BYTES ? (size_t)(end - p->at) : PIECE_BYTES;
    if (!mig_blob_read(p->a->file, "tar header", p->at, p->piece, n, err)) return false;
    add(p, p->piece, n);
  }
  return true;
}

static bool wrong(const pass *p, const char *member, const char *why, mig_error *err) {
  mig_fail(err, MIG_E_ARCHIVE, "%s: %s is damaged or was altered", p->a->path, member);
  mig_why(err, "%s", why);
  return mig_hint(err, "nothing was taken from it; use another copy of the snapshot");
}

static bool check_small(pass *p, const mig_member *member, mig_error *err) {
  char sum[MIG_SHA256_HEX];
  if (!mig_read_member(p->a->file, member->name, member->offset, member->bytes, &p->small, err)) return false;
  if (!mig_sha256_hex(p->small.data, p->small.size, sum, err)) return false;
  if (strcmp(sum, member->sha256) != 0) return wrong(p, member->name, "its SHA-256 is not the manifest's", err);
  add(p, p->small.data, p->small.size);
  const mig_collection_entry *c = member->collection;
  if (!c) return true;
  if (!mig_metadata_check(c, p->small.data, p->small.size, err)) return mig_fail_at(err, "%s", p->a->path);
  if (c->holds != MIG_HOLDS_DOCUMENTS) return true;
  mig_hash_hex(p->collection, sum); /* metadata comes behind the last chunk */
  return strcmp(sum, c->sha256) == 0 || wrong(p, member->name, "its documents' SHA-256 is not the manifest's", err);
}

static bool load(void *arg, unsigned worker, void *item, mig_error *err) {
  loading *l = item;
  (void)arg;
  (void)worker;
  if (!l->reader && !mig_chunk_reader_new(&l->reader, err)) return false;
  l->reader->crypt = l->a->crypt;
  return mig_chunk_load(l->reader, l->a->file, l->chunk, err);
}

static void clear(void *item) {
  mig_chunk_reader_free(((loading *)item)->reader);
}

/* The manifest tells no _id of an encrypted chunk: kept here, so that a restore can go by ranges and chunks as it does
 * for others. Very long ones beyond the bound are not, and a collection that lacks one is read as a whole. */
static bool learn_ids(pass *p, const loading *l, mig_error *err) {
  bson_t *first = NULL, *last = NULL;
  if (!p->a->crypt) return true;
  if (!mig_chunk_ids(&l->reader->raw, l->reader->last_at, &first, &last, err)) return false;
  const size_t bytes = (size_t)first->len + last->len;
  if (bytes > IDS_MAX_BYTES - p->ids_bytes) {
    bson_reinit(first);
    bson_reinit(last);
  } else {
    p->ids_bytes += bytes;
  }
  bson_destroy(l->chunk->first); /* empty, or of an earlier verification */
  bson_destroy(l->chunk->last);
  l->chunk->first = first;
  l->chunk->last = last;
  return true;
}

/* The oldest chunk that was put in, into the sums. *any is false when there is none. */
static bool sum_chunk(pass *p, bool *any, mig_error *err) {
  void *item = NULL;
  if (!mig_pipeline_next(p->chunks, &item, err)) return false;
  if (!(*any = item != NULL)) return true;
  loading *l = item;
  bool ok = add_until(p, l->chunk->offset, err);
  if (ok) add(p, l->reader->stored.data, l->reader->stored.size);
  if (ok) mig_hash_add(p->collection, l->reader->raw.data, l->reader->raw.size);
  ok = ok && learn_ids(p, l, err);
  mig_chunk_reader_rest(l->reader);
  mig_pipeline_done(p->chunks, item);
  mig_progress(p->observer, "verify snapshot", p->at, p->a->bytes);
  return ok;
}

static bool start_chunk(pass *p, mig_chunk *chunk, mig_error *err) {
  loading *l = NULL;
  bool any = true;
  while (!(l = mig_pipeline_try_take(p->chunks)))
    if (!sum_chunk(p, &any, err)) return false;
  l->a = p->a;
  l->chunk = chunk;
  mig_pipeline_put(p->chunks, l, (size_t)chunk->raw_bytes);
  return true;
}

static bool sum_all(pass *p, mig_error *err) {
  for (bool any = true; any;)
    if (!sum_chunk(p, &any, err)) return false;
  return true;
}

static bool check_member(pass *p, const mig_member_walk *walk, const mig_member *member, mig_error *err) {
  mig_collection_entry *all = p->a->manifest->collections;
  if (member->chunk) return start_chunk(p, &all[walk->collection].chunks[walk->chunk - 1], err); /* walk is behind it */
  return sum_all(p, err) && add_until(p, member->offset, err) && check_small(p, member, err);
}

/* The manifest and the end of the file, once as they are and once with zeros for the file's own sum. */
static bool check_sums(pass *p, mig_error *err) {
  char digits[MIG_SHA256_HEX - 1], zeros[MIG_SHA256_HEX - 1], sum[MIG_SHA256_HEX];
  const uint64_t digits_at = p->a->manifest_offset + p->a->manifest_bytes - MIG_MANIFEST_TAIL_BYTES;
  mig_hash *as_it_is = NULL;
  if (!add_until(p, digits_at, err) ||
      !mig_blob_read(p->a->file, MIG_MANIFEST_MEMBER, digits_at, digits, sizeof digits, err) ||
      !mig_hash_fork(p->whole, &as_it_is, err))
    return false;
  memset(zeros, '0', sizeof zeros);
  mig_hash_add(as_it_is, digits, sizeof digits);
  add(p, zeros, sizeof zeros);
  const size_t rest = (size_t)(p->a->bytes - p->at); /* a few bytes of JSON and the tar's end */
  bool ok = rest <= PIECE_BYTES || wrong(p, "the file", "something follows its manifest", err);
  ok = ok && mig_blob_read(p->a->file, "the end", p->at, p->piece, rest, err);
  if (ok) {
    add(p, p->piece, rest);
    mig_hash_add(as_it_is, p->piece, rest);
    mig_hash_hex(as_it_is, p->a->file_sha256);
    mig_hash_hex(p->whole, sum);
    ok = strcmp(sum, p->a->manifest->archive_sha256) == 0 ||
         wrong(p, "the file", "the SHA-256 over the whole of it is not the manifest's archiveSha256", err);
  }
  mig_hash_free(as_it_is);
  return ok;
}

static bool length_is(const pass *p, mig_error *err) {
  mig_blob_state now;
  if (!mig_blob_look(p->a->file, &now, err)) return false;
  return now.bytes == p->a->bytes || wrong(p, "the file", "its length changed while it was read", err);
}

static bool run(pass *p, mig_error *err) {
  mig_member_walk walk = {0};
  mig_member member;
  const mig_pipeline_options o = {.workers = mig_jobs(p->a->jobs),
                                  .budget_bytes = MIG_ARCHIVE_READ_BYTES,
                                  .item_size = sizeof(loading),
                                  .work = load,
                                  .clear = clear,
                                  .arg = p};
  if (!mig_archive_check_members(p->a, err)) return false;
  if (!(p->piece = mig_alloc(PIECE_BYTES))) return mig_no_memory(err, "archive");
  if (!mig_pipeline_open(&o, &p->chunks, err) || !mig_hash_new(&p->whole, err) || !mig_hash_new(&p->collection, err))
    return false;
  while (mig_member_next(p->a->manifest, &walk, &member))
    if (!check_member(p, &walk, &member, err)) return false;
  return sum_all(p, err) && check_sums(p, err) && length_is(p, err);
}

static bool as_verified(const mig_archive *a, const mig_blob_state *now) {
  return a->verified && now->bytes == a->verified_as.bytes && strcmp(now->version, a->verified_as.version) == 0;
}

/* Neither is damage; either can be somebody's who may write to the store. */
static void warn_of_swap(const mig_archive *a, const mig_observer *o) {
  if (mig_store_names_another(a->path, a->manifest->id))
    mig_say(o, MIG_WARNING, "%s is not the snapshot of that name: it holds %s", a->path, a->manifest->id);
  if (a->key_set && !a->manifest->encryption.used)
    mig_say(o, MIG_WARNING, "%s is not encrypted although a key is set: anybody could have made it", a->path);
}

bool mig_archive_verify(mig_archive *a, const mig_observer *observer, mig_error *err) {
  pass p = {.a = a, .observer = observer, .small = MIG_BUF(MIG_METADATA_MAX_BYTES)};
  mig_blob_state now;
  if (a->manifest->encryption.used && !a->crypt && !mig_archive_unlock(a, NULL, err)) return false;
  if (!mig_blob_look(a->file, &now, err)) return false;
  if (as_verified(a, &now)) return true;
  a->verified_as = now;
  warn_of_swap(a, observer);
  a->verified = run(&p, err);
  mig_pipeline_free(p.chunks);
  mig_buf_free(&p.small);
  mig_free(p.piece);
  mig_hash_free(p.whole);
  mig_hash_free(p.collection);
  return a->verified;
}

bool mig_archive_still_there(const mig_archive *a, mig_error *err) {
  mig_blob *again = NULL;
  mig_blob_state now = {0};
  const bool ok = mig_blob_open(a->path, &again, err) && mig_blob_look(again, &now, err);
  mig_blob_close(again);
  if (ok && as_verified(a, &now)) return true;
  if (ok) {
    mig_fail(err, MIG_E_ARCHIVE, "%s is not the file any more that was verified", a->path);
    mig_why(err, "another stands in its place, or it was changed meanwhile");
  } else {
    mig_fail_at(err, "the snapshot that was verified is gone");
  }
  return mig_hint(err, "nothing was written; see who touches the store, then begin anew");
}

bool mig_archive_read_back(mig_archive *a, char sha256[static MIG_SHA256_HEX], uint64_t *bytes, mig_error *err) {
  pass p = {.a = a};
  const uint64_t digits_at = a->manifest_offset + a->manifest_bytes - MIG_MANIFEST_TAIL_BYTES;
  bool ok = (p.piece = mig_alloc(PIECE_BYTES)) ? mig_hash_new(&p.whole, err) : mig_no_memory(err, "archive");
  ok = ok && add_until(&p, digits_at, err) && check_sums(&p, err) && length_is(&p, err);
  mig_free(p.piece);
  mig_hash_free(p.whole);
  if (!ok) return false;
  memcpy(sha256, a->file_sha256, MIG_SHA256_HEX);
  *bytes = a->bytes;
  return true;
}

bool mig_archive_check_sum(mig_archive *a, mig_error *err) {
  char sha256[MIG_SHA256_HEX];
  uint64_t bytes = 0;
  return mig_archive_check_members(a, err) && mig_archive_read_back(a, sha256, &bytes, err);
}

/* Without verify(): a plain sum of the open file. */
static bool sum_file(mig_archive *a, char sha256[static MIG_SHA256_HEX], mig_error *err) {
  mig_hash *h = NULL;
  uint8_t *piece = mig_alloc(PIECE_BYTES);
  bool ok = piece ? mig_hash_new(&h, err) : mig_no_memory(err, "archive");
  for (uint64_t at = 0; ok && at < a->bytes; at += PIECE_BYTES) {
    size_t n = a->bytes - at < PIECE_BYTES ? (size_t)(a->bytes - at) : PIECE_BYTES;
    ok = mig_blob_read(a->file, "the file", at, piece, n, err);
    if (ok) mig_hash_add(h, piece, n);
  }
  if (ok) mig_hash_hex(h, sha256);
  mig_hash_free(h);
  mig_free(piece);
  return ok;
}

bool mig_archive_sha256(mig_archive *a, char sha256[static MIG_SHA256_HEX], uint64_t *bytes, mig_error *err) {
  if (bytes) *bytes = a->bytes;
  if (!a->verified) return sum_file(a, sha256, err);
  memcpy(sha256, a->file_sha256, MIG_SHA256_HEX);
  return true;
}
