#include <string.h>

#include "backup/differences.h"
#include "backup/restore_ranges.h"
#include "backup/ttl.h"

void mig_restore_item_forget(mig_restore_item *item) {
  bson_destroy(item->live_info);
  bson_destroy(item->live_indexes);
  item->live_info = item->live_indexes = NULL;
  item->live = item->live_is_view = false;
  item->validator_differs = item->images_differ = item->fixed_differ = false;
  item->indexes_differ = 0;
  memset(&item->documents, 0, sizeof item->documents);
  mig_segments_forget(item);
}

static bool read_live(mig_work *w, mig_restore_item *item, const char *collection, mig_error *err) {
  bson_t info, indexes;
  bool ok = mig_db_collection_info(w->db, collection, &info, &item->live, err);
  if (ok && item->live) {
    item->live_info = bson_copy(&info);
    ok = mig_db_indexes_marked(w->db, collection, &indexes, err);
    if (ok) item->live_indexes = bson_copy(&indexes);
    bson_destroy(&indexes);
  }
  bson_destroy(&info);
  return ok;
}

static const mig_collection_entry *against(const mig_restore *r, const char *collection) {
  return r->against ? mig_manifest_find(mig_archive_contents(r->against), collection) : NULL;
}

static bool read_metadata(mig_restore *r, mig_restore_item *item, const char *collection, mig_error *err) {
  const mig_collection_entry *other = against(r, collection);
  const char *type = "collection";
  if (!r->against && !read_live(r->w, item, collection, err)) return false;
  if (other && other->holds != MIG_HOLDS_ABSENT) {
    item->live = true;
    item->live_info = bson_copy(other->info);
    item->live_indexes = bson_copy(other->indexes);
  }
  if (item->live_info) mig_bson_str(item->live_info, "type", &type);
  item->live_is_view = strcmp(type, "view") == 0;
  return true;
}

static void compare_metadata(const mig_restore *r, mig_restore_item *item) {
  bson_t recorded, live;
  mig_options_of(item->entry->info, &recorded);
  mig_options_of(item->live_info, &live);
  item->fixed_differ = item->is_view != item->live_is_view || !mig_options_fixed_same(&recorded, &live);
  if (item->is_view || item->live_is_view) return;
  item->validator_differs = !mig_options_validator_same(&recorded, &live);
  const bool fixed = !r->against && r->w->caps && r->w->caps->has[MIG_CAP_COLLMOD] == MIG_NO;
  if (mig_options_only_levels(&recorded, &live) && (item->levels_stay || fixed))
    item->validator_differs = false; /* nobody could bring them */
  item->images_differ = !mig_options_images_same(&recorded, &live);
  if (!r->options->no_indexes) item->indexes_differ = mig_indexes_differing(item->live_indexes, item->entry->indexes);
}

typedef struct finding {
  mig_displaced *keep; /* NULL: displaced documents are not kept */
  const mig_diff_listener *listener;
  const char *collection;
  const bson_t *indexes; /* of the archive, when expired documents may be missing; else NULL */
  int64_t now, expired;
} finding;

static bool found(void *arg, mig_difference what, const bson_t *archive, const bson_t *live, mig_error *err) {
  finding *f = arg;
  const mig_diff_listener *l = f->listener;
  if (what == MIG_DIFF_MISSING && mig_ttl_expired(f->indexes, archive, f->now)) f->expired++;
  if (what != MIG_DIFF_MISSING && f->keep && !mig_displaced_add(f->keep, live, err)) return false;
  return !l || !l->document || what == MIG_DIFF_UNSETTLED ||
         l->document(l->arg, f->collection, what, archive, live, err);
}

/* What the server's TTL index removes again after it was put back is not missing. */
static void forgive_expired(mig_restore *r, mig_restore_item *item, const finding *f) {
  if (f->expired == 0) return;
  item->documents.missing -= f->expired;
  mig_say(r->w->observer, MIG_WARNING,
          "%s.%s: %lld documents that were put back had expired and were removed again by the server's TTL index",
          mig_db_name(r->w->db), item->target, (long long)f->expired);
}

