/*
 * A dump in one file (mongodump --archive): a magic number; a prelude with the metadata of every collection; then
 * blocks, each of one collection, in any sequence: a header, documents, four bytes FF. A header with EOF ends a
 * collection and carries the CRC-64 of its documents.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/dump_read.h"

#define MAGIC        0x8199e26du
#define METADATA_MAX (16u << 20)

/* CRC-64 of ECMA-182, reflected, as Go's hash/crc64 and xz have it. */
static uint64_t crc64(uint64_t crc, const uint8_t *data, size_t size) {
  static uint64_t table[256];
  if (!table[1]) {
    for (unsigned i = 0; i < 256; i++) {
      uint64_t c = i;
      for (int bit = 0; bit < 8; bit++) c = c & 1 ? (c >> 1) ^ 0xC96C5795D7870F42u : c >> 1;
      table[i] = c;
    }
  }
  crc = ~crc;
  for (size_t i = 0; i < size; i++) crc = table[(crc ^ data[i]) & 0xFF] ^ (crc >> 8);
  return ~crc;
}

static bool bad(const mig_dump *d, const char *what, mig_error *err) {
  mig_fail(err, MIG_E_INPUT, "%s is not a whole mongodump archive", d->path);
  mig_why(err, "%s", what);
  return mig_hint(err, "dump it again, or take another copy");
}

static bool open_file(mig_dump *d, mig_error *err) {
  struct stat st;
  const bool is_stdin = strcmp(d->path, "-") == 0;
  uint64_t at = 0;
  int fd = is_stdin ? dup(STDIN_FILENO) : open(d->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0 || fstat(fd, &st) != 0) {
    mig_fail_errno(err, "cannot read %s", d->path);
    if (fd >= 0) close(fd);
    return false;
  }
  const bool plain = !is_stdin && S_ISREG(st.st_mode);
  if (plain && !mig_dump_is_gzip(fd)) {
    d->fd = fd;
    d->bytes = (uint64_t)st.st_size;
    return true;
  }
  /* a pipe shows only now whether it is compressed */
  const bool ok = mig_dump_spool(d, fd, is_stdin ? "standard input" : d->path, true, &at, &d->bytes, err);
  close(fd);
  return ok;
}

static bool read_prelude(mig_dump *d, mig_dump_stream *s, bson_t **entries, mig_error *err) {
  bson_t doc;
  uint64_t offset = 0;
  const char *version = NULL;
  char key[16];
  uint32_t n = 0;
  mig_dump_next next = mig_dump_stream_next(s, true, &doc, &offset, err);
  if (next == MIG_DUMP_ERROR) return false;
  if (next != MIG_DUMP_DOC) return bad(d, "it ends before its header", err);
  if (mig_bson_str(&doc, "server_version", &version)) d->server_version = mig_strdup(version);
  while ((next = mig_dump_stream_next(s, true, &doc, &offset, err)) == MIG_DUMP_DOC) {
    snprintf(key, sizeof key, "%u", n++);
    if (!BSON_APPEND_DOCUMENT(*entries, key, &doc)) return mig_no_memory(err, "prelude");
  }
  if (next == MIG_DUMP_END) return bad(d, "it ends in the middle of its prelude", err);
  d->blocks = s->at - (s->buffer.size - s->used);
  return next == MIG_DUMP_MARK;
}

/* Distinct names of databases. */
static bool choose(mig_dump *d, const mig_dump_open_options *o, const bson_t *entries, mig_error *err) {
  const char **databases = mig_alloc((bson_count_keys(entries) + 1) * sizeof *databases);
  size_t n = 0;
  bson_iter_t it;
  bson_t entry;
  if (!databases) return mig_no_memory(err, "prelude");
  for (bool more = bson_iter_init(&it, entries); more && bson_iter_next(&it);) {
    const char *db = NULL;
    bool known = !mig_bson_iter_doc(&it, &entry) || !mig_bson_str(&entry, "db", &db) || !*db;
    for (size_t i = 0; i < n && !known; i++) known = strcmp(databases[i], db) == 0;
    if (!known) databases[n++] = db;
  }
  const bool ok = n ? mig_dump_choose(d, o, databases, n, err) : bad(d, "it holds no database", err);
  mig_free(databases);
  return ok;
}

/* mongodump --oplog names it in the prelude and at its blocks, as a collection of no database. */
static void look_for_oplog(mig_dump *d, const char *db, const char *name) {
  if (*db || strcmp(name, "oplog") != 0 || d->oplog_told) return;
  char *what = mig_strdup_printf("the oplog in %s", d->path);
  mig_dump_say_oplog(d, what ? what : d->path);
  mig_free(what);
}

static bool add_entry(mig_dump *d, const mig_dump_open_options *o, const bson_t *entry, mig_error *err) {
  const char *db = NULL, *name = NULL, *text = "";
  mig_dump_collection *c = NULL;
  mig_buf json = MIG_BUF(METADATA_MAX + 2);
  if (!mig_bson_str(entry, "db", &db) || !mig_bson_str(entry, "collection", &name))
    return bad(d, "an entry of its prelude has no name", err);
  look_for_oplog(d, db, name);
  if (strcmp(db, d->database) != 0) return true;
  if (!mig_dump_add(d, o, name, &c, err)) return false;
  if (!c) return true;
  mig_bson_str(entry, "metadata", &text);
  char *place = mig_strdup_printf("%s (metadata of %s)", d->path, name);
  const bool ok =
      place && mig_buf_add(&json, text, strlen(text), err) && mig_dump_meta_read(place, name, &json, &c->meta, err);
  mig_buf_free(&json);
  mig_free(place);
  if (!ok) return false;
  c->has_data = strcmp(c->meta.type, "view") != 0;
  mig_bson_bool(c->meta.info, "options.capped", &c->natural);
  return true;
}

