/* Services that write: steps, commands, documents rewritten by the module's own code, copies of a collection. */
#include <string.h>

#include "migrations/batch.h"
#include "migrations/implied.h"
#include "migrations/module/serve.h"
#include "migrations/module/services.h"
#include "migrations/steps/command_rules.h"
#include "migrations/writes.h"

static bool run_guards(mig_serving *s, const mig_step *step, mig_error *err) {
  bson_t guards = BSON_INITIALIZER;
  const mig_services *services = s->w->services;
  bool ok = mig_step_guards(step, &guards, err) &&
            (bson_empty(&guards) || (services && services->guards(services->arg, &guards, err)));
  bson_destroy(&guards);
  return ok;
}

static bool serve_step(mig_serving *s, const bson_t *request, bson_t *reply, mig_error *err) {
  bson_t doc;
  mig_step step = {0};
  (void)reply;
  if (!mig_bson_doc(request, "step", &doc)) return mig_serve_nonsense(s, err);
  if (!mig_step_parse(&doc, "", &step, err)) return mig_fail_at(err, "module %s", s->name);
  bool ok = mig_serve_legal(s, &step, err) && run_guards(s, &step, err) && step.def->run(&step, s->w, err);
  if (!ok && err && err->code != MIG_E_LEASE && err->code != MIG_E_INTERRUPTED)
    mig_fail_at(err, "module %s, %s", s->name, step.def->name);
  mig_step_clear(&step);
  return ok;
}

static bool serve_command(mig_serving *s, const bson_t *request, bson_t *reply, mig_error *err) {
  bson_t command, answer;
  mig_step step = {0};
  int64_t more = 0;
  if (!mig_bson_doc(request, "command", &command)) return mig_serve_nonsense(s, err);
  if (!mig_serve_command(s, &command, true, &step, err)) return false;
  bool ok = mig_serve_legal(s, &step, err);
  if (ok) {
    ok = mig_command_run(&step, s->w, &answer, err);
    if (ok) BSON_APPEND_DOCUMENT(reply, "reply", &answer);
    /* the rest of a query's answer would be missed without a word */
    if (ok && mig_bson_int(&answer, "cursor.id", &more) && more != 0) {
      ok = mig_fail(err, MIG_E_FAILED, "module %s: a command's answer is longer than one reply", s->name);
      mig_hint(err, "use mig_ctx_query or mig_ctx_find");
    }
    bson_destroy(&answer);
  }
  mig_step_clear(&step);
  return ok;
}

/* ---- documents rewritten by the module ---- */

typedef struct rewrite {
  mig_serving *s;
  const mig_served_cursor *cursor;
  mig_writes *out;
  bson_t *removals; /* array */
  uint32_t removed;
} rewrite;

static bool rewrite_one(rewrite *r, const bson_t *change, mig_error *err) {
  int64_t index = -1;
  bson_t before, after, one;
  bson_iter_t id;
  char key[24];
  mig_work *w = r->s->w;
  if (!mig_bson_int(change, "i", &index)) return mig_serve_nonsense(r->s, err);
  bson_snprintf(key, sizeof key, "%lld", (long long)index);
  if (!mig_bson_doc(r->cursor->batch, key, &before) || !bson_iter_init_find(&id, &before, "_id"))
    return mig_serve_nonsense(r->s, err);
  bool keep = mig_bson_doc(change, "new", &after);
  if (keep && mig_bson_same(&before, &after)) return true;
  if (keep && !mig_bson_same_id(&before, &after)) {
    mig_fail(err, MIG_E_FAILED, "module %s: a transform changed the _id of a document of %s", r->s->name,
             r->cursor->collection);
    return mig_hint(err, "keep it; to give a document another _id insert the new one and remove the old");
  }
  bson_t q = BSON_INITIALIZER;
  bson_append_iter(&q, "_id", 3, &id);
  bool ok = mig_writes_unchanged(r->out, &q, &before, err);
  if (ok && keep) {
    ok = mig_writes_add(r->out, &q, &after, err);
    w->counts.bytes_written += after.len;
  } else if (ok) {
    char buffer[16];
    const char *number;
    bson_uint32_to_string(r->removed++, &number, buffer, sizeof buffer);
    BSON_APPEND_DOCUMENT_BEGIN(r->removals, number, &one);
    BSON_APPEND_DOCUMENT(&one, "q", &q);
    BSON_APPEND_INT32(&one, "limit", 1);
    bson_append_document_end(r->removals, &one);
  }
  bson_destroy(&q);
  return ok;
}

