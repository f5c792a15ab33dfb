#include "backup/restore_load.h"

#include <stdatomic.h>
#include <string.h>

#include "backup/range.h"
#include "backup/restore_send.h"
#include "base/crash.h"

#define BATCH_BYTES     (3u << 20) /* at most; the driver makes a copy of it */
#define SHARED_BYTES    (9u << 20) /* of all connections */
#define BATCH_DOCUMENTS 10000u
#define BUDGET_BYTES    (12u << 20)

typedef struct batch {
  mig_buf bytes; /* documents, one after another */
  bson_t *documents;
  const bson_t **each;
  size_t count;
} batch;

typedef struct loader {
  const mig_load *load;
  mig_connections connections;
  mig_pipeline *pipeline;
  batch *filling;
  uint32_t batch_documents;
  size_t batch_bytes;
  atomic_bool no_bypass; /* what one connection has found out, all know */
} loader;

static void clear(void *item) {
  batch *b = item;
  mig_buf_free(&b->bytes);
  mig_free(b->documents);
  mig_free(b->each);
}

/* The views are made here: the buffer may have moved while it was filled. */
static bool insert(void *arg, unsigned worker, void *item, mig_error *err) {
  loader *l = arg;
  batch *b = item;
  size_t at = 0, n = 0;
  uint32_t length = 0;
  for (; n < b->count; n++, at += length) {
    memcpy(&length, b->bytes.data + at, sizeof length);
    length = BSON_UINT32_FROM_LE(length);
    if (!bson_init_static(&b->documents[n], b->bytes.data + at, length))
      return mig_fail(err, MIG_E_ARCHIVE, "a document in a batch is damaged");
    b->each[n] = &b->documents[n];
  }
  const mig_insert what = {.collection = l->load->collection, .documents = b->each, .count = n};
  if (!mig_send_batch(l->connections.each[worker], &what, &l->no_bypass, err)) return false;
  mig_crash_point(MIG_CRASH_RESTORE_BATCH);
  return true;
}

/* The batches that are done: their number of documents. */
static bool collect(loader *l, bool all, int64_t *written, mig_error *err) {
  void *item = NULL;
  while (all || !l->filling) {
    if (!all && (l->filling = mig_pipeline_try_take(l->pipeline))) break;
    if (!mig_pipeline_next(l->pipeline, &item, err)) return false;
    if (!item) break;
    batch *b = item;
    *written += (int64_t)b->count;
    l->load->w->counts.documents_written += (int64_t)b->count;
    l->load->w->counts.bytes_written += (int64_t)b->bytes.size;
    mig_pipeline_done(l->pipeline, item);
    mig_progress(l->load->w->observer, l->load->what, (uint64_t)*written, l->load->total);
  }
  return true;
}

static bool hand_over(loader *l, mig_error *err) {
  batch *b = l->filling;
  if (!b || !b->count) return true;
  l->filling = NULL;
  if (!mig_checkpoint(l->load->w, err)) return false;
  mig_pipeline_put(l->pipeline, b, b->bytes.size);
  return true;
}

static bool begin_batch(loader *l, int64_t *written, mig_error *err) {
  if (!collect(l, false, written, err)) return false;
  batch *b = l->filling;
  b->count = 0;
  mig_buf_clear(&b->bytes);
  if (b->bytes.capacity > 2 * BATCH_BYTES) mig_buf_free(&b->bytes);
  b->bytes.maximum = MIG_DOCUMENT_MAX_BYTES;
  if (!b->documents) b->documents = mig_alloc(l->batch_documents * sizeof *b->documents);
  if (!b->each) b->each = mig_alloc(l->batch_documents * sizeof *b->each);
  return (b->documents && b->each) || mig_no_memory(err, "a batch");
}

static bool add(loader *l, const bson_t *doc, int64_t *written, mig_error *err) {
  const batch *full = l->filling;
  if (full && full->count && (full->count == l->batch_documents || full->bytes.size + doc->len > l->batch_bytes) &&
      !hand_over(l, err))
    return false;
  if (!l->filling && !begin_batch(l, written, err)) return false;
  l->filling->count++;
  return mig_buf_add(&l->filling->bytes, bson_get_data(doc), doc->len, err);
}

static bool open_connections(loader *l, mig_error *err) {
  if (!mig_connections_open(&l->connections, l->load->w->db, l->load->jobs, err)) return false;
  const size_t share = SHARED_BYTES / l->connections.count;
  l->batch_bytes = share < BATCH_BYTES ? share : BATCH_BYTES;
  const mig_pipeline_options o = {.workers = l->connections.count,
                                  .slots = l->connections.count + 1,
                                  .budget_bytes = BUDGET_BYTES,
                                  .item_size = sizeof(batch),
                                  .work = insert,
                                  .clear = clear,
                                  .arg = l};
  return mig_pipeline_open(&o, &l->pipeline, err);
}

static bool read_all(loader *l, mig_archive_cursor *documents, int64_t *written, mig_error *err) {
  bson_t doc;
  mig_archive_next next = MIG_ARCHIVE_END;
  bool ok = true;
  while (ok && (next = mig_archive_cursor_next(documents, &doc, err)) == MIG_ARCHIVE_DOC)
    ok = mig_send_is_special(&doc) ? mig_writer_insert(l->load->later, &doc, err) : add(l, &doc, written, err);
  return ok && next == MIG_ARCHIVE_END && hand_over(l, err);
}

bool mig_load_run(const mig_load *load, mig_archive_cursor *documents, int64_t *written, bool *refused,
                  mig_error *err) {
  loader l = {.load = load, .batch_documents = load->w->batch_documents ? load->w->batch_documents : BATCH_DOCUMENTS};
  bool ok = open_connections(&l, err) && read_all(&l, documents, written, err) && collect(&l, true, written, err);
  mig_pipeline_free(l.pipeline); /* waits for what is on its way */
  mig_connections_close(&l.connections);
  *refused = !ok && mig_refused(err, NULL);
  return ok;
}
