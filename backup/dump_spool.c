/* What cannot be read in any order (a pipe, gzip) is copied into an unnamed file in the store first. */
#include <errno.h>
#include <poll.h>
#include <unistd.h>
#include <zlib.h>

#include "backup/dump_read.h"

#define PIECE_BYTES (256u << 10)
#define GZIP_ONLY   (MAX_WBITS + 16)

static bool is_magic(const uint8_t bytes[static 2]) {
  return bytes[0] == 0x1F && bytes[1] == 0x8B;
}

bool mig_dump_is_gzip(int fd) {
  uint8_t bytes[2];
  return pread(fd, bytes, sizeof bytes, 0) == (ssize_t)sizeof bytes && is_magic(bytes);
}

static bool append(mig_dump *d, const uint8_t *data, size_t size, uint64_t *end, mig_error *err) {
  for (size_t done = 0; done < size;) {
    const ssize_t n = pwrite(d->fd, data + done, size - done, (off_t)*end);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return mig_fail_errno(err, "cannot write a temporary file in %s", d->spool_folder);
    done += (size_t)n;
    *end += (uint64_t)n;
  }
  return true;
}

typedef struct spool {
  mig_dump *d;
  int fd;
  const char *path;
  uint64_t bytes; /* that were read */
  uint64_t *end;
  uint8_t in[PIECE_BYTES], out[PIECE_BYTES];
} spool;

/* Short only at the end. A named pipe was opened so that it does not wait for its writer: that is waited for here. */
static bool read_piece(spool *s, size_t *n, mig_error *err) {
  for (*n = 0; *n < PIECE_BYTES;) {
    if (!mig_wait_fd(s->d->w, s->fd, POLLIN, err)) return false;
    const ssize_t got = read(s->fd, s->in + *n, PIECE_BYTES - *n);
    if (got < 0 && errno != EINTR && errno != EAGAIN) return mig_fail_errno(err, "cannot read %s", s->path);
    if (got == 0) break;
    if (got > 0) *n += (size_t)got;
  }
  s->bytes += *n;
  return true;
}

static bool bad(const spool *s, const char *why, uint64_t at, mig_error *err) {
  mig_fail(err, MIG_E_INPUT, "%s cannot be unpacked", s->path);
  mig_why(err, "at byte %llu: %s", (unsigned long long)at, why);
  return mig_hint(err, "dump it again, or take another copy");
}

static bool copy(spool *s, size_t n, mig_error *err) {
  while (n)
    if (!append(s->d, s->in, n, s->end, err) || !read_piece(s, &n, err)) return false;
  return true;
}

/* One member or several, each whole and with its check sum and length, and nothing but the end of the file behind: what
 * follows a damaged member must not be taken for no more. */
static bool inflate_all(spool *s, z_stream *z, mig_error *err) {
  bool whole = false; /* a member has ended, and nothing came since */
  for (;;) {
    size_t n = 0;
    if (!z->avail_in) {
      if (!read_piece(s, &n, err)) return false;
      if (!n) return whole || bad(s, "it ends in the middle of what is compressed", s->bytes, err);
      z->next_in = s->in;
      z->avail_in = (uInt)n;
    }
    const bool follows = whole;
    if (follows && inflateReset(z) != Z_OK) return mig_no_memory(err, "unpacking");
    z->next_out = s->out;
    z->avail_out = PIECE_BYTES;
    const int did = inflate(z, Z_NO_FLUSH);
    if (did == Z_MEM_ERROR) return mig_no_memory(err, "unpacking");
    if (did != Z_OK && did != Z_STREAM_END)
      return bad(s,
                 follows && z->total_in <= 2 ? "what stands behind its end is not gzip"
                 : z->msg                    ? z->msg
                                             : "damaged",
                 s->bytes - z->avail_in, err);
    if (!append(s->d, s->out, PIECE_BYTES - z->avail_out, s->end, err)) return false;
    whole = did == Z_STREAM_END;
  }
}

static bool unpack(spool *s, size_t n, mig_error *err) {
  z_stream z = {.next_in = s->in, .avail_in = (uInt)n};
  if (n < 2 || !is_magic(s->in))
    return bad(s, n ? "it does not begin as gzip does" : "it is empty: gzip writes a header, also of nothing", 0, err);
  if (inflateInit2(&z, GZIP_ONLY) != Z_OK) return mig_no_memory(err, "unpacking");
  const bool ok = inflate_all(s, &z, err);
  inflateEnd(&z);
  return ok;
}

bool mig_dump_spool(mig_dump *d, int fd, const char *path, bool may_be_plain, uint64_t *at, uint64_t *end,
                    mig_error *err) {
  spool *s = mig_alloc(sizeof *s);
  size_t n = 0;
  *at = *end = d->bytes;
  if (!s) return mig_no_memory(err, "unpacking");
  s->d = d;
  s->fd = fd;
  s->path = path;
  s->end = end;
  bool ok = (d->fd >= 0 || mig_dump_temp(d->spool_folder, &d->fd, err)) && read_piece(s, &n, err);
  if (ok) ok = may_be_plain && !(n >= 2 && is_magic(s->in)) ? copy(s, n, err) : unpack(s, n, err);
  d->bytes = *end;
  mig_free(s);
  return ok;
}
