/* Any database command, as far as a snapshot can undo what it does. */
#include <string.h>

#include "base/crash.h"
#include "base/names.h"
#include "migrations/steps/command_rules.h"
#include "migrations/steps/common.h"

static const mig_arg args[] = {
    {"command", MIG_ARG_DOCUMENT, true, "the command, its name first: {\"collMod\": \"users\", ...}"},
    {"collections", MIG_ARG_COLLECTIONS, false,
     "collections it changes; required where they cannot be read from the command"},
    {0},
};

static const mig_command_rule *rule_of(const mig_step *step, bson_t *command, bson_iter_t *first) {
  mig_step_doc(step, "command", command);
  return bson_iter_init(first, command) && bson_iter_next(first) ? mig_command_rule_find(bson_iter_key(first)) : NULL;
}

static bool refuse(mig_error *err, const char *name, const char *why) {
  mig_step_refuse(err, "command", "the command \"%.100s\" is refused", name);
  return mig_why(err, "%s", why);
}

/* A collection that the command names: a plain name, not reserved, in this database. */
static bool usable(const bson_iter_t *it, const char *name, mig_error *err) {
  mig_error bad;
  const char *collection = BSON_ITER_HOLDS_UTF8(it) ? bson_iter_utf8(it, NULL) : NULL;
  if (!collection) {
    mig_step_refuse(err, "command", "the command \"%.100s\" does not name its collection as text", name);
    return mig_hint(err, "only collections of the migration's own database, by their plain names");
  }
  if (!mig_name_collection_ok(NULL, collection, &bad))
    return mig_step_refuse(err, "command", "\"%.100s\" cannot be a collection name", collection);
  if (!mig_name_reserved(collection)) return true;
  mig_step_refuse(err, "command", "no migration may touch the collection \"%.100s\"", collection);
  return mig_why(err, "it is the server's or mig's own");
}

/* $out: "c"; $merge: "c", {into: "c", ...}. Finds the name under stage or mapReduce's out; false: there is none. */
static bool target_of(const bson_t *holder, const char *const *paths, bson_iter_t *out) {
  for (; *paths; paths++)
    if (mig_bson_find(holder, *paths, out)) return true;
  return false;
}

typedef bool (*target_fn)(void *arg, const bson_iter_t *name, mig_touch touch, mig_error *err);

static bool each_stage_target(const bson_t *command, target_fn fn, void *arg, mig_error *err) {
  static const char *const merge[] = {"$merge.into", "$merge", NULL};
  bson_t pipeline, stage;
  bson_iter_t it, target;
  if (!mig_bson_arr(command, "pipeline", &pipeline) || !bson_iter_init(&it, &pipeline)) return true;
  while (bson_iter_next(&it)) {
    if (!BSON_ITER_HOLDS_DOCUMENT(&it) || !mig_bson_iter_doc(&it, &stage)) continue;
    if (mig_bson_find(&stage, "$out", &target) && !fn(arg, &target, MIG_TOUCH_DROP, err)) return false;
    if (target_of(&stage, merge, &target) && !fn(arg, &target, MIG_TOUCH_DOCUMENTS, err)) return false;
  }
  return true;
}

static bool each_out_target(const bson_t *command, target_fn fn, void *arg, mig_error *err) {
  static const char *const out[] = {"out.replace", "out.merge", "out.reduce", NULL};
  bson_iter_t it;
  if (mig_bson_find(command, "out.inline", &it)) return true;
  if (mig_bson_find(command, "out.db", &it)) return fn(arg, &it, MIG_TOUCH_READ, err);
  if (target_of(command, out, &it) || mig_bson_find(command, "out", &it)) return fn(arg, &it, MIG_TOUCH_DROP, err);
  return true;
}

/* Every collection that a known command names, the first value included. */
static bool each_target(const mig_step *step, target_fn fn, void *arg, mig_error *err) {
  bson_t command;
  bson_iter_t first;
  const mig_command_rule *rule = rule_of(step, &command, &first);
  if (!rule) return true;
  if (!fn(arg, &first, rule->touch, err)) return false;
  if (mig_command_removes(&command) && !fn(arg, &first, MIG_TOUCH_DOCUMENTS, err)) return false;
  if (rule->kind == MIG_COMMAND_AGGREGATE) return each_stage_target(&command, fn, arg, err);
  if (rule->kind == MIG_COMMAND_MAP_REDUCE) return each_out_target(&command, fn, arg, err);
  return true;
}

static bool check_target(void *arg, const bson_iter_t *name, mig_touch touch, mig_error *err) {
  (void)touch;
  if (strcmp(bson_iter_key(name), "db") == 0) return refuse(err, arg, "it writes to another database");
  return usable(name, arg, err);
}

