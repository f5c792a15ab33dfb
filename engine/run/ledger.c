/* Reading and preparing the ledger; the writes of a run are in journal.c. */
#include "run/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "base/names.h"

#define LEDGER_BATCH 10000 /* entries that one round trip may bring; a reply ends at 16 MiB anyway */

static const char *const statuses[] = {"pending", "running", "applied", "failed", "reverted"};
static const char *const phases[] = {"guards", "snapshot", "steps", "restoring", "done"};
static const char *const directions[] = {"up", "down"};

const char *mig_status_name(mig_status s) {
  return statuses[s];
}

const char *mig_phase_name(mig_phase p) {
  return phases[p];
}

const char *mig_direction_name(mig_direction d) {
  return directions[d];
}

static bool pick(const bson_t *doc, const char *path, const char *const *names, int count, int *out) {
  const char *text = NULL;
  if (!mig_bson_str(doc, path, &text)) return false;
  for (int i = 0; i < count; i++) {
    if (strcmp(text, names[i]) != 0) continue;
    *out = i;
    return true;
  }
  return false;
}

static bool copy_text(const bson_t *doc, const char *path, char **out) {
  const char *text = NULL;
  *out = NULL;
  return !mig_bson_str(doc, path, &text) || (*out = mig_strdup(text)) != NULL;
}

static void clear_ref(mig_snapshot_ref *r) {
  mig_free(r->id);
  mig_free(r->path);
  mig_free(r->sha256);
}

static bool read_ref(const bson_t *doc, const char *path, mig_snapshot_ref *out) {
  bson_t ref;
  memset(out, 0, sizeof *out);
  if (!mig_bson_doc(doc, path, &ref)) return true;
  mig_bson_int(&ref, "bytes", &out->bytes);
  return copy_text(&ref, "id", &out->id) && copy_text(&ref, "path", &out->path) &&
         copy_text(&ref, "sha256", &out->sha256);
}

static void clear_entry(mig_entry *e) {
  mig_free(e->name);
  mig_free(e->version);
  mig_free(e->checksum);
  mig_free(e->description);
  mig_free(e->error);
  mig_free(e->applied_by);
  mig_free(e->reverted_by);
  mig_free(e->run.id);
  mig_free(e->run.host);
  clear_ref(&e->run.snapshot);
  clear_ref(&e->snapshot);
}

void mig_entry_free(mig_entry *e) {
  if (!e) return;
  clear_entry(e);
  mig_free(e);
}

static bool read_entry(const bson_t *doc, mig_entry *e, mig_error *err) {
  int status = 0, phase = MIG_PHASE_DONE, direction = 0, was = 0;
  memset(e, 0, sizeof *e);
  bool ok = copy_text(doc, "name", &e->name) && copy_text(doc, "version", &e->version) &&
            copy_text(doc, "checksum", &e->checksum) && copy_text(doc, "description", &e->description) &&
            copy_text(doc, "error", &e->error) && copy_text(doc, "appliedBy", &e->applied_by) &&
            copy_text(doc, "revertedBy", &e->reverted_by) && copy_text(doc, "run.id", &e->run.id) &&
            copy_text(doc, "run.host", &e->run.host) && read_ref(doc, "run.snapshot", &e->run.snapshot) &&
            read_ref(doc, "snapshot", &e->snapshot);
  if (!ok) return mig_no_memory(err, "ledger");
  if (!e->name || !pick(doc, "status", statuses, 5, &status)) {
    mig_fail(err, MIG_E_SERVER, "a document of %s has no name or no known status (\"%.80s\")", MIG_LEDGER,
             e->name ? e->name : "");
    return mig_hint(err, "was it written by another tool? `mig mark` can set the state of a migration");
  }
  e->status = (mig_status)status;
  bool phased = pick(doc, "run.phase", phases, 5, &phase);
  pick(doc, "run.direction", directions, 2, &direction);
  pick(doc, "run.was", statuses, 5, &was);
  if (e->status == MIG_STATUS_RUNNING && (!phased || !e->run.id))
    return mig_fail(err, MIG_E_SERVER, "the ledger says that %.80s is running, but its journal cannot be read",
                    e->name);
  e->run.phase = (mig_phase)phase;
  e->run.direction = (mig_direction)direction;
  e->run.was = (mig_status)was;
  mig_bson_bool(doc, "run.transaction", &e->run.transaction);
  mig_bson_int(doc, "run.fence", &e->run.fence);
  mig_bson_int(doc, "run.pid", &e->run.pid);
  mig_bson_date(doc, "run.startedAt", &e->run.started_unix_ms);
  mig_bson_bool(doc, "reversible", &e->reversible);
  mig_bson_bool(doc, "restored", &e->restored);
  mig_bson_date(doc, "appliedAt", &e->applied_unix_ms);
  mig_bson_date(doc, "revertedAt", &e->reverted_unix_ms);
  mig_bson_date(doc, "updatedAt", &e->updated_unix_ms);
  mig_bson_int(doc, "duration", &e->duration_ms);
  mig_bson_int(doc, "batch", &e->batch);
  return true;
}

