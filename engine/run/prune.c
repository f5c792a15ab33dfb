#include "run/prune.h"

#include <stdio.h>
#include <string.h>

#include "backup/archive_read.h"
#include "backup/displaced.h"
#include "base/clock.h"
#include "base/crash.h"
#include "base/names.h"
#include "run/restore_journal.h"

#define DAY_MS ((int64_t)24 * 60 * 60 * 1000)

typedef enum kind { KIND_SNAPSHOT, KIND_DISPLACED, KIND_LEFT } kind;

/* What judging needs to know of a snapshot besides its row. */
typedef struct candidate {
  mig_prune_row *row;
  kind kind;
  char *migration, *direction; /* NULL when taken by hand */
  bool in_journal;             /* of a restore that waits for recovery: not even by force */
  bool taken_here;             /* the ledger or an event of this database names it */
  char other_set[64];          /* the replica set that it is from, when that is not ours */
} candidate;

typedef struct prune {
  mig_engine *e;
  const mig_prune_options *options;
  mig_prune_report *report;
  candidate *all;
  mig_ledger *ledger;
} prune;

static void because(mig_prune_row *row, const char *why, const char *detail) {
  snprintf(row->why, sizeof row->why, "%s%.100s", why, detail);
}

/* A snapshot of the future would be the newest for ever, and push the real ones out of every rule. */
static bool time_is_wrong(const candidate *c, const mig_manifest *m) {
  const int64_t id = c->row->item.created_unix_ms;
  return id > mig_now_unix_ms() + DAY_MS || m->created_unix_ms > mig_now_unix_ms() + DAY_MS ||
         id > m->created_unix_ms + DAY_MS;
}

/* What is in the archive decides whether rules may touch it. */
static bool look(prune *p, candidate *c, mig_error *err) {
  mig_archive *a = NULL;
  mig_error unreadable = {0};
  if (!mig_archive_open(c->row->item.path, &a, &unreadable)) {
    c->kind = KIND_LEFT;
    because(c->row, "cannot be read: ", unreadable.why[0] ? unreadable.why : unreadable.what);
    return true;
  }
  const mig_manifest *m = mig_archive_contents(a);
  const bool displaced = strncmp(m->reason, MIG_DISPLACED_REASON, strlen(MIG_DISPLACED_REASON)) == 0;
  c->kind = displaced ? KIND_DISPLACED : KIND_SNAPSHOT;
  if (strcmp(m->database, mig_db_name(p->e->db)) != 0) {
    c->kind = KIND_LEFT;
    because(c->row, "of another database: ", m->database);
  }
  if (time_is_wrong(c, m)) {
    c->kind = KIND_LEFT;
    because(c->row, "its time cannot be right (the future, or later than it was taken): check the clock", "");
  }
  const char *set = "replica set ", *ours = p->e->caps.topology;
  const size_t n = strlen(set);
  if (strncmp(m->topology, set, n) == 0 && strncmp(ours, set, n) == 0 && strcmp(m->topology, ours) != 0)
    snprintf(c->other_set, sizeof c->other_set, "%.60s", m->topology + n);
  c->migration = mig_strdup(m->migration);
  c->direction = mig_strdup(m->direction);
  const bool ok = !c->migration == !m->migration && !c->direction == !m->direction;
  mig_archive_free(a);
  return ok || mig_no_memory(err, "prune");
}

static bool list(prune *p, mig_error *err) {
  mig_store_item *items = NULL;
  size_t count = 0;
  if (!mig_store_list(p->e->store, &items, &count, err)) return false;
  mig_prune_report *r = p->report;
  r->rows = mig_alloc((count + 1) * sizeof *r->rows);
  p->all = mig_alloc((count + 1) * sizeof *p->all);
  bool ok = (r->rows && p->all) || mig_no_memory(err, "prune");
  for (size_t i = 0; ok && i < count; i++) {
    r->rows[i].item = items[i];
    items[i] = (mig_store_item){0};
    p->all[i].row = &r->rows[i];
    r->count++;
    ok = look(p, &p->all[i], err);
  }
  mig_store_items_free(items, count);
  return ok;
}

static bool is_of(const mig_snapshot_ref *ref, const mig_store_item *item) {
  return (ref->id && strcmp(ref->id, item->id) == 0) || (ref->path && strcmp(ref->path, item->path) == 0);
}

static void found_here(const prune *p, const char *id, const char *migration) {
  for (size_t i = 0; i < p->report->count; i++) {
    candidate *c = &p->all[i];
    if (strcmp(c->row->item.id, id) == 0 && c->migration && strcmp(c->migration, migration) == 0) c->taken_here = true;
  }
}

/* A store may be shared by servers with a database of the same name and the same migrations: the name of a migration
 * does not tell whose its snapshot is. Each run here names its own in the ledger or, from then on, in an event of
 * that migration. Those of a restore by hand (the only ones without a version) name what anybody took. */
