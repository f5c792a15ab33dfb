#include "backup/snapshot_plan.h"

#include <string.h>

#include "base/names.h"

#define ESTIMATE_MAX ((int64_t)1 << 48) /* sums of these for every collection there can be stay in an int64 */

static void clear_item(mig_snapshot_item *item) {
  if (item->indexes) bson_destroy(item->indexes);
  if (item->info) bson_destroy(item->info);
  mig_free(item->name);
}

void mig_snapshot_plan_clear(mig_snapshot_plan *plan) {
  for (size_t i = 0; i < plan->count; i++) clear_item(&plan->items[i]);
  mig_free(plan->items);
  *plan = (mig_snapshot_plan){0};
}

/* Ours but the ledger, and the server's own; the views and time series behind system.views and system.buckets are there
 * by name. */
bool mig_snapshot_leaves_out(const char *name) {
  return mig_name_reserved(name) && strcmp(name, MIG_LEDGER) != 0;
}

bool mig_snapshot_stored(mig_work *w, bool *there, mig_error *err) {
  bson_t *find =
      BCON_NEW("find", BCON_UTF8(MIG_STORED), "projection", "{", "_id", BCON_INT32(1), "}", "limit", BCON_INT32(1));
  bson_t doc;
  mig_error local = {0};
  const bool ok = mig_db_first(w->db, find, &doc, there, &local);
  bson_destroy(&doc);
  bson_destroy(find);
  if (ok || (local.code == MIG_E_SERVER && !mig_db_passing(&local))) return true;
  if (err) *err = local;
  return false;
}

static mig_snapshot_item *find_item(const mig_snapshot_plan *plan, const char *name) {
  for (size_t i = 0; i < plan->count; i++)
    if (strcmp(plan->items[i].name, name) == 0) return &plan->items[i];
  return NULL;
}

static bool add_item(mig_snapshot_plan *plan, const char *name, mig_holds holds, mig_error *err) {
  mig_snapshot_item *known = find_item(plan, name);
  if (holds == MIG_HOLDS_ABSENT) holds = MIG_HOLDS_METADATA;
  if (known) {
    if (holds > known->holds) known->holds = holds;
    return true;
  }
  mig_snapshot_item *grown = mig_realloc(plan->items, (plan->count + 1) * sizeof *grown);
  if (!grown) return mig_no_memory(err, "snapshot");
  plan->items = grown;
  grown[plan->count] = (mig_snapshot_item){.name = mig_strdup(name), .holds = holds};
  if (!grown[plan->count].name) return mig_no_memory(err, "snapshot");
  plan->count++;
  return true;
}

static bool list_all(mig_work *w, mig_snapshot_plan *plan, mig_error *err) {
  mig_cursor *c = NULL;
  const bson_t *doc = NULL;
  const char *name = NULL;
  bool ok = true;
  if (!mig_db_collections(w->db, NULL, &c, err)) return false;
  mig_next next = MIG_NEXT_END;
  while (ok && (next = mig_cursor_next(c, &doc, err)) == MIG_NEXT_DOC) {
    if (!mig_bson_str(doc, "name", &name))
      ok = mig_fail(err, MIG_E_SERVER, "listCollections on %s: a collection without a name", mig_db_name(w->db));
    else if (!mig_snapshot_leaves_out(name))
      ok = add_item(plan, name, MIG_HOLDS_DOCUMENTS, err);
  }
  mig_cursor_close(c);
  return ok && next != MIG_NEXT_ERROR;
}

static bool read_metadata(mig_work *w, const char *name, bson_t **info, bson_t **indexes, mig_error *err) {
  bson_t doc;
  bool found = false;
  *info = *indexes = NULL;
  bool ok = mig_db_collection_info(w->db, name, &doc, &found, err);
  if (ok && found) *info = bson_copy(&doc);
  bson_destroy(&doc);
  if (!ok || !found) return ok;
  ok = mig_db_indexes(w->db, name, &doc, err);
  if (ok) *indexes = bson_copy(&doc);
  bson_destroy(&doc);
  if (ok) return true;
  bson_destroy(*info);
  *info = NULL;
  return false;
}

static bool check_type(mig_work *w, mig_snapshot_item *item, mig_error *err) {
  const char *type = "collection"; /* what a server that does not tell has */
  mig_bson_str(item->info, "type", &type);
  if (strcmp(type, "view") == 0) item->holds = MIG_HOLDS_METADATA;
  if (strcmp(type, "view") == 0 || strcmp(type, "collection") == 0) return true;
  mig_fail(err, MIG_E_UNSUPPORTED, "%s.%s cannot be put into a snapshot", mig_db_name(w->db), item->name);
  if (item->holds == MIG_HOLDS_METADATA) { /* only a migration wants that */
    mig_why(err, "it is of type \"%.40s\": a change of its indexes or options could not be undone", type);
    return mig_hint(err, "make the change with the server's own tools, then `mig mark NAME --applied --why ...`");
  }
  mig_why(err, "it is of type \"%.40s\": its documents would not come back as they were", type);
  return mig_hint(err, "take it with the server's own tools, and name the other collections with --only");
}

