#include "backup/restore_parts.h"
#include "base/clock.h"

static void append_order(bson_t *to, const char *key, const char *field) {
  bson_t order;
  BSON_APPEND_DOCUMENT_BEGIN(to, key, &order);
  BSON_APPEND_INT32(&order, field, 1);
  bson_append_document_end(to, &order);
}

static bool query(mig_live_source *s, const char *collection, bool natural, bool hinted, mig_error *err) {
  bson_t command = BSON_INITIALIZER;
  BSON_APPEND_UTF8(&command, "find", collection);
  append_order(&command, "sort", natural ? "$natural" : "_id");
  if (hinted) append_order(&command, "hint", "_id");
  mig_append_batch_size(&command, (int64_t)s->total, s->total_bytes, MIG_BATCH_BYTES);
  const bool ok = mig_db_query(s->w->db, &command, &s->cursor, err);
  bson_destroy(&command);
  return ok;
}

bool mig_live_open(mig_live_source *s, mig_work *w, const char *collection, bool natural, mig_error *err) {
  mig_error first = {0};
  s->w = w;
  s->cursor = NULL;
  s->checked_ms = mig_now_monotonic_ms();
  if (s->range) return mig_range_open(&s->ranged, w->db, collection, s->range, (int64_t)s->total, s->total_bytes, err);
  /* the hint keeps a server from sorting in memory; one that does not know the index or the hint sorts as it likes */
  if (!natural && query(s, collection, false, true, &first)) return true;
  if (first.code != MIG_OK && first.code != MIG_E_SERVER) {
    if (err) *err = first;
    return false;
  }
  return query(s, collection, natural, false, err);
}

bool mig_live_open_archived(mig_live_source *s, mig_work *w, mig_archive *archive, const mig_collection_entry *entry,
                            mig_error *err) {
  s->w = w;
  s->cursor = NULL;
  s->checked_ms = mig_now_monotonic_ms();
  return mig_archive_documents(archive, entry, 0, &s->archived, err);
}

void mig_live_close(mig_live_source *s) {
  mig_cursor_close(s->cursor);
  mig_range_close(&s->ranged);
  mig_archive_cursor_close(s->archived);
  s->cursor = NULL;
  s->archived = NULL;
}

static mig_pull pull(mig_live_source *s, bson_t *doc, mig_error *err) {
  const bson_t *borrowed = NULL;
  if (s->archived) return mig_archived_next(s->archived, doc, err);
  switch (s->range ? mig_range_next(&s->ranged, &borrowed, err) : mig_cursor_next(s->cursor, &borrowed, err)) {
  case MIG_NEXT_END:
    return MIG_PULL_END;
  case MIG_NEXT_ERROR:
    return MIG_PULL_ERROR;
  case MIG_NEXT_DOC:
    break;
  }
  if (bson_init_static(doc, bson_get_data(borrowed), borrowed->len)) return MIG_PULL_DOC;
  mig_fail(err, MIG_E_SERVER, "the server sent a document that is none");
  return MIG_PULL_ERROR;
}

mig_pull mig_live_next(void *source, bson_t *doc, mig_error *err) {
  mig_live_source *s = source;
  if (s->done % 256 == 0 && mig_now_monotonic_ms() - s->checked_ms >= 1000) {
    if (!mig_checkpoint(s->w, err)) return MIG_PULL_ERROR;
    s->checked_ms = mig_now_monotonic_ms();
    if (s->what) mig_progress(s->w->observer, s->what, s->done, s->total);
  }
  const mig_pull pulled = pull(s, doc, err);
  if (pulled != MIG_PULL_DOC) return pulled;
  s->done++;
  s->w->counts.documents_read++;
  s->w->counts.bytes_read += doc->len;
  return MIG_PULL_DOC;
}

mig_pull mig_archived_next(void *cursor, bson_t *doc, mig_error *err) {
  switch (mig_archive_cursor_next(cursor, doc, err)) {
  case MIG_ARCHIVE_DOC:
    return MIG_PULL_DOC;
  case MIG_ARCHIVE_END:
    return MIG_PULL_END;
  default:
    return MIG_PULL_ERROR;
  }
}