bool mig_entry_read(const bson_t *doc, mig_entry **out, mig_error *err) {
  mig_entry *e = mig_alloc(sizeof *e);
  const bool ok = e ? read_entry(doc, e, err) : mig_no_memory(err, "ledger");
  *out = ok ? e : NULL;
  if (!ok) mig_entry_free(e);
  return ok;
}

void mig_ledger_free(mig_ledger *l) {
  if (!l) return;
  for (size_t i = 0; i < l->count; i++) clear_entry(&l->items[i]);
  mig_free(l->items);
  mig_free(l);
}

bool mig_ledger_load(mig_db *db, mig_ledger **out, mig_error *err) {
  mig_cursor *c = NULL;
  const bson_t *doc = NULL;
  size_t room = 0;
  *out = NULL;
  mig_ledger *l = mig_alloc(sizeof *l);
  if (!l) return mig_no_memory(err, "ledger");
  bson_t *find = BCON_NEW("find", BCON_UTF8(MIG_LEDGER), "sort", "{", "name", BCON_INT32(1), "}", "batchSize",
                          BCON_INT32(LEDGER_BATCH));
  bool ok = mig_db_query(db, find, &c, err);
  mig_next next = MIG_NEXT_END;
  while (ok && (next = mig_cursor_next(c, &doc, err)) == MIG_NEXT_DOC) {
    if (l->count == room) {
      room = room ? room * 2 : 32;
      mig_entry *grown = mig_realloc(l->items, room * sizeof *grown);
      if (!grown) {
        ok = mig_no_memory(err, "ledger");
        break;
      }
      l->items = grown;
    }
    ok = read_entry(doc, &l->items[l->count++], err);
  }
  mig_cursor_close(c);
  bson_destroy(find);
  l->by_bytes = true;
  for (size_t i = 1; ok && i < l->count; i++)
    if (strcmp(l->items[i - 1].name, l->items[i].name) >= 0) l->by_bytes = false;
  if (ok && next == MIG_NEXT_END)
    *out = l;
  else
    mig_ledger_free(l);
  return *out != NULL;
}

int64_t mig_ledger_next_batch(const mig_ledger *l) {
  int64_t last = 0;
  for (size_t i = 0; i < l->count; i++)
    if (l->items[i].batch > last) last = l->items[i].batch;
  return last + 1;
}

bool mig_ledger_last_fence(mig_db *db, int64_t *fence, mig_error *err) {
  bson_t doc;
  bool found = false;
  *fence = 0;
  bson_t *find = BCON_NEW("find", BCON_UTF8(MIG_LEDGER), "projection", "{", "run.fence", BCON_INT32(1), "}", "sort",
                          "{", "run.fence", BCON_INT32(-1), "}", "limit", BCON_INT32(1));
  bool ok = mig_db_first(db, find, &doc, &found, err);
  if (ok && found) mig_bson_int(&doc, "run.fence", fence);
  bson_destroy(&doc);
  bson_destroy(find);
  return ok;
}

static int by_entry_name(const void *name, const void *entry) {
  return strcmp(name, ((const mig_entry *)entry)->name);
}

const mig_entry *mig_ledger_find(const mig_ledger *l, const char *name) {
  if (l->by_bytes && l->count) return bsearch(name, l->items, l->count, sizeof *l->items, by_entry_name);
  for (size_t i = 0; i < l->count; i++)
    if (strcmp(l->items[i].name, name) == 0) return &l->items[i];
  return NULL;
}

