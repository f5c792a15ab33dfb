#include "migrations/module/module.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/names.h"
#include "migrations/module/cache.h"
#include "migrations/module/child.h"

#define MAX_SOURCE  ((size_t)64 << 20)
#define DESCRIBE_MS 30000 /* to be loaded and described */

static bool ends_with(const char *path, const char *end) {
  size_t n = strlen(path), m = strlen(end);
  return n > m && strcmp(path + n - m, end) == 0;
}

bool mig_module_is(const char *path) {
  return ends_with(path, ".c") || ends_with(path, ".so");
}

/* ---- the step ---- */

static bool each_of(const mig_step *step, const char *list, mig_touch touch, mig_touch_fn fn, void *arg,
                    mig_error *err) {
  bson_t names;
  bson_iter_t it;
  if (!mig_bson_arr(step->args, list, &names) || !bson_iter_init(&it, &names)) return true;
  while (bson_iter_next(&it))
    if (!fn(arg, bson_iter_utf8(&it, NULL), touch, err)) return false;
  return true;
}

static bool touches(const mig_step *step, mig_touch_fn fn, void *arg, mig_error *err) {
  return each_of(step, "writes", MIG_TOUCH_DROP, fn, arg, err) &&
         each_of(step, "indexes", MIG_TOUCH_METADATA, fn, arg, err) &&
         each_of(step, "reads", MIG_TOUCH_READ, fn, arg, err);
}

static bool is_transactional(const mig_step *step) {
  bson_t indexes;
  return !mig_bson_arr(step->args, "indexes", &indexes) || bson_empty(&indexes);
}

/* It may write any document of what it declares. */
static bool estimate(const mig_step *step, mig_work *w, int64_t *documents, mig_error *err) {
  bson_t names;
  bson_iter_t it;
  *documents = 0;
  if (!mig_bson_arr(step->args, "writes", &names) || !bson_iter_init(&it, &names)) return true;
  while (bson_iter_next(&it)) {
    int64_t n = 0, bytes = 0;
    if (!mig_db_stats(w->db, bson_iter_utf8(&it, NULL), &n, &bytes, err)) return false;
    *documents += n;
  }
  return true;
}

const mig_step_def mig_step_module = {
    .name = "module",
    .help = "runs a C module",
    .destroys = true,
    .transactional = true,
    .is_transactional = is_transactional,
    .touches = touches,
    .estimate = estimate,
    .run = mig_module_run,
};

/* ---- loading ---- */

static bool refuse(const mig_migration *m, mig_error *err, const char *why) {
  mig_fail(err, MIG_E_INPUT, "%s: this module cannot be used", m->path);
  return mig_why(err, "%s", why);
}

static bool take_text(const bson_t *doc, const char *key, char **out, mig_error *err) {
  const char *text = NULL;
  if (!mig_bson_str(doc, key, &text)) return true;
  *out = mig_strdup(text);
  return *out || mig_no_memory(err, key);
}

static bool take_choice(const mig_migration *m, const bson_t *doc, const char *key, const char *const *names,
                        unsigned *out, mig_error *err) {
  const char *text = NULL;
  if (!mig_bson_str(doc, key, &text)) return true;
  for (*out = 0; names[*out]; (*out)++)
    if (strcmp(text, names[*out]) == 0) return true;
  refuse(m, err, "");
  mig_why(err, "its %s is \"%.40s\"", key, text);
  return mig_hint(err, "it is one of \"%s\", \"%s\", \"%s\"", names[0], names[1], names[2]);
}

static bool check_collections(const mig_migration *m, const bson_t *doc, const char *key, mig_error *err) {
  bson_t names;
  bson_iter_t it;
  mig_error why = {0};
  if (!mig_bson_arr(doc, key, &names) || !bson_iter_init(&it, &names)) return refuse(m, err, "a list is missing");
  while (bson_iter_next(&it)) {
    const char *name = BSON_ITER_HOLDS_UTF8(&it) ? bson_iter_utf8(&it, NULL) : "";
    if (mig_name_collection_ok(NULL, name, &why) && !mig_name_reserved(name)) continue;
    refuse(m, err, "");
    return mig_why(err, "its %s name the collection \"%.80s\", which no migration may touch", key, name);
  }
  return true;
}

static bool take_guards(const mig_migration *m, const bson_t *doc, const char *key, mig_guard_check check, bson_t **out,
                        mig_error *err) {
  bson_t list, guard;
  bson_iter_t it;
  *out = bson_new();
  if (!mig_bson_arr(doc, key, &list) || !bson_iter_init(&it, &list)) return refuse(m, err, "a list is missing");
  bson_concat(*out, &list);
  while (bson_iter_next(&it)) {
    if (!mig_bson_iter_doc(&it, &guard)) return refuse(m, err, "a guard is no document");
    if (check && !check(&guard, key, err)) return mig_fail_at(err, "%s: %s %s", m->path, key, bson_iter_key(&it));
  }
  return true;
}

