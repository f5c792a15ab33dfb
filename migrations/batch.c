#include "migrations/batch.h"

#include <stdio.h>
#include <string.h>

#include "base/crash.h"
#include "migrations/filter.h"

#define MAX_IDS_BYTES (4u << 20) /* far below what one command may hold */

typedef struct walk {
  mig_work *w;
  const mig_batch *batch;
  mig_batch_fn fn;
  void *arg;
  bson_t *ids; /* array under construction */
  uint32_t count;
  uint64_t done;
  char what[400];
} walk;

static bson_t *ids_filter(const bson_t *ids, const bson_t *filter) {
  bson_t by_id = BSON_INITIALIZER, in;
  BSON_APPEND_DOCUMENT_BEGIN(&by_id, "_id", &in);
  BSON_APPEND_ARRAY(&in, "$in", ids);
  bson_append_document_end(&by_id, &in);
  bson_t *both = mig_filter_and(&by_id, filter);
  bson_destroy(&by_id);
  return both;
}

static bool flush(walk *k, mig_error *err) {
  if (k->count == 0) return true;
  if (!mig_checkpoint(k->w, err)) return false;
  bson_t *filter = ids_filter(k->ids, k->batch->filter);
  bool ok = k->fn(k->arg, k->w, filter, k->count, err);
  bson_destroy(filter);
  if (!ok) return false;
  k->done += k->count;
  k->w->counts.documents_read += k->count;
  mig_progress(k->w->observer, k->what, k->done, 0);
  bson_reinit(k->ids);
  k->count = 0;
  return true;
}

static bool add_id(walk *k, const bson_t *doc, mig_error *err) {
  bson_iter_t it;
  char buffer[16];
  const char *key;
  if (!bson_iter_init_find(&it, doc, "_id"))
    return mig_fail(err, MIG_E_SERVER, "%s.%s: a document without _id", mig_db_name(k->w->db), k->batch->collection);
  bson_uint32_to_string(k->count, &key, buffer, sizeof buffer);
  bson_append_iter(k->ids, key, -1, &it);
  k->count++;
  return k->count < mig_batch_documents(k->w) && k->ids->len < MAX_IDS_BYTES ? true : flush(k, err);
}

/* A cursor, and not "_id greater than the last": $gt compares only values of one type, and would miss the others. */
static bson_t *find_ids(const mig_batch *batch, uint32_t batch_documents) {
  bson_t *find = bson_new(), child;
  BSON_APPEND_UTF8(find, "find", batch->collection);
  if (batch->filter) BSON_APPEND_DOCUMENT(find, "filter", batch->filter);
  BSON_APPEND_DOCUMENT_BEGIN(find, "projection", &child);
  BSON_APPEND_INT32(&child, "_id", 1);
  bson_append_document_end(find, &child);
  BSON_APPEND_DOCUMENT_BEGIN(find, "sort", &child);
  BSON_APPEND_INT32(&child, "_id", 1);
  bson_append_document_end(find, &child);
  BSON_APPEND_INT32(find, "batchSize", (int32_t)(batch_documents > 100000 ? 100000 : batch_documents));
  return find;
}

bool mig_batch_each(mig_work *w, const mig_batch *batch, mig_batch_fn fn, void *arg, mig_error *err) {
  walk k = {.w = w, .batch = batch, .fn = fn, .arg = arg};
  mig_cursor *cursor = NULL;
  const bson_t *doc = NULL;
  mig_next next = MIG_NEXT_ERROR;
  snprintf(k.what, sizeof k.what, "%s %s", batch->what, batch->collection);
  bson_t *find = find_ids(batch, mig_batch_documents(w));
  k.ids = bson_new();
  bool ok = mig_db_query(w->db, find, &cursor, err);
  while (ok && (next = mig_cursor_next(cursor, &doc, err)) == MIG_NEXT_DOC) ok = add_id(&k, doc, err);
  ok = ok && next == MIG_NEXT_END && flush(&k, err);
  mig_cursor_close(cursor);
  bson_destroy(k.ids);
  bson_destroy(find);
  return ok;
}

bool mig_batch_read(mig_work *w, const char *collection, const bson_t *filter, const bson_t *projection,
                    mig_batch_doc_fn fn, void *arg, mig_error *err) {
  mig_cursor *cursor = NULL;
  const bson_t *doc = NULL;
  mig_next next = MIG_NEXT_ERROR;
  bson_t find = BSON_INITIALIZER, sort;
  BSON_APPEND_UTF8(&find, "find", collection);
  BSON_APPEND_DOCUMENT(&find, "filter", filter);
  if (projection) BSON_APPEND_DOCUMENT(&find, "projection", projection);
  BSON_APPEND_DOCUMENT_BEGIN(&find, "sort", &sort);
  BSON_APPEND_INT32(&sort, "_id", 1);
  bson_append_document_end(&find, &sort);
  bool ok = mig_db_query(w->db, &find, &cursor, err);
  while (ok && (next = mig_cursor_next(cursor, &doc, err)) == MIG_NEXT_DOC) {
    w->counts.bytes_read += doc->len;
    ok = fn(arg, doc, err);
  }
  mig_cursor_close(cursor);
  bson_destroy(&find);
  return ok && next == MIG_NEXT_END;
}

