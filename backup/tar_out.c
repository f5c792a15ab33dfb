#include "backup/tar_out.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct mig_tar_out {
  char *path;
  int fd;
  struct archive *tar;
  mig_hash *hash;
  uint64_t offset;
  int64_t mtime;
  int error; /* errno of the first failed write */
};

/* write(), but past a file size limit it is EFBIG: the signal that would kill the process is taken away. */
static ssize_t write_quietly(int fd, const void *data, size_t size) {
  sigset_t limit, before, pending;
  struct timespec now = {0};
  sigemptyset(&limit);
  sigaddset(&limit, SIGXFSZ);
  sigpending(&pending);
  bool was_pending = sigismember(&pending, SIGXFSZ) == 1;
  pthread_sigmask(SIG_BLOCK, &limit, &before);
  ssize_t n = write(fd, data, size);
  int error = errno;
  if (n < 0 && error == EFBIG && !was_pending) {
    while (sigtimedwait(&limit, NULL, &now) < 0 && errno == EINTR) {
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  errno = error;
  return n;
}

/* A failure is kept here and not told to libarchive, which would lose memory over it (3.6). */
static la_ssize_t on_write(struct archive *tar, void *arg, const void *data, size_t size) {
  mig_tar_out *t = arg;
  (void)tar;
  for (size_t at = 0; at < size && !t->error;) {
    ssize_t n = write_quietly(t->fd, (const uint8_t *)data + at, size - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0)
      t->error = n < 0 ? errno : EIO;
    else
      at += (size_t)n;
  }
  mig_hash_add(t->hash, data, size);
  t->offset += (uint64_t)size;
  return (la_ssize_t)size;
}

static bool failed(mig_tar_out *t, mig_error *err) {
  if (t->error) {
    errno = t->error;
    mig_fail_errno(err, "cannot write %s", t->path);
    if (t->error == ENOSPC || t->error == EDQUOT || t->error == EFBIG)
      mig_hint(err, "free some room there, or choose another folder with --store");
    return false;
  }
  mig_fail(err, MIG_E_STORE, "cannot write %s", t->path);
  const char *why = archive_error_string(t->tar);
  return mig_why(err, "%s", why ? why : "libarchive gave no reason");
}

static bool start(mig_tar_out *t, mig_error *err) {
  if (!(t->tar = archive_write_new())) return mig_no_memory(err, "tar");
  /* "restricted": a plain ustar header wherever that is enough. No blocking: each write goes straight to the file. */
  if (archive_write_set_format_pax_restricted(t->tar) != ARCHIVE_OK ||
      archive_write_add_filter_none(t->tar) != ARCHIVE_OK ||
      archive_write_set_bytes_per_block(t->tar, 0) != ARCHIVE_OK ||
      archive_write_set_bytes_in_last_block(t->tar, 1) != ARCHIVE_OK ||
      archive_write_open(t->tar, t, NULL, on_write, NULL) != ARCHIVE_OK)
    return failed(t, err);
  return true;
}

bool mig_tar_out_open(const char *path, int64_t created_unix_ms, mig_tar_out **out, mig_error *err) {
  *out = NULL;
  mig_tar_out *t = mig_alloc(sizeof *t);
  if (!t) return mig_no_memory(err, "tar");
  t->mtime = created_unix_ms / 1000;
  t->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (t->fd < 0) {
    mig_fail_errno(err, "cannot make %s", path);
    goto failed;
  }
  (void)flock(t->fd, LOCK_EX | LOCK_NB); /* tells mig_store_sweep that we live; not every file system has it */
  if (!(t->path = mig_strdup(path))) {
    mig_no_memory(err, "path");
    goto failed;
  }
  if (!mig_hash_new(&t->hash, err) || !start(t, err)) goto failed;
  *out = t;
  return true;
failed:
  if (t->fd >= 0) unlink(path); /* made here, so ours to remove */
  mig_tar_out_free(t);
  return false;
}

bool mig_tar_out_member(mig_tar_out *t, const char *name, const void *data, size_t size, uint64_t *offset,
                        mig_error *err) {
  struct archive_entry *e = archive_entry_new();
  bool ok = false;
  if (!e) return mig_no_memory(err, "tar");
  archive_entry_set_pathname(e, name);
  archive_entry_set_filetype(e, AE_IFREG);
  archive_entry_set_perm(e, 0600);
  archive_entry_set_size(e, (la_int64_t)size);
  archive_entry_set_mtime(e, (time_t)t->mtime, 0);
  if (archive_write_header(t->tar, e) != ARCHIVE_OK) goto done;
  *offset = t->offset;
  for (size_t at = 0; at < size && !t->error;) {
    la_ssize_t n = archive_write_data(t->tar, (const uint8_t *)data + at, size - at);
    if (n <= 0) goto done;
    at += (size_t)n;
  }
  ok = archive_write_finish_entry(t->tar) == ARCHIVE_OK && !t->error;
done:
  if (!ok) failed(t, err);
  archive_entry_free(e);
  return ok;
}

bool mig_tar_out_close(mig_tar_out *t, char sha256[static MIG_SHA256_HEX], mig_error *err) {
  if (archive_write_close(t->tar) != ARCHIVE_OK || t->error) return failed(t, err);
  mig_hash_hex(t->hash, sha256);
  return true;
}

bool mig_tar_out_patch(mig_tar_out *t, uint64_t offset, const void *data, size_t size, mig_error *err) {
  for (size_t at = 0; at < size;) {
    ssize_t n = pwrite(t->fd, (const uint8_t *)data + at, size - at, (off_t)(offset + at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return mig_fail_errno(err, "cannot write %s", t->path);
    at += (size_t)n;
  }
  return true;
}

bool mig_tar_out_sync(mig_tar_out *t, mig_error *err) {
  if (fsync(t->fd) != 0) return mig_fail_errno(err, "cannot sync %s", t->path);
  (void)posix_fadvise(t->fd, 0, 0, POSIX_FADV_DONTNEED); /* advice only: some file systems have no cache to drop */
  return true;
}

bool mig_tar_out_is(const mig_tar_out *t, const char *path) {
  struct stat ours, theirs;
  return fstat(t->fd, &ours) == 0 && lstat(path, &theirs) == 0 && ours.st_ino == theirs.st_ino &&
         ours.st_dev == theirs.st_dev;
}

void mig_tar_out_free(mig_tar_out *t) {
  if (!t) return;
  if (t->tar) archive_write_free(t->tar);
  if (t->fd >= 0) close(t->fd);
  mig_hash_free(t->hash);
  mig_free(t->path);
  mig_free(t);
}
