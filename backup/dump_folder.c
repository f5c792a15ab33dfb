/* A dump in a folder: <folder>/<database>/<name>.bson and <name>.metadata.json, each perhaps with .gz behind. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/dump_names.h"
#include "backup/dump_read.h"
#include "backup/manifest_internal.h"
#include "base/fs.h"
#include "base/names.h"

/* The part of a file's name before its ending: 0 when it has another one. */
static size_t stem_of(const char *name, const char *ending) {
  const size_t n = strlen(name), m = strlen(ending);
  return n > m && strcmp(name + n - m, ending) == 0 ? n - m : 0;
}

static bool open_file(const char *path, int *fd, uint64_t *bytes, mig_error *err) {
  struct stat st;
  *fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (*fd < 0) return mig_fail_errno(err, "cannot read %s", path);
  if (fstat(*fd, &st) == 0 && S_ISREG(st.st_mode)) {
    *bytes = (uint64_t)st.st_size;
    return true;
  }
  close(*fd);
  *fd = -1;
  return mig_fail(err, MIG_E_INPUT, "%s is not a regular file", path);
}

/* The text of a metadata.json, unpacked if need be: by its name, as with .bson, which may begin as gzip does. */
static bool read_text(mig_dump *d, const char *path, bool gzip, mig_buf *json, mig_error *err) {
  int fd = -1;
  uint64_t bytes = 0, at = 0, end = 0;
  if (!open_file(path, &fd, &bytes, err)) return false;
  bool ok = !gzip || mig_dump_spool(d, fd, path, false, &at, &end, err);
  if (!gzip) end = bytes;
  if (ok && end - at > MIG_METADATA_MAX_BYTES) ok = mig_fail(err, MIG_E_INPUT, "%s is too large for metadata", path);
  ok = ok && mig_buf_reserve(json, (size_t)(end - at) + 1, err);
  while (ok && at < end) {
    const ssize_t n = pread(gzip ? d->fd : fd, json->data + json->size, (size_t)(end - at), (off_t)at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) ok = mig_fail_errno(err, "cannot read %s", path);
    if (ok) json->size += (size_t)n;
    if (ok) at += (uint64_t)n;
  }
  if (ok) json->data[json->size] = 0;
  close(fd);
  return ok;
}

static bool find_data(mig_dump *d, mig_dump_collection *c, const char *folder, const char *stem, size_t stem_size,
                      const char *gz, mig_error *err) {
  int fd = -1;
  uint64_t bytes = 0;
  char *path = mig_strdup_printf("%s/%.*s.bson%s", folder, (int)stem_size, stem, gz);
  if (!path) return mig_no_memory(err, "path");
  bool ok = true;
  if (mig_fs_exists(path)) {
    ok = open_file(path, &fd, &bytes, err);
    c->has_data = ok;
    if (ok && *gz) {
      ok = mig_dump_spool(d, fd, path, false, &c->at, &c->end, err);
    } else if (ok) {
      c->end = bytes;
      c->path = path;
      path = NULL;
    }
    if (fd >= 0) close(fd);
  }
  mig_free(path);
  return ok;
}

/* mongodump writes a .bson for each collection, an empty one, too, and none for a view. Exports of ours, of a snapshot
 * that holds no more, say so: that is told, and then known of the snapshot. */
static bool check_data(const mig_dump *d, mig_dump_collection *c, const char *folder, mig_error *err) {
  if (strcmp(c->meta.type, "view") != 0) {
    if (c->has_data || strcmp(c->meta.type, "timeseries") == 0) return true; /* such a one is refused as what it is */
    if (!c->meta.without_documents) {
      mig_fail(err, MIG_E_INPUT, "%s: %s.%s has no .bson", folder, d->database, c->name);
      mig_why(err, "mongodump writes one for an empty collection, too: its documents are lost");
      return mig_hint(err, "dump it again, or take another copy; --only imports the other collections");
    }
    mig_say(d->w->observer, MIG_WARNING,
            "%s: %s.%s has no .bson (it is an export of a snapshot without its documents): its documents are not in "
            "the dump, and the snapshot will hold only its options and indexes",
            folder, d->database, c->name);
    return true;
  }
  const bool holds = c->end > c->at;
  c->has_data = false;
  if (!holds) return true;
  mig_fail(err, MIG_E_INPUT, "the dump of %s.%s in %s cannot be", d->database, c->name, folder);
  mig_why(err, "its metadata.json says that it is a view, but its .bson holds documents");
  return mig_hint(err, "correct \"type\" (or options.pipeline) in the metadata.json, or remove the .bson");
}

