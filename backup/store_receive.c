#include "backup/store_receive.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "backup/archive_read.h"
#include "backup/blob_internal.h"

#define PIECE_BYTES (1u << 20)

struct mig_received {
  char *path;
  mig_sink *sink; /* not yet published, if it is ever */
};

static bool take_in(mig_work *w, int fd, mig_sink *to, mig_error *err) {
  uint8_t *piece = mig_alloc(PIECE_BYTES);
  ssize_t n = 0;
  bool ok = piece != NULL || mig_no_memory(err, "copying");
  while (ok && (ok = mig_wait_fd(w, fd, POLLIN, err)) && (n = read(fd, piece, PIECE_BYTES)) != 0) {
    if (n < 0 && errno == EINTR) continue;
    ok = n < 0 ? mig_fail_errno(err, "cannot read standard input") : mig_sink_write(to, piece, (size_t)n, err);
  }
  mig_free(piece);
  return ok;
}

static bool write_all(mig_work *w, int fd, const uint8_t *data, size_t size, mig_error *err) {
  for (size_t done = 0; done < size;) {
    if (!mig_wait_fd(w, fd, POLLOUT, err)) return false;
    const ssize_t n = write(fd, data + done, size - done < PIPE_BUF ? size - done : PIPE_BUF);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return mig_fail_errno(err, "cannot write standard output");
    done += (size_t)n;
  }
  return true;
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

/* Under its own id; or, where one of that id is there already, under the one it was received with. */
static bool publish(mig_store *s, mig_received *r, const char *own_id, mig_error *err) {
  char *path = NULL;
  bool taken = false;
  mig_store_item *items = NULL;
  size_t count = 0;
  if (!mig_store_check_id(own_id, err) || !mig_store_list(s, &items, &count, err)) return false;
  for (size_t i = 0; i < count; i++) taken = taken || strcmp(items[i].id, own_id) == 0;
  mig_store_items_free(items, count);
  if (!mig_sink_publish(r->sink, taken ? NULL : own_id, &path, err)) return false;
  mig_free(r->path);
  r->path = path;
  return true;
}

bool mig_store_receive(mig_store *s, mig_work *w, int fd, bool keep, mig_received **out, mig_error *err) {
  char *id = NULL, *own_id = NULL;
  *out = NULL;
  mig_received *r = mig_alloc(sizeof *r);
  if (!r) return mig_no_memory(err, "receiving");
  bool ok = mig_store_new_id("received", &id, err) && mig_store_create(s, id, &r->sink, err) &&
            take_in(w, fd, r->sink, err) && mig_sink_settle(r->sink, err);
  if (ok) ok = (r->path = mig_strdup(mig_sink_path(r->sink))) || mig_no_memory(err, "path");
  ok = ok && verify(s, r->path, w->observer, &own_id, err) && (!keep || publish(s, r, own_id, err));
  mig_free(own_id);
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
  mig_sink_free(r->sink);
  mig_free(r->path);
  mig_free(r);
}

bool mig_store_send(mig_work *w, const char *path, int fd, mig_error *err) {
  mig_blob *from = NULL;
  uint8_t *piece = mig_alloc(PIECE_BYTES);
  bool ok = piece ? mig_blob_open(path, &from, err) : mig_no_memory(err, "copying");
  for (uint64_t at = 0; ok && at < mig_blob_bytes(from); at += PIECE_BYTES) {
    const uint64_t left = mig_blob_bytes(from) - at;
    const size_t n = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
    ok = mig_blob_read(from, "the file", at, piece, n, err) && write_all(w, fd, piece, n, err);
  }
  mig_blob_close(from);
  mig_free(piece);
  return ok;
}