static bool check(const mig_step *step, mig_error *err) {
  bson_t command;
  bson_iter_t first, it;
  const mig_command_rule *rule = rule_of(step, &command, &first);
  if (bson_empty(&command)) return mig_step_refuse(err, "command", "the command is empty");
  const char *name = bson_iter_key(&first);
  if (bson_iter_init(&it, &command)) {
    while (bson_iter_next(&it)) {
      const char *why = mig_command_refused_key(bson_iter_key(&it));
      if (why) return refuse(err, bson_iter_key(&it), why);
    }
  }
  if (rule && rule->kind == MIG_COMMAND_REFUSED) return refuse(err, name, rule->why);
  if (rule) return each_target(step, check_target, (void *)(uintptr_t)name, err);
  if (bson_has_field(step->args, "collections")) return true;
  mig_step_refuse(err, "command", "nothing tells which collections the command \"%.100s\" changes", name);
  return mig_hint(err, "list them in \"collections\", so that they can be put back");
}

typedef struct toucher {
  mig_touch_fn fn;
  void *arg;
} toucher;

static bool touch_target(void *arg, const bson_iter_t *name, mig_touch touch, mig_error *err) {
  const toucher *t = arg;
  return t->fn(t->arg, bson_iter_utf8(name, NULL), touch, err);
}

static bool touches(const mig_step *step, mig_touch_fn fn, void *arg, mig_error *err) {
  toucher t = {fn, arg};
  bson_t declared;
  bson_iter_t it;
  if (!each_target(step, touch_target, &t, err)) return false;
  mig_step_doc(step, "collections", &declared);
  if (!bson_iter_init(&it, &declared)) return true;
  while (bson_iter_next(&it))
    if (!fn(arg, bson_iter_utf8(&it, NULL), MIG_TOUCH_DROP, err)) return false;
  return true;
}

static bool is_written(void *arg, const bson_iter_t *name, mig_touch touch, mig_error *err) {
  (void)name, (void)err;
  if (touch != MIG_TOUCH_READ) *(bool *)arg = true;
  return true;
}

static bool is_transactional(const mig_step *step) {
  bson_t command;
  bson_iter_t first;
  bool writes = false;
  const mig_command_rule *rule = rule_of(step, &command, &first);
  if (!rule || !rule->transactional) return false;
  if (rule->kind == MIG_COMMAND_AGGREGATE)
    each_target(step, is_written, &writes, NULL); /* $out and $merge are not legal */
  return !writes;
}

/* Sums what the statements of an insert, update or delete would write. */
static bool estimate(const mig_step *step, mig_work *w, int64_t *documents, mig_error *err) {
  bson_t command, list, one, query;
  bson_iter_t first, it;
  const mig_command_rule *rule = rule_of(step, &command, &first);
  *documents = 0;
  if (!rule || !BSON_ITER_HOLDS_UTF8(&first)) return true;
  if (mig_bson_arr(&command, "documents", &list)) *documents = bson_count_keys(&list);
  if (!mig_bson_arr(&command, "updates", &list) && !mig_bson_arr(&command, "deletes", &list)) return true;
  if (!bson_iter_init(&it, &list)) return true;
  while (bson_iter_next(&it)) {
    int64_t n = 0;
    if (!mig_bson_iter_doc(&it, &one) || !mig_bson_doc(&one, "q", &query)) continue;
    if (!mig_db_count(w->db, bson_iter_utf8(&first, NULL), &query, &n, err)) return false;
    *documents += n;
  }
  return true;
}

bool mig_command_run(const mig_step *step, mig_work *w, bson_t *reply, mig_error *err) {
  bson_t command;
  bson_iter_t first;
  mig_error local = {0};
  const mig_command_rule *rule = rule_of(step, &command, &first);
  bool writes = rule == NULL;
  if (rule) each_target(step, is_written, &writes, NULL);
  if (!mig_checkpoint(w, err)) {
    bson_init(reply);
    return false;
  }
  bool ok = mig_step_send(w, writes ? MIG_WRITE : MIG_READ, &command, reply, &local);
  if (!ok && writes && local.server_code == MIG_SERVER_INVALID_OPTIONS && strstr(local.why, "writeConcern")) {
    bson_destroy(reply); /* refused before it ran: this command knows no write concern */
    ok = mig_db_command(w->db, MIG_READ, &command, reply, &local);
  }
  int64_t n = 0;
  if (ok && writes && (mig_bson_int(reply, "nModified", &n) || mig_bson_int(reply, "n", &n)) && n > 0)
    w->counts.documents_written += n;
  if (ok)
    mig_crash_point(MIG_CRASH_STEP_BATCH);
  else if (err)
    *err = local;
  return ok;
}

static bool run(const mig_step *step, mig_work *w, mig_error *err) {
  bson_t reply;
  bool ok = mig_command_run(step, w, &reply, err);
  bson_destroy(&reply);
  return ok;
}

const mig_step_def mig_step_command = {
    .name = "command",
    .help = "runs a database command",
    .args = args,
    .destroys = true,
    .transactional = true,
    .is_transactional = is_transactional,
    .check = check,
    .touches = touches,
    .estimate = estimate,
    .run = run,
    .example =
        "{\"command\": {\"command\": {\"collMod\": \"users\", \"index\": {\"name\": \"seen_1\", \"hidden\": true}}}}",
};
