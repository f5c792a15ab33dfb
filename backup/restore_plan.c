/* What a restore or a comparison looks at: checked and listed before anything is read. */
#include <string.h>

#include "backup/restore_parts.h"
#include "backup/snapshot_plan.h"
#include "base/names.h"

/* Where an entry goes; NULL: it was not asked for. */
static const char *target_of(const mig_manifest *m, const mig_restore_options *o, const mig_collection_entry *e) {
  for (size_t i = 0; i < o->as_count; i++)
    if (mig_manifest_named(m, o->as[i].from) == e) return o->as[i].to;
  if (o->as_count) return NULL;
  for (const char *const *n = o->only; n && *n; n++)
    if (mig_manifest_named(m, *n) == e) return e->name;
  return o->only ? NULL : e->name;
}

static bool not_held(const mig_manifest *m, const char *name, mig_error *err) {
  mig_fail(err, MIG_E_USAGE, "the snapshot %s does not hold the collection %s", m->id, name);
  return mig_hint(err, "`mig snapshot show %s` lists what it holds", m->id);
}

static bool check_as(const mig_manifest *m, const mig_restore_options *o, const mig_restore_as *as, mig_error *err) {
  const mig_collection_entry *e = mig_manifest_named(m, as->from);
  if (!e) return not_held(m, as->from, err);
  if (e->holds == MIG_HOLDS_ABSENT) {
    mig_fail(err, MIG_E_USAGE, "%s did not exist when the snapshot %s was taken", as->from, m->id);
    return mig_why(err, "there is nothing to put beside the original");
  }
  if (!mig_name_collection_ok(m->database, as->to, err)) return false;
  if (mig_name_reserved(as->to))
    return mig_fail(err, MIG_E_USAGE, "%s is not for restores: it is ours or the server's", as->to);
  for (const mig_restore_as *other = o->as; other < o->as + o->as_count; other++)
    if (other != as && (strcmp(other->to, as->to) == 0 || mig_manifest_named(m, other->from) == e))
      return mig_fail(err, MIG_E_USAGE, "--as names %s or %s twice", as->from, as->to);
  return true;
}

static bool check_selection(const mig_manifest *m, const mig_restore_options *o, mig_error *err) {
  for (const char *const *n = o->only; n && *n; n++)
    if (!mig_manifest_named(m, *n)) return not_held(m, *n, err);
  for (size_t i = 0; i < o->as_count; i++)
    if (!check_as(m, o, &o->as[i], err)) return false;
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
    if (target_of(m, o, e) && e->type && strcmp(e->type, "timeseries") == 0)
      return mig_fail(err, MIG_E_UNSUPPORTED, "%s.%s: time series cannot be restored", m->database, e->name);
  }
  return true;
}

/* A ledger is restored with its database; the lease, the journal and the rest of mig's own are at work meanwhile. */
static bool check_names(const mig_manifest *m, const mig_restore_options *o, mig_error *err) {
  for (size_t i = 0; i < m->collection_count; i++) {
    const char *target = target_of(m, o, &m->collections[i]);
    if (!target || !mig_snapshot_leaves_out(target)) continue;
    mig_fail(err, MIG_E_USAGE, "%s.%s is not for restores: it is ours or the server's", m->database, target);
    mig_why(err, "lease and journal of the restore itself may stand in it");
    return mig_hint(err, "name the other collections with --only; --as puts it beside, under another name");
  }
  return true;
}

bool mig_restore_check(const mig_archive *archive, const mig_restore_options *options, mig_error *err) {
  const mig_manifest *m = mig_archive_contents(archive);
  return check_kind(m, err) && check_selection(m, options, err) && check_names(m, options, err) &&
         check_types(m, options, err);
}

/* Collections before views, so that a view is never made on something that is still to come. */
bool mig_restore_plan(mig_restore *r, mig_error *err) {
  const mig_manifest *m = mig_archive_contents(r->archive);
  if (!(r->compares ? check_selection(m, r->options, err) : mig_restore_check(r->archive, r->options, err)))
    return false;
  r->items = mig_alloc((m->collection_count + 1) * sizeof *r->items);
  r->report->collections = mig_alloc((m->collection_count + 1) * sizeof *r->report->collections);
  if (!r->items || !r->report->collections) return mig_no_memory(err, "the list of collections");
  for (int views = 0; views < 2; views++) {
    for (size_t i = 0; i < m->collection_count; i++) {
      const mig_collection_entry *e = &m->collections[i];
      const bool is_view = e->holds != MIG_HOLDS_ABSENT && e->type && strcmp(e->type, "view") == 0;
      const char *target = target_of(m, r->options, e);
      if (is_view != (views == 1) || !target) continue;
      mig_restore_item *item = &r->items[r->count];
      item->entry = e;
      item->target = target;
      item->is_view = is_view;
      item->row = &r->report->collections[r->count];
      item->row->name = mig_strdup(e->name);
      if (strcmp(target, e->name) != 0) item->row->target = mig_strdup(target);
      r->report->count = ++r->count;
      if (!item->row->name || (strcmp(target, e->name) != 0 && !item->row->target))
        return mig_no_memory(err, "the report");
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
