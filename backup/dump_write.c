#include "backup/dump_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/dump_meta.h"
#include "backup/dump_names.h"
#include "backup/manifest_internal.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/names.h"

#define BUFFER_BYTES (256u << 10)

typedef struct writing {
  mig_work *w;
  mig_archive *archive;
  char *root;   /* "<folder>.<hex>.partial" until it is whole */
  char *inside; /* its folder of the database */
  mig_dump_written *out;
} writing;

static char *path_of(const writing *x, const mig_collection_entry *c, const char *suffix, mig_error *err) {
  char *name = mig_dump_name(c->name, err);
  char *path = name ? mig_strdup_printf("%s/%s%s", x->inside, name, suffix) : NULL;
  if (name && !path) mig_no_memory(err, "path");
  mig_free(name);
  return path;
}

static FILE *make_file(const char *path, mig_error *err) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  FILE *f = fd >= 0 ? fdopen(fd, "wb") : NULL;
  if (!f) {
    mig_fail_errno(err, "cannot write %s", path);
    if (fd >= 0) close(fd);
    return NULL;
  }
  setvbuf(f, NULL, _IOFBF, BUFFER_BYTES);
  return f;
}

static bool close_file(FILE *f, const char *path, bool ok, mig_error *err) {
  if (ok && (fflush(f) != 0 || fsync(fileno(f)) != 0)) ok = mig_fail_errno(err, "cannot write %s", path);
  if (fclose(f) != 0 && ok) ok = mig_fail_errno(err, "cannot write %s", path);
  return ok;
}

static bool write_metadata(const writing *x, const mig_collection_entry *c, mig_error *err) {
  mig_buf json = MIG_BUF(MIG_METADATA_MAX_BYTES);
  char *path = path_of(x, c, ".metadata.json", err);
  FILE *f = path && mig_dump_meta_write(c, &json, err) ? make_file(path, err) : NULL;
  bool ok = f != NULL;
  if (ok && fwrite(json.data, 1, json.size, f) != json.size) ok = mig_fail_errno(err, "cannot write %s", path);
  if (f) ok = close_file(f, path, ok, err);
  mig_buf_free(&json);
  mig_free(path);
  return ok;
}

static bool copy_documents(writing *x, const mig_collection_entry *c, FILE *f, const char *path, mig_error *err) {
  mig_archive_cursor *cursor = NULL;
  bson_t doc;
  mig_archive_next next = MIG_ARCHIVE_ERROR;
  uint64_t done = 0;
  bool ok = mig_archive_documents(x->archive, c, 0, &cursor, err);
  while (ok && (next = mig_archive_cursor_next(cursor, &doc, err)) == MIG_ARCHIVE_DOC) {
    if (done++ % 1024 == 0) {
      ok = mig_checkpoint(x->w, err);
      mig_progress(x->w->observer, path, done, c->documents);
    }
    if (ok && fwrite(bson_get_data(&doc), 1, doc.len, f) != doc.len) ok = mig_fail_errno(err, "cannot write %s", path);
    x->out->documents++;
    x->out->bytes += doc.len;
  }
  mig_archive_cursor_close(cursor);
  return ok && next == MIG_ARCHIVE_END;
}

static bool write_collection(writing *x, const mig_collection_entry *c, mig_error *err) {
  if (c->holds == MIG_HOLDS_ABSENT) return true;
  x->out->collections++;
  if (!write_metadata(x, c, err)) return false;
  if (c->holds == MIG_HOLDS_METADATA) {
    if (strcmp(c->type, "view") != 0)
      mig_say(x->w->observer, MIG_WARNING, "%s: the snapshot holds only its options and indexes, so there is no .bson",
              c->name);
    return true;
  }
  char *path = path_of(x, c, ".bson", err);
  FILE *f = path ? make_file(path, err) : NULL;
  bool ok = f && close_file(f, path, copy_documents(x, c, f, path, err), err);
  mig_free(path);
  return ok;
}

static bool wanted(const mig_manifest *m, const char *const *only, const mig_collection_entry *c) {
  for (const char *const *n = only; n && *n; n++)
    if (mig_manifest_named(m, *n) == c) return true;
  return only == NULL;
}

static bool check_only(const mig_manifest *m, const char *const *only, mig_error *err) {
  for (const char *const *n = only; n && *n; n++) {
    if (mig_manifest_named(m, *n)) continue;
    mig_fail(err, MIG_E_USAGE, "the snapshot %s does not hold the collection %s", m->id, *n);
    return mig_hint(err, "`mig snapshot show %s` lists what it holds", m->id);
  }
  return true;
}

/* What an unfinished export left: the files of one folder in another, all made by us. */
static void remove_partial(const writing *x) {
  char **names = NULL;
  size_t count = 0;
  if (x->inside && mig_fs_list(x->inside, &names, &count, NULL)) {
    for (size_t i = 0; i < count; i++) {
      char *path = mig_fs_join(x->inside, names[i]);
      if (path) unlink(path);
      mig_free(path);
    }
    mig_fs_names_free(names, count);
    rmdir(x->inside);
  }
  if (x->root) rmdir(x->root);
}

static bool begin(writing *x, const char *folder, mig_error *err) {
  const mig_manifest *m = mig_archive_contents(x->archive);
  char random[9];
  size_t n = strlen(folder);
  while (n > 1 && folder[n - 1] == '/') n--;
  if (rmdir(folder) != 0 && errno != ENOENT) {
    mig_fail(err, MIG_E_USAGE, "%s is there already, and it is no empty folder", folder);
    return mig_hint(err, "name a folder that is not there");
  }
  if (!mig_name_database_ok(m->database, err) || !mig_random_hex(4, random, err)) return false;
  x->root = mig_strdup_printf("%.*s.%s.partial", (int)n, folder, random);
  x->inside = x->root ? mig_fs_join(x->root, m->database) : NULL;
  return x->inside ? mig_fs_make_folder(x->inside, 0700, err) : mig_no_memory(err, "path");
}

bool mig_dump_write(mig_work *w, mig_archive *archive, const char *const *only, const char *folder,
                    mig_dump_written *out, mig_error *err) {
  const mig_manifest *m = mig_archive_contents(archive);
  writing x = {.w = w, .archive = archive, .out = out};
  *out = (mig_dump_written){0};
  bool ok = check_only(m, only, err) && mig_archive_verify(archive, w->observer, err) && begin(&x, folder, err);
  for (size_t i = 0; ok && i < m->collection_count; i++)
    if (wanted(m, only, &m->collections[i])) ok = write_collection(&x, &m->collections[i], err);
  ok = ok && mig_fs_sync_folder(x.inside, err) && mig_fs_publish(x.root, folder, err); /* which syncs x.root */
  if (!ok) remove_partial(&x);
  mig_free(x.inside);
  mig_free(x.root);
  return ok;
}
