#include "migrations/writes.h"

#include "migrations/batch.h"

#define MAX_PIECE_BYTES     (8u << 20)
#define MAX_STATEMENT_BYTES ((16u << 20) - (64u << 10)) /* a command is one BSON document */

struct mig_writes {
  mig_work *w;
  const char *what, *collection;
  bool upsert;
  bson_t *list; /* array under construction */
  uint32_t count;
};

bool mig_writes_new(mig_work *w, const char *what, const char *collection, bool upsert, mig_writes **out,
                    mig_error *err) {
  mig_writes *s = *out = mig_alloc(sizeof *s);
  if (!s) return mig_no_memory(err, what);
  s->w = w;
  s->what = what;
  s->collection = collection;
  s->upsert = upsert;
  s->list = bson_new();
  return true;
}

bool mig_writes_send(mig_writes *s, mig_error *err) {
  if (s->count == 0) return true;
  mig_batch_result result = {0, 0};
  bson_t command = BSON_INITIALIZER;
  BSON_APPEND_UTF8(&command, "update", s->collection);
  BSON_APPEND_ARRAY(&command, "updates", s->list);
  bool ok = mig_checkpoint(s->w, err) && mig_batch_write(s->w, &command, s->count, &result, err);
  bson_destroy(&command);
  if (ok && result.matched != s->count) {
    ok = mig_fail(err, MIG_E_FAILED, "%s %s.%s: %lld documents were changed by somebody else meanwhile", s->what,
                  mig_db_name(s->w->db), s->collection, (long long)(s->count - result.matched));
    mig_hint(err, "stop the writers, or run it again when they are quiet");
  }
  bson_reinit(s->list);
  s->count = 0;
  return ok;
}

bool mig_writes_add(mig_writes *s, const bson_t *query, const bson_t *update, mig_error *err) {
  uint32_t size = query->len + update->len + 64;
  if (size > MAX_STATEMENT_BYTES) {
    mig_fail(err, MIG_E_UNSUPPORTED, "%s %s.%s: a document is too large to be changed by this server's means", s->what,
             mig_db_name(s->w->db), s->collection);
    return mig_why(err, "its old and new state together take %u bytes, more than one command holds", size);
  }
  if (s->count && s->list->len + size > MAX_PIECE_BYTES && !mig_writes_send(s, err)) return false;
  char buffer[16];
  const char *key;
  bson_t one;
  bson_uint32_to_string(s->count++, &key, buffer, sizeof buffer);
  BSON_APPEND_DOCUMENT_BEGIN(s->list, key, &one);
  BSON_APPEND_DOCUMENT(&one, "q", query);
  BSON_APPEND_DOCUMENT(&one, "u", update);
  if (s->upsert) BSON_APPEND_BOOL(&one, "upsert", true);
  bson_append_document_end(s->list, &one);
  return s->count < mig_batch_documents(s->w) || mig_writes_send(s, err);
}

void mig_writes_free(mig_writes *s) {
  if (!s) return;
  bson_destroy(s->list);
  mig_free(s);
}
