#include "backup/store_receive.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "backup/archive_read.h"

#define PIECE_BYTES (1u << 20)

struct mig_received {
  char *path;
  int fd; /* holds the lock of a .partial */
  bool kept;
};

static bool copy(int from, int to, const char *from_name, const char *to_name, mig_error *err) {
  uint8_t *piece = mig_alloc(PIECE_BYTES);
  ssize_t n = 0;
  bool ok = piece != NULL || mig_no_memory(err, "copying");
  while (ok && (n = read(from, piece, PIECE_BYTES)) != 0) {
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) ok = mig_fail_errno(err, "cannot read %s", from_name);
    for (ssize_t done = 0; ok && done < n;) {
      const ssize_t written = write(to, piece + done, (size_t)(n - done));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) ok = mig_fail_errno(err, "cannot write %s", to_name);
      if (ok) done += written;
    }
  }
  mig_free(piece);
  return ok;
}

static bool verify(const mig_store *s, const char *path, const mig_observer *observer, char **id, mig_error *err) {
  mig_archive *a = NULL;
  bool ok = mig_archive_open_with(path, mig_store_key(s), &a, err) && mig_archive_verify(a, observer, err);
  if (ok && !(*id = mig_strdup(mig_archive_contents(a)->id))) ok = mig_no_memory(err, "id");
  mig_archive_free(a);
  if (!ok && err && err->code == MIG_E_ARCHIVE) {
    mig_fail_at(err, "what came by standard input is not a whole snapshot");
    mig_hint(err, "nothing was written to the database; send it again");
  }
  return ok;
}

/* Under its own id; or, where one of that id is there already, under a new one. */
static bool publish(mig_store *s, mig_received *r, const char *own_id, mig_error *err) {
  char *partial = NULL, *final = NULL, *id = NULL;
  bool ok = mig_store_paths(s, own_id, &partial, &final, err);
  if (ok && mig_fs_exists(final)) {
    mig_free(partial);
    mig_free(final);
    partial = final = NULL;
    ok = mig_store_new_id("received", &id, err) && mig_store_paths(s, id, &partial, &final, err);
  }
  ok = ok && mig_fs_publish(r->path, final, err);
  if (ok) {
    mig_free(r->path);
    r->path = final;
    r->kept = true;
    final = NULL;
  }
  mig_free(partial);
  mig_free(final);
  mig_free(id);
  return ok;
}

bool mig_store_receive(mig_store *s, int fd, bool keep, const mig_observer *observer, mig_received **out,
                       mig_error *err) {
  char *id = NULL, *own_id = NULL, *final = NULL;
  *out = NULL;
  mig_received *r = mig_alloc(sizeof *r);
  if (!r) return mig_no_memory(err, "receiving");
  r->fd = -1;
  bool ok = mig_store_new_id("received", &id, err) && mig_store_paths(s, id, &r->path, &final, err);
  if (ok && (r->fd = open(r->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)) < 0)
    ok = mig_fail_errno(err, "cannot write %s", r->path);
  if (ok) (void)flock(r->fd, LOCK_EX | LOCK_NB); /* tells mig_store_sweep that we live; not every file system has it */
  ok = ok && copy(fd, r->fd, "standard input", r->path, err);
  if (ok && fsync(r->fd) != 0) ok = mig_fail_errno(err, "cannot sync %s", r->path);
  ok = ok && verify(s, r->path, observer, &own_id, err) && (!keep || publish(s, r, own_id, err));
  mig_free(own_id);
  mig_free(final);
  mig_free(id);
  if (ok)
    *out = r;
  else
    mig_received_free(r);
  return ok;
}

const char *mig_received_path(const mig_received *r) {
  return r->path;
}

void mig_received_free(mig_received *r) {
  if (!r) return;
  if (r->path && r->fd >= 0 && !r->kept) unlink(r->path);
  if (r->fd >= 0) close(r->fd);
  mig_free(r->path);
  mig_free(r);
}

bool mig_store_send(const char *path, int fd, mig_error *err) {
  int from = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (from < 0) return mig_fail_errno(err, "cannot read %s", path);
  const bool ok = copy(from, fd, path, "standard output", err);
  close(from);
  return ok;
}