static bool ask_who_took(const prune *p, mig_error *err) {
  for (size_t i = 0; i < p->ledger->count; i++) {
    const mig_entry *entry = &p->ledger->items[i];
    for (size_t j = 0; j < p->report->count; j++) {
      candidate *c = &p->all[j];
      if (is_of(&entry->snapshot, &c->row->item) || is_of(&entry->run.snapshot, &c->row->item)) c->taken_here = true;
    }
  }
  bson_t *find = BCON_NEW("find", BCON_UTF8(MIG_EVENTS), "filter", "{", "snapshot", "{", "$gt", BCON_UTF8(""), "}", "}",
                          "projection", "{", "snapshot", BCON_INT32(1), "direction", BCON_INT32(1), "version",
                          BCON_INT32(1), "name", BCON_INT32(1), "}");
  mig_cursor *events = NULL;
  const bson_t *event = NULL;
  mig_next next = MIG_NEXT_ERROR;
  if (mig_db_query(p->e->db, find, &events, err)) {
    while ((next = mig_cursor_next(events, &event, err)) == MIG_NEXT_DOC) {
      const char *id = NULL, *direction = "", *version = NULL, *name = NULL;
      mig_bson_str(event, "direction", &direction);
      const bool of_a_run = strcmp(direction, "restore") != 0 || mig_bson_str(event, "version", &version);
      if (of_a_run && mig_bson_str(event, "snapshot", &id) && mig_bson_str(event, "name", &name))
        found_here(p, id, name);
    }
  }
  mig_cursor_close(events);
  bson_destroy(find);
  return next == MIG_NEXT_END;
}

static bool is_needed(const mig_entry *entry) {
  return entry->status == MIG_STATUS_APPLIED || entry->status == MIG_STATUS_RUNNING ||
         (entry->status == MIG_STATUS_FAILED && !entry->restored);
}

/* The newest snapshot from before `up` of an applied migration: a later `down` that failed may have put another one
 * into the ledger. */
static bool is_newest_up(const prune *p, const candidate *c, const char *migration) {
  for (size_t i = p->report->count; i-- > 0;) {
    const candidate *other = &p->all[i];
    if (!other->taken_here || other->kind != KIND_SNAPSHOT || !other->migration ||
        strcmp(other->migration, migration) != 0)
      continue;
    if (!other->direction || strcmp(other->direction, "up") != 0) continue;
    return other == c;
  }
  return false;
}

static void ask_ledger(const prune *p, candidate *c) {
  for (size_t i = 0; i < p->ledger->count; i++) {
    const mig_entry *entry = &p->ledger->items[i];
    if (!is_needed(entry)) continue;
    if (is_of(&entry->snapshot, &c->row->item) || is_of(&entry->run.snapshot, &c->row->item) ||
        (entry->status == MIG_STATUS_APPLIED && is_newest_up(p, c, entry->name))) {
      because(c->row, "the ledger needs it: ", entry->name);
      c->kind = KIND_LEFT;
      return;
    }
  }
  if (c->kind != KIND_LEFT && !c->taken_here && c->other_set[0]) {
    because(c->row, "of another replica set: ", c->other_set);
    c->kind = KIND_LEFT;
  }
  if (c->kind != KIND_SNAPSHOT || !c->migration) return;
  const bool known = mig_ledger_find(p->ledger, c->migration);
  if (known && c->taken_here) return;
  because(c->row, known ? "no run of this ledger took it; before " : "of a migration that this ledger does not know: ",
          c->migration);
  c->kind = KIND_LEFT;
}

/* Without that archive what the restore has begun can never be finished. */
static bool ask_journal(prune *p, mig_error *err) {
  mig_restore_journal journal;
  bool there = false;
  const bool ok = mig_restore_journal_read(p->e->db, &journal, &there, err);
  const char *slash = ok && there ? strrchr(journal.path, '/') : NULL;
  for (size_t i = 0; ok && there && i < p->report->count; i++) {
    candidate *c = &p->all[i];
    const char *name = strrchr(c->row->item.path, '/');
    if (strcmp(name ? name : c->row->item.path, slash ? slash : journal.path) != 0) continue;
    c->in_journal = true;
    c->kind = KIND_LEFT;
    because(c->row, "an interrupted restore goes on with it", "");
  }
  mig_restore_journal_clear(&journal);
  return ok;
}

