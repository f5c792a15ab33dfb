#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "backup/chunk.h"
#include "backup/dump_read.h"
#include "backup/snapshot_plan.h"
#include "base/fs.h"
#include "base/names.h"

bool mig_dump_leaves_out(const char *name) {
  return mig_snapshot_leaves_out(name) || name[0] == '$';
}

static bool wanted(mig_dump *d, const mig_dump_open_options *o, const char *name) {
  for (const char *const *n = o->only; n && *n; n++)
    if (strcmp(*n, name) == 0) return true;
  if (o->only) return false;
  if (!mig_dump_leaves_out(name)) return true;
  d->stored_left = d->stored_left || strcmp(name, MIG_STORED) == 0;
  mig_say(d->w->observer, MIG_INFO, "%s.%s is left out: snapshots do not hold it", d->database, name);
  return false;
}

bool mig_dump_add(mig_dump *d, const mig_dump_open_options *o, const char *name, mig_dump_collection **out,
                  mig_error *err) {
  *out = NULL;
  if (!wanted(d, o, name)) return true;
  if (!mig_name_collection_ok(d->database, name, err)) return false;
  for (size_t i = 0; i < d->count; i++)
    if (strcmp(d->collections[i].name, name) == 0)
      return mig_fail(err, MIG_E_INPUT, "%s holds %s.%s twice", d->path, d->database, name);
  mig_dump_collection *grown = mig_realloc(d->collections, (d->count + 1) * sizeof *grown);
  if (!grown) return mig_no_memory(err, "dump");
  d->collections = grown;
  grown[d->count] = (mig_dump_collection){.name = mig_strdup(name)};
  if (!grown[d->count].name) return mig_no_memory(err, "dump");
  *out = &grown[d->count++];
  return true;
}

void mig_dump_say_oplog(mig_dump *d, const char *path) {
  if (!d->oplog_told)
    mig_say(d->w->observer, MIG_WARNING, "%s is left out: what was written during the dump is not replayed", path);
  d->oplog_told = true;
}

static bool several(const mig_dump *d, const mig_dump_open_options *o, const char *const *databases, size_t count,
                    mig_error *err) {
  mig_buf list = MIG_BUF(400);
  for (size_t i = 0; i < count; i++) mig_buf_printf(&list, NULL, "%s%s", i ? ", " : "", databases[i]);
  mig_fail(err, MIG_E_USAGE, "%s holds the database%s %s%s%s", d->path, count == 1 ? "" : "s", mig_buf_text(&list),
           o->database ? ", not " : "", o->database ? o->database : "");
  mig_buf_free(&list);
  return mig_hint(err, "say with --db which one to import: a snapshot is of one");
}

bool mig_dump_choose(mig_dump *d, const mig_dump_open_options *o, const char *const *databases, size_t count,
                     mig_error *err) {
  const char *chosen = count == 1 && !o->insists ? databases[0] : NULL;
  for (size_t i = 0; i < count && o->database; i++)
    if (strcmp(databases[i], o->database) == 0) chosen = databases[i];
  if (!chosen) return several(d, o, databases, count, err);
  if (!mig_name_database_ok(chosen, err)) return false;
  d->database = mig_strdup(chosen);
  return d->database || mig_no_memory(err, "dump");
}

static bool check(const mig_dump *d, const mig_dump_open_options *o, mig_error *err) {
  for (size_t i = 0; i < d->count; i++) {
    if (strcmp(d->collections[i].meta.type, "timeseries") != 0) continue;
    mig_fail(err, MIG_E_UNSUPPORTED, "%s.%s is a time series", d->database, d->collections[i].name);
    mig_why(err, "snapshots do not hold time series");
    return mig_hint(err, "name the other collections with --only");
  }
  for (const char *const *n = o->only; n && *n; n++) {
    bool found = false;
    if (mig_snapshot_leaves_out(*n)) {
      mig_fail(err, MIG_E_USAGE, "%s.%s is not put into snapshots: it is ours or the server's", d->database, *n);
      mig_why(err, "a restore could not put it back");
      return mig_hint(err, "name other collections with --only");
    }
    for (size_t i = 0; i < d->count; i++) found = found || strcmp(d->collections[i].name, *n) == 0;
    if (!found) return mig_fail(err, MIG_E_USAGE, "%s does not hold %s.%s", d->path, d->database, *n);
  }
  return true;
}