static bool open_other(mig_restore *r, mig_live_source *other, const mig_restore_item *item, const char *collection,
                       mig_error *err) {
  if (r->against) return mig_live_open_archived(other, r->w, r->against, against(r, collection), err);
  return mig_live_open(other, r->w, collection, item->entry->natural_order, err);
}

/* These chunks against a range of live documents; NULL: all. */
static bool compare_part(mig_restore *r, mig_restore_item *item, finding *f, const char *what, size_t from, size_t to,
                         const mig_range *range, mig_error *err) {
  const mig_collection_entry *entry = item->entry;
  mig_live_source live = {
      .what = what, .total = entry->documents, .total_bytes = (int64_t)entry->raw_bytes, .range = range};
  mig_archive_cursor *archived = NULL;
  mig_compare_result part;
  bool ok = mig_archive_range(r->archive, entry, from, to - from, &archived, err) &&
            open_other(r, &live, item, f->collection, err);
  if (ok) {
    const mig_compare compare = {
        .archive = {archived, mig_archived_next}, .live = {&live, mig_live_next}, .found = found, .arg = f};
    ok = mig_compare_run(&compare, &part, err);
    if (range)
      mig_compare_add(&item->documents, &part);
    else
      item->documents = part;
  }
  mig_archive_cursor_close(archived);
  mig_live_close(&live);
  return ok;
}

/* Nothing of it is there, and nobody wants to see the documents. */
static bool count_missing(mig_restore_item *item, const finding *f, size_t from, size_t to) {
  if (item->segments[from].state != MIG_SEGMENT_EMPTY || f->indexes || (f->listener && f->listener->document))
    return false;
  for (size_t i = from; i < to; i++) item->documents.missing += (int64_t)item->entry->chunks[i].documents;
  return true;
}

typedef struct kept_finding {
  finding *f;
  mig_compare_result *result;
} kept_finding;

static bool found_kept(void *arg, mig_difference what, const bson_t *archive, const bson_t *live, mig_error *err) {
  const kept_finding *k = arg;
  return mig_compare_count(k->result, what, archive, live, err) && found(k->f, what, archive, live, err);
}

/* What the look has found already. */
static bool tell_kept(mig_restore_item *item, finding *f, size_t from, size_t to, mig_error *err) {
  for (size_t i = from; i < to; i++) {
    mig_compare_result part = {0};
    kept_finding k = {f, &part};
    if (!mig_differences_tell(&item->segments[i].differences, found_kept, &k, err)) return false;
    part.same = (int64_t)item->entry->chunks[i].documents - part.missing - part.changed;
    mig_compare_add(&item->documents, &part);
  }
  return true;
}

static bool compare_segments(mig_restore *r, mig_restore_item *item, finding *f, const char *what, mig_error *err) {
  const mig_collection_entry *entry = item->entry;
  for (size_t i = 0; i < entry->chunk_count; i++)
    if (item->segments[i].state == MIG_SEGMENT_SAME) item->documents.same += (int64_t)entry->chunks[i].documents;
  for (size_t from = 0, to = 0; mig_segments_next(item, &from, &to); from = to) {
    if (count_missing(item, f, from, to)) continue;
    if (item->segments[from].state == MIG_SEGMENT_KEPT) {
      if (!tell_kept(item, f, from, to, err)) return false;
      continue;
    }
    if (item->segments[from].state == MIG_SEGMENT_EMPTY) to = from + 1; /* so much may wait for a partner */
    const mig_range range = mig_segments_range(entry, from, to);
    if (!compare_part(r, item, f, what, from, to, &range, err)) return false;
  }
  return true;
}

/* Too different, or in another order, for one pass in bounded memory: the server is asked for each document. Two
 * archives have nobody to ask. */
