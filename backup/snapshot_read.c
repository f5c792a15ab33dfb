/* The documents of one collection, from the server into the archive, their bytes untouched. */
#include <stdio.h>
#include <string.h>

#include "backup/snapshot_ranges.h"
#include "base/clock.h"

#define UNKNOWN_FIELD_OLD 9     /* FailedToParse */
#define UNKNOWN_FIELD     40415 /* IDLUnknownField */
#define CHECKPOINT_MS     1000
#define CHECKPOINT_BYTES  (4 << 20)

/* Capped collections in the order they keep; all others in _id order, by the index where there is one. */
static void build_find(const mig_snapshot_item *item, bool disk, bson_t *command) {
  bson_t part;
  bool capped = false;
  mig_bson_bool(item->info, "options.capped", &capped);
  bson_init(command);
  BSON_APPEND_UTF8(command, "find", item->name);
  mig_append_batch_size(command, item->documents, item->raw_bytes, MIG_BATCH_BYTES);
  BSON_APPEND_DOCUMENT_BEGIN(command, "sort", &part);
  BSON_APPEND_INT32(&part, capped ? "$natural" : "_id", 1);
  bson_append_document_end(command, &part);
  if (capped) return;
  if (mig_range_has_id_index(item->indexes)) {
    BSON_APPEND_DOCUMENT_BEGIN(command, "hint", &part);
    BSON_APPEND_INT32(&part, "_id", 1);
    bson_append_document_end(command, &part);
  } else if (disk) {
    BSON_APPEND_BOOL(command, "allowDiskUse", true); /* a clustered collection needs no sort, another one may */
  }
}

static bool open_cursor(mig_work *w, const mig_snapshot_item *item, mig_cursor **out, mig_error *err) {
  mig_error first = {0};
  bson_t command;
  build_find(item, true, &command);
  bool ok = mig_db_query(w->db, &command, out, &first);
  if (!ok && bson_has_field(&command, "allowDiskUse") &&
      (first.server_code == UNKNOWN_FIELD || first.server_code == UNKNOWN_FIELD_OLD)) {
    bson_destroy(&command);
    build_find(item, false, &command); /* before 4.4 */
    ok = mig_db_query(w->db, &command, out, &first);
  }
  bson_destroy(&command);
  if (!ok && err) *err = first;
  return ok;
}

typedef struct pump {
  mig_work *w;
  const mig_snapshot_item *item;
  mig_archive_writer *archive; /* or */
  mig_hash *hash;
  int64_t documents, bytes; /* read so far */
  int64_t checked_ms, checked_bytes;
  char what[400];
} pump;

static bool checkpoint(pump *p, bool now, mig_error *err) {
  if (!now && p->documents % 64 != 0 && p->bytes - p->checked_bytes < CHECKPOINT_BYTES) return true;
  int64_t ms = mig_now_monotonic_ms();
  if (!now && ms - p->checked_ms < CHECKPOINT_MS && p->bytes - p->checked_bytes < CHECKPOINT_BYTES) return true;
  p->checked_ms = ms;
  p->checked_bytes = p->bytes;
  int64_t total = p->item->documents > p->documents ? p->item->documents : p->documents;
  mig_progress(p->w->observer, p->what, (uint64_t)p->documents, (uint64_t)total);
  return mig_checkpoint(p->w, err);
}

static bool document(void *arg, const uint8_t *bson, size_t size, mig_error *err) {
  pump *p = arg;
  p->documents++;
  p->bytes += (int64_t)size;
  if (p->hash) mig_hash_add(p->hash, bson, size);
  return (p->hash || mig_archive_document(p->archive, bson, size, err)) && checkpoint(p, false, err);
}

static bool pump_cursor(pump *p, mig_error *err) {
  mig_cursor *c = NULL;
  const bson_t *doc = NULL;
  mig_next next = MIG_NEXT_ERROR;
  bool ok = open_cursor(p->w, p->item, &c, err);
  while (ok && (next = mig_cursor_next(c, &doc, err)) == MIG_NEXT_DOC)
    ok = document(p, bson_get_data(doc), doc->len, err);
  mig_cursor_close(c);
  return ok && next == MIG_NEXT_END;
}

static bool pump_all(pump *p, bool at_one_time, mig_error *err) {
  bool done = false;
  bool ok = checkpoint(p, true, err) && (!at_one_time || mig_snapshot_ranges(p->w, p->item, document, p, &done, err)) &&
            (done || pump_cursor(p, err));
  p->w->counts.documents_read += p->documents;
  p->w->counts.bytes_read += p->bytes;
  return ok && checkpoint(p, true, err);
}

static bool too_few(const pump *p, int64_t counted, mig_error *err) {
  mig_fail(err, MIG_E_FAILED, "%s.%s: the server gave %lld documents but counts %lld", mig_db_name(p->w->db),
           p->item->name, (long long)p->documents, (long long)counted);
  return mig_hint(err, "a snapshot of them would not be whole; check the server (its log, `validate`), then try again");
}

/* A server that ends a cursor early loses documents without an error: what it gave is held against what it counts. */
static bool check_count(const pump *p, int64_t before, bool at_one_time, mig_error *err) {
  int64_t after = 0;
  if (!at_one_time && p->documents == before) return true;
  if (!mig_db_count(p->w->db, p->item->name, NULL, &after, err)) return false;
  if (p->documents == after) return true;
  return (!at_one_time && before != after) || too_few(p, after, err); /* others write: see snapshot_written.h */
}

bool mig_snapshot_documents(mig_work *w, const mig_snapshot_item *item, bool at_one_time, mig_archive_writer *archive,
                            mig_error *err) {
  pump p = {.w = w, .item = item, .archive = archive};
  int64_t before = 0;
  snprintf(p.what, sizeof p.what, "snapshot %s.%s", mig_db_name(w->db), item->name);
  if (!at_one_time && !mig_db_count(w->db, item->name, NULL, &before, err)) return false;
  return pump_all(&p, at_one_time, err) && check_count(&p, before, at_one_time, err);
}

bool mig_snapshot_read_again(mig_work *w, const mig_snapshot_item *item, char sha256[static MIG_SHA256_HEX],
                             mig_error *err) {
  pump p = {.w = w, .item = item};
  snprintf(p.what, sizeof p.what, "look again at %s.%s", mig_db_name(w->db), item->name);
  const bool ok = mig_hash_new(&p.hash, err) && checkpoint(&p, true, err) && pump_cursor(&p, err);
  if (ok) mig_hash_hex(p.hash, sha256);
  mig_hash_free(p.hash);
  return ok;
}
