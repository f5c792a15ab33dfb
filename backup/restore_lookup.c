/* Compares by asking the server for each of the archive's _ids: needs no common order, and still bounded memory. */
#include <string.h>

#include "backup/restore_parts.h"

#define BATCH_DOCUMENTS 500u
#define BATCH_BYTES     (4u << 20)

typedef struct batch {
  bson_t *documents[BATCH_DOCUMENTS];
  size_t count, bytes, given;
} batch;

static void batch_clear(batch *b) {
  for (size_t i = 0; i < b->count; i++) bson_destroy(b->documents[i]);
  b->count = b->bytes = b->given = 0;
}

static mig_pull batch_next(void *arg, bson_t *doc, mig_error *err) {
  batch *b = arg;
  if (b->given == b->count) return MIG_PULL_END;
  const bson_t *from = b->documents[b->given++];
  if (bson_init_static(doc, bson_get_data(from), from->len)) return MIG_PULL_DOC;
  mig_fail(err, MIG_E_ARCHIVE, "a document in a batch is damaged");
  return MIG_PULL_ERROR;
}

/* Fills the batch; *more is false at the end of the archive's documents. */
static bool fill(mig_archive_cursor *archived, batch *b, bool *more, mig_error *err) {
  bson_t doc;
  batch_clear(b);
  while (b->count < BATCH_DOCUMENTS && b->bytes < BATCH_BYTES) {
    const mig_archive_next next = mig_archive_cursor_next(archived, &doc, err);
    if (next == MIG_ARCHIVE_ERROR) return false;
    if (next == MIG_ARCHIVE_END) {
      *more = false;
      return true;
    }
    b->documents[b->count++] = bson_copy(&doc);
    b->bytes += doc.len;
  }
  return true;
}

static bool ask(mig_work *w, const char *collection, const batch *b, mig_cursor **out, mig_error *err) {
  bson_t command = BSON_INITIALIZER, filter, id, in;
  char buffer[16];
  const char *key = NULL;
  bool ok = true;
  BSON_APPEND_UTF8(&command, "find", collection);
  BSON_APPEND_DOCUMENT_BEGIN(&command, "filter", &filter);
  BSON_APPEND_DOCUMENT_BEGIN(&filter, "_id", &id);
  BSON_APPEND_ARRAY_BEGIN(&id, "$in", &in);
  for (size_t i = 0; ok && i < b->count; i++) {
    bson_uint32_to_string((uint32_t)i, &key, buffer, sizeof buffer);
    ok = mig_doc_id_append(&in, key, b->documents[i]);
  }
  bson_append_array_end(&id, &in);
  bson_append_document_end(&filter, &id);
  bson_append_document_end(&command, &filter);
  ok = ok ? mig_db_query(w->db, &command, out, err) : mig_fail(err, MIG_E_ARCHIVE, "a document without an _id");
  bson_destroy(&command);
  return ok;
}

static bool compare_batch(mig_work *w, const char *collection, batch *b, mig_compare_result *sum, mig_error *err) {
  mig_live_source live = {.w = w};
  mig_compare_result part;
  if (!mig_checkpoint(w, err) || !ask(w, collection, b, &live.cursor, err)) return false;
  const mig_compare compare = {.archive = {b, batch_next}, .live = {&live, mig_live_next}, .window_bytes = SIZE_MAX};
  const bool ok = mig_compare_run(&compare, &part, err);
  mig_live_close(&live);
  if (ok) mig_compare_add(sum, &part);
  return ok;
}

bool mig_lookup_run(mig_work *w, mig_archive *archive, const mig_collection_entry *entry, const char *collection,
                    mig_compare_result *out, mig_error *err) {
  mig_archive_cursor *archived = NULL;
  int64_t live = 0;
  bool more = true;
  memset(out, 0, sizeof *out);
  batch *b = mig_alloc(sizeof *b);
  bool ok = b ? mig_archive_documents(archive, entry, 0, &archived, err) : mig_no_memory(err, "a batch");
  while (ok && more) ok = fill(archived, b, &more, err) && (!b->count || compare_batch(w, collection, b, out, err));
  /* _ids are unique: what the server has beyond those we asked for has no partner */
  if (ok && (ok = mig_db_count(w->db, collection, NULL, &live, err))) out->extra = live - out->same - out->changed;
  if (b) batch_clear(b);
  mig_free(b);
  mig_archive_cursor_close(archived);
  return ok;
}
