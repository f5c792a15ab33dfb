/*
 * A collection that a restore replaces or removes. Others may write to it until the very moment it goes, later than any
 * look at it. So it is not dropped: it is renamed, which no write can overlap; then it is looked at, what nobody has
 * seen is saved, and only then it is dropped. The name is made from the archive and the place in it: a restore that was
 * killed finds it again when it is run again.
 */
#include <stdio.h>
#include <string.h>

#include "backup/restore_parts.h"
#include "base/crash.h"

#define ASIDE_PREFIX "migaside_"
#define ASIDE_CHARS  48

static void aside_name(const mig_restore *r, const mig_restore_item *item, char name[static ASIDE_CHARS]) {
  const mig_manifest *m = mig_archive_contents(r->archive);
  snprintf(name, ASIDE_CHARS, ASIDE_PREFIX "%.8s_%zu", m->digest, (size_t)(item->entry - m->collections));
}

typedef struct held {
  mig_displaced *displaced;
  bool all;
} held;

static bool check_held(void *arg, mig_difference what, const bson_t *archive, const bson_t *live, mig_error *err) {
  held *h = arg;
  bool holds = false;
  (void)archive;
  if (what == MIG_DIFF_MISSING || !h->all) return true;
  if (!mig_displaced_holds(h->displaced, live, &holds, err)) return false;
  h->all = holds;
  return true;
}

static mig_pull no_documents(void *arg, bson_t *doc, mig_error *err) {
  (void)arg;
  (void)doc;
  (void)err;
  return MIG_PULL_END;
}

/* Reads the collection, which may have another name by now: is all that would be lost with it in the displaced archive?
 */
static bool all_held(mig_restore *r, const mig_restore_item *item, const char *collection, bool *all, mig_error *err) {
  const mig_collection_entry *entry = item->entry;
  const bool whole = entry->holds != MIG_HOLDS_DOCUMENTS || item->is_view;
  held h = {r->displaced, true};
  mig_archive_cursor *archived = NULL;
  mig_live_source live = {.total = entry->documents, .total_bytes = (int64_t)entry->raw_bytes};
  mig_compare_result result;
  *all = true;
  bool ok = mig_displaced_reading(r->displaced, item->target, err) &&
            (whole || mig_archive_documents(r->archive, entry, 0, &archived, err)) &&
            mig_live_open(&live, r->w, collection, entry->natural_order, err);
  if (ok) {
    const mig_compare compare = {.archive = {archived, whole ? no_documents : mig_archived_next},
                                 .live = {&live, mig_live_next},
                                 .found = check_held,
                                 .arg = &h};
    ok = mig_compare_run(&compare, &result, err);
    *all = h.all;
  }
  mig_archive_cursor_close(archived);
  mig_live_close(&live);
  return ok;
}

/* For servers that cannot rename it: the moment between this look and the drop remains. */
static bool drop_held(mig_restore *r, const mig_restore_item *item, bool *gone, mig_error *err) {
  if (r->displaced && !all_held(r, item, item->target, gone, err)) return false;
  return !*gone || mig_restore_drop(r, item->target, err);
}

bool mig_restore_take_away(mig_restore *r, const mig_restore_item *item, bool *gone, mig_error *err) {
  char aside[ASIDE_CHARS];
  *gone = true;
  if (!mig_checkpoint(r->w, err)) return false;
  if (!item->live) return true;
  if (!r->displaced || item->live_is_view) return mig_restore_drop(r, item->target, err);
  aside_name(r, item, aside);
  if (mig_restore_rename(r, item->target, aside, false, err)) {
    mig_crash_point(MIG_CRASH_RESTORE_ASIDE);
    return true;
  }
  return mig_refused(err, NULL) && drop_held(r, item, gone, err);
}

