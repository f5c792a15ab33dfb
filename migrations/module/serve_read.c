/* Services that read: documents in batches, counts, guards. */
#include <string.h>

#include "migrations/module/serve.h"
#include "migrations/module/services.h"

#define BATCH_BYTES (4u << 20)

static bool open_cursor(mig_serving *s, const bson_t *query, const char *collection, bson_t *reply, mig_error *err) {
  size_t i = 0;
  while (i < MIG_SERVE_CURSORS && s->cursors[i].cursor) i++;
  if (i == MIG_SERVE_CURSORS)
    return mig_fail(err, MIG_E_FAILED, "module %s has more than %d queries open at once", s->name, MIG_SERVE_CURSORS);
  mig_served_cursor *c = &s->cursors[i];
  if (!mig_db_query(s->w->db, query, &c->cursor, err)) return false;
  c->collection = mig_strdup(collection);
  BSON_APPEND_INT64(reply, "cursor", (int64_t)i);
  return true;
}

/* By _id: a document that is changed meanwhile keeps its place and is met once. */
static bool serve_find(mig_serving *s, const bson_t *request, bson_t *reply, mig_error *err) {
  const char *collection = NULL;
  bson_t filter;
  if (!mig_bson_str(request, "collection", &collection) || !mig_bson_doc(request, "query", &filter))
    return mig_serve_nonsense(s, err);
  if (!mig_serve_allows(s, collection, MIG_TOUCH_READ, err)) return false;
  bson_t *find = BCON_NEW("find", BCON_UTF8(collection), "filter", BCON_DOCUMENT(&filter), "sort", "{", "_id",
                          BCON_INT32(1), "}", "batchSize", BCON_INT32((int32_t)mig_batch_documents(s->w)));
  bool ok = open_cursor(s, find, collection, reply, err);
  bson_destroy(find);
  return ok;
}

static bool serve_query(mig_serving *s, const bson_t *request, bson_t *reply, mig_error *err) {
  bson_t query;
  bson_iter_t first;
  mig_step step;
  if (!mig_bson_doc(request, "query", &query) || !bson_iter_init(&first, &query) || !bson_iter_next(&first))
    return mig_serve_nonsense(s, err);
  const char *verb = bson_iter_key(&first);
  if (strcmp(verb, "find") != 0 && strcmp(verb, "aggregate") != 0) {
    mig_fail(err, MIG_E_FAILED, "module %s: mig_ctx_query takes find and aggregate, not \"%.80s\"", s->name, verb);
    return mig_hint(err, "use mig_ctx_command for it");
  }
  if (!mig_serve_command(s, &query, false, &step, err)) return false;
  mig_step_clear(&step);
  bson_t *full = bson_copy(&query), cursor;
  if (strcmp(verb, "aggregate") == 0 && !bson_has_field(full, "cursor")) {
    BSON_APPEND_DOCUMENT_BEGIN(full, "cursor", &cursor);
    bson_append_document_end(full, &cursor);
  }
  bool ok = open_cursor(s, full, NULL, reply, err);
  bson_destroy(full);
  return ok;
}

static bool fill(mig_serving *s, mig_served_cursor *c, bool *end, mig_error *err) {
  uint32_t n = 0;
  const bson_t *doc = NULL;
  mig_next next = MIG_NEXT_DOC;
  bson_destroy(c->batch);
  c->batch = bson_new();
  while (n < mig_batch_documents(s->w) && c->batch->len < BATCH_BYTES &&
         (next = mig_cursor_next(c->cursor, &doc, err)) == MIG_NEXT_DOC) {
    char buffer[16];
    const char *key;
    bson_uint32_to_string(n++, &key, buffer, sizeof buffer);
    BSON_APPEND_DOCUMENT(c->batch, key, doc);
    s->w->counts.documents_read++;
    s->w->counts.bytes_read += doc->len;
  }
  *end = next == MIG_NEXT_END;
  return next != MIG_NEXT_ERROR;
}

static bool serve_next(mig_serving *s, const bson_t *request, bson_t *reply, mig_error *err) {
  int64_t i = -1;
  bool end = false;
  if (!mig_bson_int(request, "cursor", &i) || i < 0 || i >= MIG_SERVE_CURSORS || !s->cursors[i].cursor)
    return mig_serve_nonsense(s, err);
  if (!fill(s, &s->cursors[i], &end, err)) return false;
  BSON_APPEND_ARRAY(reply, "documents", s->cursors[i].batch);
  BSON_APPEND_BOOL(reply, "end", end);
  return true;
}

static bool serve_close(mig_serving *s, const bson_t *request, bson_t *reply, mig_error *err) {
  int64_t i = -1;
  (void)reply;
  if (!mig_bson_int(request, "cursor", &i) || i < 0 || i >= MIG_SERVE_CURSORS) return mig_serve_nonsense(s, err);
  mig_serve_close(&s->cursors[i]);
  return true;
}

static bool serve_count(mig_serving *s, const bson_t *request, bson_t *reply, mig_error *err) {
  const char *collection = NULL;
  bson_t filter;
  int64_t n = 0;
  if (!mig_bson_str(request, "collection", &collection) || !mig_bson_doc(request, "filter", &filter))
    return mig_serve_nonsense(s, err);
  if (!mig_serve_allows(s, collection, MIG_TOUCH_READ, err) || !mig_db_count(s->w->db, collection, &filter, &n, err))
    return false;
  BSON_APPEND_INT64(reply, "n", n);
  return true;
}

static bool serve_stats(mig_serving *s, const bson_t *request, bson_t *reply, mig_error *err) {
  const char *collection = NULL;
  int64_t documents = 0, bytes = 0;
  bool exists = false;
  if (!mig_bson_str(request, "collection", &collection)) return mig_serve_nonsense(s, err);
  if (!mig_serve_allows(s, collection, MIG_TOUCH_READ, err)) return false;
  bool ok = mig_db_has_collection(s->w->db, collection, &exists, err);
  if (ok && exists) ok = mig_db_stats(s->w->db, collection, &documents, &bytes, err);
  BSON_APPEND_BOOL(reply, "exists", exists);
  BSON_APPEND_INT64(reply, "documents", documents);
  BSON_APPEND_INT64(reply, "bytes", bytes);
  return ok;
}

static bool serve_check(mig_serving *s, const bson_t *request, bson_t *reply, mig_error *err) {
  const mig_services *services = s->w->services;
  bson_t guard, args;
  bson_iter_t it;
  const char *collection = NULL;
  char why[1024] = "";
  bool holds = false;
  if (!services || !mig_bson_doc(request, "guard", &guard)) return mig_serve_nonsense(s, err);
  if (bson_iter_init(&it, &guard) && bson_iter_next(&it) && mig_bson_iter_doc(&it, &args) &&
      mig_bson_str(&args, "collection", &collection) && !mig_serve_allows(s, collection, MIG_TOUCH_READ, err))
    return false;
  if (!services->check(services->arg, &guard, &holds, why, sizeof why, err)) return false;
  BSON_APPEND_BOOL(reply, "holds", holds);
  BSON_APPEND_UTF8(reply, "why", why);
  return true;
}

const mig_service_row mig_services_read[] = {
    {"find", serve_find},   {"query", serve_query}, {"next", serve_next},   {"close", serve_close},
    {"count", serve_count}, {"stats", serve_stats}, {"check", serve_check}, {0}};
