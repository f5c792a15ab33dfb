/* Which kind a path names; and files of a folder, the one kind that is always there. */
#include "backup/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/blob_internal.h"
#include "backup/s3.h"
#include "base/fs.h"

typedef struct file_blob {
  mig_blob base;
  int fd;
} file_blob;

bool mig_read_at(int fd, const char *path, const char *member, uint64_t offset, void *data, size_t size,
                 mig_error *err) {
  for (size_t at = 0; at < size;) {
    ssize_t n = pread(fd, (uint8_t *)data + at, size - at, (off_t)(offset + at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return mig_fail_errno(err, "cannot read %s: %s", path, member);
    if (n == 0) {
      mig_fail(err, MIG_E_ARCHIVE, "%s: %s: the file ends too early", path, member);
      return mig_hint(err, "the snapshot is not whole: fetch it again, or use another");
    }
    at += (size_t)n;
  }
  return true;
}

static bool file_read(const mig_blob *b, const char *member, uint64_t offset, void *data, size_t size, mig_error *err) {
  return mig_read_at(((const file_blob *)b)->fd, b->path, member, offset, data, size, err);
}

static bool file_look(const mig_blob *b, mig_blob_state *now, mig_error *err) {
  struct stat st;
  if (fstat(((const file_blob *)b)->fd, &st) != 0) return mig_fail_errno(err, "cannot read %s", b->path);
  now->bytes = (uint64_t)st.st_size;
  mig_fs_version(&st, now->version, sizeof now->version);
  return true;
}

static void file_close(mig_blob *b) {
  file_blob *f = (file_blob *)b;
  if (f->fd >= 0) close(f->fd);
  mig_free(f);
}

static const mig_blob_kind file_kind = {file_read, file_look, file_close};

static bool open_file(file_blob *f, mig_error *err) {
  struct stat st;
  /* O_NONBLOCK: opening a FIFO that somebody put there must not hang. */
  f->fd = open(f->base.path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (f->fd < 0) {
    bool is_link = errno == ELOOP;
    mig_fail_errno(err, "cannot open the snapshot %s", f->base.path);
    return is_link ? mig_hint(err, "links are not followed: name the file itself") : false;
  }
  if (fstat(f->fd, &st) != 0) return mig_fail_errno(err, "cannot read %s", f->base.path);
  if (!S_ISREG(st.st_mode)) return mig_fail(err, MIG_E_STORE, "%s is not a regular file", f->base.path);
  f->base.bytes = (uint64_t)st.st_size;
  return true;
}

bool mig_blob_open(const char *path, mig_blob **out, mig_error *err) {
  if (mig_s3_is_url(path)) return mig_s3_blob_open(path, out, err);
  *out = NULL;
  file_blob *f = mig_alloc(sizeof *f);
  if (!f) return mig_no_memory(err, "archive");
  f->base.kind = &file_kind;
  f->fd = -1;
  bool ok = (f->base.path = mig_strdup(path)) ? open_file(f, err) : mig_no_memory(err, "path");
  if (ok)
    *out = &f->base;
  else
    mig_blob_close(&f->base);
  return ok;
}

bool mig_blob_put(const char *path, const void *data, size_t size, mig_error *err) {
  if (mig_s3_is_url(path)) return mig_s3_put(path, data, size, err);
  return mig_fs_write_atomic(path, data, size, 0600, err);
}

bool mig_blob_get(const char *path, size_t max_bytes, bool *there, mig_buf *out, mig_error *err) {
  if (mig_s3_is_url(path)) return mig_s3_get(path, max_bytes, there, out, err);
  *out = MIG_BUF(max_bytes);
  *there = mig_fs_exists(path);
  return !*there || mig_fs_read(path, max_bytes, out, err);
}

void mig_blob_close(mig_blob *b) {
  if (!b) return;
  char *path = b->path;
  b->kind->close(b);
  mig_free(path);
}

const char *mig_blob_path(const mig_blob *b) {
  return b->path;
}

uint64_t mig_blob_bytes(const mig_blob *b) {
  return b->bytes;
}

bool mig_blob_is_far(const mig_blob *b) {
  return b->far;
}

bool mig_blob_read(const mig_blob *b, const char *member, uint64_t offset, void *data, size_t size, mig_error *err) {
  return b->kind->read(b, member, offset, data, size, err);
}

bool mig_blob_look(const mig_blob *b, mig_blob_state *now, mig_error *err) {
  return b->kind->look(b, now, err);
}
