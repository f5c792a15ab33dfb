#include "migrations/writes.h"

#include "base/unchanged.h"
#include "migrations/batch.h"

#define MAX_PIECE_BYTES     (8u << 20)
#define MAX_STATEMENT_BYTES ((16u << 20) - (64u << 10)) /* a command is one BSON document */

struct mig_writes {
  mig_work *w;
  const char *what, *collection;
  mig_writes_kind kind;
  bson_t *list; /* array under construction */
  uint32_t count;
  int64_t documents; /* that the statements name */
  bool asked;
  mig_unchanged how;
};

bool mig_writes_new(mig_work *w, const char *what, const char *collection, mig_writes_kind kind, mig_writes **out,
                    mig_error *err) {
  mig_writes *s = *out = mig_alloc(sizeof *s);
  if (!s) return mig_no_memory(err, what);
  s->w = w;
  s->what = what;
  s->collection = collection;
  s->kind = kind;
  s->list = bson_new();
  return true;
}

bool mig_writes_send(mig_writes *s, mig_error *err) {
  bool removes = s->kind == MIG_WRITES_DELETE;
  if (s->count == 0) return true;
  mig_batch_result result = {0, 0};
  bson_t command = BSON_INITIALIZER;
  BSON_APPEND_UTF8(&command, removes ? "delete" : "update", s->collection);
  BSON_APPEND_ARRAY(&command, removes ? "deletes" : "updates", s->list);
  bool ok = mig_checkpoint(s->w, err) && mig_batch_write(s->w, &command, s->documents, &result, err);
  bson_destroy(&command);
  if (ok && result.matched != s->documents) {
    ok = mig_fail(err, MIG_E_FAILED, "%s %s.%s: %lld documents were changed by somebody else meanwhile", s->what,
                  mig_db_name(s->w->db), s->collection, (long long)(s->documents - result.matched));
    mig_hint(err, "stop the writers, or run it again when they are quiet");
  }
  bson_reinit(s->list);
  s->count = 0;
  s->documents = 0;
  return ok;
}

/* Makes room for a statement of that size and opens it with its query. */
static bool open_statement(mig_writes *s, const bson_t *query, uint32_t size, bson_t *one, mig_error *err) {
  char buffer[16];
  const char *key;
  size += query->len + 64;
  if (size > MAX_STATEMENT_BYTES) {
    mig_fail(err, MIG_E_UNSUPPORTED, "%s %s.%s: a document is too large to be changed by this server's means", s->what,
             mig_db_name(s->w->db), s->collection);
    return mig_why(err, "what it was and what it becomes take %u bytes together, more than one command holds", size);
  }
  if (s->count && s->list->len + size > MAX_PIECE_BYTES && !mig_writes_send(s, err)) return false;
  bson_uint32_to_string(s->count, &key, buffer, sizeof buffer);
  BSON_APPEND_DOCUMENT_BEGIN(s->list, key, one);
  BSON_APPEND_DOCUMENT(one, "q", query);
  return true;
}

static bool close_statement(mig_writes *s, bson_t *one, int64_t documents, mig_error *err) {
  bson_append_document_end(s->list, one);
  s->count++;
  s->documents += documents;
  return (s->count < mig_batch_documents(s->w) && s->documents < mig_batch_documents(s->w)) || mig_writes_send(s, err);
}

bool mig_writes_unchanged(mig_writes *s, bson_t *query, const bson_t *before, mig_error *err) {
  if (!s->asked && !mig_unchanged_for(s->w, s->collection, &s->how, err)) return false;
  s->asked = true;
  return mig_unchanged_append(query, before, &s->how) || mig_no_memory(err, s->what);
}

bool mig_writes_add(mig_writes *s, const bson_t *query, const bson_t *update, mig_error *err) {
  bson_t one;
  if (!open_statement(s, query, update->len, &one, err)) return false;
  BSON_APPEND_DOCUMENT(&one, "u", update);
  if (s->kind == MIG_WRITES_UPSERT) BSON_APPEND_BOOL(&one, "upsert", true);
  return close_statement(s, &one, 1, err);
}

bool mig_writes_delete(mig_writes *s, const bson_t *query, int64_t documents, mig_error *err) {
  bson_t one;
  if (!open_statement(s, query, 0, &one, err)) return false;
  BSON_APPEND_INT32(&one, "limit", documents == 1 ? 1 : 0);
  return close_statement(s, &one, documents, err);
}

void mig_writes_free(mig_writes *s) {
  if (!s) return;
  bson_destroy(s->list);
  mig_free(s);
}
