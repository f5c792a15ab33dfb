/* The run of a module's step: its process asks, we do; whatever goes wrong ends the process first. */
#include "migrations/module/serve.h"

#include <string.h>

#include "migrations/module/module.h"
#include "migrations/steps/command_rules.h"

static bool in_list(const mig_step *step, const char *list, const char *collection) {
  bson_t names;
  bson_iter_t it;
  if (!mig_bson_arr(step->args, list, &names) || !bson_iter_init(&it, &names)) return false;
  while (bson_iter_next(&it))
    if (strcmp(bson_iter_utf8(&it, NULL), collection) == 0) return true;
  return false;
}

bool mig_serve_allows(const mig_serving *s, const char *collection, mig_touch touch, mig_error *err) {
  bool writes = in_list(s->step, "writes", collection), indexes = in_list(s->step, "indexes", collection);
  bool read = writes || indexes || in_list(s->step, "reads", collection);
  bool ok = touch == MIG_TOUCH_READ ? read : touch == MIG_TOUCH_METADATA ? writes || indexes : writes;
  if (ok) return true;
  mig_fail(err, MIG_E_FAILED, "module %s: it wants to %s %s.%s, which it has not declared", s->name,
           touch == MIG_TOUCH_READ       ? "read"
           : touch == MIG_TOUCH_METADATA ? "change the indexes of"
                                         : "write to",
           mig_db_name(s->w->db), collection);
  if (indexes && touch == MIG_TOUCH_DOCUMENTS)
    mig_why(err, "it is declared in .indexes, so the snapshot holds no documents of it (a TTL index removes some)");
  else
    mig_why(err, "the snapshot holds what a module declares; anything else could not be put back");
  return mig_hint(err, "add it to .%s in its descriptor",
                  touch == MIG_TOUCH_READ       ? "reads"
                  : touch == MIG_TOUCH_METADATA ? "indexes"
                                                : "writes");
}

bool mig_serve_nonsense(const mig_serving *s, mig_error *err) {
  return mig_fail(err, MIG_E_FAILED, "what module %s sent makes no sense", s->name);
}

typedef struct touch_check {
  const mig_serving *s;
  bool writes;
} touch_check;

static bool allowed(void *arg, const char *collection, mig_touch touch, mig_error *err) {
  const touch_check *c = arg;
  if (c->writes || touch == MIG_TOUCH_READ) return mig_serve_allows(c->s, collection, touch, err);
  mig_fail(err, MIG_E_FAILED, "module %s: a query must not write to %s", c->s->name, collection);
  return mig_hint(err, "use mig_ctx_command for an aggregate with $out or $merge");
}

bool mig_serve_legal(const mig_serving *s, const mig_step *step, mig_error *err) {
  touch_check c = {s, true};
  if (!mig_step_touches(step, allowed, &c, err)) return false;
  if (!mig_db_in_transaction(s->w->db) || mig_step_transactional(step)) return true;
  mig_fail(err, MIG_E_FAILED, "module %s: this is not legal in a transaction: %s", s->name, step->def->name);
  return mig_hint(err, "set .transaction = \"off\" in its descriptor; the run is protected by its snapshot then");
}

bool mig_serve_command(const mig_serving *s, const bson_t *command, bool writes, mig_step *out, mig_error *err) {
  bson_t doc = BSON_INITIALIZER, args, declared;
  bson_iter_t first;
  BSON_APPEND_DOCUMENT_BEGIN(&doc, "command", &args);
  BSON_APPEND_DOCUMENT(&args, "command", command);
  bool known =
      bson_iter_init(&first, command) && bson_iter_next(&first) && mig_command_rule_find(bson_iter_key(&first));
  /* of a command that nobody knows all that the module may write is taken to be changed */
  if (!known && mig_bson_arr(s->step->args, "writes", &declared) && !bson_empty(&declared))
    BSON_APPEND_ARRAY(&args, "collections", &declared);
  bson_append_document_end(&doc, &args);
  bool ok = mig_step_parse(&doc, "", out, err);
  touch_check c = {s, writes};
  if (ok && !mig_step_touches(out, allowed, &c, err)) {
    mig_step_clear(out);
    ok = false;
  }
  bson_destroy(&doc);
  return ok;
}