static bool make_step(const mig_migration *m, const char *so_path, const char *direction, const bson_t *doc,
                      mig_steps *out, mig_error *err) {
  static const char *const keep[] = {"writes", "indexes", "reads", "silenceMs", NULL};
  bson_iter_t it;
  out->items = mig_alloc(sizeof *out->items);
  if (!out->items) return mig_no_memory(err, "module");
  mig_step *step = &out->items[out->count++];
  step->def = &mig_step_module;
  step->where = mig_strdup(m->path);
  step->args = BCON_NEW("path", BCON_UTF8(so_path), "name", BCON_UTF8(m->name), "direction", BCON_UTF8(direction));
  for (const char *const *key = keep; *key; key++)
    if (bson_iter_init_find(&it, doc, *key)) bson_append_iter(step->args, NULL, 0, &it);
  return step->where || mig_no_memory(err, "module");
}

static bool take(mig_migration *m, const char *so_path, const bson_t *doc, mig_guard_check check, mig_error *err) {
  static const char *const transactions[] = {"auto", "required", "off", NULL};
  static const char *const snapshots[] = {"auto", "always", "off", NULL};
  unsigned transaction = 0, snapshot = 0;
  const char *name = m->name;
  bson_t indexes, metadata;
  mig_bson_str(doc, "name", &name);
  if (strcmp(name, m->name) != 0) {
    refuse(m, err, "");
    return mig_why(err, "it says that its name is \"%.200s\": was it copied from there?", name);
  }
  bool ok = take_text(doc, "version", &m->version, err) && take_text(doc, "description", &m->description, err) &&
            take_text(doc, "author", &m->author, err) &&
            take_choice(m, doc, "transaction", transactions, &transaction, err) &&
            take_choice(m, doc, "snapshot", snapshots, &snapshot, err) && check_collections(m, doc, "writes", err) &&
            check_collections(m, doc, "indexes", err) && check_collections(m, doc, "reads", err) &&
            take_guards(m, doc, "guards", check, &m->guards, err) &&
            take_guards(m, doc, "verify", check, &m->verify, err);
  if (!ok) return false;
  m->transaction = (mig_txn_mode)transaction;
  m->snapshot = (mig_snapshot_mode)snapshot;
  m->metadata = mig_bson_doc(doc, "metadata", &metadata) ? bson_copy(&metadata) : bson_new();
  mig_bson_bool(doc, "reversible", &m->reversible);
  if (m->transaction == MIG_TXN_REQUIRED && mig_bson_arr(doc, "indexes", &indexes) && !bson_empty(&indexes))
    return refuse(m, err, "it requires a transaction, and declares indexes, which cannot change in one");
  if (!m->version && !(m->version = mig_strdup(m->order))) return mig_no_memory(err, "version");
  return make_step(m, so_path, "up", doc, &m->up, err) &&
         (!m->reversible || make_step(m, so_path, "down", doc, &m->down, err));
}

/* Its descriptor, read in a process of its own: even being loaded is running. */
static bool describe(const mig_migration *m, const char *so_path, bson_t **out, mig_error *err) {
  const mig_child_options options = {.name = m->name, .path = so_path, .run = "describe", .silence_ms = DESCRIBE_MS};
  mig_child *child = NULL;
  const char *op = "", *what = "";
  bool done = false;
  *out = NULL;
  bool ok = mig_child_start(&options, &child, err) && mig_child_receive(child, out, err);
  mig_child_end(child);
  if (!ok) {
    if (err) err->code = MIG_E_INPUT;
    return mig_fail_at(err, "%s", m->path);
  }
  mig_bson_str(*out, "op", &op);
  mig_bson_str(*out, "what", &what);
  if (strcmp(op, "end") == 0 && mig_bson_bool(*out, "ok", &done) && done) return true;
  refuse(m, err, *what ? what : "it uses services while it is being loaded");
  return mig_hint(err, "see docs/modules.md for what a module must have");
}

bool mig_module_load(mig_migration *m, mig_guard_check check, mig_error *err) {
  mig_buf text = MIG_BUF(MAX_SOURCE);
  char *so_path = NULL;
  bson_t *description = NULL, doc;
  m->kind = "module";
  bool ok = mig_fs_read(m->path, MAX_SOURCE, &text, err) && mig_sha256_hex(text.data, text.size, m->checksum, err);
  if (ok && ends_with(m->path, ".c")) {
    ok = mig_module_compile(m->path, &text, &so_path, err);
  } else if (ok) {
    char *real = realpath(m->path, NULL); /* without a '/' in it, dlopen would look elsewhere */
    so_path = mig_strdup(real);
    free(real);
    ok = so_path || mig_no_memory(err, "module");
  }
  ok = ok && describe(m, so_path, &description, err);
  if (ok && !mig_bson_doc(description, "module", &doc)) ok = refuse(m, err, "it does not describe itself");
  ok = ok && take(m, so_path, &doc, check, err);
  bson_destroy(description);
  mig_free(so_path);
  mig_buf_free(&text);
  return ok;
}
