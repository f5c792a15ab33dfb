/* A new file of a folder: .partial, locked --> written --> synced --> [read back] --> renamed --> folder synced. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backup/store_folder.h"

#define LOCK_TRIES 1000

typedef struct folder_sink {
  mig_sink base;
  const mig_store *store;
  char *partial, *final;
  int fd; /* holds the lock */
  bool published;
} folder_sink;

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

static bool folder_write(mig_sink *sink, const void *data, size_t size, mig_error *err) {
  folder_sink *s = (folder_sink *)sink;
  for (size_t at = 0; at < size;) {
    ssize_t n = write_quietly(s->fd, (const uint8_t *)data + at, size - at);
    if (n < 0 && errno == EINTR) continue;
    if (n > 0) {
      at += (size_t)n;
      continue;
    }
    const int error = n < 0 ? errno : EIO;
    errno = error;
    mig_fail_errno(err, "cannot write %s", s->partial);
    if (error == ENOSPC || error == EDQUOT || error == EFBIG)
      mig_hint(err, "free some room there, or choose another folder with --store");
    return false;
  }
  return true;
}

static bool folder_patch(mig_sink *sink, uint64_t offset, const void *data, size_t size, mig_error *err) {
  folder_sink *s = (folder_sink *)sink;
  for (size_t at = 0; at < size;) {
    ssize_t n = pwrite(s->fd, (const uint8_t *)data + at, size - at, (off_t)(offset + at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return mig_fail_errno(err, "cannot write %s", s->partial);
    at += (size_t)n;
  }
  return true;
}

/* Synced, and dropped from the page cache as far as the system does that: what is read next comes from the disk. */
static bool folder_settle(mig_sink *sink, mig_error *err) {
  folder_sink *s = (folder_sink *)sink;
  if (fsync(s->fd) != 0) return mig_fail_errno(err, "cannot sync %s", s->partial);
  (void)posix_fadvise(s->fd, 0, 0, POSIX_FADV_DONTNEED); /* advice only: some file systems have no cache to drop */
  return true;
}

static const char *folder_path(const mig_sink *sink) {
  return ((const folder_sink *)sink)->partial;
}

static bool is_ours(const folder_sink *s, const char *path) {
  struct stat ours, theirs;
  return fstat(s->fd, &ours) == 0 && lstat(path, &theirs) == 0 && ours.st_ino == theirs.st_ino &&
         ours.st_dev == theirs.st_dev;
}

static bool take_final(folder_sink *s, const char *id, mig_error *err) {
  char *partial = NULL, *final = NULL;
  if (!mig_store_paths(s->store, id, &partial, &final, err)) return false;
  mig_free(partial);
  mig_free(s->final);
  s->final = final;
  return true;
}

static bool folder_publish(mig_sink *sink, const char *id, char **path, mig_error *err) {
  folder_sink *s = (folder_sink *)sink;
  if (id && !take_final(s, id, err)) return false;
  if (!(*path = mig_strdup(s->final))) return mig_no_memory(err, "path");
  if (mig_fs_publish(s->partial, s->final, err)) return s->published = true;
  /* Renamed, but the folder could not be synced: what is reported as failed must not be there. */
  if (is_ours(s, s->final)) unlink(s->final);
  mig_free(*path);
  *path = NULL;
  return false;
}

static void folder_free(mig_sink *sink) {
  folder_sink *s = (folder_sink *)sink;
  if (s->fd >= 0 && !s->published) unlink(s->partial); /* made here, so ours to remove */
  if (s->fd >= 0) close(s->fd);
  mig_free(s->partial);
  mig_free(s->final);
  mig_free(s);
}

static const mig_sink_kind folder_kind = {folder_write, folder_patch,   folder_settle,
                                          folder_path,  folder_publish, folder_free};

/* A sweep may hold it for a moment. Some file systems have no locks; there nothing is swept either. */
static void lock(int fd) {
  const struct timespec moment = {.tv_nsec = 1000000};
  for (int tries = 0; tries < LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB) != 0; tries++) {
    if (errno != EWOULDBLOCK && errno != EINTR) return;
    nanosleep(&moment, NULL);
  }
}

/* Made anew: never opened over another, never through a link. It is ours when it is locked and still there: between the
 * one and the other a sweep may have taken it for what a killed writer left. */
static bool make_partial(folder_sink *s, mig_error *err) {
  for (int tries = 0; tries < LOCK_TRIES; tries++) {
    s->fd = open(s->partial, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (s->fd < 0) return mig_fail_errno(err, "cannot make %s", s->partial);
    lock(s->fd);
    if (is_ours(s, s->partial)) return true;
    close(s->fd);
    s->fd = -1;
  }
  return mig_fail(err, MIG_E_STORE, "%s is removed again and again by somebody else", s->partial);
}

bool mig_store_folder_create(mig_store *store, const char *id, mig_sink **out, mig_error *err) {
  *out = NULL;
  folder_sink *s = mig_alloc(sizeof *s);
  if (!s) return mig_no_memory(err, "archive");
  s->base.kind = &folder_kind;
  s->store = store;
  s->fd = -1;
  if (!mig_store_paths(store, id, &s->partial, &s->final, err) || !make_partial(s, err)) {
    mig_sink_free(&s->base);
    return false;
  }
  *out = &s->base;
  return true;
}
