#include "backup/snapshot_split.h"

#include <string.h>

#define PIECES_MIN       4
#define PIECES_MAX       32768 /* above 16 GiB they get larger */
#define SAMPLES_A_PIECE  10    /* of which one is taken: so that pieces come out of about one size */
#define SAMPLES_MAX      327680
#define DOCUMENTS_SAMPLE 25 /* above one document in so many a server reads them all to take a sample */
#define BOUNDS_MAX_BYTES (4u << 20)

static void append_stage(bson_t *pipeline, const char *key, const char *stage, const char *field, int64_t value) {
  bson_t one, inner;
  BSON_APPEND_DOCUMENT_BEGIN(pipeline, key, &one);
  BSON_APPEND_DOCUMENT_BEGIN(&one, stage, &inner);
  BSON_APPEND_INT64(&inner, field, value);
  bson_append_document_end(&one, &inner);
  bson_append_document_end(pipeline, &one);
}

static bool sample(mig_db *db, const char *collection, int64_t size, mig_cursor **out, mig_error *err) {
  bson_t command = BSON_INITIALIZER, pipeline, cursor;
  BSON_APPEND_UTF8(&command, "aggregate", collection);
  BSON_APPEND_ARRAY_BEGIN(&command, "pipeline", &pipeline);
  append_stage(&pipeline, "0", "$sample", "size", size);
  append_stage(&pipeline, "1", "$project", "_id", 1);
  append_stage(&pipeline, "2", "$sort", "_id", 1);
  bson_append_array_end(&command, &pipeline);
  BSON_APPEND_DOCUMENT_BEGIN(&command, "cursor", &cursor);
  bson_append_document_end(&command, &cursor);
  const bool ok = mig_db_query(db, &command, out, err);
  bson_destroy(&command);
  return ok;
}

static bool add(mig_split *s, const bson_t *doc, size_t *bytes, mig_error *err) {
  bson_iter_t id;
  if (bson_count_keys(doc) != 1 || !bson_iter_init_find(&id, doc, "_id"))
    return mig_fail(err, MIG_E_SERVER, "the server's sample has other fields than _id");
  if (BSON_ITER_HOLDS_MAXKEY(&id)) return true;                          /* no range begins there */
  if (s->count && bson_equal(s->bounds[s->count - 1], doc)) return true; /* drawn twice */
  if (s->count == s->capacity || *bytes > BOUNDS_MAX_BYTES) return true;
  s->bounds[s->count] = bson_copy(doc);
  *bytes += doc->len;
  s->count++;
  return true;
}

/* One of every `every`, as they come: only those that are taken are kept. */
static bool take(mig_db *db, const char *collection, int64_t samples, int64_t every, mig_split *out, mig_error *err) {
  mig_cursor *c = NULL;
  const bson_t *doc = NULL;
  mig_next next = MIG_NEXT_ERROR;
  size_t bytes = 0;
  if (!sample(db, collection, samples, &c, err)) return false;
  bool ok = true;
  for (int64_t n = 1; ok && (next = mig_cursor_next(c, &doc, err)) == MIG_NEXT_DOC; n++)
    if (n % every == 0) ok = add(out, doc, &bytes, err);
  mig_cursor_close(c);
  return ok && next == MIG_NEXT_END;
}

static int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

bool mig_split_make(mig_db *db, const mig_snapshot_item *item, int64_t piece_bytes, mig_split *out, mig_error *err) {
  memset(out, 0, sizeof *out);
  const int64_t pieces = least(item->raw_bytes / piece_bytes, PIECES_MAX);
  const int64_t samples = least(least(pieces * SAMPLES_A_PIECE, SAMPLES_MAX), item->documents / DOCUMENTS_SAMPLE);
  if (pieces < PIECES_MIN || samples < pieces) return true; /* small, or few large documents */
  const int64_t every = samples / pieces;
  out->capacity = (size_t)(samples / every);
  out->bounds = mig_alloc(out->capacity * sizeof(bson_t *));
  if (!out->bounds) return mig_no_memory(err, "ranges");
  const bool ok = take(db, item->name, samples, every, out, err);
  if (!ok) mig_split_clear(out);
  return ok;
}

void mig_split_clear(mig_split *s) {
  for (size_t i = 0; i < s->count; i++) bson_destroy(s->bounds[i]);
  mig_free(s->bounds);
  memset(s, 0, sizeof *s);
}