/* One collection, by its metadata, or by its .bson where it has none. */
static bool add_collection(mig_dump *d, const mig_dump_open_options *o, const char *folder, const char *file,
                           size_t stem_size, bool is_metadata, const char *gz, mig_error *err) {
  mig_buf json = MIG_BUF(MIG_METADATA_MAX_BYTES + 2);
  mig_dump_collection *c = NULL;
  mig_dump_meta meta = {0};
  bool cut = false;
  char *path = mig_fs_join(folder, file), *name = mig_dump_unname(file, stem_size, &cut, err);
  bool ok = (name || cut) && (path || mig_no_memory(err, "path"));
  ok = ok && (!name || mig_dump_add(d, o, name, &c, err)); /* what is left out is not looked at */
  const bool wanted = ok && (!name || c);
  if (wanted)
    ok = (!is_metadata || read_text(d, path, *gz != 0, &json, err)) &&
         mig_dump_meta_read(path, name, is_metadata ? &json : NULL, &meta, err) &&
         (c || mig_dump_add(d, o, meta.collection, &c, err));
  if (ok && c && !is_metadata)
    mig_say(d->w->observer, MIG_WARNING,
            "%s: %s.%s has no metadata.json (mongodump writes one for each collection): its indexes, its validator and "
            "its other options are not in the dump, and the snapshot will not hold them",
            folder, d->database, c->name);
  if (ok && c) {
    c->meta = meta;
    meta = (mig_dump_meta){0};
    mig_bson_bool(c->meta.info, "options.capped", &c->natural);
    ok = find_data(d, c, folder, file, stem_size, gz, err) && check_data(d, c, folder, err);
  }
  mig_dump_meta_clear(&meta);
  mig_buf_free(&json);
  mig_free(path);
  mig_free(name);
  return ok;
}

static const char *const endings[] = {".metadata.json", ".metadata.json.gz", ".bson", ".bson.gz"};

static bool add_file(mig_dump *d, const mig_dump_open_options *o, const char *folder, const char *file,
                     mig_error *err) {
  for (size_t i = 0; i < 4; i++) {
    const size_t stem = stem_of(file, endings[i]);
    const char *gz = i % 2 ? ".gz" : "";
    if (!stem) continue;
    if (i >= 2) { /* data: its metadata brings it, if there is any */
      char *metadata = mig_strdup_printf("%s/%.*s.metadata.json%s", folder, (int)stem, file, gz);
      const bool brought = metadata && mig_fs_exists(metadata);
      mig_free(metadata);
      if (brought) return true;
    }
    return add_collection(d, o, folder, file, stem, i < 2, gz, err);
  }
  if (strncmp(file, "prelude.json", 12) != 0)
    mig_say(d->w->observer, MIG_WARNING, "%s/%s is not part of a dump and is left out", folder, file);
  return true;
}

static bool add_all(mig_dump *d, const mig_dump_open_options *o, const char *folder, mig_error *err) {
  char **files = NULL;
  size_t count = 0;
  bool ok = mig_fs_list(folder, &files, &count, err);
  for (size_t i = 0; ok && i < count; i++) ok = add_file(d, o, folder, files[i], err);
  mig_fs_names_free(files, count);
  return ok;
}

static bool is_of_collection(const char *file) {
  for (size_t i = 0; i < 4; i++)
    if (stem_of(file, endings[i])) return true;
  return false;
}

/* The folder holds databases: an oplog may be beside them, and nothing of a collection. */
static bool check_beside(mig_dump *d, const char *database, char **names, size_t count, mig_error *err) {
  for (size_t i = 0; i < count; i++) {
    if (!is_of_collection(names[i])) continue;
    if (strcmp(names[i], "oplog.bson") == 0) {
      char *path = mig_fs_join(d->path, names[i]);
      mig_dump_say_oplog(d, path ? path : names[i]);
      mig_free(path);
      continue;
    }
    mig_fail(err, MIG_E_INPUT, "%s holds both folders and collections", d->path);
    mig_why(err, "%s would be left out if %s is a database", names[i], database);
    return mig_hint(err, "keep the files of one database in a folder of its own, and name that");
  }
  return true;
}

/* Folders below, each of a database; or none, then this is the folder of one. */
static bool choose_below(mig_dump *d, const mig_dump_open_options *o, char **names, size_t count, char **folder,
                         mig_error *err) {
  const char **databases = mig_alloc((count + 1) * sizeof *databases);
  size_t n = 0;
  char *path = NULL;
  if (!databases) return mig_no_memory(err, "dump");
  for (size_t i = 0; i < count; i++) {
    mig_free(path);
    path = mig_fs_join(d->path, names[i]);
    if (path && mig_fs_is_folder(path) && mig_name_database_ok(names[i], NULL)) databases[n++] = names[i];
  }
  mig_free(path);
  bool ok = true;
  if (n) {
    ok = check_beside(d, databases[0], names, count, err) && mig_dump_choose(d, o, databases, n, err);
    *folder = ok ? mig_fs_join(d->path, d->database) : NULL;
  } else {
    char *real = realpath(d->path, NULL);
    const char *last = real ? strrchr(real, '/') + 1 : "";
    const char *name = o->database && !mig_name_database_ok(last, NULL) ? o->database : last;
    ok = mig_name_database_ok(name, err) && mig_dump_choose(d, o, &name, 1, err);
    *folder = mig_strdup(d->path);
    free(real);
  }
  mig_free(databases);
  return ok && (*folder || mig_no_memory(err, "path"));
}

bool mig_dump_open_folder(mig_dump *d, const mig_dump_open_options *o, mig_error *err) {
  char **names = NULL, *folder = NULL;
  size_t count = 0;
  bool ok = mig_fs_list(d->path, &names, &count, err) && choose_below(d, o, names, count, &folder, err) &&
            add_all(d, o, folder, err);
  if (ok && d->count == 0 && !o->only) {
    ok = mig_fail(err, MIG_E_INPUT, "%s holds no collection of a dump", folder);
    mig_hint(err, "name the folder that mongodump wrote (--out), or an archive (--archive=FILE)");
  }
  mig_fs_names_free(names, count);
  mig_free(folder);
  return ok;
}