static bool look_at(mig_work *w, mig_snapshot_item *item, mig_error *err) {
  if (!mig_name_collection_ok(mig_db_name(w->db), item->name, err)) return false;
  if (mig_snapshot_leaves_out(item->name)) { /* the server's are not listed: they would be taken for absent */
    mig_fail(err, MIG_E_UNSUPPORTED, "%s.%s is not put into snapshots: it is ours or the server's", mig_db_name(w->db),
             item->name);
    mig_why(err, "a restore could not put it back");
    return mig_hint(err, "name other collections with --only; this one is read with the server's own tools");
  }
  if (!read_metadata(w, item->name, &item->info, &item->indexes, err)) return false;
  if (!item->info) {
    item->holds = MIG_HOLDS_ABSENT;
    return true;
  }
  if (!check_type(w, item, err)) return false;
  if (item->holds != MIG_HOLDS_DOCUMENTS) return true;
  if (!mig_db_stats(w->db, item->name, &item->documents, &item->raw_bytes, err)) return false;
  if (item->documents < 0 || item->documents > ESTIMATE_MAX) item->documents = 0; /* estimates, and untrusted */
  if (item->raw_bytes < 0 || item->raw_bytes > ESTIMATE_MAX) item->raw_bytes = 0;
  return true;
}

bool mig_snapshot_plan_make(mig_work *w, bool whole_database, const mig_snapshot_want *wants, size_t count,
                            mig_snapshot_plan *out, mig_error *err) {
  bool ok = true;
  *out = (mig_snapshot_plan){.whole_database = whole_database};
  if (whole_database) ok = list_all(w, out, err) && mig_snapshot_stored(w, &out->stored_left, err);
  for (size_t i = 0; ok && i < count; i++) ok = add_item(out, wants[i].collection, wants[i].holds, err);
  for (size_t i = 0; ok && i < out->count; i++) {
    mig_snapshot_item *item = &out->items[i];
    ok = look_at(w, item, err);
    out->with_documents += item->holds == MIG_HOLDS_DOCUMENTS;
    out->documents += item->documents;
    out->raw_bytes += item->raw_bytes;
  }
  if (!ok) mig_snapshot_plan_clear(out);
  return ok;
}

static bool changed(mig_work *w, const char *name, const char *what, mig_error *err) {
  mig_fail(err, MIG_E_FAILED, "%s.%s %s while its snapshot was taken", mig_db_name(w->db), name, what);
  return mig_hint(err, "try again when nobody else changes collections or indexes there");
}

static bool item_unchanged(mig_work *w, const mig_snapshot_item *item, mig_error *err) {
  bson_t *info = NULL, *indexes = NULL;
  if (!read_metadata(w, item->name, &info, &indexes, err)) return false;
  bool ok = true;
  if (!info != !item->info)
    ok = changed(w, item->name, info ? "appeared" : "vanished", err);
  else if (info && !mig_bson_same(info, item->info))
    ok = changed(w, item->name, "got other options, or was dropped and made again,", err);
  else if (info && !mig_bson_same(indexes, item->indexes))
    ok = changed(w, item->name, "got other indexes", err);
  if (indexes) bson_destroy(indexes);
  if (info) bson_destroy(info);
  return ok;
}

bool mig_snapshot_plan_unchanged(mig_work *w, const mig_snapshot_plan *plan, mig_error *err) {
  bool ok = true;
  for (size_t i = 0; ok && i < plan->count; i++) ok = item_unchanged(w, &plan->items[i], err);
  if (!ok || !plan->whole_database) return ok;
  mig_snapshot_plan now = {0};
  ok = list_all(w, &now, err);
  for (size_t i = 0; ok && i < now.count; i++)
    if (!find_item(plan, now.items[i].name)) ok = changed(w, now.items[i].name, "appeared", err);
  mig_snapshot_plan_clear(&now);
  return ok;
}

bool mig_snapshot_estimate(mig_work *w, const mig_snapshot_want *wants, size_t count, int64_t *documents,
                           int64_t *raw_bytes, mig_error *err) {
  mig_snapshot_plan plan;
  *documents = *raw_bytes = 0;
  if (!mig_snapshot_plan_make(w, false, wants, count, &plan, err)) return false;
  *documents = plan.documents;
  *raw_bytes = plan.raw_bytes;
  mig_snapshot_plan_clear(&plan);
  return true;
}
