#include "backup/restore_ranges.h"

#include <string.h>

#include "backup/restore_segment.h"
#include "base/clock.h"

#define BUDGET_BYTES  (24u << 20) /* of segments that are read: the live documents, and the chunk where they differ */
#define KEEP_BYTES    (12u << 20) /* of differences, packed, all collections together */
#define CHECKPOINT_MS 1000

typedef struct found {
  size_t number;
  mig_segment segment;
  bool ordered; /* or it does not matter */
  mig_counts counts;
} found;

typedef struct look {
  mig_restore *r;
  mig_restore_item *item;
  const char *collection;
  mig_connections connections;
  mig_segment_reader *readers[MIG_JOBS_MAX]; /* made by the worker that uses it */
  mig_pipeline *pipeline;
  size_t next, may_keep;
  bool ordered;
} look;

static bool ascend(const bson_t *a, const bson_t *b, bool or_same) {
  mig_doc_id x, y;
  int order = 0;
  mig_doc_id_of(a, &x);
  mig_doc_id_of(b, &y);
  return mig_doc_id_order(&x, &y, &order) && (or_same ? order <= 0 : order < 0);
}

static bool chunks_ascend(const mig_collection_entry *entry) {
  for (size_t i = 0; i < entry->chunk_count; i++) {
    const mig_chunk *k = &entry->chunks[i];
    if (!ascend(k->first, k->last, true)) return false;
    if (i && !ascend(entry->chunks[i - 1].last, k->first, false)) return false;
  }
  return true;
}

mig_range mig_segments_range(const mig_collection_entry *entry, size_t from, size_t to) {
  return (mig_range){from ? entry->chunks[from].first : NULL, to < entry->chunk_count ? entry->chunks[to].first : NULL};
}

static bool look_at(void *arg, unsigned worker, void *item, mig_error *err) {
  look *l = arg;
  found *f = item;
  mig_work mine = {.db = l->connections.each[worker], .caps = l->r->w->caps};
  const mig_segment_place place = {l->r->archive, l->item->entry, f->number, l->collection};
  if (!l->readers[worker] && !mig_segment_reader_new(&l->readers[worker], err)) return false;
  const bool ok = mig_segment_read(l->readers[worker], &mine, &place, &f->segment, &f->ordered, err);
  f->counts = mine.counts;
  return ok;
}

static void clear(void *item) {
  mig_buf_free(&((found *)item)->segment.differences);
}

static void look_ahead(look *l) {
  found *f = NULL;
  const mig_collection_entry *entry = l->item->entry;
  while (l->next < entry->chunk_count && (f = mig_pipeline_try_take(l->pipeline))) {
    f->number = l->next;
    mig_pipeline_put(l->pipeline, f, 2 * (size_t)entry->chunks[l->next++].raw_bytes);
  }
}

/* Takes over what was found, as long as there is room for the differences. */
static void keep(look *l, found *f) {
  mig_restore_item *item = l->item;
  mig_buf *differences = &f->segment.differences;
  if (f->segment.state == MIG_SEGMENT_KEPT && item->segments_bytes + differences->capacity > l->may_keep) {
    f->segment.state = MIG_SEGMENT_DIFFERS;
    mig_buf_free(differences);
  }
  item->segments_bytes += differences->capacity;
  item->segments[f->number] = f->segment;
  *differences = MIG_BUF(0);
}

static bool collect(look *l, const char *what, mig_error *err) {
  int64_t checked_ms = mig_now_monotonic_ms();
  uint64_t done = 0;
  mig_work *w = l->r->w;
  void *item = NULL;
  while (l->ordered) {
    look_ahead(l);
    if (!mig_pipeline_next(l->pipeline, &item, err)) return false;
    if (!item) return true;
    found *f = item;
    keep(l, f);
    l->ordered = f->ordered;
    done += l->item->entry->chunks[f->number].documents;
    w->counts.documents_read += f->counts.documents_read;
    w->counts.bytes_read += f->counts.bytes_read;
    mig_pipeline_done(l->pipeline, item);
    if (mig_now_monotonic_ms() - checked_ms < CHECKPOINT_MS) continue;
    if (!mig_checkpoint(w, err)) return false;
    checked_ms = mig_now_monotonic_ms();
    mig_progress(w->observer, what, done, l->item->entry->documents);
  }
  return true;
}

static bool start(look *l, mig_error *err) {
  const mig_pipeline_options o = {.workers = l->connections.count,
                                  .slots = l->connections.count + 1,
                                  .budget_bytes = BUDGET_BYTES,
                                  .item_size = sizeof(found),
                                  .work = look_at,
                                  .clear = clear,
                                  .arg = l};
  return mig_pipeline_open(&o, &l->pipeline, err);
}

void mig_segments_forget(mig_restore_item *item) {
  for (size_t i = 0; item->segments && i < item->entry->chunk_count; i++) mig_buf_free(&item->segments[i].differences);
  mig_free(item->segments);
  item->segments = NULL;
  item->segments_bytes = 0;
}

/* Other collections' differences may be waiting to be written, too. */
static size_t room_to_keep(const mig_restore *r) {
  size_t kept = 0;
  for (size_t i = 0; i < r->count; i++) kept += r->items[i].segments_bytes;
  return kept < KEEP_BYTES ? KEEP_BYTES - kept : 0;
}

bool mig_segments_look(mig_restore *r, mig_restore_item *item, const char *collection, const char *what,
                       mig_error *err) {
  const mig_collection_entry *entry = item->entry;
  look l = {.r = r, .item = item, .collection = collection, .ordered = true};
  mig_segments_forget(item);
  if (r->against || entry->natural_order || entry->chunk_count < 2 || !chunks_ascend(entry) ||
      !mig_range_works(r->w->db, r->w->caps, collection, item->live_info, item->live_indexes))
    return true;
  l.may_keep = room_to_keep(r);
  if (!(item->segments = mig_alloc(entry->chunk_count * sizeof *item->segments))) return mig_no_memory(err, "chunks");
  const bool ok =
      mig_connections_open(&l.connections, r->w->db, r->w->jobs, err) && start(&l, err) && collect(&l, what, err);
  mig_pipeline_free(l.pipeline);
  for (unsigned i = 0; i < MIG_JOBS_MAX; i++) mig_segment_reader_free(l.readers[i]);
  mig_connections_close(&l.connections);
  if (!ok || !l.ordered) mig_segments_forget(item);
  return ok;
}

bool mig_segments_next(const mig_restore_item *item, size_t *from, size_t *to) {
  const size_t count = item->entry->chunk_count;
  while (*from < count && item->segments[*from].state == MIG_SEGMENT_SAME) (*from)++;
  *to = *from;
  while (*to < count && item->segments[*to].state == item->segments[*from].state) (*to)++;
  return *from < count;
}
