#include "backup/snapshot_ranges.h"

#include "backup/chunk.h"
#include "backup/doc_id.h"
#include "backup/snapshot_split.h"

#define WHOLE_BYTES (4 << 20)   /* smaller ones are read by one cursor */
#define PIECE_BYTES (512 << 10) /* as the collection's figures and the sample let expect */
#define PIECE_MOST  (4 << 20)

/* A range, and its documents as far as they fit. */
typedef struct piece {
  mig_range range;
  mig_buf bytes;
  size_t last_at; /* where the last document begins */
  bool more;      /* there are more in the range */
} piece;

typedef struct reader {
  mig_work *w;
  const mig_snapshot_item *item;
  mig_snapshot_document document;
  void *arg;
  mig_split split;
  size_t piece_max; /* what a piece holds beyond that is read by the caller */
  size_t next;      /* range */
  mig_connections connections;
  mig_pipeline *pipeline;
} reader;

static bool open_range(const reader *r, mig_db *db, const mig_range *range, mig_range_reader *out, mig_error *err) {
  return mig_range_open(out, db, r->item->name, range, r->item->documents, r->item->raw_bytes, err);
}

static bool read_piece(void *arg, unsigned worker, void *item, mig_error *err) {
  const reader *r = arg;
  piece *p = item;
  mig_range_reader c = {0};
  const bson_t *doc = NULL;
  mig_next next = MIG_NEXT_ERROR;
  bool ok = open_range(r, r->connections.each[worker], &p->range, &c, err);
  while (ok && !p->more && (next = mig_range_next(&c, &doc, err)) == MIG_NEXT_DOC) {
    p->more = p->bytes.size + doc->len > r->piece_max;
    if (p->more) break;
    p->last_at = p->bytes.size;
    ok = mig_buf_add(&p->bytes, bson_get_data(doc), doc->len, err);
  }
  mig_range_close(&c);
  return ok && next != MIG_NEXT_ERROR;
}

static void clear(void *item) {
  mig_buf_free(&((piece *)item)->bytes);
}

static mig_range range_of(const mig_split *s, size_t n) {
  return (mig_range){n ? s->bounds[n - 1] : NULL, n < s->count ? s->bounds[n] : NULL};
}

static void read_ahead(reader *r) {
  piece *p = NULL;
  while (r->next <= r->split.count && (p = mig_pipeline_try_take(r->pipeline))) {
    mig_buf_clear(&p->bytes);
    p->bytes.maximum = r->piece_max;
    p->range = range_of(&r->split, r->next++);
    p->last_at = 0;
    p->more = false;
    mig_pipeline_put(r->pipeline, p, r->piece_max);
  }
}

/* The one that a worker had last must come again: only then is what follows the rest of the range. */
static bool is_last(const piece *p, const bson_t *doc, mig_error *err) {
  const size_t size = p->bytes.size - p->last_at;
  if (doc->len == size && memcmp(bson_get_data(doc), p->bytes.data + p->last_at, size) == 0) return true;
  return mig_fail(err, MIG_E_SERVER, "the server gave other documents when a range was read on from where it ended");
}

static bool read_rest(reader *r, const piece *p, mig_error *err) {
  mig_range rest = p->range;
  bson_t last, from = BSON_INITIALIZER;
  mig_range_reader c = {0};
  const bson_t *doc = NULL;
  mig_next next = MIG_NEXT_ERROR;
  bool again = p->bytes.size > 0, ok = true;
  if (again) {
    ok = bson_init_static(&last, p->bytes.data + p->last_at, p->bytes.size - p->last_at) &&
         mig_doc_id_append(&from, "_id", &last);
    rest.min = &from;
    if (!ok) mig_fail(err, MIG_E_SERVER, "%s.%s has a document without an _id", mig_db_name(r->w->db), r->item->name);
  }
  ok = ok && open_range(r, r->w->db, &rest, &c, err);
  while (ok && (next = mig_range_next(&c, &doc, err)) == MIG_NEXT_DOC) {
    ok = again ? is_last(p, doc, err) : r->document(r->arg, bson_get_data(doc), doc->len, err);
    again = false;
  }
  if (ok && next == MIG_NEXT_END && again)
    ok = mig_fail(err, MIG_E_SERVER, "the server gave nothing when a range was read on from where it ended");
  mig_range_close(&c);
  bson_destroy(&from);
  return ok && next == MIG_NEXT_END;
}

static bool give(reader *r, const piece *p, mig_error *err) {
  const uint8_t *doc = NULL;
  size_t at = 0, size = 0;
  bool bad = false;
  while (mig_chunk_next(p->bytes.data, p->bytes.size, &at, &doc, &size, &bad))
    if (!r->document(r->arg, doc, size, err)) return false;
  if (bad) return mig_fail(err, MIG_E_SERVER, "the server sent a document that is none");
  return !p->more || read_rest(r, p, err);
}

static bool give_all(reader *r, mig_error *err) {
  void *item = NULL;
  for (;;) {
    read_ahead(r);
    if (!mig_pipeline_next(r->pipeline, &item, err)) return false;
    if (!item) return true;
    if (!give(r, item, err)) return false;
    mig_pipeline_done(r->pipeline, item);
  }
}

static bool start(reader *r, mig_error *err) {
  const int64_t expected = r->item->raw_bytes / (int64_t)(r->split.count + 1);
  const int64_t most = expected < PIECE_BYTES ? 2 * PIECE_BYTES : 2 * expected;
  const unsigned jobs = mig_jobs(r->w->jobs), readers = jobs > 4 ? jobs / 2 : 2; /* packing is twice the work */
  r->piece_max = (size_t)(most < PIECE_MOST ? most : PIECE_MOST);
  if (!mig_connections_open(&r->connections, r->w->db, readers, err)) return false;
  const mig_pipeline_options o = {.workers = r->connections.count,
                                  .slots = r->connections.count + 1,
                                  .budget_bytes = MIG_RANGES_BYTES,
                                  .item_size = sizeof(piece),
                                  .work = read_piece,
                                  .clear = clear,
                                  .arg = r};
  for (unsigned i = 0; i < r->connections.count; i++)
    if (!mig_db_snapshot_join(r->connections.each[i], r->w->db, err)) return false;
  return mig_pipeline_open(&o, &r->pipeline, err);
}

static bool worth_it(mig_work *w, const mig_snapshot_item *item) {
  return mig_jobs(w->jobs) > 1 && !mig_db_in_transaction(w->db) && item->raw_bytes >= WHOLE_BYTES &&
         mig_range_works(w->db, w->caps, item->name, item->info, item->indexes);
}

bool mig_snapshot_ranges(mig_work *w, const mig_snapshot_item *item, mig_snapshot_document document, void *arg,
                         bool *done, mig_error *err) {
  reader r = {.w = w, .item = item, .document = document, .arg = arg};
  mig_error local = {0};
  *done = false;
  if (!worth_it(w, item)) return true;
  if (!mig_split_make(w->db, item, PIECE_BYTES, &r.split, &local)) {
    if (local.code == MIG_E_SERVER) return true; /* no sample: one cursor does it */
    if (err) *err = local;
    return false;
  }
  *done = r.split.count > 0;
  const bool ok = !*done || (start(&r, err) && give_all(&r, err));
  mig_pipeline_free(r.pipeline); /* waits for what is being read */
  mig_connections_close(&r.connections);
  mig_split_clear(&r.split);
  return ok;
}
