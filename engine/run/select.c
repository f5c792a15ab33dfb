#include "run/select.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/names.h"

static bool applied(const mig_entry *e) {
  return e && e->status == MIG_STATUS_APPLIED;
}

static bool modified(const mig_migration *m, const mig_entry *e) {
  return m && applied(e) && e->checksum && strcmp(m->checksum, e->checksum) != 0;
}

/* The file of an applied entry under another name, if the entry's own is gone: a file that the ledger does not know. */
static bool stands_for(const mig_migration *m, const mig_entry *e, const mig_ledger *ledger) {
  return applied(e) && e->checksum && strcmp(m->checksum, e->checksum) == 0 && !mig_ledger_find(ledger, m->name);
}

static int by_name(const void *a, const void *b) {
  const mig_finding *x = a, *y = b;
  return mig_name_order(x->migration ? x->migration->name : x->entry->name,
                        y->migration ? y->migration->name : y->entry->name);
}

bool mig_select_all(const mig_engine *e, const mig_ledger *ledger, mig_finding **out, size_t *count, mig_error *err) {
  const mig_folder *folder = e->folder;
  size_t n = 0;
  *out = NULL;
  *count = 0;
  mig_finding *list = mig_alloc((folder->count + ledger->count + 1) * sizeof *list);
  bool *has_file = mig_alloc((ledger->count + 1) * sizeof *has_file);
  if (!list || !has_file) {
    mig_free(list);
    mig_free(has_file);
    return mig_no_memory(err, "status");
  }
  for (size_t i = 0; i < folder->count; i++) {
    const mig_migration *m = folder->items[i];
    const mig_entry *entry = mig_ledger_find(ledger, m->name);
    list[n++] = (mig_finding){.migration = m,
                              .entry = entry,
                              .status = entry ? entry->status : MIG_STATUS_PENDING,
                              .modified = modified(m, entry)};
    if (entry) has_file[entry - ledger->items] = true;
  }
  for (size_t i = 0; i < ledger->count; i++) {
    const mig_entry *entry = &ledger->items[i];
    if (has_file[i]) continue;
    mig_finding *f = &list[n++];
    *f = (mig_finding){.entry = entry, .status = entry->status, .missing = entry->status == MIG_STATUS_APPLIED};
    for (size_t k = 0; f->missing && k < folder->count && !f->renamed_to; k++)
      if (stands_for(folder->items[k], entry, ledger)) f->renamed_to = folder->items[k];
  }
  mig_free(has_file);
  qsort(list, n, sizeof *list, by_name);
  bool later_applied = false;
  for (size_t i = n; i-- > 0;) {
    if (list[i].status == MIG_STATUS_APPLIED)
      later_applied = true;
    else
      list[i].out_of_order = later_applied && list[i].migration && list[i].status != MIG_STATUS_RUNNING;
  }
  *out = list;
  *count = n;
  return true;
}

static bool refuse_modified(const mig_migration *m, const mig_entry *e, mig_error *err) {
  mig_fail(err, MIG_E_CHECK, "%s was modified after it was applied", m->path);
  mig_why(err, "its checksum is %.12s..., the ledger says %.12s...", m->checksum, e->checksum);
  return mig_hint(err, "put the file back as it was and write a new migration for the change");
}

/* The exact name: mig_folder_find also takes a number or version for one. */
static bool has_file(const mig_folder *folder, const mig_entry *e) {
  for (size_t i = 0; i < folder->count; i++)
    if (strcmp(folder->items[i]->name, e->name) == 0) return true;
  return false;
}

/* What is applied already must not run again because its file has another name. An entry of the new name, from `mark`
 * too, is a person's word on it. */
static bool refuse_renamed(const mig_folder *folder, const mig_ledger *ledger, const mig_migration *m, mig_error *err) {
  for (size_t i = 0; i < ledger->count; i++) {
    const mig_entry *old = &ledger->items[i];
    if (!stands_for(m, old, ledger) || has_file(folder, old)) continue;
    mig_fail(err, MIG_E_CHECK, "%s is %.150s under another name, which is applied already", m->path, old->name);
    mig_why(err, "its checksum is the same (%.12s...), and %.150s has no file any more", m->checksum, old->name);
    return mig_hint(err,
                    "give it its old name again, or say that it is applied: mig mark %.100s --applied --why TEXT; "
                    "if it is to run once more: --pending instead",
                    m->name);
  }
  return true;
}

static bool unknown_name(const mig_engine *e, const char *name, mig_error *err) {
  mig_fail(err, MIG_E_USAGE, "there is no migration \"%s\" in %s", name, e->folder->path);
  const char **names = mig_alloc((e->folder->count + 1) * sizeof *names);
  const char *near = NULL;
  for (size_t i = 0; names && i < e->folder->count; i++) names[i] = e->folder->items[i]->name;
  if (names) near = mig_name_nearest(name, names);
  mig_free(names);
  return near ? mig_hint(err, "did you mean %s? `mig list` shows them all", near)
              : mig_hint(err, "`mig list` shows them all");
}