bool mig_dump_open_archive(mig_dump *d, const mig_dump_open_options *o, mig_error *err) {
  mig_dump_stream s;
  uint32_t magic = 0;
  bson_t *entries = bson_new(), entry;
  bson_iter_t it;
  d->is_archive = true;
  bool ok = open_file(d, err);
  if (ok && (pread(d->fd, &magic, sizeof magic, 0) != (ssize_t)sizeof magic || BSON_UINT32_FROM_LE(magic) != MAGIC))
    ok = bad(d, "it does not begin with the number that such archives begin with", err);
  mig_dump_stream_open(&s, d->fd, d->path, sizeof magic, d->bytes);
  ok = ok && read_prelude(d, &s, &entries, err) && choose(d, o, entries, err);
  for (bool more = ok && bson_iter_init(&it, entries); ok && more && bson_iter_next(&it);)
    if (mig_bson_iter_doc(&it, &entry)) ok = add_entry(d, o, &entry, err);
  mig_dump_stream_close(&s);
  bson_destroy(entries);
  return ok;
}

static bool same_text(const bson_t *doc, const char *key, const char *text) {
  const char *found = NULL;
  return mig_bson_str(doc, key, &found) && strcmp(found, text) == 0;
}

/* The collection that a block's header names: d->count when it is none of ours. */
static size_t find(const mig_dump *d, const bson_t *header) {
  if (!same_text(header, "db", d->database)) return d->count;
  for (size_t i = 0; i < d->count; i++)
    if (same_text(header, "collection", d->collections[i].name)) return i;
  return d->count;
}

/* Of this database, every block is of a collection in the prelude, but for users, roles and the like. What --only
 * leaves out may be anything. */
static bool check_header(mig_dump *d, const bson_t *header, size_t number, mig_error *err) {
  const char *db = NULL, *name = NULL;
  if (!mig_bson_str(header, "db", &db) || !mig_bson_str(header, "collection", &name))
    return bad(d, "a block does not say which collection it is of", err);
  look_for_oplog(d, db, name);
  if (number < d->count || d->only_some || strcmp(db, d->database) != 0 || mig_dump_leaves_out(name)) return true;
  char *why = mig_strdup_printf("it holds documents of %s.%s, which its prelude does not name", db, name);
  bad(d, why ? why : "it holds a collection that its prelude does not name", err);
  mig_free(why);
  return false;
}

static bool end_collection(mig_dump *d, size_t number, const bson_t *header, mig_error *err) {
  int64_t crc = 0;
  bool ends = false;
  if (!mig_bson_bool(header, "EOF", &ends) || !ends || number == d->count) return true;
  mig_dump_collection *c = &d->collections[number];
  c->finished = true;
  if (mig_bson_int(header, "CRC", &crc) && (uint64_t)crc == c->crc) return true;
  mig_fail(err, MIG_E_INPUT, "%s is damaged: %s.%s", d->path, d->database, c->name);
  return mig_why(err, "its documents do not have the check sum that stands behind them");
}

static bool scan_block(mig_dump *d, mig_dump_stream *s, size_t number, mig_dump_visit visit, void *arg,
                       mig_error *err) {
  bson_t doc;
  mig_dump_place place = {.collection = (uint32_t)number};
  mig_dump_next next;
  uint64_t done = 0;
  while ((next = mig_dump_stream_next(s, true, &doc, &place.offset, err)) == MIG_DUMP_DOC) {
    if (done++ % 1024 == 0 && !mig_checkpoint(d->w, err)) return false;
    if (number == d->count) continue;
    mig_dump_collection *c = &d->collections[number];
    if (c->finished) return bad(d, "a collection goes on behind its end", err);
    if (!c->has_data) return bad(d, "it holds documents of a view", err);
    c->crc = crc64(c->crc, bson_get_data(&doc), doc.len);
    place.bytes = doc.len;
    if (!visit(arg, &place, c->natural, &doc, err)) return false;
  }
  if (next == MIG_DUMP_END) return bad(d, "it ends in the middle of a block", err);
  return next == MIG_DUMP_MARK;
}

bool mig_dump_scan_archive(mig_dump *d, mig_dump_visit visit, void *arg, mig_error *err) {
  mig_dump_stream s;
  bson_t header;
  uint64_t offset = 0;
  mig_dump_next next = MIG_DUMP_ERROR;
  bool ok = true;
  mig_dump_stream_open(&s, d->fd, d->path, d->blocks, d->bytes);
  while (ok && (next = mig_dump_stream_next(&s, true, &header, &offset, err)) == MIG_DUMP_DOC) {
    const size_t number = find(d, &header);
    mig_progress(d->w->observer, "read the dump", offset, d->bytes);
    ok = check_header(d, &header, number, err) && end_collection(d, number, &header, err) &&
         scan_block(d, &s, number, visit, arg, err);
  }
  if (ok && next == MIG_DUMP_MARK) ok = bad(d, "a block without a header", err);
  ok = ok && next != MIG_DUMP_ERROR;
  for (size_t i = 0; ok && i < d->count; i++)
    if (d->collections[i].has_data && !d->collections[i].finished)
      ok = bad(d, "it ends before all of its collections have ended", err);
  mig_dump_stream_close(&s);
  return ok;
}
