#include "backup/restore_parts.h"
#include "base/crash.h"

typedef struct delta {
  mig_restore *r;
  mig_restore_item *item;
  mig_writer *writer;
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
  const mig_collection_entry *entry = d->item->entry;
  const char *target = d->item->target;
  bson_t live, options;
  bool ok = true;
  if (!d->r->options->no_indexes) { /* those of an archive can be made again; what is not in it could not */
    ok = mig_db_indexes(w->db, target, &live, err) && mig_indexes_drop(w, target, &live, entry->indexes, true, err);
    bson_destroy(&live);
  }
  mig_options_of(d->item->live_info, &options);
  if (ok && mig_options_has_validator(&options))
    ok = mig_validator_off(w, target, err) || mig_refused(err, &d->item->refused);
  return ok;
}

static bool write_documents(mig_restore *r, mig_restore_item *item, mig_error *err) {
  const mig_collection_entry *entry = item->entry;
  delta d = {.r = r, .item = item};
  mig_live_source live = {.total = entry->documents, .total_bytes = (int64_t)entry->raw_bytes};
  mig_archive_cursor *archived = NULL;
  mig_compare_result result;
  char what[300];
  snprintf(what, sizeof what, "restore %s.%s", mig_db_name(r->w->db), item->target);
  const mig_writer_options options = {
      .collection = item->target,
      .guarded = r->displaced != NULL,
      .delete_first = r->round > 0,
      .relax = relax,
      .relax_arg = &d,
      .refused = &item->refused,
      .what = what,
      .total = (uint64_t)(item->documents.missing + item->documents.changed + item->documents.extra)};
  bool ok = mig_writer_open(r->w, &options, &d.writer, err) &&
            (!r->displaced || mig_displaced_reading(r->displaced, item->target, err)) &&
            mig_archive_documents(r->archive, entry, 0, &archived, err) &&
            mig_live_open(&live, r->w, item->target, entry->natural_order, err);
  if (ok) {
    const mig_compare compare = {
        .archive = {archived, mig_archived_next}, .live = {&live, mig_live_next}, .found = found, .arg = &d};
    ok = mig_compare_run(&compare, &result, err) && mig_writer_flush(d.writer, err);
    mig_writer_counts(d.writer, &r->report->written, &r->report->removed);
  }
  mig_writer_free(d.writer);
  mig_archive_cursor_close(archived);
  mig_live_close(&live);
  return ok;
}

/* The writes may have needed the validator off, so what stands there is read again. */
static bool bring_options(mig_restore *r, mig_restore_item *item, mig_error *err) {
  bson_t info, live, recorded;
  bool there = false;
  bool ok = mig_db_collection_info(r->w->db, item->target, &info, &there, err);
  if (ok && there) {
    mig_options_of(&info, &live);
    mig_options_of(item->entry->info, &recorded);
    ok = mig_options_bring(r->w, item->target, &recorded, &live, err) || mig_refused(err, &item->refused);
  }
  bson_destroy(&info);
  return ok;
}

bool mig_restore_delta(mig_restore *r, mig_restore_item *item, mig_error *err) {
  const mig_collection_entry *entry = item->entry;
  const bool indexes = !r->options->no_indexes;
  if (indexes && !mig_indexes_drop(r->w, item->target, item->live_indexes, entry->indexes, false, err)) return false;
  mig_crash_point(MIG_CRASH_RESTORE_INDEXES_DROPPED);
  if (entry->holds == MIG_HOLDS_DOCUMENTS && !mig_compare_identical(&item->documents) && !write_documents(r, item, err))
    return false;
  return bring_options(r, item, err) &&
         (!indexes || mig_indexes_create(r->w, item->target, entry->indexes, &item->refused, err));
}
