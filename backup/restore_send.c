#include "backup/restore_send.h"

#include <string.h>

/* A command is one document: 16 MiB and 16 KiB of slack, which field names and the command itself need too. */
#define COMMAND_BYTES ((16u << 20) + (8u << 10))

bool mig_send_is_special(const bson_t *doc) {
  bson_iter_t it;
  if (!bson_iter_init(&it, doc)) return false;
  for (bool first = true; bson_iter_next(&it); first = false) {
    uint32_t seconds = 1, increment = 1;
    const char *key = bson_iter_key(&it);
    const bool is_id = strcmp(key, "_id") == 0;
    if (first && !is_id) return true;
    if (BSON_ITER_HOLDS_TIMESTAMP(&it)) bson_iter_timestamp(&it, &seconds, &increment);
    if ((!seconds && !increment && !is_id) || key[0] == '$') return true;
  }
  return false;
}

bool mig_send_fits_update(const mig_send *s, const bson_t *doc, const bson_t *live) {
  mig_doc_id id;
  mig_doc_id_of(doc, &id);
  return doc->len + id.size + (live ? mig_unchanged_bytes(live, &s->how) : 0) + 512 < COMMAND_BYTES;
}

bool mig_send_fits_remove(const mig_send *s, const bson_t *live) {
  mig_doc_id id;
  mig_doc_id_of(live, &id);
  return id.size + mig_unchanged_bytes(live, &s->how) + 512 < COMMAND_BYTES;
}

/* Adds what the command affected to *n. */
static bool send(mig_send *s, const bson_t *command, int64_t *n, mig_error *err) {
  bson_t reply;
  int64_t affected = 0;
  if (!mig_checkpoint(s->w, err)) return false;
  const bool ok = mig_db_command(s->w->db, MIG_WRITE, command, &reply, err);
  if (ok && mig_bson_int(&reply, "n", &affected)) *n += affected;
  bson_destroy(&reply);
  return ok;
}

static bool remove_by_id(mig_send *s, bson_t *const *docs, size_t count, int64_t *n, mig_error *err) {
  bson_t command = BSON_INITIALIZER, deletes, one, q, id, in;
  char buffer[16];
  const char *key = NULL;
  bool ok = true;
  BSON_APPEND_UTF8(&command, "delete", s->collection);
  BSON_APPEND_ARRAY_BEGIN(&command, "deletes", &deletes);
  BSON_APPEND_DOCUMENT_BEGIN(&deletes, "0", &one);
  BSON_APPEND_DOCUMENT_BEGIN(&one, "q", &q);
  BSON_APPEND_DOCUMENT_BEGIN(&q, "_id", &id);
  BSON_APPEND_ARRAY_BEGIN(&id, "$in", &in);
  for (size_t i = 0; ok && i < count; i++) {
    bson_uint32_to_string((uint32_t)i, &key, buffer, sizeof buffer);
    ok = mig_doc_id_append(&in, key, docs[i]);
  }
  bson_append_array_end(&id, &in);
  bson_append_document_end(&q, &id);
  bson_append_document_end(&one, &q);
  BSON_APPEND_INT32(&one, "limit", 0);
  bson_append_document_end(&deletes, &one);
  bson_append_array_end(&command, &deletes);
  ok = ok ? send(s, &command, n, err) : mig_no_memory(err, "a batch of deletes");
  bson_destroy(&command);
  return ok;
}

/* {"_id": {"$eq": ...}, "$expr": it still equals live}; without live just the first. */
static bool append_filter(const mig_send *s, bson_t *to, const bson_t *doc, const bson_t *live) {
  bson_t q;
  return BSON_APPEND_DOCUMENT_BEGIN(to, "q", &q) && mig_doc_id_filter(&q, doc) &&
         (!live || mig_unchanged_append(&q, live, &s->how)) && bson_append_document_end(to, &q);
}

bool mig_send_removes(mig_send *s, bson_t *const *docs, size_t count, bool guarded, mig_error *err) {
  bson_t command = BSON_INITIALIZER, deletes, one;
  char buffer[16];
  const char *key = NULL;
  bool ok = true;
  if (!guarded) return remove_by_id(s, docs, count, &s->removed, err);
  BSON_APPEND_UTF8(&command, "delete", s->collection);
  BSON_APPEND_BOOL(&command, "ordered", false);
  BSON_APPEND_ARRAY_BEGIN(&command, "deletes", &deletes);
  for (size_t i = 0; ok && i < count; i++) {
    bson_uint32_to_string((uint32_t)i, &key, buffer, sizeof buffer);
    ok = BSON_APPEND_DOCUMENT_BEGIN(&deletes, key, &one) && append_filter(s, &one, docs[i], docs[i]) &&
         BSON_APPEND_INT32(&one, "limit", 1) && bson_append_document_end(&deletes, &one);
  }
  ok = ok && bson_append_array_end(&command, &deletes);
  ok = ok ? send(s, &command, &s->removed, err) : mig_no_memory(err, "a batch of deletes");
  bson_destroy(&command);
  return ok;
}

static bool append_literal(bson_t *one, const bson_t *doc) {
  bson_t pipeline, stage, with;
  return BSON_APPEND_ARRAY_BEGIN(one, "u", &pipeline) && BSON_APPEND_DOCUMENT_BEGIN(&pipeline, "0", &stage) &&
         BSON_APPEND_DOCUMENT_BEGIN(&stage, "$replaceWith", &with) && BSON_APPEND_DOCUMENT(&with, "$literal", doc) &&
         bson_append_document_end(&stage, &with) && bson_append_document_end(&pipeline, &stage) &&
         bson_append_array_end(one, &pipeline);
}

