/* /api/snapshots: what is in the store, verify, restore. Ids from requests never become paths: the store's list gives
 * those. */
#include <string.h>

#include "backup/archive_read.h"
#include "backup/store.h"
#include "base/clock.h"
#include "server/api.h"
#include "server/tell.h"

typedef struct listing {
  mig_store_item *items; /* oldest first */
  size_t count;
} listing;

static bool list_store(const mig_server *s, listing *out, mig_error *err) {
  mig_store *store = NULL;
  *out = (listing){0};
  if (!mig_store_exists(s->engine.store)) return true;
  bool ok = mig_store_open(s->engine.store, false, &store, err) && mig_store_list(store, &out->items, &out->count, err);
  mig_store_close(store);
  return ok;
}

static void tell_verified(mig_server *s, const mig_store_item *item, bson_t *row) {
  mig_verified v = mig_jobs_verified(s->jobs, item->id, item->path);
  mig_bson_append_text(row, "verified", !v.known ? NULL : v.good ? "good" : "damaged");
  mig_tell_date(row, "verifiedAt", v.at_unix_ms);
}

static void tell(mig_server *s, const mig_store_item *item, bson_t *row) {
  mig_archive *archive = NULL;
  mig_error unreadable = {0};
  bool readable = mig_archive_open(item->path, &archive, &unreadable);
  const mig_manifest *m = readable ? mig_archive_contents(archive) : NULL;
  bson_t list;
  BSON_APPEND_UTF8(row, "id", item->id);
  mig_tell_date(row, "createdAt", item->created_unix_ms);
  BSON_APPEND_INT64(row, "age", (mig_now_unix_ms() - item->created_unix_ms) / 1000);
  BSON_APPEND_INT64(row, "bytes", (int64_t)item->bytes);
  BSON_APPEND_BOOL(row, "readable", readable);
  BSON_APPEND_BOOL(row, "encrypted", m && m->encryption.used);
  mig_bson_append_text(row, "problem", readable ? NULL : unreadable.what);
  mig_bson_append_text(row, "reason", m ? m->reason : NULL);
  mig_bson_append_text(row, "database", m ? m->database : NULL);
  mig_bson_append_text(row, "migration", m ? m->migration : NULL);
  BSON_APPEND_INT64(row, "documents", m ? (int64_t)m->documents : 0);
  BSON_APPEND_INT64(row, "rawBytes", m ? (int64_t)m->raw_bytes : 0);
  BSON_APPEND_ARRAY_BEGIN(row, "collections", &list);
  for (size_t i = 0; m && i < m->collection_count && i < 1000; i++) {
    char buffer[16];
    const char *key;
    bson_uint32_to_string((uint32_t)i, &key, buffer, sizeof buffer);
    BSON_APPEND_UTF8(&list, key, m->collections[i].name);
  }
  bson_append_array_end(row, &list);
  tell_verified(s, item, row);
  mig_archive_free(archive);
}

bool mig_api_snapshots(mig_request *q, mig_answer *a, mig_error *err) {
  listing l;
  int64_t limit = 0, page = 0, bytes = 0;
  bson_t list;
  if (!mig_api_number(q, "limit", 50, 200, &limit, err) || !mig_api_number(q, "page", 1, 20000, &page, err) ||
      !list_store(q->server, &l, err))
    return false;
  size_t first = (size_t)((page - 1) * limit);
  a->doc = bson_new();
  BSON_APPEND_ARRAY_BEGIN(a->doc, "snapshots", &list);
  for (size_t i = 0; i < (size_t)limit && first + i < l.count; i++) {
    bson_t row = BSON_INITIALIZER;
    tell(q->server, &l.items[l.count - 1 - first - i], &row); /* newest first */
    mig_tell_item(&list, (uint32_t)i, &row);
    bson_destroy(&row);
  }
  bson_append_array_end(a->doc, &list);
  for (size_t i = 0; i < l.count; i++) bytes += (int64_t)l.items[i].bytes;
  BCON_APPEND(a->doc, "total", BCON_INT64((int64_t)l.count), "bytes", BCON_INT64(bytes), "page", BCON_INT64(page),
              "limit", BCON_INT64(limit));
  mig_store_items_free(l.items, l.count);
  return true;
}

/* The whole id, no beginning of one and no path. Free *path with mig_free. */
static bool find(const mig_request *q, char **path, mig_answer *a, mig_error *err) {
  listing l;
  *path = NULL;
  if (!list_store(q->server, &l, err)) return false;
  bool found = false;
  for (size_t i = 0; i < l.count && !found; i++) {
    found = strcmp(l.items[i].id, q->id) == 0;
    if (found) *path = mig_strdup(l.items[i].path);
  }
  mig_store_items_free(l.items, l.count);
  if (found) return *path || mig_no_memory(err, "snapshot");
  return mig_http_fail(a, err, 404, "there is no such snapshot", "no snapshot of the store has this id",
                       "/api/snapshots lists them");
}

bool mig_api_verify(mig_request *q, mig_answer *a, mig_error *err) {
  char *path = NULL;
  if (!find(q, &path, a, err)) return false;
  const mig_order order = {.kind = MIG_JOB_VERIFY, .options = q->body, .snapshot_id = q->id, .snapshot_path = path};
  bool ok = mig_api_accept(q, &order, a, err);
  mig_free(path);
  return ok;
}

bool mig_api_restore(mig_request *q, mig_answer *a, mig_error *err) {
  static const char *const strategies[] = {"delta", "swap", NULL};
  const char *confirm = "";
  char *path = NULL;
  bool dry_run = false;
  mig_bson_str(q->body, "confirm", &confirm);
  mig_bson_bool(q->body, "dryRun", &dry_run);
  if (!mig_api_choice(q, "strategy", strategies, err) || !find(q, &path, a, err)) return false;
  if (!dry_run && strcmp(confirm, q->id) != 0) {
    mig_free(path);
    return mig_http_fail(a, err, 409, "a restore must be confirmed",
                         "it replaces what is in the database, and \"confirm\" is not the id of the snapshot",
                         "send {\"confirm\": \"<id>\"}, or {\"dryRun\": true} to see what would change");
  }
  const mig_order order = {.kind = MIG_JOB_RESTORE, .options = q->body, .snapshot_id = q->id, .snapshot_path = path};
  bool ok = mig_api_accept(q, &order, a, err);
  mig_free(path);
  return ok;
}