bool mig_ledger_read(mig_db *db, const char *name, mig_entry **out, mig_error *err) {
  bson_t reply, view, doc;
  *out = NULL;
  bson_t *find = BCON_NEW("find", BCON_UTF8(MIG_LEDGER), "filter", "{", "name", BCON_UTF8(name), "}", "limit",
                          BCON_INT32(1), "readConcern", "{", "level", BCON_UTF8("majority"), "}");
  bool ok = mig_db_command_outside(db, MIG_READ, find, &reply, err);
  if (!ok && err && !mig_db_passing(err)) { /* a server without majority reads has one copy only */
    bson_destroy(&reply);
    bson_t *plain = mig_bson_without(find, (const char *const[]){"readConcern", NULL});
    ok = mig_db_command_outside(db, MIG_READ, plain, &reply, err);
    bson_destroy(plain);
  }
  if (ok && mig_bson_arr(&reply, "cursor.firstBatch", &view) && mig_bson_doc(&view, "0", &doc)) {
    ok = mig_entry_read(&doc, out, err);
  }
  bson_destroy(&reply);
  bson_destroy(find);
  return ok;
}

/* Index builds are slow on some servers: ask for those that are missing only. */
static bool need_indexes(mig_db *db, const char *collection, const bson_t *wanted, mig_error *err) {
  bson_t there, missing = BSON_INITIALIZER;
  bson_iter_t it;
  uint32_t n = 0;
  bool ok = mig_db_indexes(db, collection, &there, err) && bson_iter_init(&it, wanted);
  while (ok && bson_iter_next(&it)) {
    bson_t index, each;
    const char *name = "", *other = NULL;
    bool found = false;
    bson_iter_t have;
    if (!mig_bson_iter_doc(&it, &index) || !mig_bson_str(&index, "name", &name) || !bson_iter_init(&have, &there))
      continue;
    while (!found && bson_iter_next(&have))
      found = mig_bson_iter_doc(&have, &each) && mig_bson_str(&each, "name", &other) && strcmp(name, other) == 0;
    if (found) continue;
    char buffer[16];
    const char *key;
    bson_uint32_to_string(n++, &key, buffer, sizeof buffer);
    BSON_APPEND_DOCUMENT(&missing, key, &index);
  }
  if (ok && n > 0) {
    bson_t *command = BCON_NEW("createIndexes", BCON_UTF8(collection), "indexes", BCON_ARRAY(&missing));
    ok = mig_db_command_outside(db, MIG_WRITE, command, NULL, err);
    bson_destroy(command);
  }
  bson_destroy(&there);
  bson_destroy(&missing);
  return ok;
}

static void add_index(bson_t *list, const char *key, const char *name, const char *a, const char *b, bool unique,
                      bool ttl) {
  bson_t index, fields;
  BSON_APPEND_DOCUMENT_BEGIN(list, key, &index);
  BSON_APPEND_DOCUMENT_BEGIN(&index, "key", &fields);
  BSON_APPEND_INT32(&fields, a, 1);
  if (b) BSON_APPEND_INT32(&fields, b, 1);
  bson_append_document_end(&index, &fields);
  BSON_APPEND_UTF8(&index, "name", name);
  if (unique) BSON_APPEND_BOOL(&index, "unique", true);
  if (ttl) BSON_APPEND_INT32(&index, "expireAfterSeconds", 0);
  bson_append_document_end(list, &index);
}

bool mig_ledger_prepare(mig_db *db, mig_error *err) {
  bson_t ledger = BSON_INITIALIZER, events = BSON_INITIALIZER, locks = BSON_INITIALIZER;
  add_index(&ledger, "0", "name_1", "name", NULL, true, false);
  add_index(&ledger, "1", "status_1_appliedAt_1", "status", "appliedAt", false, false);
  add_index(&ledger, "2", "version_1", "version", NULL, false, false);
  add_index(&ledger, "3", "checksum_1", "checksum", NULL, false, false);
  add_index(&events, "0", "name_1_startedAt_1", "name", "startedAt", false, false);
  add_index(&locks, "0", "expiresAt_1", "expiresAt", NULL, false, true);
  bool ok = need_indexes(db, MIG_LEDGER, &ledger, err) && need_indexes(db, MIG_EVENTS, &events, err) &&
            need_indexes(db, MIG_LOCKS, &locks, err);
  bson_destroy(&ledger);
  bson_destroy(&events);
  bson_destroy(&locks);
  return ok || mig_fail_at(err, "cannot prepare the ledger");
}
