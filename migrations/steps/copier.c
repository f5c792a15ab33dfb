#include "migrations/steps/copier.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "base/removal.h"

#define MAX_BYTES (8u << 20)
#define SHOWN     5

typedef struct item {
  bson_t *doc, *id; /* id: {"": value} */
  bool there;       /* and equal */
} item;

struct mig_copier {
  mig_work *w;
  const char *what, *to;
  mig_copied_fn copied;
  void *arg;
  item *items;
  size_t count, capacity, bytes;
  int64_t kept;
  /* of one look at the target */
  size_t differ;
  char shown[300];
};

/* The guard keepsDocuments says so before; an earlier step may have made the target since. */
static bool keeps(const mig_copier *c, mig_error *err) {
  mig_removal removal;
  if (!mig_removal_of(c->w->db, c->to, &removal, err)) return false;
  if (removal == MIG_REMOVAL_NONE || (removal == MIG_REMOVAL_TTL && !c->copied)) return true;
  const bool capped = removal == MIG_REMOVAL_CAPPED;
  mig_fail(err, MIG_E_FAILED, "%s: %s.%s %s", c->what, mig_db_name(c->w->db), c->to,
           capped ? "is capped" : "has a TTL index");
  mig_why(err, "the server removes %s documents from it by itself", capped ? "the oldest" : "old");
  return mig_hint(err, capped ? "use a collection that is not capped"
                              : "drop the TTL index before; create it again when you know what it removes");
}

bool mig_copier_new(mig_work *w, const char *what, const char *to, mig_copied_fn copied, void *arg, mig_copier **out,
                    mig_error *err) {
  mig_copier *c = *out = mig_alloc(sizeof *c);
  if (!c) return mig_no_memory(err, what);
  *c = (mig_copier){.w = w, .what = what, .to = to, .copied = copied, .arg = arg};
  c->capacity = mig_batch_documents(w);
  c->items = mig_alloc(c->capacity * sizeof *c->items);
  return c->items ? keeps(c, err) : mig_no_memory(err, what);
}

static void forget(mig_copier *c) {
  for (size_t i = 0; i < c->count; i++) {
    bson_destroy(c->items[i].doc);
    bson_destroy(c->items[i].id);
  }
  c->count = c->bytes = 0;
}

void mig_copier_free(mig_copier *c) {
  if (!c) return;
  if (c->items) forget(c);
  mig_free(c->items);
  mig_free(c);
}

int64_t mig_copier_kept(const mig_copier *c) {
  return c->kept;
}

static int by_id(const void *a, const void *b) {
  const item *x = a, *y = b;
  return bson_compare(x->id, y->id);
}

static bson_t *id_of(const bson_t *doc) {
  bson_iter_t it;
  bson_t *id = bson_new();
  if (bson_iter_init_find(&it, doc, "_id")) bson_append_iter(id, "", 0, &it);
  return id;
}

bool mig_copier_add(mig_copier *c, const bson_t *doc, mig_error *err) {
  static const char *const own[] = {"_id", NULL};
  bson_iter_t it;
  if (!bson_iter_init_find(&it, doc, "_id")) {
    mig_fail(err, MIG_E_FAILED, "%s %s.%s: a document without _id comes out of the pipeline", c->what,
             mig_db_name(c->w->db), c->to);
    return mig_hint(err, "keep _id, or compute one: by it the work can go on where it stopped");
  }
  if (c->count && (c->count == c->capacity || c->bytes + doc->len > MAX_BYTES) && !mig_copier_flush(c, err))
    return false;
  bson_t *copy = bson_new(), *rest = mig_bson_without(doc, own);
  bson_append_iter(copy, "_id", 3, &it);
  bson_concat(copy, rest);
  bson_destroy(rest);
  c->items[c->count++] = (item){copy, id_of(doc), false};
  c->bytes += copy->len;
  return true;
}

/* Sorted; two documents with one _id would be one. */
static bool order(mig_copier *c, mig_error *err) {
  qsort(c->items, c->count, sizeof *c->items, by_id);
  for (size_t i = 1; i < c->count; i++) {
    bson_iter_t it;
    if (bson_compare(c->items[i - 1].id, c->items[i].id) != 0) continue;
    char *shown = bson_iter_init(&it, c->items[i].id) && bson_iter_next(&it) ? mig_bson_value_json(&it, 80) : NULL;
    mig_fail(err, MIG_E_FAILED, "%s %s.%s: two documents with the same _id %s come out of the pipeline", c->what,
             mig_db_name(c->w->db), c->to, shown ? shown : "");
    mig_free(shown);
    return mig_hint(err, "after $unwind give each document an _id of its own, by $set or $replaceWith");
  }
  return true;
}

