#include "backup/tar_walk.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BLOCK         512u
#define END_BYTES     (2 * BLOCK)
#define TYPE_AT       156
#define SIZE_AT       124
#define MAGIC_AT      257
#define READ_BYTES    4096u
#define MAX_PAX_BYTES 2048 /* encoded, a name has three times 255 bytes and the database's */

typedef struct walk {
  const mig_blob *file;
  const char *path;
  uint64_t file_bytes, end; /* where the next header must begin */
  mig_tar_member_fn fn;
  void *arg;
  /* libarchive's own reading */
  uint64_t at;
  uint8_t piece[READ_BYTES];
  mig_error error;
} walk;

static bool refuse(const walk *w, const char *member, const char *why, mig_error *err) {
  mig_fail(err, MIG_E_ARCHIVE, "%s is not a whole snapshot archive", w->path);
  return mig_why(err, "%s%s%s", member ? member : "", member ? ": " : "", why);
}

/* The 11 octal digits and the space or zero that a size is written with; anything fancier is not ours. */
static bool octal(const uint8_t *field, uint64_t *out) {
  uint64_t n = 0;
  for (int i = 0; i < 11; i++) {
    if (field[i] < '0' || field[i] > '7') return false;
    n = n * 8 + (uint64_t)(field[i] - '0');
  }
  *out = n;
  return field[11] == ' ' || field[11] == 0;
}

static bool header_at(const walk *w, const char *name, uint64_t at, char type, uint64_t *size, mig_error *err) {
  uint8_t block[BLOCK];
  if (at > w->file_bytes || w->file_bytes - at < BLOCK) return refuse(w, name, "its header is cut off", err);
  if (!mig_blob_read(w->file, name, at, block, sizeof block, err)) return false;
  if (memcmp(block + MAGIC_AT,
             "ustar\0"
             "00",
             8) != 0 ||
      block[TYPE_AT] != (uint8_t)type || !octal(block + SIZE_AT, size))
    return refuse(w, name, "it is of a kind that snapshots do not have", err);
  return true;
}

static uint64_t padded(uint64_t size) {
  return (size + BLOCK - 1) / BLOCK * BLOCK;
}

static bool check_entry(const walk *w, struct archive_entry *e, const char *name, mig_error *err) {
  if (archive_entry_filetype(e) != AE_IFREG || archive_entry_hardlink(e) || archive_entry_symlink(e) ||
      archive_entry_sparse_count(e) != 0 || archive_entry_xattr_count(e) != 0 || !archive_entry_size_is_set(e))
    return refuse(w, name, "it is not a plain file", err);
  if (archive_entry_perm(e) != 0600) return refuse(w, name, "its mode is not 0600", err);
  return true;
}

/* A pax header says one thing, the name: other records would mean something else to other readers. */
static bool check_pax(const walk *w, uint64_t at, uint64_t size, const char *name, mig_error *err) {
  char found[MAX_PAX_BYTES], expected[MAX_PAX_BYTES];
  if (size > sizeof found) return refuse(w, name, "its pax header is too long", err);
  if (!mig_blob_read(w->file, name, at, found, (size_t)size, err)) return false;
  const int n = snprintf(expected, sizeof expected, "%llu path=%s\n", (unsigned long long)size, name);
  if (n < 0 || (uint64_t)n != size || memcmp(found, expected, (size_t)size) != 0)
    return refuse(w, name, "its pax header holds more than a name", err);
  return true;
}

static bool member(walk *w, struct archive *tar, struct archive_entry *e, mig_error *err) {
  const char *name = archive_entry_pathname(e);
  uint64_t at = (uint64_t)archive_read_header_position(tar), size = 0, extension = 0;
  if (!name || !*name) return refuse(w, NULL, "a member has no name", err);
  if (at != w->end) return refuse(w, name, "it does not follow the member before it", err);
  if (!check_entry(w, e, name, err)) return false;
  uint8_t type = 0;
  if (!mig_blob_read(w->file, name, at + TYPE_AT, &type, 1, err)) return false;
  if (type == 'x') {
    if (!header_at(w, name, at, 'x', &extension, err) || !check_pax(w, at + BLOCK, extension, name, err)) return false;
    at += BLOCK + padded(extension);
  }
  if (!header_at(w, name, at, '0', &size, err)) return false;
  if ((int64_t)size != archive_entry_size(e)) return refuse(w, name, "its headers contradict each other", err);
  at += BLOCK;
  if (size > w->file_bytes - at) return refuse(w, name, "it is cut off", err);
  w->end = at + padded(size);
  return w->fn(w->arg, name, at, size, err);
}

static bool check_end(const walk *w, mig_error *err) {
  uint8_t zeros[END_BYTES];
  if (w->end + END_BYTES != w->file_bytes) return refuse(w, NULL, "it does not end where it should", err);
  if (!mig_blob_read(w->file, "end", w->end, zeros, sizeof zeros, err)) return false;
  for (size_t i = 0; i < sizeof zeros; i++)
    if (zeros[i]) return refuse(w, NULL, "something stands behind the last member", err);
  return true;
}

static la_ssize_t on_read(struct archive *tar, void *arg, const void **data) {
  walk *w = arg;
  const uint64_t left = w->file_bytes - w->at;
  const size_t n = left < READ_BYTES ? (size_t)left : READ_BYTES;
  *data = w->piece;
  if (n && !mig_blob_read(w->file, "tar header", w->at, w->piece, n, &w->error)) {
    archive_set_error(tar, EIO, "%s", w->error.what);
    return -1;
  }
  w->at += n;
  return (la_ssize_t)n;
}

static la_int64_t on_skip(struct archive *tar, void *arg, la_int64_t wanted) {
  walk *w = arg;
  (void)tar;
  const uint64_t left = w->file_bytes - w->at, n = wanted < 0 ? 0 : (uint64_t)wanted;
  w->at += n < left ? n : left;
  return (la_int64_t)(n < left ? n : left);
}

/* What stopped libarchive: a read of ours that failed, or the bytes. */
static bool stopped(const walk *w, struct archive *tar, const char *otherwise, mig_error *err) {
  const char *why = archive_error_string(tar);
  if (!w->error.code) return refuse(w, NULL, why ? why : otherwise, err);
  if (err) *err = w->error;
  return false;
}

bool mig_tar_walk(const mig_blob *file, mig_tar_member_fn fn, void *arg, mig_error *err) {
  walk w = {.file = file, .path = mig_blob_path(file), .file_bytes = mig_blob_bytes(file), .fn = fn, .arg = arg};
  struct archive_entry *entry = NULL;
  struct archive *tar = archive_read_new();
  bool ok = false;
  if (!tar) return mig_no_memory(err, "tar");
  if (archive_read_support_format_tar(tar) != ARCHIVE_OK || archive_read_support_filter_none(tar) != ARCHIVE_OK ||
      archive_read_open2(tar, &w, NULL, on_read, on_skip, NULL) != ARCHIVE_OK) {
    stopped(&w, tar, "it cannot be opened", err);
    goto done;
  }
  int result;
  while ((result = archive_read_next_header(tar, &entry)) == ARCHIVE_OK)
    if (!member(&w, tar, entry, err)) goto done;
  ok = result == ARCHIVE_EOF ? check_end(&w, err) : stopped(&w, tar, "a header cannot be read", err);
done:
  archive_read_free(tar);
  return ok;
}
