#include "backup/diff.h"

#include <string.h>

#include "backup/restore_parts.h"
#include "backup/snapshot_plan.h"
#include "base/names.h"

typedef struct diff {
  mig_restore r;
  mig_collection_entry *beyond; /* what only the other side has: absent in the first snapshot */
  size_t beyond_count;
} diff;

bool mig_diff_row_differs(const mig_restore_collection *row) {
  return row->missing || row->changed || row->extra || row->indexes_differing || row->options_differ ||
         row->sequence_differs || row->created || row->dropped;
}

static void not_compared(const diff *d, const char *collection, const char *why) {
  mig_say(d->r.w->observer, MIG_WARNING, "%s.%s is not compared: %s", mig_restore_database(&d->r), collection, why);
}

static bool note_beyond(diff *d, const char *name, mig_error *err) {
  if (mig_manifest_find(mig_archive_contents(d->r.archive), name)) return true;
  mig_collection_entry *grown = mig_realloc(d->beyond, (d->beyond_count + 1) * sizeof *grown);
  if (!grown) return mig_no_memory(err, "the list of collections");
  d->beyond = grown;
  grown[d->beyond_count] = (mig_collection_entry){.name = mig_strdup(name), .holds = MIG_HOLDS_ABSENT};
  return grown[d->beyond_count++].name || mig_no_memory(err, "the list of collections");
}

static bool beyond_live(diff *d, mig_error *err) {
  mig_cursor *c = NULL;
  const bson_t *doc = NULL;
  const char *name = NULL;
  bool ok = true;
  mig_next next = MIG_NEXT_END;
  if (!mig_db_collections(d->r.w->db, NULL, &c, err)) return false;
  while (ok && (next = mig_cursor_next(c, &doc, err)) == MIG_NEXT_DOC)
    if (mig_bson_str(doc, "name", &name) && !mig_snapshot_leaves_out(name)) ok = note_beyond(d, name, err);
  mig_cursor_close(c);
  return ok && next != MIG_NEXT_ERROR;
}

static bool beyond_archive(diff *d, mig_error *err) {
  const mig_manifest *m = mig_archive_contents(d->r.against);
  for (size_t i = 0; i < m->collection_count; i++)
    if (m->collections[i].holds != MIG_HOLDS_ABSENT && !note_beyond(d, m->collections[i].name, err)) return false;
  return true;
}

bool mig_diff_beyond(mig_work *w, const mig_archive *archive, char ***names, size_t *count, mig_error *err) {
  diff d = {.r = {.w = w, .archive = (mig_archive *)(uintptr_t)archive}};
  *names = NULL;
  *count = 0;
  if (!mig_archive_contents(archive)->whole_database) return true;
  bool stored = false; /* it was left out, whatever it held then */
  bool ok =
      beyond_live(&d, err) && mig_snapshot_stored(w, &stored, err) && (!stored || note_beyond(&d, MIG_STORED, err));
  if (ok && !(*names = mig_alloc((d.beyond_count + 1) * sizeof **names)))
    ok = mig_no_memory(err, "the list of collections");
  for (size_t i = 0; i < d.beyond_count; i++) {
    if (ok && strcmp(d.beyond[i].name, MIG_LEDGER) != 0) /* the ledger follows a restore in its own way */
      (*names)[(*count)++] = d.beyond[i].name;
    else
      mig_free(d.beyond[i].name);
  }
  mig_free(d.beyond);
  return ok;
}