static void compare(mig_copier *c, const bson_t *have) {
  item wanted = {.id = id_of(have)};
  item *ours = bsearch(&wanted, c->items, c->count, sizeof *c->items, by_id);
  bson_destroy(wanted.id);
  if (ours && mig_bson_same(ours->doc, have)) {
    ours->there = true;
    return;
  }
  bson_iter_t it;
  size_t used = strlen(c->shown);
  if (c->differ++ >= SHOWN || !bson_iter_init_find(&it, have, "_id")) return;
  char *shown = mig_bson_value_json(&it, 50);
  snprintf(c->shown + used, sizeof c->shown - used, "%s%s", used ? ", " : "", shown ? shown : "?");
  mig_free(shown);
}

/* Reads what the target has under these _ids. */
static bool look(mig_copier *c, mig_error *err) {
  mig_cursor *cursor = NULL;
  const bson_t *doc = NULL;
  mig_next next = MIG_NEXT_ERROR;
  bson_t find = BSON_INITIALIZER, filter, in, ids;
  c->differ = 0;
  c->shown[0] = 0;
  BSON_APPEND_UTF8(&find, "find", c->to);
  BSON_APPEND_DOCUMENT_BEGIN(&find, "filter", &filter);
  BSON_APPEND_DOCUMENT_BEGIN(&filter, "_id", &in);
  BSON_APPEND_ARRAY_BEGIN(&in, "$in", &ids);
  for (size_t i = 0; i < c->count; i++) {
    char buffer[16];
    const char *key;
    bson_iter_t it;
    bson_uint32_to_string((uint32_t)i, &key, buffer, sizeof buffer);
    if (bson_iter_init(&it, c->items[i].id) && bson_iter_next(&it)) bson_append_iter(&ids, key, -1, &it);
  }
  bson_append_array_end(&in, &ids);
  bson_append_document_end(&filter, &in);
  bson_append_document_end(&find, &filter);
  bool ok = mig_db_query(c->w->db, &find, &cursor, err);
  while (ok && (next = mig_cursor_next(cursor, &doc, err)) == MIG_NEXT_DOC) compare(c, doc);
  mig_cursor_close(cursor);
  bson_destroy(&find);
  return ok && next == MIG_NEXT_END;
}

static bool refuse_others(const mig_copier *c, mig_error *err) {
  if (c->differ == 0) return true;
  mig_fail(err, MIG_E_FAILED, "%s: %s.%s has %zu documents with the same _id and another content", c->what,
           mig_db_name(c->w->db), c->to, c->differ);
  mig_why(err, "nothing is overwritten; for example _id %s", c->shown);
  return mig_hint(err, "see which of the two is right, and remove or change the other first");
}

static bool insert_missing(mig_copier *c, mig_error *err) {
  const bson_t **docs = mig_alloc(c->count * sizeof *docs);
  size_t n = 0, bytes = 0;
  if (!docs) return mig_no_memory(err, c->what);
  for (size_t i = 0; i < c->count; i++) {
    if (c->items[i].there) continue;
    docs[n++] = c->items[i].doc;
    bytes += c->items[i].doc->len;
  }
  const mig_insert what = {.collection = c->to, .documents = docs, .count = n};
  bool ok = n == 0 || (mig_checkpoint(c->w, err) && mig_db_insert(c->w->db, &what, err));
  if (ok && n) {
    c->w->counts.documents_written += (int64_t)n;
    c->w->counts.bytes_written += (int64_t)bytes;
    mig_crash_point(MIG_CRASH_STEP_BATCH);
  }
  c->kept += (int64_t)(c->count - n);
  mig_free(docs);
  return ok;
}

/* Acknowledged is not yet kept as it was given: look once more, byte for byte, before anybody removes the original. */
static bool hand_over(mig_copier *c, mig_error *err) {
  size_t missing = 0;
  bson_t **docs = mig_alloc(c->count * sizeof *docs);
  if (!docs) return mig_no_memory(err, c->what);
  bool ok = look(c, err) && refuse_others(c, err);
  for (size_t i = 0; ok && i < c->count; i++) {
    docs[i] = c->items[i].doc;
    if (!c->items[i].there) missing++;
  }
  if (ok && missing)
    ok = mig_fail(err, MIG_E_FAILED, "%s: %zu documents that were put into %s.%s are not there", c->what, missing,
                  mig_db_name(c->w->db), c->to);
  ok = ok && c->copied(c->arg, docs, c->count, err);
  mig_free(docs);
  return ok;
}

bool mig_copier_flush(mig_copier *c, mig_error *err) {
  if (c->count == 0) return true;
  bool ok = order(c, err) && look(c, err) && refuse_others(c, err) && insert_missing(c, err);
  for (size_t i = 0; i < c->count; i++) c->items[i].there = false;
  ok = ok && (!c->copied || hand_over(c, err));
  forget(c);
  return ok;
}