bool mig_select_up(const mig_engine *e, const mig_ledger *ledger, const mig_up_options *o, mig_choice **out,
                   size_t *count, mig_error *err) {
  const mig_folder *folder = e->folder;
  const char *wanted = o->only ? o->only : o->to;
  const mig_migration *last = wanted ? mig_folder_find(folder, wanted) : NULL;
  size_t n = 0;
  *out = NULL;
  *count = 0;
  if (wanted && !last) return unknown_name(e, wanted, err);
  mig_choice *list = mig_alloc((folder->count + 1) * sizeof *list);
  if (!list) return mig_no_memory(err, "plan");
  for (size_t i = 0; i < folder->count; i++) {
    const mig_migration *m = folder->items[i];
    const mig_entry *entry = mig_ledger_find(ledger, m->name);
    if (modified(m, entry)) {
      mig_free(list);
      return refuse_modified(m, entry, err);
    }
    bool chosen = !applied(entry) && (!o->only || m == last) && (o->steps <= 0 || n < (size_t)o->steps);
    if (chosen && !refuse_renamed(folder, ledger, m, err)) {
      mig_free(list);
      return false;
    }
    if (chosen) list[n++] = (mig_choice){.migration = m, .entry = entry};
    if (!o->only && m == last) break;
  }
  *out = list;
  *count = n;
  return true;
}

static int newest_first(const void *a, const void *b) {
  const mig_entry *x = *(const mig_entry *const *)a, *y = *(const mig_entry *const *)b;
  if (x->applied_unix_ms != y->applied_unix_ms) return x->applied_unix_ms < y->applied_unix_ms ? 1 : -1;
  return mig_name_order(y->name, x->name);
}

static int64_t newest_batch(const mig_ledger *ledger) {
  int64_t newest = 0;
  for (size_t i = 0; i < ledger->count; i++)
    if (applied(&ledger->items[i]) && ledger->items[i].batch > newest) newest = ledger->items[i].batch;
  return newest;
}

/* The very command, when the snapshot is where the ledger says. */
static bool offer_snapshot(const mig_entry *entry, const char *or_else, mig_error *err) {
  const mig_snapshot_ref *s = &entry->snapshot;
  if (!s->id || !s->path) return mig_hint(err, "%s", or_else);
  if (mig_fs_exists(s->path))
    return mig_hint(err, "%s; or put back the snapshot from before it: mig restore %s", or_else, s->id);
  return mig_hint(err, "%s; or fetch the snapshot from before it (it is not here: %s), then mig restore FILE", or_else,
                  s->path);
}

static bool can_go_down(const mig_engine *e, const mig_entry *entry, mig_choice *out, mig_error *err) {
  const mig_migration *m = mig_folder_find(e->folder, entry->name);
  if (!m) {
    mig_fail(err, MIG_E_CHECK, "the file of %s is missing from %s", entry->name, e->folder->path);
    return offer_snapshot(entry, "its `down` is needed: put the file back", err);
  }
  if (modified(m, entry)) return refuse_modified(m, entry, err);
  if (!m->reversible) {
    mig_fail(err, MIG_E_UNSUPPORTED, "%s is not reversible: it has no \"down\"", m->name);
    return offer_snapshot(entry, "write a new migration that takes its changes back", err);
  }
  *out = (mig_choice){.migration = m, .entry = entry};
  return true;
}

bool mig_select_down(const mig_engine *e, const mig_ledger *ledger, const mig_down_options *o, mig_choice **out,
                     size_t *count, mig_error *err) {
  const char *wanted = o->only ? o->only : o->to;
  const mig_migration *m = wanted ? mig_folder_find(e->folder, wanted) : NULL;
  const mig_entry *mark = wanted ? mig_ledger_find(ledger, m ? m->name : wanted) : NULL;
  int64_t batch = newest_batch(ledger); /* 0: none of the applied ones has a number */
  size_t n = 0, limit = o->all || (o->batch && batch) || wanted ? SIZE_MAX : o->steps > 0 ? (size_t)o->steps : 1;
  *out = NULL;
  *count = 0;
  if (wanted && !m && !mark) return unknown_name(e, wanted, err);
  if (wanted && !applied(mark)) {
    mig_fail(err, MIG_E_USAGE, "%s is not applied", wanted);
    return mig_hint(err, "`mig status` shows what is");
  }
  const mig_entry **sorted = mig_alloc((ledger->count + 1) * sizeof *sorted);
  mig_choice *list = mig_alloc((ledger->count + 1) * sizeof *list);
  bool ok = sorted && list ? true : mig_no_memory(err, "plan");
  size_t sorted_count = 0;
  for (size_t i = 0; ok && i < ledger->count; i++)
    if (applied(&ledger->items[i])) sorted[sorted_count++] = &ledger->items[i];
  if (ok) qsort(sorted, sorted_count, sizeof *sorted, newest_first);
  for (size_t i = 0; ok && i < sorted_count && n < limit; i++) {
    if (o->only && sorted[i] != mark) continue;
    if (o->batch && sorted[i]->batch != batch) continue;
    if (!o->only && o->to && sorted[i] == mark) break; /* it stays */
    ok = can_go_down(e, sorted[i], &list[n++], err);
  }
  mig_free(sorted);
  if (!ok) {
    mig_free(list);
    return false;
  }
  *out = list;
  *count = n;
  return true;
}