/* Rows for what is only on the other side. A snapshot of a part says nothing about what it was not asked for. */
static bool add_beyond(diff *d, mig_error *err) {
  mig_restore *r = &d->r;
  if (r->options->only || !mig_archive_contents(r->archive)->whole_database) return true;
  if (!(r->against ? beyond_archive(d, err) : beyond_live(d, err))) return false;
  const size_t all = r->count + d->beyond_count + 1;
  mig_restore_item *items = mig_realloc(r->items, all * sizeof *items);
  if (items) r->items = items;
  mig_restore_collection *rows = mig_realloc(r->report->collections, all * sizeof *rows);
  if (rows) r->report->collections = rows;
  if (!items || !rows) return mig_no_memory(err, "the list of collections");
  for (size_t i = 0; i < d->beyond_count; i++) {
    const mig_collection_entry *e = &d->beyond[i];
    rows[r->count] = (mig_restore_collection){.name = mig_strdup(e->name)};
    if (!rows[r->count].name) return mig_no_memory(err, "the report");
    items[r->count] = (mig_restore_item){.entry = e, .target = e->name};
    r->report->count = ++r->count;
  }
  return true;
}

/* Is this to be compared at all? Says what cannot be. */
static bool comparable(const diff *d, const mig_restore_item *item) {
  const mig_restore *r = &d->r;
  const mig_collection_entry *mine = item->entry;
  const mig_manifest *m = r->against ? mig_archive_contents(r->against) : NULL;
  const mig_collection_entry *other = m ? mig_manifest_find(m, mine->name) : NULL;
  if (m && !other && !m->whole_database && mine->holds != MIG_HOLDS_ABSENT) {
    not_compared(d, mine->name, "the second snapshot was not asked for it");
    return false;
  }
  const bool mine_partly = mine->holds == MIG_HOLDS_METADATA && !item->is_view;
  const bool other_partly =
      other && other->holds == MIG_HOLDS_METADATA && !(other->type && strcmp(other->type, "view") == 0);
  if (mine_partly || other_partly)
    not_compared(d, mine->name, "as to its documents; a snapshot holds only its indexes and options");
  return true;
}

static bool run_all(diff *d, mig_error *err) {
  mig_restore *r = &d->r;
  size_t differing = 0;
  for (size_t i = 0; i < r->count; i++) {
    mig_restore_item *item = &r->items[i];
    item->row = &r->report->collections[i]; /* the rows may have moved */
    if (!comparable(d, item)) continue;
    if (!mig_checkpoint(r->w, err) || !mig_restore_diff(r, item, item->target, NULL, err)) return false;
    mig_restore_fill_row(item);
    differing += mig_diff_row_differs(item->row);
  }
  r->report->identical = differing == 0;
  return true;
}

static bool check_displaced(const mig_archive *archive, mig_error *err) {
  const mig_manifest *m = mig_archive_contents(archive);
  if (strncmp(m->reason, MIG_DISPLACED_REASON, strlen(MIG_DISPLACED_REASON)) != 0) return true;
  mig_fail(err, MIG_E_USAGE, "%s holds displaced documents, not whole collections", m->id);
  mig_why(err, "every document that is not in it would be shown as a difference");
  return mig_hint(err, "take single documents out of it with mig snapshot export");
}

bool mig_diff_run(mig_work *w, mig_archive *archive, const mig_diff_options *options, mig_restore_report *report,
                  mig_error *err) {
  const mig_restore_options o = {.only = options->only, .dry_run = true, .listener = options->listener};
  diff d = {
      .r = {
          .w = w, .archive = archive, .against = options->against, .options = &o, .report = report, .compares = true}};
  memset(report, 0, sizeof *report);
  mig_archive_jobs(archive, w->jobs);
  if (options->against) mig_archive_jobs(options->against, w->jobs);
  bool ok = check_displaced(archive, err) && (!options->against || check_displaced(options->against, err)) &&
            mig_archive_verify(archive, w->observer, err) &&
            (!options->against || mig_archive_verify(options->against, w->observer, err)) &&
            mig_restore_plan(&d.r, err) && add_beyond(&d, err) && run_all(&d, err);
  mig_restore_plan_free(&d.r);
  for (size_t i = 0; i < d.beyond_count; i++) mig_free(d.beyond[i].name);
  mig_free(d.beyond);
  return ok;
}
