/* What a restore or a comparison looks at: checked and listed before anything is read. */
#include <string.h>

#include "backup/restore_parts.h"

static bool selected(const mig_restore_options *o, const char *name) {
  if (!o->only) return true;
  for (const char *const *n = o->only; *n; n++)
    if (strcmp(*n, name) == 0) return true;
  return false;
}

static bool check_only(const mig_manifest *m, const mig_restore_options *o, mig_error *err) {
  for (const char *const *n = o->only; n && *n; n++) {
    if (mig_manifest_find(m, *n)) continue;
    mig_fail(err, MIG_E_USAGE, "the snapshot %s does not hold the collection %s", m->id, *n);
    return mig_hint(err, "`mig snapshot show %s` lists what it holds", m->id);
  }
  return true;
}

static bool check_kind(const mig_manifest *m, mig_error *err) {
  if (m->reason && strncmp(m->reason, MIG_DISPLACED_REASON, strlen(MIG_DISPLACED_REASON)) == 0) {
    mig_fail(err, MIG_E_USAGE, "%s holds displaced documents, not whole collections", m->id);
    mig_why(err, "restoring it would remove every document that is not in it");
    return mig_hint(err, "take single documents out of it with tar, zstd and bsondump");
  }
  return true;
}

static bool check_types(const mig_manifest *m, const mig_restore_options *o, mig_error *err) {
  for (size_t i = 0; i < m->collection_count; i++) {
    const mig_collection_entry *e = &m->collections[i];
    if (selected(o, e->name) && e->type && strcmp(e->type, "timeseries") == 0)
      return mig_fail(err, MIG_E_UNSUPPORTED, "%s.%s: time series cannot be restored", m->database, e->name);
  }
  return true;
}

bool mig_restore_check(const mig_archive *archive, const mig_restore_options *options, mig_error *err) {
  const mig_manifest *m = mig_archive_contents(archive);
  return check_kind(m, err) && check_only(m, options, err) && check_types(m, options, err);
}

/* Collections before views, so that a view is never made on something that is still to come. */
bool mig_restore_plan(mig_restore *r, mig_error *err) {
  const mig_manifest *m = mig_archive_contents(r->archive);
  if (!(r->compares ? check_only(m, r->options, err) : mig_restore_check(r->archive, r->options, err))) return false;
  r->items = mig_alloc((m->collection_count + 1) * sizeof *r->items);
  r->report->collections = mig_alloc((m->collection_count + 1) * sizeof *r->report->collections);
  if (!r->items || !r->report->collections) return mig_no_memory(err, "the list of collections");
  for (int views = 0; views < 2; views++) {
    for (size_t i = 0; i < m->collection_count; i++) {
      const mig_collection_entry *e = &m->collections[i];
      const bool is_view = e->holds != MIG_HOLDS_ABSENT && e->type && strcmp(e->type, "view") == 0;
      if (is_view != (views == 1) || !selected(r->options, e->name)) continue;
      mig_restore_item *item = &r->items[r->count];
      item->entry = e;
      item->target = e->name;
      item->is_view = is_view;
      item->row = &r->report->collections[r->count];
      if (!(item->row->name = mig_strdup(e->name))) return mig_no_memory(err, "the report");
      r->report->count = ++r->count;
    }
  }
  return true;
}

void mig_restore_plan_free(mig_restore *r) {
  for (size_t i = 0; i < r->count; i++) mig_restore_item_forget(&r->items[i]);
  mig_free(r->items);
}

const char *mig_restore_database(const mig_restore *r) {
  return r->against ? mig_archive_contents(r->against)->database : mig_db_name(r->w->db);
}
