#include "backup/restore.h"

#include <string.h>

#include "backup/restore_ranges.h"
#include "base/crash.h"

bool mig_restore_taken(const char *database, const char *collection, mig_error *err) {
  mig_fail(err, MIG_E_FAILED, "%s.%s is there already", database, collection);
  mig_why(err, "--as puts a collection beside the others and overwrites none");
  return mig_hint(err, "choose another name, or add --replace to bring that collection to the snapshot's state");
}

static mig_bring choose(const mig_restore *r, const mig_restore_item *item) {
  const mig_collection_entry *e = item->entry;
  const mig_compare_result *d = &item->documents;
  if (!mig_restore_item_differs(item)) return MIG_BRING_NOTHING;
  if (e->holds == MIG_HOLDS_ABSENT) return MIG_BRING_DROP;
  if (item->is_view) return MIG_BRING_VIEW;
  if (!item->live || item->fixed_differ || (d->unsettled && !item->sharded)) return MIG_BRING_SWAP;
  if (e->holds == MIG_HOLDS_METADATA) return MIG_BRING_DELTA;
  if (e->natural_order && (d->out_of_order || !mig_compare_identical(d))) return MIG_BRING_SWAP;
  if (item->validator_differs && r->w->caps->has[MIG_CAP_COLLMOD] == MIG_NO) return MIG_BRING_SWAP;
  if (r->options->strategy == MIG_STRATEGY_SWAP) return MIG_BRING_SWAP;
  const bool other_way = r->round >= 2 && r->options->strategy == MIG_STRATEGY_AUTO && !item->sharded;
  return other_way && !mig_restore_waited_in_vain(item) ? MIG_BRING_SWAP : MIG_BRING_DELTA;
}

/* A collection that is made anew has no shard key: none takes the place of one that has, and one that comes into being
 * is told of. */
static bool mind_shards(mig_restore *r, mig_restore_item *item, mig_error *err) {
  if (item->bring != MIG_BRING_SWAP || r->against) return true;
  if (!item->live) {
    if (r->round == 0 && strcmp(r->w->caps->topology, "sharded") == 0)
      mig_say(r->w->observer, MIG_WARNING, "%s.%s is made anew, and not sharded: if it was, shard it again",
              mig_db_name(r->w->db), item->target);
    return true;
  }
  if (!mig_db_sharded(r->w->db, item->target, &item->sharded, err)) return false;
  item->bring = choose(r, item);
  return true;
}

/* What is to be done but cannot be, or must not be, is said before anything is written. */
static bool check_choice(const mig_restore *r, const mig_restore_item *item, mig_error *err) {
  const char *database = mig_db_name(r->w->db), *name = item->target;
  if (item->bring == MIG_BRING_SWAP && item->entry->holds == MIG_HOLDS_METADATA) {
    mig_fail(err, MIG_E_UNSUPPORTED, "%s.%s has options that cannot be changed on a collection", database, name);
    return mig_hint(err, "restore it from a snapshot that holds its documents");
  }
  if (item->bring == MIG_BRING_SWAP && item->sharded) {
    mig_fail(err, MIG_E_UNSUPPORTED, "%s.%s is sharded, and cannot be brought back by delta", database, name);
    mig_why(err, "a new collection would have to take its place, without its shard key");
    return mig_hint(err, "restore it beside, with --as, and copy from there");
  }
  if (item->bring == MIG_BRING_SWAP && item->live && r->options->strategy == MIG_STRATEGY_DELTA) {
    mig_fail(err, MIG_E_UNSUPPORTED, "%s.%s cannot be brought back by delta", database, name);
    mig_why(err, "it differs in options that only a new collection can have, in its sequence, or in nearly everything");
    return mig_hint(err, "restore with --strategy swap, or without --strategy");
  }
  if (item->bring == MIG_BRING_SWAP && item->live && r->options->no_indexes) {
    mig_fail(err, MIG_E_UNSUPPORTED, "%s.%s cannot be brought back with its indexes left as they are", database, name);
    mig_why(err, "it differs so much that a new collection must take its place, which would have none of them");
    return mig_hint(err, "restore it without --no-indexes");
  }
  if (item->bring == MIG_BRING_VIEW && r->w->caps->has[MIG_CAP_VIEWS] == MIG_NO)
    return mig_fail(err, MIG_E_UNSUPPORTED, "%s.%s is a view, and this server has none", database, name);
  return true;
}

