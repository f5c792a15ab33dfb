/* Queries and transforms of a module: documents come in batches, callbacks see one after the other. */
#include <string.h>

#include "migrations/module/host.h"

#define CHANGES_BYTES (8u << 20) /* documents may grow: what is sent at once stays bounded */

typedef struct walk {
  mig_ctx *ctx;
  int64_t cursor;
  mig_doc_fn read;         /* either this */
  mig_transform_fn change; /* or that */
  void *arg;
} walk;

static bool returned_false(mig_ctx *ctx, const char *service) {
  return mig_ctx_fail(ctx, "a callback of %s returned false", service);
}

/* {i: index, new: document}, {i: index} (remove), or nothing. */
static bool change_one(const walk *k, uint32_t index, mig_doc before, bson_t *changes, uint32_t *count) {
  mig_doc after = before;
  bson_t view, one;
  char buffer[16];
  const char *key;
  if (!k->change(k->ctx, before, &after, k->arg)) return returned_false(k->ctx, "mig_ctx_transform");
  if (after.data == before.data && after.size == before.size) return true;
  bool remove = !after.data && after.size == 1;
  if (!remove && !mig_host_view(after, &view))
    return mig_ctx_fail(k->ctx, "mig_ctx_transform: what it made of a document is no document");
  bson_uint32_to_string((*count)++, &key, buffer, sizeof buffer);
  BSON_APPEND_DOCUMENT_BEGIN(changes, key, &one);
  BSON_APPEND_INT32(&one, "i", (int32_t)index);
  if (!remove) BSON_APPEND_DOCUMENT(&one, "new", &view);
  bson_append_document_end(changes, &one);
  return true;
}

static bool send_changes(const walk *k, bson_t *changes, uint32_t *count) {
  bson_t *request = *count ? mig_host_request(k->ctx, "rewrite") : NULL;
  if (*count == 0) return true;
  if (!request) return false;
  BSON_APPEND_INT64(request, "cursor", k->cursor);
  BSON_APPEND_ARRAY(request, "changes", changes);
  bool ok = mig_host_ask(k->ctx, request, NULL);
  bson_destroy(request);
  bson_reinit(changes);
  *count = 0;
  return ok;
}

static bool each(const walk *k, const bson_t *documents, bson_t *changes, uint32_t *count) {
  bson_iter_t it;
  bson_t view;
  uint32_t index = 0;
  bool ok = bson_iter_init(&it, documents);
  while (ok && bson_iter_next(&it)) {
    if (!mig_bson_iter_doc(&it, &view)) return mig_ctx_fail(k->ctx, "a document that is none");
    const mig_kept *mark = k->ctx->kept;
    mig_doc doc = {bson_get_data(&view), view.len};
    if (k->read)
      ok = k->read(k->ctx, doc, k->arg) || returned_false(k->ctx, "a query");
    else
      ok = change_one(k, index, doc, changes, count);
    mig_host_release(k->ctx, mark);
    ok = ok && !k->ctx->failed && (changes->len < CHANGES_BYTES || send_changes(k, changes, count));
    index++;
  }
  return ok;
}

static bool batch(const walk *k, bool *end) {
  bson_t *request = mig_host_request(k->ctx, "next"), *reply = NULL;
  bson_t changes = BSON_INITIALIZER, documents;
  uint32_t count = 0;
  if (request) BSON_APPEND_INT64(request, "cursor", k->cursor);
  bool ok = request && mig_host_ask(k->ctx, request, &reply);
  ok = ok && ((mig_bson_bool(reply, "end", end) && mig_bson_arr(reply, "documents", &documents)) ||
              mig_ctx_fail(k->ctx, "a batch without documents"));
  ok = ok && each(k, &documents, &changes, &count);
  ok = ok && send_changes(k, &changes, &count);
  bson_destroy(&changes);
  bson_destroy(reply);
  bson_destroy(request);
  return ok;
}

static bool run(walk *k, const char *op, const char *collection, mig_doc query) {
  bson_t view, *request = mig_host_request(k->ctx, op), *reply = NULL;
  bool end = false;
  bool ok = request && (mig_host_view(query, &view) || mig_ctx_fail(k->ctx, "a query that is no document"));
  if (ok && collection) BSON_APPEND_UTF8(request, "collection", collection);
  if (ok) BSON_APPEND_DOCUMENT(request, "query", &view);
  ok = ok && mig_host_ask(k->ctx, request, &reply) &&
       (mig_bson_int(reply, "cursor", &k->cursor) || mig_ctx_fail(k->ctx, "a query without an answer"));
  while (ok && !end) ok = batch(k, &end);
  bson_destroy(reply);
  bson_destroy(request);
  request = ok ? mig_host_request(k->ctx, "close") : NULL;
  if (request) BSON_APPEND_INT64(request, "cursor", k->cursor);
  ok = ok && request && mig_host_ask(k->ctx, request, NULL);
  bson_destroy(request);
  return ok;
}

bool mig_ctx_find(mig_ctx *ctx, const char *collection, mig_doc filter, mig_doc_fn fn, void *arg) {
  walk k = {.ctx = ctx, .read = fn, .arg = arg};
  return run(&k, "find", collection, filter);
}

bool mig_ctx_query(mig_ctx *ctx, mig_doc find_or_aggregate, mig_doc_fn fn, void *arg) {
  walk k = {.ctx = ctx, .read = fn, .arg = arg};
  return run(&k, "query", NULL, find_or_aggregate);
}

bool mig_ctx_transform(mig_ctx *ctx, const char *collection, mig_doc filter, mig_transform_fn fn, void *arg) {
  walk k = {.ctx = ctx, .change = fn, .arg = arg};
  return run(&k, "find", collection, filter);
}