/* A second archive, of everything in it that the snapshot does not have. */
static bool save(mig_restore *r, const mig_restore_item *item, const char *aside, mig_error *err) {
  mig_restore_item there = {.entry = item->entry, .target = item->target, .is_view = item->is_view, .row = item->row};
  mig_displaced *late = NULL;
  bool ok = mig_displaced_new(r->options->displaced_store, r->w, r->options->displaced_reason, &late, err) &&
            mig_restore_diff(r, &there, aside, late, err) && mig_restore_keep(r, late, err);
  mig_restore_item_forget(&there);
  mig_displaced_free(late);
  return ok;
}

bool mig_restore_settle_aside(mig_restore *r, const mig_restore_item *item, mig_error *err) {
  char aside[ASIDE_CHARS];
  bool there = false, all = false;
  if (!r->options->displaced_store) return true;
  aside_name(r, item, aside);
  if (!mig_db_has_collection(r->w->db, aside, &there, err)) return false;
  if (!there) return true;
  if (r->displaced && !all_held(r, item, aside, &all, err)) return false;
  return (all || save(r, item, aside, err)) && mig_checkpoint(r->w, err) && mig_restore_drop(r, aside, err);
}

bool mig_restore_settle_strays(mig_restore *r, mig_error *err) {
  char *name = NULL;
  bool ok = true;
  while (ok && (ok = mig_restore_next_left(r, ASIDE_PREFIX, NULL, &name, err)) && name) {
    mig_say(r->w->observer, MIG_WARNING, "%s.%s: what a killed restore of another snapshot had taken away is saved",
            mig_db_name(r->w->db), name);
    mig_restore_collection row = {0};
    const mig_collection_entry none = {.name = name, .holds = MIG_HOLDS_ABSENT};
    const mig_restore_item item = {.entry = &none, .target = name, .row = &row};
    ok = save(r, &item, name, err) && mig_checkpoint(r->w, err) && mig_restore_drop(r, name, err);
    mig_free(name);
  }
  return ok;
}

/* For a step that drops a collection: just this one, as a restore would take it away. */
static bool plan_one(mig_restore *r, const char *collection, bool *has, mig_error *err) {
  const mig_collection_entry *entry = mig_manifest_find(mig_archive_contents(r->archive), collection);
  *has = false;
  memset(r->report, 0, sizeof *r->report);
  if (!entry || entry->holds != MIG_HOLDS_DOCUMENTS) return true;
  if (!mig_restore_plan(r, err)) return false;
  *has = r->count == 1 && !r->items[0].is_view;
  return true;
}

bool mig_aside_put(mig_work *w, mig_archive *archive, const char *collection, bool *gone, mig_error *err) {
  const char *const only[] = {collection, NULL};
  const mig_restore_options options = {.only = only};
  mig_restore_report report;
  mig_restore r = {.w = w, .archive = archive, .options = &options, .report = &report};
  char aside[ASIDE_CHARS];
  *gone = false;
  bool ok = plan_one(&r, collection, gone, err) && mig_checkpoint(w, err);
  if (ok && *gone) {
    aside_name(&r, &r.items[0], aside);
    *gone = mig_restore_rename(&r, collection, aside, false, err);
    ok = *gone || mig_refused(err, NULL);
    if (*gone) mig_crash_point(MIG_CRASH_RESTORE_ASIDE);
  }
  mig_restore_plan_free(&r);
  mig_restore_report_clear(&report);
  return ok;
}

bool mig_aside_settle(mig_work *w, mig_archive *archive, const char *collection, mig_store *store, const char *reason,
                      mig_restore_report *out, mig_error *err) {
  const char *const only[] = {collection, NULL};
  const mig_restore_options options = {.only = only, .displaced_store = store, .displaced_reason = reason};
  mig_restore r = {.w = w, .archive = archive, .options = &options, .report = out};
  bool has = false;
  mig_archive_jobs(archive, w->jobs);
  const bool ok = plan_one(&r, collection, &has, err) && mig_archive_verify(archive, w->observer, err) &&
                  (!has || mig_restore_settle_aside(&r, &r.items[0], err));
  mig_restore_plan_free(&r);
  return ok;
}