static bool settle(mig_restore *r, mig_restore_item *item, const char *collection, mig_error *err) {
  mig_compare_result sure;
  if (r->against) {
    if (!item->documents.unsettled) return true;
    mig_fail(err, MIG_E_UNSUPPORTED, "%s.%s: the two snapshots differ too much to be compared in bounded memory",
             mig_restore_database(r), collection);
    return mig_hint(err, "restore one of them into an empty database and compare the other with that");
  }
  if (!mig_lookup_run(r->w, r->archive, item->entry, collection, &sure, err)) return false;
  sure.unsettled = item->documents.unsettled && !mig_compare_identical(&sure);
  const mig_diff_listener *l = mig_restore_listener(r);
  if (l && l->document && sure.unsettled)
    mig_say(r->w->observer, MIG_WARNING, "%s.%s: not every document that differs could be shown; the counts are right",
            mig_restore_database(r), collection);
  item->documents = sure;
  return true;
}

bool mig_restore_uuid(const bson_t *info, uint8_t uuid[static MIG_UUID_BYTES]) {
  bson_iter_t it;
  bson_subtype_t subtype;
  uint32_t size = 0;
  const uint8_t *data = NULL;
  if (!mig_bson_find(info, "info.uuid", &it) || !BSON_ITER_HOLDS_BINARY(&it)) return false;
  bson_iter_binary(&it, &subtype, &size, &data);
  if (size != MIG_UUID_BYTES) return false;
  memcpy(uuid, data, MIG_UUID_BYTES);
  return true;
}

/* Is this the stage that was compared before it was renamed, with as many documents? Then *still is true. */
static bool still_placed(mig_restore *r, mig_restore_item *item, const char *collection, bool *still, mig_error *err) {
  uint8_t uuid[MIG_UUID_BYTES];
  int64_t live = 0;
  *still = false;
  if (!item->placed || r->against || strcmp(collection, item->target) != 0 ||
      !mig_restore_uuid(item->live_info, uuid) || memcmp(uuid, item->placed_uuid, sizeof uuid) != 0)
    return true;
  if (!mig_db_count(r->w->db, collection, NULL, &live, err)) return false;
  *still = live == (int64_t)item->entry->documents;
  if (*still) item->documents.same = live;
  return true;
}

static bool compare_documents(mig_restore *r, mig_restore_item *item, const char *collection, mig_displaced *keep,
                              mig_error *err) {
  const mig_collection_entry *entry = item->entry;
  char what[300];
  finding f = {.keep = keep, .listener = mig_restore_listener(r), .collection = collection};
  const bool put_back = r->round > 0 || strcmp(collection, item->target) != 0; /* or staged: it was all there once */
  if (put_back && !r->options->dry_run) f.indexes = entry->indexes;
  if (f.indexes && !mig_db_server_now(r->w->db, &f.now, err)) return false;
  snprintf(what, sizeof what, "compare %s.%s", mig_restore_database(r), item->target);
  bool ok = mig_segments_look(r, item, collection, what, err) &&
            (item->segments ? compare_segments(r, item, &f, what, err)
                            : compare_part(r, item, &f, what, 0, entry->chunk_count, NULL, err));
  if (r->options->dry_run) mig_segments_forget(item); /* told, and not to be written */
  if (ok) forgive_expired(r, item, &f);
  const bool unsure = item->documents.unsettled || (r->round > 0 && item->documents.judged_early);
  if (!ok || !unsure || entry->natural_order || mig_compare_identical(&item->documents)) return ok;
  return settle(r, item, collection, err);
}

/* What is not to be there at all: every document is extra. */
static bool whole_extra(mig_restore *r, mig_restore_item *item, const char *collection, mig_displaced *keep,
                        mig_error *err) {
  const mig_collection_entry *other = against(r, collection);
  finding f = {.keep = keep, .listener = mig_restore_listener(r), .collection = collection};
  mig_live_source live = {0};
  bson_t doc;
  mig_pull pulled = MIG_PULL_END;
  if (keep && !mig_displaced_whole(keep, err)) return false;
  if (item->live_is_view || (other && other->holds != MIG_HOLDS_DOCUMENTS)) return true;
  if (!(other ? mig_live_open_archived(&live, r->w, r->against, other, err)
              : mig_live_open(&live, r->w, collection, false, err)))
    return false;
  while ((pulled = mig_live_next(&live, &doc, err)) == MIG_PULL_DOC) {
    item->documents.extra++;
    if (!found(&f, MIG_DIFF_EXTRA, NULL, &doc, err)) break;
  }
  mig_live_close(&live);
  return pulled == MIG_PULL_END;
}