bool mig_dump_open(mig_work *w, const mig_dump_open_options *o, mig_dump **out, mig_error *err) {
  *out = NULL;
  mig_dump *d = mig_alloc(sizeof *d);
  if (!d) return mig_no_memory(err, "dump");
  d->w = w;
  d->fd = d->open_fd = -1;
  d->only_some = o->only != NULL;
  d->path = mig_strdup(o->path);
  d->spool_folder = mig_strdup(o->spool_folder);
  bool ok = (d->path && d->spool_folder) || mig_no_memory(err, "path");
  ok = ok && (mig_fs_is_folder(o->path) ? mig_dump_open_folder(d, o, err) : mig_dump_open_archive(d, o, err));
  ok = ok && check(d, o, err);
  if (ok)
    *out = d;
  else
    mig_dump_close(d);
  return ok;
}

void mig_dump_close(mig_dump *d) {
  if (!d) return;
  for (size_t i = 0; i < d->count; i++) {
    mig_dump_meta_clear(&d->collections[i].meta);
    mig_free(d->collections[i].name);
    mig_free(d->collections[i].path);
  }
  if (d->fd >= 0) close(d->fd);
  if (d->open_fd >= 0) close(d->open_fd);
  mig_free(d->collections);
  mig_free(d->server_version);
  mig_free(d->database);
  mig_free(d->spool_folder);
  mig_free(d->path);
  mig_free(d);
}

/* The file of a collection: the one that is open already, most often. */
static bool file_of(mig_dump *d, size_t number, int *fd, mig_error *err) {
  const mig_dump_collection *c = &d->collections[number];
  *fd = d->fd;
  if (!c->path) return true;
  if (d->open_fd < 0 || d->open_number != number) {
    if (d->open_fd >= 0) close(d->open_fd);
    d->open_fd = open(c->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    d->open_number = number;
    if (d->open_fd < 0) return mig_fail_errno(err, "cannot read %s", c->path);
  }
  *fd = d->open_fd;
  return true;
}

static bool scan_one(mig_dump *d, size_t number, mig_dump_visit visit, void *arg, mig_error *err) {
  const mig_dump_collection *c = &d->collections[number];
  mig_dump_place place = {.collection = (uint32_t)number};
  mig_dump_stream s;
  bson_t doc;
  mig_dump_next next = MIG_DUMP_END;
  uint64_t done = 0;
  int fd = -1;
  if (!c->has_data) return true;
  bool ok = file_of(d, number, &fd, err);
  mig_dump_stream_open(&s, fd, c->path ? c->path : d->path, c->at, c->end);
  while (ok && (next = mig_dump_stream_next(&s, false, &doc, &place.offset, err)) == MIG_DUMP_DOC) {
    place.bytes = doc.len;
    if (done++ % 1024 == 0) {
      ok = mig_checkpoint(d->w, err);
      mig_progress(d->w->observer, c->name, place.offset - c->at, c->end - c->at);
    }
    ok = ok && visit(arg, &place, c->natural, &doc, err);
  }
  mig_dump_stream_close(&s);
  return ok && next == MIG_DUMP_END;
}

bool mig_dump_scan(mig_dump *d, mig_dump_visit visit, void *arg, mig_error *err) {
  if (d->is_archive) return mig_dump_scan_archive(d, visit, arg, err);
  for (size_t i = 0; i < d->count; i++)
    if (!scan_one(d, i, visit, arg, err)) return false;
  return true;
}

bool mig_dump_read(mig_dump *d, const mig_dump_place *place, mig_buf *out, mig_error *err) {
  int fd = -1;
  mig_error local = {0};
  const mig_dump_collection *c = &d->collections[place->collection];
  if (!file_of(d, place->collection, &fd, err)) return false;
  const char *path = c->path ? c->path : d->path;
  mig_buf_clear(out);
  if (mig_buf_reserve(out, place->bytes, &local) &&
      mig_read_at(fd, path, c->name, place->offset, out->data, place->bytes, &local)) {
    out->size = place->bytes;
    out->data[out->size] = 0;
    return true;
  }
  if (local.code == MIG_E_ARCHIVE) mig_fail(&local, MIG_E_INPUT, "%s changed while it was read", path);
  if (err) *err = local;
  return false;
}
