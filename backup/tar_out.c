#include "backup/tar_out.h"

#include <archive.h>
#include <archive_entry.h>
#include <time.h>

struct mig_tar_out {
  mig_sink *sink;
  struct archive *tar;
  mig_hash *hash;
  uint64_t offset;
  int64_t mtime;
  mig_error error; /* of the first failed write */
};

/* A failure is kept here and not told to libarchive, which would lose memory over it (3.6). */
static la_ssize_t on_write(struct archive *tar, void *arg, const void *data, size_t size) {
  mig_tar_out *t = arg;
  (void)tar;
  if (!t->error.code) mig_sink_write(t->sink, data, size, &t->error);
  mig_hash_add(t->hash, data, size);
  t->offset += (uint64_t)size;
  return (la_ssize_t)size;
}

static bool failed(mig_tar_out *t, mig_error *err) {
  if (t->error.code) {
    if (err) *err = t->error;
    return false;
  }
  mig_fail(err, MIG_E_STORE, "cannot write %s", mig_sink_path(t->sink));
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

bool mig_tar_out_open(mig_sink *sink, int64_t created_unix_ms, mig_tar_out **out, mig_error *err) {
  *out = NULL;
  mig_tar_out *t = mig_alloc(sizeof *t);
  if (!t) return mig_no_memory(err, "tar");
  t->sink = sink;
  t->mtime = created_unix_ms / 1000;
  if (mig_hash_new(&t->hash, err) && start(t, err))
    *out = t;
  else
    mig_tar_out_free(t);
  return *out != NULL;
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
  for (size_t at = 0; at < size && !t->error.code;) {
    la_ssize_t n = archive_write_data(t->tar, (const uint8_t *)data + at, size - at);
    if (n <= 0) goto done;
    at += (size_t)n;
  }
  ok = archive_write_finish_entry(t->tar) == ARCHIVE_OK && !t->error.code;
done:
  if (!ok) failed(t, err);
  archive_entry_free(e);
  return ok;
}

bool mig_tar_out_close(mig_tar_out *t, char sha256[static MIG_SHA256_HEX], mig_error *err) {
  if (archive_write_close(t->tar) != ARCHIVE_OK || t->error.code) return failed(t, err);
  mig_hash_hex(t->hash, sha256);
  return true;
}

void mig_tar_out_free(mig_tar_out *t) {
  if (!t) return;
  if (t->tar) archive_write_free(t->tar);
  mig_hash_free(t->hash);
  mig_free(t);
}