static bool judge_kind(prune *p, kind which, mig_error *err) {
  const size_t count = p->report->count;
  int64_t *taken = mig_alloc((count + 1) * sizeof *taken);
  unsigned *kept = mig_alloc((count + 1) * sizeof *kept);
  size_t n = 0;
  const bool ok = (taken && kept) || mig_no_memory(err, "prune");
  for (size_t i = 0; ok && i < count; i++)
    if (p->all[i].kind == which) taken[n++] = p->all[i].row->item.created_unix_ms;
  if (ok) mig_keep_judge(&p->options->keep, taken, n, kept);
  n = 0;
  for (size_t i = 0; ok && i < count; i++) {
    char text[MIG_KEEP_TEXT];
    if (p->all[i].kind != which) continue;
    mig_keep_text(kept[n], text);
    p->all[i].row->remove = kept[n++] == 0;
    because(p->all[i].row, text, "");
  }
  mig_free(taken);
  mig_free(kept);
  return ok;
}

static bool refuse_name(const candidate *c, mig_error *err) {
  mig_fail(err, MIG_E_FAILED, "%s is not removed", c->row->item.id);
  mig_why(err, "%s", c->row->why);
  if (c->in_journal) return mig_hint(err, "run `mig recover` first");
  return mig_hint(err, "if it must go, name it together with --force");
}

static bool choose_name(prune *p, const char *name, mig_error *err) {
  char *path = NULL;
  candidate *found = NULL;
  if (!mig_store_find(p->e->store, name, &path, err)) return false;
  for (size_t i = 0; i < p->report->count && !found; i++)
    if (strcmp(p->all[i].row->item.path, path) == 0) found = &p->all[i];
  mig_free(path);
  if (!found) {
    mig_fail(err, MIG_E_USAGE, "%s is no snapshot of the store %s", name, mig_store_name(p->e->store));
    return mig_hint(err, "name it by its id; `mig snapshot list` shows them");
  }
  if (found->kind == KIND_LEFT && (!p->options->force || found->in_journal)) return refuse_name(found, err);
  found->row->remove = true;
  found->row->forced = found->kind == KIND_LEFT;
  return true;
}

static bool judge_names(prune *p, mig_error *err) {
  for (const char *const *name = p->options->names; *name; name++)
    if (!choose_name(p, *name, err)) return false;
  for (size_t i = 0; i < p->report->count; i++)
    if (!p->all[i].row->remove && p->all[i].kind != KIND_LEFT) because(p->all[i].row, "not named", "");
  return true;
}

static bool remove_all(prune *p, mig_error *err) {
  for (size_t i = 0; i < p->report->count; i++) {
    mig_prune_row *row = &p->report->rows[i];
    if (!row->remove) continue;
    if (!p->options->dry_run) {
      if (!mig_checkpoint(&p->e->work, err) || !mig_store_remove(p->e->store, row->item.path, err)) return false;
      row->removed = true;
      mig_crash_point(MIG_CRASH_PRUNE_REMOVED);
    }
    p->report->removed++;
    p->report->bytes += row->item.bytes;
  }
  return true;
}

/* Listed first, then the ledger: what is in the list and needed stands in the ledger by then, for we hold the lease. */
static bool judge_and_remove(prune *p, mig_error *err) {
  const mig_prune_options *o = p->options;
  if (!(o->names && o->force) && !mig_engine_refuse_unfinished(p->e, true, err)) return false;
  if (!list(p, err) || !mig_ledger_load(p->e->db, &p->ledger, err) || !ask_who_took(p, err)) return false;
  for (size_t i = 0; i < p->report->count; i++) ask_ledger(p, &p->all[i]);
  if (!ask_journal(p, err)) return false;
  const bool ok =
      o->names ? judge_names(p, err) : judge_kind(p, KIND_SNAPSHOT, err) && judge_kind(p, KIND_DISPLACED, err);
  return ok && remove_all(p, err);
}

bool mig_prune(mig_engine *e, const mig_prune_options *options, mig_prune_report *out, mig_error *err) {
  prune p = {.e = e, .options = options, .report = out};
  memset(out, 0, sizeof *out);
  if (!options->names && !mig_keep_any(&options->keep)) {
    mig_fail(err, MIG_E_USAGE, "no rule says what to keep: nothing is removed");
    return mig_hint(err, "--keep-last N, --keep-daily N ... or the snapshots to remove; --dry-run shows what would go");
  }
  bool ok =
      mig_engine_store(e, err) && (options->dry_run || mig_engine_lock(e, "prune", err)) && judge_and_remove(&p, err);
  mig_engine_unlock(e);
  for (size_t i = 0; p.all && i < out->count; i++) {
    mig_free(p.all[i].migration);
    mig_free(p.all[i].direction);
  }
  mig_free(p.all);
  mig_ledger_free(p.ledger);
  return ok;
}

void mig_prune_report_clear(mig_prune_report *r) {
  for (size_t i = 0; i < r->count; i++) {
    mig_free(r->rows[i].item.id);
    mig_free(r->rows[i].item.path);
  }
  mig_free(r->rows);
  memset(r, 0, sizeof *r);
}