bool mig_batch_write(mig_work *w, const bson_t *command, int64_t sent, mig_batch_result *result, mig_error *err) {
  bson_t reply, upserted;
  bson_iter_t it;
  int64_t n = -1, modified = -1, inserted = 0;
  bool is_update = bson_iter_init(&it, command) && bson_iter_next(&it) && strcmp(bson_iter_key(&it), "update") == 0;
  const char *collection = BSON_ITER_HOLDS_UTF8(&it) ? bson_iter_utf8(&it, NULL) : "";
  bool ok = mig_db_command(w->db, MIG_WRITE, command, &reply, err);
  if (ok) {
    bool sense = mig_bson_int(&reply, "n", &n) && n >= 0 && (sent == 0 || n <= sent);
    if (is_update)
      sense = sense && mig_bson_int(&reply, "nModified", &modified) && modified >= 0 && modified <= n;
    else
      modified = n;
    if (mig_bson_arr(&reply, "upserted", &upserted)) inserted = bson_count_keys(&upserted);
    if (!sense) {
      ok = mig_fail(err, MIG_E_SERVER, "%s %s.%s: the reply makes no sense", is_update ? "update" : "delete",
                    mig_db_name(w->db), collection);
      mig_why(err, "%lld documents were named, the server reports n %lld, nModified %lld", (long long)sent,
              (long long)n, (long long)modified);
    }
  }
  bson_destroy(&reply);
  if (!ok) return false;
  w->counts.documents_written += modified + inserted;
  if (result) {
    result->matched += n;
    result->changed += modified + inserted;
  }
  mig_crash_point(MIG_CRASH_STEP_BATCH);
  return true;
}

typedef struct change {
  const char *collection;
  const bson_t *update; /* NULL: delete */
  bool is_pipeline;
  mig_batch_result result;
} change;

static bool update_batch(void *arg, mig_work *w, const bson_t *filter, uint32_t count, mig_error *err) {
  change *c = arg;
  bson_t command = BSON_INITIALIZER, list, one;
  BSON_APPEND_UTF8(&command, "update", c->collection);
  BSON_APPEND_ARRAY_BEGIN(&command, "updates", &list);
  BSON_APPEND_DOCUMENT_BEGIN(&list, "0", &one);
  BSON_APPEND_DOCUMENT(&one, "q", filter);
  if (c->is_pipeline)
    BSON_APPEND_ARRAY(&one, "u", c->update);
  else
    BSON_APPEND_DOCUMENT(&one, "u", c->update);
  BSON_APPEND_BOOL(&one, "multi", true);
  bson_append_document_end(&list, &one);
  bson_append_array_end(&command, &list);
  bool ok = mig_batch_write(w, &command, count, &c->result, err);
  bson_destroy(&command);
  return ok;
}

static bool delete_batch(void *arg, mig_work *w, const bson_t *filter, uint32_t count, mig_error *err) {
  change *c = arg;
  bson_t command = BSON_INITIALIZER, list, one;
  BSON_APPEND_UTF8(&command, "delete", c->collection);
  BSON_APPEND_ARRAY_BEGIN(&command, "deletes", &list);
  BSON_APPEND_DOCUMENT_BEGIN(&list, "0", &one);
  BSON_APPEND_DOCUMENT(&one, "q", filter);
  BSON_APPEND_INT32(&one, "limit", 0);
  bson_append_document_end(&list, &one);
  bson_append_array_end(&command, &list);
  bool ok = mig_batch_write(w, &command, count, &c->result, err);
  bson_destroy(&command);
  return ok;
}

bool mig_batch_update(mig_work *w, const mig_batch *batch, const bson_t *update, bool is_pipeline,
                      mig_batch_result *result, mig_error *err) {
  change c = {batch->collection, update, is_pipeline, {0, 0}};
  bool ok = mig_batch_each(w, batch, update_batch, &c, err);
  if (result) *result = c.result;
  return ok;
}

bool mig_batch_delete(mig_work *w, const mig_batch *batch, int64_t *removed, mig_error *err) {
  change c = {batch->collection, NULL, false, {0, 0}};
  bool ok = mig_batch_each(w, batch, delete_batch, &c, err);
  if (removed) *removed = c.result.matched;
  return ok;
}
