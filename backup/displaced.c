#include "backup/displaced.h"

#include <string.h>

#include "base/clock.h"

#define SUM_BYTES 32u /* digits of a document's SHA-256: half of it */

struct mig_displaced {
  mig_archive_writer *writer; /* made with the first collection that has something */
  mig_store *store;
  const mig_work *work;
  char *reason, *id, *path;
  const char *name; /* the collection at hand; borrowed */
  const bson_t *info, *indexes;
  bool began;
  int64_t documents;
  /* reading */
  mig_archive *archive;
  mig_archive_cursor *cursor;
  bool ended;
  mig_hash *hash;
  mig_buf ahead; /* sums of documents passed over, SUM_BYTES each */
};

bool mig_displaced_new(mig_store *store, const mig_work *w, const char *reason, mig_displaced **out, mig_error *err) {
  *out = NULL;
  mig_displaced *d = mig_alloc(sizeof *d);
  if (!d) return mig_no_memory(err, "the displaced archive");
  d->store = store;
  d->work = w;
  d->ahead = MIG_BUF((size_t)MIG_DISPLACED_AHEAD * SUM_BYTES);
  d->reason = mig_strdup_printf("%s%s", MIG_DISPLACED_REASON, reason ? reason : "restore");
  if (!d->reason || !mig_hash_new(&d->hash, err)) {
    mig_displaced_free(d);
    return mig_no_memory(err, "the displaced archive");
  }
  *out = d;
  return true;
}

void mig_displaced_free(mig_displaced *d) {
  if (!d) return;
  mig_archive_writer_free(d->writer);
  mig_archive_cursor_close(d->cursor);
  mig_archive_free(d->archive);
  mig_hash_free(d->hash);
  mig_buf_free(&d->ahead);
  mig_free(d->reason);
  mig_free(d->id);
  mig_free(d->path);
  mig_free(d);
}

static mig_manifest *new_manifest(const mig_displaced *d, const char *id) {
  mig_manifest *m = mig_alloc(sizeof *m);
  if (!m) return NULL;
  const mig_caps *caps = d->work->caps;
  m->id = mig_strdup(id);
  m->tool = mig_strdup("mig");
  m->reason = mig_strdup(d->reason);
  m->database = mig_strdup(mig_db_name(d->work->db));
  m->created_unix_ms = mig_now_unix_ms();
  m->server_version = mig_strdup(caps ? caps->version : "");
  m->server_product = mig_strdup(caps ? caps->product : "");
  m->topology = mig_strdup(caps ? caps->topology : "");
  m->consistency = mig_strdup("perCollection");
  if (m->id && m->tool && m->reason && m->database && m->server_version && m->server_product && m->topology &&
      m->consistency)
    return m;
  mig_manifest_free(m);
  return NULL;
}

static bool begin_archive(mig_displaced *d, mig_error *err) {
  if (!mig_store_new_id("displaced", &d->id, err)) return false;
  mig_manifest *manifest = new_manifest(d, d->id);
  if (!manifest) return mig_no_memory(err, "the displaced archive");
  const mig_archive_options options = {.sign_later = true};
  return mig_archive_begin(d->store, manifest, &options, &d->writer, err);
}

static bool end_collection(mig_displaced *d, mig_error *err) {
  const bool began = d->began;
  d->began = false;
  d->name = NULL;
  return !began || mig_archive_collection_end(d->writer, err);
}

bool mig_displaced_collection(mig_displaced *d, const char *name, const bson_t *info, const bson_t *indexes,
                              mig_error *err) {
  if (!end_collection(d, err)) return false;
  d->name = name;
  d->info = info;
  d->indexes = indexes;
  return true;
}

bool mig_displaced_whole(mig_displaced *d, mig_error *err) {
  if (d->began) return true;
  if (!d->writer && !begin_archive(d, err)) return false;
  d->began = mig_archive_collection(d->writer, d->name, MIG_HOLDS_DOCUMENTS, d->info, d->indexes, err);
  return d->began;
}

