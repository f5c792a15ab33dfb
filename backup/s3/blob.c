/*
 * An object, read by ranges. Each range is asked for only if the object is still the one that was opened (If-Match).
 * Large reads go straight to the server, by as many threads as there are; small ones through one window, which grows
 * as long as reading goes on where it ended.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "backup/s3.h"
#include "backup/s3/client.h"

#define SMALL_BYTES  (256u << 10) /* and a pass over everything comes in pieces of that */
#define FIRST_BYTES  (256u << 10) /* most small archives in one request */
#define WINDOW_BYTES (16u << 10)
#define WINDOW_MAX   (4u << 20)
#define GROWTH       4u

typedef struct s3_blob {
  mig_blob base;
  mig_s3 *s3;
  char etag[MIG_S3_ETAG];
  pthread_mutex_t lock; /* of the window */
  mig_s3_answer window; /* its body, from window_at on */
  uint64_t window_at;
  uint64_t step;
} s3_blob;

static bool replaced(const s3_blob *b, mig_error *err) {
  mig_fail(err, MIG_E_ARCHIVE, "%s was replaced or removed while it was read", b->base.path);
  mig_why(err, "its ETag is no longer that with which it was opened");
  return mig_hint(err, "find out who writes to that bucket; then begin anew");
}

/* Bytes from..to, both included, into out->body. */
static bool fetch(const s3_blob *b, uint64_t from, uint64_t to, mig_s3_answer *out, mig_error *err) {
  const mig_s3_request r = {.what = "cannot read",
                            .method = "GET",
                            .key = mig_s3_key(b->s3),
                            .if_match = b->etag[0] ? b->etag : NULL,
                            .from = from,
                            .to = to ? to : 1};
  out->body.maximum = (size_t)(to - from) + 1 < MIG_S3_TEXT_BYTES ? MIG_S3_TEXT_BYTES : (size_t)(to - from) + 1;
  if (!mig_s3_call(b->s3, &r, out, err)) return false;
  if (b->etag[0] && (out->status == 412 || out->status == 404)) return replaced(b, err);
  if (out->status != 206) return mig_s3_refused(b->s3, &r, out, err);
  return !b->etag[0] || out->body.size == (size_t)(to - from) + 1 || mig_s3_refused(b->s3, &r, out, err);
}

static bool read_large(const s3_blob *b, uint64_t offset, void *data, size_t size, mig_error *err) {
  mig_s3_answer a = {.body = MIG_BUF(0)};
  const bool ok = fetch(b, offset, offset + size - 1, &a, err);
  if (ok) memcpy(data, a.body.data, size);
  mig_buf_free(&a.body);
  return ok;
}

static bool move_window(s3_blob *b, uint64_t offset, mig_error *err) {
  const uint64_t end = b->window_at + b->window.body.size;
  b->step = offset != end ? WINDOW_BYTES : b->step * GROWTH > WINDOW_MAX ? WINDOW_MAX : b->step * GROWTH;
  const uint64_t left = b->base.bytes - offset;
  const uint64_t n = b->step < left ? b->step : left;
  b->window_at = offset;
  if (fetch(b, offset, offset + n - 1, &b->window, err)) return true;
  mig_buf_clear(&b->window.body);
  return false;
}

static bool read_small(s3_blob *b, uint64_t offset, uint8_t *data, size_t size, mig_error *err) {
  bool ok = true;
  pthread_mutex_lock(&b->lock);
  while (ok && size) {
    const uint64_t end = b->window_at + b->window.body.size;
    if (offset < b->window_at || offset >= end) {
      ok = move_window(b, offset, err);
      continue;
    }
    const size_t n = end - offset < size ? (size_t)(end - offset) : size;
    memcpy(data, b->window.body.data + (offset - b->window_at), n);
    data += n;
    offset += n;
    size -= n;
  }
  pthread_mutex_unlock(&b->lock);
  return ok;
}

static bool s3_read(const mig_blob *blob, const char *member, uint64_t offset, void *data, size_t size,
                    mig_error *err) {
  s3_blob *b = (s3_blob *)(uintptr_t)blob; /* its window changes, and nothing that a reader sees */
  if (offset > blob->bytes || size > blob->bytes - offset) {
    mig_fail(err, MIG_E_ARCHIVE, "%s: %s: the file ends too early", blob->path, member);
    return mig_hint(err, "the snapshot is not whole: fetch it again, or use another");
  }
  if (size == 0) return true;
  return size <= SMALL_BYTES ? read_small(b, offset, data, size, err) : read_large(b, offset, data, size, err);
}

static bool s3_look(const mig_blob *blob, mig_blob_state *now, mig_error *err) {
  const s3_blob *b = (const s3_blob *)blob;
  const mig_s3_request r = {.what = "cannot read", .method = "HEAD", .key = mig_s3_key(b->s3)};
  mig_s3_answer a = {.body = MIG_BUF(MIG_S3_TEXT_BYTES)};
  bool ok = mig_s3_call(b->s3, &r, &a, err);
  if (ok && (a.status == 404 || (a.status == 200 && strcmp(a.etag, b->etag) != 0))) ok = replaced(b, err);
  if (ok && (a.status != 200 || !a.has_length)) ok = mig_s3_refused(b->s3, &r, &a, err);
  now->bytes = a.length;
  snprintf(now->version, sizeof now->version, "%s", a.etag);
  mig_buf_free(&a.body);
  return ok;
}

static void s3_close(mig_blob *blob) {
  s3_blob *b = (s3_blob *)blob;
  mig_s3_close(b->s3);
  pthread_mutex_destroy(&b->lock);
  mig_buf_free(&b->window.body);
  mig_free(b);
}

static const mig_blob_kind s3_kind = {s3_read, s3_look, s3_close};

/* The first bytes tell all: ETag and length come with them. */
static bool open_object(s3_blob *b, mig_error *err) {
  if (!*mig_s3_key(b->s3)) return mig_fail(err, MIG_E_USAGE, "%s names a bucket, not a snapshot in it", b->base.path);
  b->step = FIRST_BYTES;
  if (!fetch(b, 0, FIRST_BYTES - 1, &b->window, err)) {
    if (b->window.status != 416) return false; /* no byte of it can be had */
    return mig_fail(err, MIG_E_ARCHIVE, "%s is empty", b->base.path);
  }
  b->base.bytes = b->window.length;
  snprintf(b->etag, sizeof b->etag, "%s", b->window.etag);
  const uint64_t first = b->base.bytes < FIRST_BYTES ? b->base.bytes : FIRST_BYTES;
  if (b->etag[0] && b->window.has_length && b->window.body.size == first) return true;
  mig_fail(err, MIG_E_STORE, "cannot read %s", b->base.path);
  return mig_why(err, "the server tells no ETag or no length, or gives another range than was asked for");
}

bool mig_s3_blob_open(const char *url, mig_blob **out, mig_error *err) {
  *out = NULL;
  s3_blob *b = mig_alloc(sizeof *b);
  if (!b) return mig_no_memory(err, "archive");
  b->base.kind = &s3_kind;
  b->base.far = true;
  b->window.body = MIG_BUF(0);
  pthread_mutex_init(&b->lock, NULL);
  b->base.path = mig_strdup(url);
  bool ok = b->base.path || mig_no_memory(err, "path");
  ok = ok && mig_s3_open(url, &b->s3, err) && open_object(b, err);
  if (ok)
    *out = &b->base;
  else
    mig_blob_close(&b->base);
  return ok;
}