/* There is no collection on the other side: every document is missing. */
static bool whole_missing(mig_restore *r, mig_restore_item *item, mig_error *err) {
  finding f = {.listener = mig_restore_listener(r), .collection = item->target};
  mig_archive_cursor *archived = NULL;
  bson_t doc;
  mig_archive_next next = MIG_ARCHIVE_END;
  if (item->entry->holds != MIG_HOLDS_DOCUMENTS) return true;
  item->documents.missing = (int64_t)item->entry->documents;
  if (!f.listener || !f.listener->document) return true;
  if (!mig_archive_documents(r->archive, item->entry, 0, &archived, err)) return false;
  while ((next = mig_archive_cursor_next(archived, &doc, err)) == MIG_ARCHIVE_DOC)
    if (!found(&f, MIG_DIFF_MISSING, &doc, NULL, err)) break;
  mig_archive_cursor_close(archived);
  return next == MIG_ARCHIVE_END;
}

static bool missing_metadata_only(const mig_restore *r, const mig_restore_item *item, mig_error *err) {
  mig_fail(err, MIG_E_FAILED, "%s.%s is missing", mig_db_name(r->w->db), item->target);
  mig_why(err, "the snapshot holds only its indexes and options, not its documents");
  return mig_hint(
      err, "restore the collection from an older snapshot that holds its documents, or leave it out with --only");
}

bool mig_restore_diff(mig_restore *r, mig_restore_item *item, const char *collection, mig_displaced *keep,
                      mig_error *err) {
  const mig_collection_entry *entry = item->entry, *other = NULL;
  mig_restore_item_forget(item);
  if (!read_metadata(r, item, collection, err)) return false;
  if (!item->live) {
    /* a view is nothing but metadata */
    if (entry->holds == MIG_HOLDS_METADATA && !item->is_view && !r->compares)
      return missing_metadata_only(r, item, err);
    return whole_missing(r, item, err);
  }
  if (keep && !mig_displaced_collection(keep, item->target, item->live_info, item->live_indexes, err)) return false;
  if (entry->holds == MIG_HOLDS_ABSENT) return whole_extra(r, item, collection, keep, err);
  compare_metadata(r, item);
  if (!mig_restore_tell_metadata(r, item, err)) return false;
  if (item->live_is_view && !item->is_view && !whole_missing(r, item, err)) return false;
  if (item->is_view || item->live_is_view) return !item->fixed_differ || whole_extra(r, item, collection, keep, err);
  other = against(r, collection);
  if (entry->holds != MIG_HOLDS_DOCUMENTS || (other && other->holds != MIG_HOLDS_DOCUMENTS)) return true;
  bool still = false;
  return still_placed(r, item, collection, &still, err) && (still || compare_documents(r, item, collection, keep, err));
}

void mig_restore_fill_row(const mig_restore_item *item) {
  mig_restore_collection *row = item->row;
  row->missing = item->documents.missing;
  row->changed = item->documents.changed;
  row->extra = item->documents.extra;
  row->indexes_differing = item->indexes_differ;
  row->options_differ = item->fixed_differ || item->validator_differs || item->images_differ;
  row->sequence_differs = item->entry->natural_order && item->documents.out_of_order;
  row->created = !item->live && item->entry->holds != MIG_HOLDS_ABSENT;
  row->dropped = item->live && item->entry->holds == MIG_HOLDS_ABSENT;
}

bool mig_restore_item_differs(const mig_restore_item *item) {
  const mig_collection_entry *entry = item->entry;
  if (item->live != (entry->holds != MIG_HOLDS_ABSENT)) return true;
  if (!item->live) return false;
  return item->fixed_differ || item->validator_differs || item->images_differ || item->indexes_differ > 0 ||
         !mig_compare_identical(&item->documents) || (entry->natural_order && item->documents.out_of_order);
}
