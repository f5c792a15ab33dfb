#include <string.h>

#include "backup/restore_parts.h"
#include "backup/ttl.h"

void mig_restore_item_forget(mig_restore_item *item) {
  bson_destroy(item->live_info);
  bson_destroy(item->live_indexes);
  item->live_info = item->live_indexes = NULL;
  item->live = item->live_is_view = false;
  item->validator_differs = item->images_differ = item->fixed_differ = false;
  item->indexes_differ = 0;
  memset(&item->documents, 0, sizeof item->documents);
}

static bool read_metadata(mig_work *w, mig_restore_item *item, const char *collection, mig_error *err) {
  bson_t info, indexes;
  const char *type = "collection";
  bool ok = mig_db_collection_info(w->db, collection, &info, &item->live, err);
  if (ok && item->live) {
    mig_bson_str(&info, "type", &type);
    item->live_is_view = strcmp(type, "view") == 0;
    item->live_info = bson_copy(&info);
    ok = mig_db_indexes(w->db, collection, &indexes, err);
    if (ok) item->live_indexes = bson_copy(&indexes);
    bson_destroy(&indexes);
  }
  bson_destroy(&info);
  return ok;
}

static void compare_metadata(mig_restore_item *item) {
  bson_t recorded, live;
  mig_options_of(item->entry->info, &recorded);
  mig_options_of(item->live_info, &live);
  item->fixed_differ = item->is_view != item->live_is_view || !mig_options_fixed_same(&recorded, &live);
  if (item->is_view || item->live_is_view) return;
  item->validator_differs = !mig_options_validator_same(&recorded, &live);
  item->images_differ = !mig_options_images_same(&recorded, &live);
  item->indexes_differ = mig_indexes_differing(item->live_indexes, item->entry->indexes);
}

typedef struct finding {
  mig_displaced *keep;   /* NULL: displaced documents are not kept */
  const bson_t *indexes; /* of the archive, when expired documents may be missing; else NULL */
  int64_t now, expired;
} finding;

static bool keep_found(void *arg, mig_difference what, const bson_t *archive, const bson_t *live, mig_error *err) {
  finding *f = arg;
  if (what != MIG_DIFF_MISSING) return !f->keep || mig_displaced_add(f->keep, live, err);
  if (mig_ttl_expired(f->indexes, archive, f->now)) f->expired++;
  return true;
}

/* What the server's TTL index removes again after it was put back is not missing. */
static void forgive_expired(mig_restore *r, mig_restore_item *item, const finding *f) {
  if (f->expired == 0) return;
  item->documents.missing -= f->expired;
  mig_say(r->w->observer, MIG_WARNING,
          "%s.%s: %lld documents that were put back had expired and were removed again by the server's TTL index",
          mig_db_name(r->w->db), item->entry->name, (long long)f->expired);
}

static bool compare_documents(mig_restore *r, mig_restore_item *item, const char *collection, mig_displaced *keep,
                              mig_error *err) {
  const mig_collection_entry *entry = item->entry;
  char what[300];
  mig_live_source live = {.what = what, .total = entry->documents};
  mig_archive_cursor *archived = NULL;
  finding found = {.keep = keep};
  const bool put_back = r->round > 0 || strcmp(collection, entry->name) != 0; /* or staged: it was all there once */
  if (put_back && !r->options->dry_run) found.indexes = entry->indexes;
  if (!mig_db_server_now(r->w->db, &found.now, err)) return false;
  snprintf(what, sizeof what, "compare %s.%s", mig_db_name(r->w->db), entry->name);
  bool ok = mig_archive_documents(r->archive, entry, 0, &archived, err) &&
            mig_live_open(&live, r->w, collection, entry->natural_order, err);
  if (ok) {
    const mig_compare compare = {
        .archive = {archived, mig_archived_next}, .live = {&live, mig_live_next}, .found = keep_found, .arg = &found};
    ok = mig_compare_run(&compare, &item->documents, err);
    if (ok) forgive_expired(r, item, &found);
  }
  mig_archive_cursor_close(archived);
  mig_cursor_close(live.cursor);
  const bool unsure = item->documents.unsettled || (r->round > 0 && item->documents.judged_early);
  if (!ok || !unsure || entry->natural_order || mig_compare_identical(&item->documents)) return ok;
  /* too different, or in another order, for one pass in bounded memory: ask for each document */
  mig_compare_result sure;
  if (!mig_lookup_run(r->w, r->archive, entry, collection, &sure, err)) return false;
  sure.unsettled = item->documents.unsettled && !mig_compare_identical(&sure);
  item->documents = sure;
  return true;
}

/* What is not to be there at all: every document is extra. */
static bool whole_extra(mig_restore *r, mig_restore_item *item, const char *collection, mig_displaced *keep,
                        mig_error *err) {
  mig_live_source live = {0};
  bson_t doc;
  mig_pull pulled = MIG_PULL_END;
  if (keep && !mig_displaced_whole(keep, err)) return false;
  if (item->live_is_view) return true;
  if (!mig_live_open(&live, r->w, collection, false, err)) return false;
  while ((pulled = mig_live_next(&live, &doc, err)) == MIG_PULL_DOC) {
    item->documents.extra++;
    if (keep && !mig_displaced_add(keep, &doc, err)) break;
  }
  mig_cursor_close(live.cursor);
  return pulled == MIG_PULL_END;
}

