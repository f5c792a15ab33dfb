#include "backup/differences.h"
#include "backup/restore_load.h"
#include "backup/restore_ranges.h"
#include "base/crash.h"

typedef struct delta {
  mig_restore *r;
  mig_restore_item *item;
  mig_writer *writer;
  mig_difference kind; /* of the kept ones that are written now */
  char what[300];      /* for progress */
} delta;

/* Only what the displaced archive holds may go: a document that came or changed since waits for the next round. */
static bool may_go(delta *d, const bson_t *live, bool *may, mig_error *err) {
  *may = true;
  return !d->r->displaced || mig_displaced_holds(d->r->displaced, live, may, err);
}

static bool found(void *arg, mig_difference what, const bson_t *archive, const bson_t *live, mig_error *err) {
  delta *d = arg;
  bool may = false;
  switch (what) {
  case MIG_DIFF_MISSING:
    return mig_writer_insert(d->writer, archive, err);
  case MIG_DIFF_CHANGED:
    return may_go(d, live, &may, err) && (!may || mig_writer_replace(d->writer, archive, live, err));
  case MIG_DIFF_EXTRA:
    return may_go(d, live, &may, err) && (!may || mig_writer_remove(d->writer, live, err));
  case MIG_DIFF_UNSETTLED:
    break; /* left alone; the next diff chooses another way */
  }
  return true;
}

/* The server refuses documents: two may exchange a unique value, or a validator is stricter than the old data. */
static bool relax(void *arg, mig_error *err) {
  const delta *d = arg;
  mig_work *w = d->r->w;
  const char *target = d->item->target;
  bson_t live, options;
  bool ok = true;
  if (!d->r->options->no_indexes) { /* those of an archive can be made again; what is not in it could not */
    ok = mig_db_indexes_marked(w->db, target, &live, err) && mig_indexes_drop(w, d->item, &live, true, err);
    bson_destroy(&live);
  }
  mig_options_of(d->item->live_info, &options);
  if (!ok || !mig_options_has_validator(&options)) return ok;
  do ok = mig_validator_off(w, target, err);
  while (!ok && mig_restore_try_again(w, d->item, err));
  return ok || mig_refused(err, &d->item->refused);
}

/* These chunks over a range of live documents; NULL: all. */
static bool write_part(delta *d, size_t from, size_t to, const mig_range *range, mig_error *err) {
  const mig_collection_entry *entry = d->item->entry;
  mig_live_source live = {.total = entry->documents, .total_bytes = (int64_t)entry->raw_bytes, .range = range};
  mig_archive_cursor *archived = NULL;
  mig_compare_result result;
  /* none may take the place of a sharded one: then what differs is found in as much memory as it takes */
  const size_t window = d->item->documents.unsettled ? SIZE_MAX : 0;
  bool ok = mig_archive_range(d->r->archive, entry, from, to - from, &archived, err) &&
            mig_live_open(&live, d->r->w, d->item->target, entry->natural_order, err);
  if (ok) {
    const mig_compare compare = {.archive = {archived, mig_archived_next},
                                 .live = {&live, mig_live_next},
                                 .window_bytes = window,
                                 .found = found,
                                 .arg = d};
    ok = mig_compare_run(&compare, &result, err);
  }
  mig_archive_cursor_close(archived);
  mig_live_close(&live);
  return ok;
}

/* Nothing of these chunks is in the stage yet. */
static bool load_part(delta *d, size_t from, size_t to, mig_error *err) {
  mig_restore *r = d->r;
  mig_archive_cursor *archived = NULL;
  int64_t written = 0;
  bool refused = false; /* then the stage is made anew */
  const mig_load loads = {.w = r->w,
                          .collection = d->item->target,
                          .what = d->what,
                          .total = d->item->entry->documents,
                          .jobs = r->w->jobs,
                          .later = d->writer};
  const bool ok = mig_archive_range(r->archive, d->item->entry, from, to - from, &archived, err) &&
                  mig_load_run(&loads, archived, &written, &refused, err);
  r->report->written += written;
  mig_archive_cursor_close(archived);
  return ok;
}