static void fill_row(const mig_restore_item *item) {
  static const char *const names[] = {"none", "swap", "swap", "delta", "swap"};
  mig_restore_fill_row(item);
  strcpy(item->row->strategy, names[item->bring]);
}

/* One look at everything that is not known to be the same; *differs counts the collections that are not. */
static bool diff_all(mig_restore *r, size_t *differs, mig_error *err) {
  *differs = 0;
  for (size_t i = 0; i < r->count; i++) {
    mig_restore_item *item = &r->items[i];
    if (r->round > 0 && item->bring == MIG_BRING_NOTHING) continue; /* found the same, and not written since */
    if (!mig_checkpoint(r->w, err) || !mig_restore_diff(r, item, item->target, r->displaced, err)) return false;
    if (r->round == 0 && r->options->beside && item->live)
      return mig_restore_taken(mig_restore_database(r), item->target, err);
    item->bring = choose(r, item);
    if (!mind_shards(r, item, err)) return false;
    if (item->bring != MIG_BRING_DELTA) mig_segments_forget(item); /* nobody writes by them */
    if (r->round == 0) fill_row(item);
    if (item->bring == MIG_BRING_NOTHING) continue;
    (*differs)++;
    if (!r->options->dry_run && !check_choice(r, item, err)) return false;
  }
  return true;
}

bool mig_restore_keep(mig_restore *r, mig_displaced *d, mig_error *err) {
  mig_restore_report *report = r->report;
  if (!d) return true;
  if (!mig_displaced_finish(d, err)) return false;
  const char *path = mig_displaced_path(d);
  if (!path) return true;
  report->displaced_documents += mig_displaced_documents(d);
  mig_say(r->w->observer, MIG_INFO, "%lld documents that will be overwritten or removed are saved in %s",
          (long long)mig_displaced_documents(d), path);
  char **to = &report->displaced_path;
  for (size_t i = 0; *to && i < MIG_RESTORE_DISPLACED; i++) to = &report->more_displaced[i];
  if (*to) return true; /* the observer was told */
  if (to == &report->displaced_path) report->displaced_id = mig_strdup(mig_displaced_id(d));
  *to = mig_strdup(path);
  return *to && report->displaced_id ? true : mig_no_memory(err, "the report");
}

static bool drop_or_view(mig_restore *r, mig_restore_item *item, mig_error *err) {
  bool gone = false;
  if (!mig_restore_take_away(r, item, &gone, err)) return false;
  if (!gone) return true; /* someone wrote to it since: the next round saves that first */
  r->report->removed += item->documents.extra;
  return (item->bring == MIG_BRING_DROP || mig_restore_view(r, item, err)) && mig_restore_settle_aside(r, item, err);
}

/* Others have made a collection of that name meanwhile. Theirs is as they left it, and what was put beside before it
 * was nobody's: so nothing waits to be finished, which would overwrite it. */
static bool give_way(mig_restore *r, const mig_restore_item *item, mig_error *err) {
  r->report->began = false;
  return mig_restore_taken(mig_db_name(r->w->db), item->target, err);
}