bool mig_displaced_add(mig_displaced *d, const bson_t *doc, mig_error *err) {
  if (!mig_displaced_whole(d, err)) return false;
  d->documents++;
  return mig_archive_document(d->writer, bson_get_data(doc), doc->len, err);
}

/* A restore does not fail for the want of a signature: what it puts back is worth more. */
static void sign(const mig_displaced *d) {
  mig_error why;
  if (!mig_archive_sign(d->writer, d->path, &why))
    mig_say(d->work->observer, MIG_WARNING, "%s: %s", why.what, mig_error_why(&why));
}

bool mig_displaced_finish(mig_displaced *d, mig_error *err) {
  char sha256[MIG_SHA256_HEX];
  uint64_t bytes = 0;
  if (!end_collection(d, err)) return false;
  if (!d->writer) return true;
  const bool ok = mig_archive_finish(d->writer, &d->path, sha256, &bytes, err);
  if (ok) sign(d);
  mig_archive_writer_free(d->writer);
  d->writer = NULL;
  return ok && mig_archive_open_with(d->path, mig_store_key(d->store), &d->archive, err) &&
         mig_archive_verify(d->archive, NULL, err);
}

const char *mig_displaced_path(const mig_displaced *d) {
  return d->path;
}

const char *mig_displaced_id(const mig_displaced *d) {
  return d->path ? d->id : NULL;
}

int64_t mig_displaced_documents(const mig_displaced *d) {
  return d->documents;
}

bool mig_displaced_reading(mig_displaced *d, const char *collection, mig_error *err) {
  mig_archive_cursor_close(d->cursor);
  d->cursor = NULL;
  d->ended = true;
  mig_buf_clear(&d->ahead);
  const mig_collection_entry *entry =
      d->archive ? mig_manifest_find(mig_archive_contents(d->archive), collection) : NULL;
  if (!entry) return true; /* nothing of it is in there */
  d->ended = false;
  return mig_archive_documents(d->archive, entry, 0, &d->cursor, err);
}

static void sum_of(mig_displaced *d, const bson_t *doc, uint8_t sum[static SUM_BYTES]) {
  char hex[MIG_SHA256_HEX];
  mig_hash_add(d->hash, bson_get_data(doc), doc->len);
  mig_hash_hex(d->hash, hex);
  memcpy(sum, hex, SUM_BYTES);
}

/* Takes the sum out of the list of those passed over; false when it is not there. */
static bool take_ahead(mig_displaced *d, const uint8_t sum[static SUM_BYTES]) {
  for (size_t at = 0; at + SUM_BYTES <= d->ahead.size; at += SUM_BYTES) {
    if (memcmp(d->ahead.data + at, sum, SUM_BYTES) != 0) continue;
    d->ahead.size -= SUM_BYTES;
    memmove(d->ahead.data + at, d->ahead.data + at + SUM_BYTES, d->ahead.size - at);
    return true;
  }
  return false;
}

/* A full list is of documents that did not come again: the older half makes room. */
static void make_room(mig_displaced *d) {
  if (d->ahead.size < d->ahead.maximum) return;
  d->ahead.size /= 2;
  memmove(d->ahead.data, d->ahead.data + d->ahead.size, d->ahead.size);
}

bool mig_displaced_holds(mig_displaced *d, const bson_t *doc, bool *holds, mig_error *err) {
  uint8_t sum[SUM_BYTES], other[SUM_BYTES];
  bson_t kept;
  *holds = false;
  if (d->ahead.size) {
    sum_of(d, doc, sum);
    if ((*holds = take_ahead(d, sum))) return true;
    make_room(d);
  }
  while (!d->ended && d->ahead.size < d->ahead.maximum) {
    const mig_archive_next next = mig_archive_cursor_next(d->cursor, &kept, err);
    if (next == MIG_ARCHIVE_ERROR) return false;
    if (next == MIG_ARCHIVE_END)
      d->ended = true;
    else if ((*holds = mig_bson_same(&kept, doc)))
      return true;
    else {
      sum_of(d, &kept, other);
      if (!mig_buf_add(&d->ahead, other, SUM_BYTES, err)) return false;
    }
  }
  return true;
}