void mig_serve_close(mig_served_cursor *c) {
  mig_cursor_close(c->cursor);
  mig_free(c->collection);
  bson_destroy(c->batch);
  memset(c, 0, sizeof *c);
}

static mig_service find_service(const char *op) {
  const mig_service_row *const tables[] = {mig_services_read, mig_services_write};
  for (size_t t = 0; t < 2; t++)
    for (const mig_service_row *row = tables[t]; row->op; row++)
      if (strcmp(row->op, op) == 0) return row->serve;
  return NULL;
}

static void tell(const mig_serving *s, const bson_t *request, const char *op) {
  const char *text = "", *level = "info";
  int64_t done = 0, total = 0;
  mig_bson_str(request, "text", &text);
  mig_bson_str(request, "level", &level);
  if (strcmp(op, "log") == 0) {
    mig_say(s->w->observer, strcmp(level, "warning") == 0 ? MIG_WARNING : MIG_INFO, "%s: %s", s->name, text);
  } else {
    mig_bson_str(request, "what", &text);
    mig_bson_int(request, "done", &done);
    mig_bson_int(request, "total", &total);
    mig_progress(s->w->observer, text, (uint64_t)done, (uint64_t)total);
  }
}

static bool answer(mig_serving *s, const bson_t *request, const char *op, mig_error *err) {
  mig_service serve = find_service(op);
  if (!serve) return mig_serve_nonsense(s, err);
  bson_t reply = BSON_INITIALIZER;
  BSON_APPEND_BOOL(&reply, "ok", true);
  bool ok = mig_checkpoint(s->w, err) && serve(s, request, &reply, err) && mig_child_send(s->child, &reply, err);
  bson_destroy(&reply);
  return ok;
}

static bool how_it_ended(const mig_serving *s, const bson_t *last, mig_error *err) {
  bool ok = false;
  const char *what = "no reason was given";
  mig_bson_bool(last, "ok", &ok);
  mig_bson_str(last, "what", &what);
  if (ok) return true;
  mig_fail(err, MIG_E_FAILED, "module %s failed", s->name);
  return mig_why(err, "%s", what);
}

static bool serve_all(mig_serving *s, mig_error *err) {
  for (;;) {
    bson_t *request = NULL;
    const char *op = "";
    if (!mig_child_receive(s->child, &request, err)) return false;
    mig_bson_str(request, "op", &op);
    bool end = strcmp(op, "end") == 0, ok = true;
    if (end)
      ok = how_it_ended(s, request, err);
    else if (strcmp(op, "log") == 0 || strcmp(op, "progress") == 0)
      tell(s, request, op);
    else
      ok = answer(s, request, op, err);
    bson_destroy(request);
    if (end || !ok) return ok;
  }
}

bool mig_module_run(const mig_step *step, mig_work *w, mig_error *err) {
  const char *path = "", *direction = "";
  mig_error local = {0};
  mig_serving s = {.step = step, .w = w, .name = ""};
  mig_child_options options = {.work = w};
  mig_bson_str(step->args, "path", &path);
  mig_bson_str(step->args, "name", &s.name);
  mig_bson_str(step->args, "direction", &direction);
  mig_bson_int(step->args, "silenceMs", &options.silence_ms);
  options.name = s.name;
  options.path = path;
  options.run = direction;
  s.backups = bson_new();
  bool ok = mig_child_start(&options, &s.child, &local) && serve_all(&s, &local);
  mig_child_end(s.child); /* before anything else: from here on nothing is asked for any more */
  for (size_t i = 0; i < MIG_SERVE_CURSORS; i++) mig_serve_close(&s.cursors[i]);
  bson_destroy(s.backups);
  if (!ok && local.code == MIG_E_INPUT) local.code = MIG_E_FAILED; /* a mistake found while running */
  if (!ok && err) *err = local;
  return ok;
}
