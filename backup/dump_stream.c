/* Documents out of a file, each checked for its structure. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "backup/dump_read.h"

#define READ_BYTES (1u << 20)

void mig_dump_stream_open(mig_dump_stream *s, int fd, const char *path, uint64_t at, uint64_t end) {
  *s = (mig_dump_stream){
      .fd = fd, .path = path, .at = at, .end = end, .buffer = MIG_BUF(MIG_DOCUMENT_MAX_BYTES + 2 * READ_BYTES)};
}

void mig_dump_stream_close(mig_dump_stream *s) {
  mig_buf_free(&s->buffer);
}

/* At least `need` bytes in the buffer, if there are so many. */
static bool fill(mig_dump_stream *s, size_t need, mig_error *err) {
  size_t have = s->buffer.size - s->used;
  if (have >= need) return true;
  if (s->used) {
    memmove(s->buffer.data, s->buffer.data + s->used, have);
    s->buffer.size = have;
    s->used = 0;
  }
  if (!mig_buf_reserve(&s->buffer, need + READ_BYTES, err)) return false;
  while (s->buffer.size < need && s->at < s->end) {
    const uint64_t left = s->end - s->at;
    const size_t want = left < READ_BYTES ? (size_t)left : READ_BYTES;
    const ssize_t n = pread(s->fd, s->buffer.data + s->buffer.size, want, (off_t)s->at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return mig_fail_errno(err, "cannot read %s", s->path);
    if (n == 0) break;
    s->buffer.size += (size_t)n;
    s->at += (uint64_t)n;
  }
  return true;
}

static mig_dump_next bad(const mig_dump_stream *s, const char *what, mig_error *err) {
  const uint64_t at = s->at - (s->buffer.size - s->used);
  mig_fail(err, MIG_E_INPUT, "%s is damaged at byte %llu", s->path, (unsigned long long)at);
  mig_why(err, "%s", what);
  mig_hint(err, "dump it again, or take another copy");
  return MIG_DUMP_ERROR;
}

mig_dump_next mig_dump_stream_next(mig_dump_stream *s, bool marks, bson_t *doc, uint64_t *offset, mig_error *err) {
  uint32_t length = 0;
  if (!fill(s, sizeof length, err)) return MIG_DUMP_ERROR;
  const size_t have = s->buffer.size - s->used;
  if (have == 0) return MIG_DUMP_END;
  if (have < sizeof length) return bad(s, "it ends in the middle of a document", err);
  memcpy(&length, s->buffer.data + s->used, sizeof length);
  length = BSON_UINT32_FROM_LE(length);
  if (marks && length == UINT32_MAX) {
    s->used += sizeof length;
    return MIG_DUMP_MARK;
  }
  if (length < 5 || length > MIG_DOCUMENT_MAX_BYTES) return bad(s, "no document begins here", err);
  if (!fill(s, length, err)) return MIG_DUMP_ERROR;
  if (s->buffer.size - s->used < length) return bad(s, "it ends in the middle of a document", err);
  const uint8_t *data = s->buffer.data + s->used;
  if (!mig_bson_valid(data, length) || !bson_init_static(doc, data, length))
    return bad(s, "this is not valid BSON", err);
  *offset = s->at - (s->buffer.size - s->used);
  s->used += length;
  return MIG_DUMP_DOC;
}