static bool append_update(const mig_send *s, bson_t *updates, size_t at, const bson_t *doc, const bson_t *live,
                          bool literal) {
  bson_t one;
  char buffer[16];
  const char *key = NULL;
  bson_uint32_to_string((uint32_t)at, &key, buffer, sizeof buffer);
  return BSON_APPEND_DOCUMENT_BEGIN(updates, key, &one) && append_filter(s, &one, doc, live) &&
         (literal ? append_literal(&one, doc) : BSON_APPEND_DOCUMENT(&one, "u", doc)) &&
         BSON_APPEND_BOOL(&one, "upsert", literal) && bson_append_document_end(updates, &one);
}

/* bypassed: by what was refused. Another thread may have found it out meanwhile. */
static bool without_bypass(atomic_bool *no_bypass, bool bypassed, const mig_error *err) {
  const bool again = bypassed && err->code == MIG_E_SERVER && err->server_code == MIG_SERVER_UNAUTHORIZED;
  if (again) atomic_store(no_bypass, true);
  return again;
}

/* lives NULL: no guard. literal: by pipeline, and upserting. */
static bool update(mig_send *s, bson_t *const *docs, bson_t *const *lives, size_t count, bool literal, int64_t *n,
                   mig_error *err) {
  bson_t command = BSON_INITIALIZER, updates;
  bool ok = true;
  const bool bypass = !atomic_load(&s->no_bypass);
  BSON_APPEND_UTF8(&command, "update", s->collection);
  BSON_APPEND_BOOL(&command, "ordered", false);
  if (bypass) BSON_APPEND_BOOL(&command, "bypassDocumentValidation", true);
  BSON_APPEND_ARRAY_BEGIN(&command, "updates", &updates);
  for (size_t i = 0; ok && i < count; i++)
    ok = append_update(s, &updates, i, docs[i], lives ? lives[i] : NULL, literal);
  ok = ok && bson_append_array_end(&command, &updates);
  ok = ok ? send(s, &command, n, err) : mig_no_memory(err, "a batch of updates");
  bson_destroy(&command);
  return ok || (without_bypass(&s->no_bypass, bypass, err) && update(s, docs, lives, count, literal, n, err));
}

bool mig_send_replacements(mig_send *s, bson_t *const *docs, bson_t *const *lives, size_t count, mig_error *err) {
  return update(s, docs, lives, count, false, &s->written, err);
}

bool mig_send_batch(mig_db *db, const mig_insert *batch, atomic_bool *no_bypass, mig_error *err) {
  mig_insert what = *batch;
  what.bypass_validation = !atomic_load(no_bypass);
  if (mig_db_insert(db, &what, err)) return true;
  if (!without_bypass(no_bypass, what.bypass_validation, err)) return false;
  what.bypass_validation = false;
  return mig_db_insert(db, &what, err);
}

bool mig_send_inserts(mig_send *s, bson_t *const *docs, size_t count, mig_error *err) {
  const mig_insert what = {.collection = s->collection, .documents = (const bson_t *const *)docs, .count = count};
  if (!mig_checkpoint(s->w, err) || !mig_send_batch(s->w->db, &what, &s->no_bypass, err)) return false;
  s->written += (int64_t)count;
  return true;
}

static bool is_there(mig_send *s, const bson_t *doc, bool *any, bool *same, mig_error *err) {
  bson_t command = BSON_INITIALIZER, filter, live;
  BSON_APPEND_UTF8(&command, "find", s->collection);
  BSON_APPEND_DOCUMENT_BEGIN(&command, "filter", &filter);
  bool ok = mig_doc_id_filter(&filter, doc) && bson_append_document_end(&command, &filter);
  ok = ok ? mig_db_first(s->w->db, &command, &live, any, err)
          : mig_fail(err, MIG_E_ARCHIVE, "a document without an _id");
  *same = ok && *any && mig_bson_same(&live, doc);
  if (ok) bson_destroy(&live);
  bson_destroy(&command);
  return ok;
}

bool mig_send_insert_again(mig_send *s, bson_t *doc, mig_error *err) {
  mig_error refusal;
  bool any = false, same = false;
  if (mig_send_inserts(s, &doc, 1, &refusal)) return true;
  if (refusal.code == MIG_E_SERVER && !is_there(s, doc, &any, &same, err)) return false;
  if (!same) *err = refusal;
  return same;
}

/* In a capped collection nothing can be deleted, so nothing is that is not there. */
static bool put(mig_send *s, bson_t *doc, bool literal, bool there, mig_error *err) {
  const int64_t written = s->written;
  int64_t n = 0;
  if (literal) return update(s, &doc, NULL, 1, true, &n, err);
  const bool ok = (!there || remove_by_id(s, &doc, 1, &n, err)) && mig_send_inserts(s, &doc, 1, err);
  s->written = written;
  return ok;
}

bool mig_send_special(mig_send *s, bson_t *doc, mig_error *err) {
  mig_error first = {0};
  bool there = false, same = false;
  if (!is_there(s, doc, &there, &same, err)) return false;
  if (there && !same) return mig_fail(err, MIG_E_SERVER, "another document has its _id");
  for (int attempt = 0; attempt < 2 && !same; attempt++) {
    const bool literal = s->literal_first != (attempt == 1);
    if (literal && !(mig_send_fits_update(s, doc, NULL) && mig_caps_has(s->w->caps, MIG_CAP_UPDATE_PIPELINE))) continue;
    if (!put(s, doc, literal, there, err)) {
      if (err->code != MIG_E_SERVER) return false;
      if (!first.code) first = *err;
    }
    if (!is_there(s, doc, &there, &same, err)) return false;
    if (same) s->literal_first = literal;
  }
  s->written += there;
  if (same || !first.code) return true; /* stored otherwise: the compare pass names it */
  *err = first;
  return false;
}
