/*
 * Verifying: one pass over the whole file in its order. Each byte goes into two sums (of the file as it is, and with
 * zeros in place of the manifest's archiveSha256), and each member is checked on the way.
 */
#include <string.h>
#include <sys/stat.h>

#include "backup/archive_internal.h"
#include "backup/chunk.h"
#include "backup/manifest_internal.h"

#define PIECE_BYTES (64u << 10)

typedef struct pass {
  mig_archive *a;
  const mig_observer *observer;
  mig_chunk_reader *reader;
  mig_hash *as_it_is, *zeroed, *collection;
  mig_buf small; /* header, metadata */
  uint8_t *piece;
  uint64_t at; /* all before this is in the sums */
} pass;

static void add(pass *p, const void *data, size_t size) {
  mig_hash_add(p->as_it_is, data, size);
  mig_hash_add(p->zeroed, data, size);
  p->at += size;
}

/* The bytes between members (headers, padding) and behind the last one. */
static bool add_until(pass *p, uint64_t end, mig_error *err) {
  while (p->at < end) {
    size_t n = end - p->at < PIECE_BYTES ? (size_t)(end - p->at) : PIECE_BYTES;
    if (!mig_read_at(p->a->fd, p->a->path, "tar header", p->at, p->piece, n, err)) return false;
    add(p, p->piece, n);
  }
  return true;
}

static bool add_manifest(pass *p, mig_error *err) {
  static const uint8_t zeros[MIG_SHA256_HEX - 1] = {
      '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0',
      '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0',
      '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0'};
  uint8_t digits[sizeof zeros];
  uint64_t digits_at = p->a->manifest_offset + p->a->manifest_bytes - MIG_MANIFEST_TAIL_BYTES;
  if (!add_until(p, digits_at, err) ||
      !mig_read_at(p->a->fd, p->a->path, MIG_MANIFEST_MEMBER, digits_at, digits, sizeof digits, err))
    return false;
  mig_hash_add(p->as_it_is, digits, sizeof digits);
  mig_hash_add(p->zeroed, zeros, sizeof zeros);
  p->at += sizeof digits;
  return add_until(p, p->a->bytes, err);
}

static bool wrong(const pass *p, const char *member, const char *why, mig_error *err) {
  mig_fail(err, MIG_E_ARCHIVE, "%s: %s is damaged or was altered", p->a->path, member);
  mig_why(err, "%s", why);
  return mig_hint(err, "nothing was taken from it; use another copy of the snapshot");
}

static bool check_small(pass *p, const mig_member *member, mig_error *err) {
  char sum[MIG_SHA256_HEX];
  if (!mig_read_member(p->a->fd, p->a->path, member->name, member->offset, member->bytes, &p->small, err)) return false;
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

static bool check_member(pass *p, const mig_member *member, mig_error *err) {
  if (!add_until(p, member->offset, err)) return false;
  if (!member->chunk) return check_small(p, member, err);
  if (!mig_chunk_load(p->reader, p->a->fd, p->a->path, member->chunk, err)) return false;
  add(p, p->reader->stored.data, p->reader->stored.size);
  mig_hash_add(p->collection, p->reader->raw.data, p->reader->raw.size);
  return true;
}

static bool check_sums(pass *p, mig_error *err) {
  char sum[MIG_SHA256_HEX];
  struct stat st;
  mig_hash_hex(p->as_it_is, p->a->file_sha256);
  mig_hash_hex(p->zeroed, sum);
  if (strcmp(sum, p->a->manifest->archive_sha256) != 0)
    return wrong(p, "the file", "the SHA-256 over the whole of it is not the manifest's archiveSha256", err);
  if (fstat(p->a->fd, &st) != 0) return mig_fail_errno(err, "cannot read %s", p->a->path);
  return (uint64_t)st.st_size == p->a->bytes || wrong(p, "the file", "its length changed while it was read", err);
}

static bool run(pass *p, mig_error *err) {
  mig_member_walk walk = {0};
  mig_member member;
  if (!(p->piece = mig_alloc(PIECE_BYTES))) return mig_no_memory(err, "archive");
  if (!mig_chunk_reader_new(&p->reader, err) || !mig_hash_new(&p->as_it_is, err) || !mig_hash_new(&p->zeroed, err) ||
      !mig_hash_new(&p->collection, err))
    return false;
  while (mig_member_next(p->a->manifest, &walk, &member)) {
    if (!check_member(p, &member, err)) return false;
    mig_progress(p->observer, "verify snapshot", p->at, p->a->bytes);
  }
  return add_manifest(p, err) && check_sums(p, err);
}

static bool same_time(struct timespec a, struct timespec b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* A write changes the times, and nothing sets the second of them back. */
static bool untouched(const struct stat *was, const struct stat *is) {
  return was->st_size == is->st_size && same_time(was->st_mtim, is->st_mtim) && same_time(was->st_ctim, is->st_ctim);
}

bool mig_archive_verify(mig_archive *a, const mig_observer *observer, mig_error *err) {
  pass p = {.a = a, .observer = observer, .small = MIG_BUF(MIG_METADATA_MAX_BYTES)};
  struct stat now;
  if (fstat(a->fd, &now) != 0) return mig_fail_errno(err, "cannot read %s", a->path);
  if (a->verified && untouched(&a->verified_as, &now)) return true;
  a->verified_as = now;
  a->verified = run(&p, err);
  mig_buf_free(&p.small);
  mig_free(p.piece);
  mig_chunk_reader_free(p.reader);
  mig_hash_free(p.as_it_is);
  mig_hash_free(p.zeroed);
  mig_hash_free(p.collection);
  return a->verified;
}

/* Without verify(): a plain sum of the open file. */
static bool sum_file(mig_archive *a, char sha256[static MIG_SHA256_HEX], mig_error *err) {
  mig_hash *h = NULL;
  uint8_t *piece = mig_alloc(PIECE_BYTES);
  bool ok = piece ? mig_hash_new(&h, err) : mig_no_memory(err, "archive");
  for (uint64_t at = 0; ok && at < a->bytes; at += PIECE_BYTES) {
    size_t n = a->bytes - at < PIECE_BYTES ? (size_t)(a->bytes - at) : PIECE_BYTES;
    ok = mig_read_at(a->fd, a->path, "the file", at, piece, n, err);
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