/* All live documents among the kept differences are in the displaced archive, if there is one: they went there from
 * the same place. The guards leave alone what others changed since. */
static bool write_one_kept(void *arg, mig_difference what, const bson_t *archive, const bson_t *live, mig_error *err) {
  const delta *d = arg;
  if (what != d->kind) return true;
  if (what == MIG_DIFF_EXTRA) return mig_writer_remove(d->writer, live, err);
  if (what == MIG_DIFF_CHANGED) return mig_writer_replace(d->writer, archive, live, err);
  return mig_writer_insert(d->writer, archive, err);
}

/* What the look found is not looked for again. One kind at a time: what goes may have the unique value of what comes.
 */
static bool write_kept(delta *d, mig_difference kind, mig_error *err) {
  const mig_restore_item *item = d->item;
  d->kind = kind;
  for (size_t i = 0; i < item->entry->chunk_count; i++)
    if (!mig_differences_tell(&item->segments[i].differences, write_one_kept, d, err)) return false;
  return true;
}

static bool write_some(delta *d, size_t from, size_t to, mig_error *err) {
  const mig_range range = mig_segments_range(d->item->entry, from, to);
  switch (d->item->segments[from].state) {
  case MIG_SEGMENT_KEPT:
    return true;
  case MIG_SEGMENT_EMPTY:
    return d->item->is_stage ? load_part(d, from, to, err) : write_part(d, from, to, &range, err);
  default:
    return write_part(d, from, to, &range, err);
  }
}

/* Only where the diff found something: what others changed elsewhere since is found by the next round's. */
static bool write_segments(delta *d, mig_error *err) {
  mig_restore_item *item = d->item;
  if (!item->segments) return write_part(d, 0, item->entry->chunk_count, NULL, err);
  if (!write_kept(d, MIG_DIFF_EXTRA, err) || !write_kept(d, MIG_DIFF_CHANGED, err)) return false;
  for (size_t from = 0, to = 0; mig_segments_next(item, &from, &to); from = to)
    if (!write_some(d, from, to, err)) return false;
  return write_kept(d, MIG_DIFF_MISSING, err);
}

static bool write_documents(mig_restore *r, mig_restore_item *item, mig_error *err) {
  delta d = {.r = r, .item = item};
  snprintf(d.what, sizeof d.what, "restore %s.%s", mig_db_name(r->w->db), item->target);
  const mig_writer_options options = {
      .collection = item->target,
      .guarded = r->displaced != NULL,
      .delete_first = r->round > 0,
      .relax = relax,
      .relax_arg = &d,
      .refused = &item->refused,
      .what = d.what,
      .total = (uint64_t)(item->documents.missing + item->documents.changed + item->documents.extra)};
  const bool ok = mig_writer_open(r->w, &options, &d.writer, err) &&
                  (!r->displaced || mig_displaced_reading(r->displaced, item->target, err)) &&
                  write_segments(&d, err) && mig_writer_flush(d.writer, err);
  if (d.writer) mig_writer_counts(d.writer, &r->report->written, &r->report->removed);
  mig_writer_free(d.writer);
  return ok;
}

bool mig_restore_delta(mig_restore *r, mig_restore_item *item, mig_error *err) {
  const mig_collection_entry *entry = item->entry;
  const bool indexes = !r->options->no_indexes;
  if (indexes && !mig_indexes_drop(r->w, item, item->live_indexes, false, err)) return false;
  mig_crash_point(MIG_CRASH_RESTORE_INDEXES_DROPPED);
  if (entry->holds == MIG_HOLDS_DOCUMENTS && !mig_compare_identical(&item->documents) && !write_documents(r, item, err))
    return false;
  return mig_restore_bring_options(r, item, item->target, err) &&
         (!indexes || mig_indexes_create(r->w, item->target, entry->indexes, &item->refused, err));
}
