#include "backup/restore_ranges.h"

#include <string.h>

#include "backup/manifest_internal.h"
#include "base/clock.h"

#define WINDOW_BYTES  (2u << 20) /* a segment that needs more differs */
#define BUDGET_BYTES  (16u << 20)
#define CHECKPOINT_MS 1000

typedef struct segment {
  size_t number;
  mig_segment state;
  bool ordered; /* or it does not matter */
  mig_counts counts;
} segment;

typedef struct look {
  mig_restore *r;
  mig_restore_item *item;
  const char *collection;
  mig_connections connections;
  mig_pipeline *pipeline;
  size_t next;
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

static bool stop(void *arg, mig_difference what, const bson_t *archive, const bson_t *live, mig_error *err) {
  (void)what;
  (void)archive;
  (void)live;
  (void)err;
  *(bool *)arg = true;
  return false;
}

/* Does every document of the chunk stand behind the one before it? */
static bool documents_ascend(const look *l, size_t number, bool *ordered, mig_error *err) {
  mig_archive_cursor *c = NULL;
  mig_archive_next next = MIG_ARCHIVE_END;
  bson_t doc, *last = NULL;
  *ordered = true;
  if (!mig_archive_range(l->r->archive, l->item->entry, number, 1, &c, err)) return false;
  bool ok = true;
  while (ok && *ordered && (next = mig_archive_cursor_next(c, &doc, err)) == MIG_ARCHIVE_DOC) {
    *ordered = !last || ascend(last, &doc, false);
    bson_destroy(last);
    last = mig_bson_id(bson_get_data(&doc), doc.len);
    ok = last || mig_no_memory(err, "an _id");
  }
  bson_destroy(last);
  mig_archive_cursor_close(c);
  return ok && next != MIG_ARCHIVE_ERROR;
}

static bool look_at(void *arg, unsigned worker, void *item, mig_error *err) {
  const look *l = arg;
  segment *s = item;
  const mig_collection_entry *entry = l->item->entry;
  mig_work mine = {.db = l->connections.each[worker], .caps = l->r->w->caps};
  const mig_range range = mig_segments_range(entry, s->number, s->number + 1);
  mig_live_source live = {.total = entry->documents, .total_bytes = (int64_t)entry->raw_bytes, .range = &range};
  mig_archive_cursor *archived = NULL;
  mig_compare_result result;
  bool differs = false;
  bool ok = mig_archive_range(l->r->archive, entry, s->number, 1, &archived, err) &&
            mig_live_open(&live, &mine, l->collection, false, err);
  if (ok) {
    const mig_compare compare = {.archive = {archived, mig_archived_next},
                                 .live = {&live, mig_live_next},
                                 .window_bytes = WINDOW_BYTES,
                                 .found = stop,
                                 .arg = &differs};
    ok = mig_compare_run(&compare, &result, err) || differs;
  }
  mig_archive_cursor_close(archived);
  mig_live_close(&live);
  s->state = !differs ? MIG_SEGMENT_SAME : live.done ? MIG_SEGMENT_DIFFERS : MIG_SEGMENT_EMPTY;
  s->ordered = true;
  s->counts = mine.counts;
  return ok && (!differs || documents_ascend(l, s->number, &s->ordered, err));
}

static void look_ahead(look *l) {
  segment *s = NULL;
  const mig_collection_entry *entry = l->item->entry;
  while (l->next < entry->chunk_count && (s = mig_pipeline_try_take(l->pipeline))) {
    s->number = l->next;
    mig_pipeline_put(l->pipeline, s, (size_t)entry->chunks[l->next++].raw_bytes);
  }
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
    const segment *s = item;
    l->item->segments[s->number] = s->state;
    l->ordered = s->ordered;
    done += l->item->entry->chunks[s->number].documents;
    w->counts.documents_read += s->counts.documents_read;
    w->counts.bytes_read += s->counts.bytes_read;
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
                                  .item_size = sizeof(segment),
                                  .work = look_at,
                                  .arg = l};
  return mig_pipeline_open(&o, &l->pipeline, err);
}

bool mig_segments_look(mig_restore *r, mig_restore_item *item, const char *collection, const char *what,
                       mig_error *err) {
  const mig_collection_entry *entry = item->entry;
  look l = {.r = r, .item = item, .collection = collection, .ordered = true};
  mig_free(item->segments);
  item->segments = NULL;
  if (r->against || entry->natural_order || entry->chunk_count < 2 || !chunks_ascend(entry) ||
      !mig_range_works(r->w->db, r->w->caps, collection, item->live_info, item->live_indexes))
    return true;
  if (!(item->segments = mig_alloc(entry->chunk_count * sizeof *item->segments))) return mig_no_memory(err, "chunks");
  const bool ok =
      mig_connections_open(&l.connections, r->w->db, r->w->jobs, err) && start(&l, err) && collect(&l, what, err);
  mig_pipeline_free(l.pipeline);
  mig_connections_close(&l.connections);
  if (ok && l.ordered) return true;
  mig_free(item->segments);
  item->segments = NULL;
  return ok;
}

bool mig_segments_next(const mig_restore_item *item, size_t *from, size_t *to) {
  const size_t count = item->entry->chunk_count;
  while (*from < count && item->segments[*from] == MIG_SEGMENT_SAME) (*from)++;
  *to = *from;
  while (*to < count && item->segments[*to] == item->segments[*from]) (*to)++;
  return *from < count;
}