static bool apply_all(mig_restore *r, mig_error *err) {
  for (size_t i = 0; i < r->count; i++) {
    mig_restore_item *item = &r->items[i];
    bool ok = true;
    item->refused.code = MIG_OK;
    switch (item->bring) {
    case MIG_BRING_NOTHING:
      break;
    case MIG_BRING_DROP:
    case MIG_BRING_VIEW:
      ok = drop_or_view(r, item, err);
      break;
    case MIG_BRING_DELTA:
      ok = mig_restore_delta(r, item, err);
      mig_segments_forget(item);
      break;
    case MIG_BRING_SWAP:
      strcpy(item->row->strategy, "swap");
      ok = mig_restore_swap(r, item, err);
      break;
    }
    if (!ok && r->options->beside && err->server_code == MIG_SERVER_NAMESPACE_EXISTS) return give_way(r, item, err);
    if (!ok) return mig_fail_at(err, "restore %s.%s", mig_db_name(r->w->db), item->target);
  }
  return true;
}

static bool fail_remaining(const mig_restore *r, mig_error *err) {
  for (size_t i = 0; i < r->count; i++)
    if (r->items[i].bring != MIG_BRING_NOTHING)
      return mig_restore_item_fail(r, &r->items[i], "after it was restored", err);
  return mig_fail(err, MIG_E_FAILED, "the restore did not settle");
}

/* One round. *done: nothing differs (any more), or it was only to be looked at. */
static bool round_of(mig_restore *r, bool *done, mig_error *err) {
  size_t differs = 0;
  const mig_restore_options *o = r->options;
  const bool keeps = o->displaced_store && !o->only_asides && !o->dry_run && r->round < MIG_RESTORE_ROUNDS;
  if (keeps && !mig_displaced_new(o->displaced_store, r->w, o->displaced_reason, &r->displaced, err)) return false;
  if (!diff_all(r, &differs, err)) return false;
  if (r->round == 0) r->report->identical = differs == 0;
  *done = differs == 0 || o->dry_run;
  if (*done) return true;
  if (r->round == MIG_RESTORE_ROUNDS) return fail_remaining(r, err);
  if (!mig_checkpoint(r->w, err) || !mig_restore_keep(r, r->displaced, err)) return false;
  mig_crash_point(MIG_CRASH_RESTORE_DISPLACED);
  if (r->round == 0 && (!mig_restore_drop_stages(r, err) || !mig_checkpoint(r->w, err))) return false;
  r->report->began = true;
  return apply_all(r, err);
}

/* What a restore that was killed had taken away, and had not looked at again. */
static bool settle_asides(mig_restore *r, mig_error *err) {
  if (r->options->dry_run || !r->options->displaced_store) return true;
  for (size_t i = 0; i < r->count; i++)
    if (!mig_checkpoint(r->w, err) || !mig_restore_settle_aside(r, &r->items[i], err)) return false;
  return mig_restore_settle_strays(r, err);
}

bool mig_restore_run(mig_work *w, mig_archive *archive, const mig_restore_options *options, mig_restore_report *out,
                     mig_error *err) {
  mig_restore r = {.w = w, .archive = archive, .options = options, .report = out};
  mig_error local = {0};
  bool done = false;
  if (!err) err = &local; /* the parts decide by its code */
  memset(out, 0, sizeof *out);
  mig_archive_jobs(archive, w->jobs);
  bool ok = mig_archive_verify(archive, w->observer, err) && mig_restore_plan(&r, err) && settle_asides(&r, err);
  if (ok) mig_crash_point(MIG_CRASH_RESTORE_BEGIN);
  for (r.round = 0; ok && !done; r.round++) {
    ok = round_of(&r, &done, err);
    mig_displaced_free(r.displaced);
    r.displaced = NULL;
  }
  if (ok && !options->dry_run) mig_crash_point(MIG_CRASH_RESTORE_DONE);
  mig_restore_plan_free(&r);
  return ok;
}

void mig_restore_report_clear(mig_restore_report *r) {
  if (!r) return;
  for (size_t i = 0; i < r->count; i++) {
    mig_free(r->collections[i].name);
    mig_free(r->collections[i].target);
  }
  for (size_t i = 0; i < MIG_RESTORE_DISPLACED; i++) mig_free(r->more_displaced[i]);
  mig_free(r->collections);
  mig_free(r->displaced_path);
  mig_free(r->displaced_id);
  memset(r, 0, sizeof *r);
}