static bool missing_metadata_only(const mig_restore *r, const mig_restore_item *item, mig_error *err) {
  mig_fail(err, MIG_E_FAILED, "%s.%s is missing", mig_db_name(r->w->db), item->entry->name);
  mig_why(err, "the snapshot holds only its indexes and options, not its documents");
  return mig_hint(
      err, "restore the collection from an older snapshot that holds its documents, or leave it out with --only");
}

bool mig_restore_diff(mig_restore *r, mig_restore_item *item, const char *collection, mig_displaced *keep,
                      mig_error *err) {
  const mig_collection_entry *entry = item->entry;
  mig_restore_item_forget(item);
  if (!read_metadata(r->w, item, collection, err)) return false;
  if (!item->live) {
    /* a view is nothing but metadata */
    if (entry->holds == MIG_HOLDS_METADATA && !item->is_view) return missing_metadata_only(r, item, err);
    if (entry->holds == MIG_HOLDS_DOCUMENTS) item->documents.missing = (int64_t)entry->documents;
    return true;
  }
  if (keep && !mig_displaced_collection(keep, entry->name, item->live_info, item->live_indexes, err)) return false;
  if (entry->holds == MIG_HOLDS_ABSENT) return whole_extra(r, item, collection, keep, err);
  compare_metadata(item);
  if (item->live_is_view && !item->is_view) item->documents.missing = (int64_t)entry->documents;
  if (item->is_view || item->live_is_view) return !item->fixed_differ || whole_extra(r, item, collection, keep, err);
  return entry->holds != MIG_HOLDS_DOCUMENTS || compare_documents(r, item, collection, keep, err);
}

bool mig_restore_item_differs(const mig_restore_item *item) {
  const mig_collection_entry *entry = item->entry;
  if (item->live != (entry->holds != MIG_HOLDS_ABSENT)) return true;
  if (!item->live) return false;
  return item->fixed_differ || item->validator_differs || item->images_differ || item->indexes_differ > 0 ||
         !mig_compare_identical(&item->documents) || (entry->natural_order && item->documents.out_of_order);
}

/* The first index that is missing or other, as recorded and as it is. */
static bool say_indexes(const mig_restore_item *item, mig_buf *text, mig_error *err) {
  bson_iter_t it;
  bson_t spec, live;
  const char *name = NULL;
  if (!mig_buf_printf(text, err, ", %lld indexes", (long long)item->indexes_differ)) return false;
  if (!item->entry->indexes || !bson_iter_init(&it, item->entry->indexes)) return true;
  while (bson_iter_next(&it)) {
    if (!mig_bson_iter_doc(&it, &spec) || mig_index_is_own(&spec) || mig_index_in(item->live_indexes, &spec)) continue;
    const bool there = mig_index_name(&spec, &name) && mig_index_find(item->live_indexes, name, &live);
    char *want = mig_bson_json(&spec), *has = there ? mig_bson_json(&live) : NULL;
    const bool ok = mig_buf_printf(text, err, " (%.200s is %.200s)", want ? want : "?",
                                   has     ? has
                                   : there ? "?"
                                           : "not there");
    mig_free(want);
    mig_free(has);
    return ok;
  }
  return true;
}

static bool say_options(const mig_restore_item *item, mig_buf *text, mig_error *err) {
  bson_t recorded, live;
  mig_options_of(item->entry->info, &recorded);
  mig_options_of(item->live_info, &live);
  char *want = mig_bson_json(&recorded), *has = mig_bson_json(&live);
  const bool ok = mig_buf_printf(text, err, ", the options (%.200s are %.200s)", want ? want : "?", has ? has : "?");
  mig_free(want);
  mig_free(has);
  return ok;
}

static bool say_kinds(const mig_restore_item *item, mig_buf *text, mig_error *err) {
  const mig_compare_result *d = &item->documents;
  const bool options = item->fixed_differ || item->validator_differs || item->images_differ;
  if (!mig_buf_printf(text, err, "%lld missing, %lld changed, %lld extra documents", (long long)d->missing,
                      (long long)d->changed, (long long)d->extra))
    return false;
  if (item->indexes_differ && !say_indexes(item, text, err)) return false;
  if (options && !say_options(item, text, err)) return false;
  for (size_t i = 0; i < d->id_count; i++)
    if (!mig_buf_printf(text, err, "%s%s", i ? ", " : "; _id ", d->ids[i])) return false;
  return true;
}

bool mig_restore_item_fail(const mig_restore *r, const mig_restore_item *item, const char *doing, mig_error *err) {
  mig_buf text = MIG_BUF(4096);
  const mig_error *refused = &item->refused;
  const bool said = refused->code != MIG_OK;
  say_kinds(item, &text, NULL);
  mig_fail(err, said ? MIG_E_SERVER : MIG_E_FAILED, "%s.%s is not as in the snapshot %s", mig_db_name(r->w->db),
           item->entry->name, doing);
  if (err && said) err->server_code = refused->server_code;
  if (said)
    mig_why(err, "%s; the server refused: %s: %s", mig_buf_text(&text), refused->what, refused->why);
  else
    mig_why(err, "%s; the server stores them otherwise, or others write to it", mig_buf_text(&text));
  mig_hint(err, "stop what writes to this collection and run the restore again; it goes on where it stands");
  mig_buf_free(&text);
  return false;
}
