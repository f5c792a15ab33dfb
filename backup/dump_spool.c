/* What cannot be read in any order (a pipe, gzip) is copied into an unnamed file in the store first. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "backup/dump_read.h"

#define PIECE_BYTES (256u << 10)

bool mig_dump_is_gzip(int fd) {
  uint8_t magic[2] = {0};
  return pread(fd, magic, sizeof magic, 0) == 2 && magic[0] == 0x1F && magic[1] == 0x8B;
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

/* libarchive unpacks: the same library reads our own archives. */
static bool unpack(mig_dump *d, int fd, const char *path, bool gzip, uint8_t *piece, uint64_t *end, mig_error *err) {
  struct archive *a = archive_read_new();
  struct archive_entry *entry = NULL;
  la_ssize_t n = 0;
  if (!a) return mig_no_memory(err, "unpacking");
  if (gzip) archive_read_support_filter_gzip(a);
  archive_read_support_format_raw(a);
  archive_read_support_format_empty(a);
  const int found =
      archive_read_open_fd(a, fd, PIECE_BYTES) == ARCHIVE_OK ? archive_read_next_header(a, &entry) : ARCHIVE_FATAL;
  bool ok = found == ARCHIVE_OK || found == ARCHIVE_EOF;
  while (found == ARCHIVE_OK && ok && (n = archive_read_data(a, piece, PIECE_BYTES)) > 0)
    ok = mig_checkpoint(d->w, err) && append(d, piece, (size_t)n, end, err);
  if (n < 0 || (!ok && err && err->code == MIG_OK)) {
    ok = mig_fail(err, MIG_E_INPUT, "%s cannot be %s", path, gzip ? "unpacked" : "read");
    mig_why(err, "%s", archive_error_string(a) ? archive_error_string(a) : "it is empty");
  }
  archive_read_free(a);
  return ok;
}

bool mig_dump_spool(mig_dump *d, int fd, const char *path, bool gzip, uint64_t *at, uint64_t *end, mig_error *err) {
  mig_error local = {0};
  uint8_t *piece = mig_alloc(PIECE_BYTES);
  bool ok = piece ? d->fd >= 0 || mig_dump_temp(d->spool_folder, &d->fd, &local) : mig_no_memory(&local, "unpacking");
  *at = *end = d->bytes;
  ok = ok && unpack(d, fd, path, gzip, piece, end, &local);
  d->bytes = *end;
  mig_free(piece);
  if (!ok && err) *err = local;
  return ok;
}