static bool send_removals(rewrite *r, mig_error *err) {
  mig_batch_result result = {0, 0};
  if (r->removed == 0) return true;
  bson_t command = BSON_INITIALIZER;
  BSON_APPEND_UTF8(&command, "delete", r->cursor->collection);
  BSON_APPEND_ARRAY(&command, "deletes", r->removals);
  bool ok = mig_checkpoint(r->s->w, err) && mig_batch_write(r->s->w, &command, r->removed, &result, err);
  bson_destroy(&command);
  if (!ok || result.matched == r->removed) return ok;
  mig_fail(err, MIG_E_FAILED, "module %s: documents of %s were changed by somebody else meanwhile", r->s->name,
           r->cursor->collection);
  return mig_hint(err, "stop the writers, or run it again when they are quiet");
}

static bool serve_rewrite(mig_serving *s, const bson_t *request, bson_t *reply, mig_error *err) {
  int64_t i = -1;
  bson_t changes, change;
  bson_iter_t it;
  (void)reply;
  if (!mig_bson_int(request, "cursor", &i) || i < 0 || i >= MIG_SERVE_CURSORS || !s->cursors[i].batch ||
      !s->cursors[i].collection || !mig_bson_arr(request, "changes", &changes) || !bson_iter_init(&it, &changes))
    return mig_serve_nonsense(s, err);
  rewrite r = {.s = s, .cursor = &s->cursors[i]};
  if (!mig_serve_allows(s, r.cursor->collection, MIG_TOUCH_DOCUMENTS, err)) return false;
  r.removals = bson_new();
  bool ok = mig_writes_new(s->w, s->name, r.cursor->collection, false, &r.out, err);
  while (ok && bson_iter_next(&it))
    ok = mig_bson_iter_doc(&it, &change) ? rewrite_one(&r, &change, err) : mig_serve_nonsense(s, err);
  ok = ok && mig_writes_send(r.out, err) && send_removals(&r, err);
  mig_writes_free(r.out);
  bson_destroy(r.removals);
  mig_progress(s->w->observer, s->name, (uint64_t)s->w->counts.documents_read, 0);
  return ok;
}

/* ---- copies of one collection ---- */

static bool outside_transaction(const mig_serving *s, mig_error *err) {
  if (!mig_db_in_transaction(s->w->db) && s->w->services) return true;
  mig_fail(err, MIG_E_FAILED, "module %s: a collection cannot be backed up or restored in a transaction", s->name);
  return mig_hint(err, "set .transaction = \"off\" in its descriptor");
}

static bool serve_backup(mig_serving *s, const bson_t *request, bson_t *reply, mig_error *err) {
  const char *collection = NULL;
  char id[300];
  if (!mig_bson_str(request, "collection", &collection)) return mig_serve_nonsense(s, err);
  if (!outside_transaction(s, err) || !mig_serve_allows(s, collection, MIG_TOUCH_READ, err) ||
      !s->w->services->backup(s->w->services->arg, s->name, collection, id, sizeof id, err))
    return false;
  BSON_APPEND_UTF8(s->backups, id, collection);
  BSON_APPEND_UTF8(reply, "id", id);
  return true;
}

static bool own_backup(const mig_serving *s, const bson_t *request, const char **id, const char **collection,
                       mig_error *err) {
  bson_iter_t it;
  if (!mig_bson_str(request, "id", id)) return mig_serve_nonsense(s, err);
  if (!bson_iter_init_find(&it, s->backups, *id))
    return mig_fail(err, MIG_E_FAILED, "module %s: \"%.100s\" is no backup of this run", s->name, *id);
  *collection = bson_iter_utf8(&it, NULL);
  return outside_transaction(s, err);
}

static bool serve_restore(mig_serving *s, const bson_t *request, bson_t *reply, mig_error *err) {
  const char *id = NULL, *collection = NULL;
  (void)reply;
  return own_backup(s, request, &id, &collection, err) && mig_serve_allows(s, collection, MIG_TOUCH_DROP, err) &&
         s->w->services->restore(s->w->services->arg, id, err);
}

static bool serve_drop(mig_serving *s, const bson_t *request, bson_t *reply, mig_error *err) {
  const char *id = NULL, *collection = NULL;
  (void)reply;
  if (!own_backup(s, request, &id, &collection, err) || !s->w->services->drop(s->w->services->arg, id, err))
    return false;
  bson_t *left = mig_bson_without(s->backups, (const char *const[]){id, NULL});
  bson_destroy(s->backups);
  s->backups = left;
  return true;
}

const mig_service_row mig_services_write[] = {{"step", serve_step},
                                              {"command", serve_command},
                                              {"rewrite", serve_rewrite},
                                              {"backup", serve_backup},
                                              {"restore", serve_restore},
                                              {"drop", serve_drop},
                                              {0}};
