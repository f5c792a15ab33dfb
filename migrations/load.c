/* One migration file: top-level keys, steps and guards, each error with its place in the file. */
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/json_source.h"
#include "base/names.h"
#include "migrations/implied.h"
#include "migrations/migration.h"
#include "migrations/module/module.h"
#include "migrations/order.h"

#define MAX_FILE ((size_t)64 << 20)

typedef struct loader {
  const mig_source *source;
  mig_guard_check check;
  mig_migration *m;
  mig_error *err; /* never NULL */
} loader;

static bool at(mig_error *err, const char *json_path) {
  snprintf(err->json_path, sizeof err->json_path, "%s", json_path);
  return false;
}

static bool must_be(const loader *l, const char *key, const bson_iter_t *it, const char *what) {
  char *shown = mig_bson_value_json(it, 60);
  mig_fail(l->err, MIG_E_INPUT, "\"%s\" must be %s, not %s", key, what, shown ? shown : "this");
  mig_free(shown);
  return at(l->err, key);
}

static bool load_text(const loader *l, const bson_iter_t *it, char **out) {
  const char *key = bson_iter_key(it), *text = NULL;
  if (!mig_bson_str(l->source->doc, key, &text) || !*text) {
    must_be(l, key, it, "text that is not empty");
    if (strcmp(key, "version") == 0 && !BSON_ITER_HOLDS_UTF8(it))
      mig_hint(l->err, "put it into quotes: \"1.10\" is not 1.1");
    return false;
  }
  mig_free(*out);
  *out = mig_strdup(text);
  return *out || mig_no_memory(l->err, key);
}

static bool load_choice(const loader *l, const bson_iter_t *it, const char *const *names, unsigned *out) {
  const char *key = bson_iter_key(it), *text = NULL;
  bool is_text = mig_bson_str(l->source->doc, key, &text);
  for (unsigned i = 0; is_text && names[i]; i++) {
    if (strcmp(text, names[i]) != 0) continue;
    *out = i;
    return true;
  }
  char list[100];
  snprintf(list, sizeof list, "\"%s\", \"%s\" or \"%s\"", names[0], names[1], names[2]);
  must_be(l, key, it, list);
  const char *near = is_text ? mig_name_nearest(text, names) : NULL;
  if (near) mig_hint(l->err, "did you mean \"%s\"?", near);
  return false;
}

/* A view of the list under a key; its elements are documents. */
static bool open_list(const loader *l, const bson_iter_t *it, const char *of, bson_t *view) {
  bson_iter_t item;
  char path[64];
  if (!BSON_ITER_HOLDS_ARRAY(it) || !mig_bson_iter_doc(it, view) || !bson_iter_init(&item, view))
    return must_be(l, bson_iter_key(it), it, of);
  while (bson_iter_next(&item)) {
    if (BSON_ITER_HOLDS_DOCUMENT(&item)) continue;
    must_be(l, bson_iter_key(it), &item, of);
    snprintf(path, sizeof path, "%s.%s", bson_iter_key(it), bson_iter_key(&item));
    return at(l->err, path);
  }
  return true;
}

static bool set_where(const loader *l, const char *key, mig_steps *steps) {
  mig_place *places = mig_alloc(steps->count * sizeof *places);
  bool ok = places != NULL;
  if (ok) mig_source_items(l->source, key, steps->count, places);
  for (size_t i = 0; ok && i < steps->count; i++) {
    steps->items[i].where = mig_strdup_printf("%s:%zu:%zu", l->m->path, places[i].line, places[i].column);
    ok = steps->items[i].where != NULL;
  }
  mig_free(places);
  return ok || mig_no_memory(l->err, "steps");
}

static bool load_steps(const loader *l, const bson_iter_t *it, mig_steps *out) {
  const char *key = bson_iter_key(it);
  bson_t list, doc;
  bson_iter_t item;
  if (!open_list(l, it, "a list of steps such as [{\"dropIndex\": {...}}]", &list) || !bson_iter_init(&item, &list))
    return false;
  if (bson_empty(&list)) {
    mig_fail(l->err, MIG_E_INPUT, "\"%s\" holds no step", key);
    if (strcmp(key, "down") == 0)
      mig_hint(l->err, "leave \"down\" out of a migration that cannot be reverted");
    else
      mig_hint(l->err, "`mig help steps` lists them all");
    return at(l->err, key);
  }
  out->items = mig_alloc(bson_count_keys(&list) * sizeof *out->items);
  if (!out->items) return mig_no_memory(l->err, "steps");
  while (bson_iter_next(&item)) {
    char path[64];
    snprintf(path, sizeof path, "%s.%s", key, bson_iter_key(&item));
    if (!mig_bson_iter_doc(&item, &doc)) return must_be(l, key, &item, "a list of steps");
    if (!mig_step_parse(&doc, path, &out->items[out->count], l->err)) return false;
    out->count++;
  }
  return set_where(l, key, out);
}

static bool load_guards(const loader *l, const bson_iter_t *it, bson_t **out) {
  bson_t list, doc;
  bson_iter_t item;
  if (!open_list(l, it, "a list of guards such as [{\"collectionExists\": {...}}]", &list) ||
      !bson_iter_init(&item, &list))
    return false;
  while (bson_iter_next(&item)) {
    char path[64];
    snprintf(path, sizeof path, "%s.%s", bson_iter_key(it), bson_iter_key(&item));
    if (!mig_bson_iter_doc(&item, &doc)) return must_be(l, bson_iter_key(it), &item, "a list of guards");
    if (l->check && !l->check(&doc, path, l->err)) return false;
  }
  bson_destroy(*out);
  *out = bson_copy(&list);
  return true;
}

static bool load_metadata(const loader *l, const bson_iter_t *it) {
  bson_t view;
  if (!BSON_ITER_HOLDS_DOCUMENT(it) || !mig_bson_iter_doc(it, &view)) return must_be(l, "metadata", it, "a document");
  bson_destroy(l->m->metadata);
  l->m->metadata = bson_copy(&view);
  return true;
}

static bool load_version(const loader *l, const bson_iter_t *it) {
  return load_text(l, it, &l->m->version);
}

static bool load_description(const loader *l, const bson_iter_t *it) {
  return load_text(l, it, &l->m->description);
}

static bool load_author(const loader *l, const bson_iter_t *it) {
  return load_text(l, it, &l->m->author);
}

static bool load_transaction(const loader *l, const bson_iter_t *it) {
  static const char *const names[] = {"auto", "required", "off", NULL};
  unsigned choice = 0;
  bool ok = load_choice(l, it, names, &choice);
  l->m->transaction = (mig_txn_mode)choice;
  return ok;
}

static bool load_snapshot(const loader *l, const bson_iter_t *it) {
  static const char *const names[] = {"auto", "always", "off", NULL};
  unsigned choice = 0;
  bool ok = load_choice(l, it, names, &choice);
  l->m->snapshot = (mig_snapshot_mode)choice;
  return ok;
}

static bool load_before(const loader *l, const bson_iter_t *it) {
  return load_guards(l, it, &l->m->guards);
}

static bool load_up(const loader *l, const bson_iter_t *it) {
  return load_steps(l, it, &l->m->up);
}

static bool load_down(const loader *l, const bson_iter_t *it) {
  l->m->reversible = true;
  return load_steps(l, it, &l->m->down);
}

static bool load_verify(const loader *l, const bson_iter_t *it) {
  return load_guards(l, it, &l->m->verify);
}

static const struct {
  const char *name;
  bool (*load)(const loader *l, const bson_iter_t *it);
} keys[] = {{"version", load_version},
            {"description", load_description},
            {"author", load_author},
            {"transaction", load_transaction},
            {"snapshot", load_snapshot},
            {"guards", load_before},
            {"up", load_up},
            {"down", load_down},
            {"verify", load_verify},
            {"metadata", load_metadata}};

#define KEYS (sizeof keys / sizeof *keys)

static bool load_key(const loader *l, const bson_iter_t *it) {
  const char *key = bson_iter_key(it), *names[KEYS + 1] = {NULL};
  for (size_t i = 0; i < KEYS; i++) {
    if (strcmp(keys[i].name, key) == 0) return keys[i].load(l, it);
    names[i] = keys[i].name;
  }
  const char *near = mig_name_nearest(key, names);
  if (near)
    mig_fail(l->err, MIG_E_INPUT, "unknown key \"%.100s\"; did you mean \"%s\"?", key, near);
  else
    mig_fail(l->err, MIG_E_INPUT, "unknown key \"%.100s\"", key);
  mig_hint(l->err,
           "a migration has: version, description, author, transaction, snapshot, guards, up, down, verify, metadata");
  return at(l->err, key);
}

/* What no single key shows. */
static bool check_whole(const loader *l) {
  const mig_steps *both[] = {&l->m->up, &l->m->down};
  if (l->m->up.count == 0) {
    mig_fail(l->err, MIG_E_INPUT, "there is no \"up\"");
    mig_hint(l->err, "\"up\" lists the steps, such as {\"up\": [{\"createCollection\": {\"collection\": \"users\"}}]}");
    return at(l->err, "");
  }
  for (size_t d = 0; d < 2 && l->m->transaction == MIG_TXN_REQUIRED; d++) {
    for (size_t i = 0; i < both[d]->count; i++) {
      const mig_step *step = &both[d]->items[i];
      if (mig_step_transactional(step)) continue;
      char path[64];
      snprintf(path, sizeof path, "%s.%zu.%s", d ? "down" : "up", i, step->def->name);
      mig_fail(l->err, MIG_E_INPUT, "step \"%s\" cannot run in a transaction, and this migration requires one",
               step->def->name);
      mig_hint(l->err, "set \"transaction\" to \"auto\", or move this step to a migration of its own");
      return at(l->err, path);
    }
  }
  return true;
}

static bool load_document(const loader *l) {
  bson_iter_t it;
  bool ok = bson_iter_init(&it, l->source->doc);
  while (ok && bson_iter_next(&it)) ok = load_key(l, &it);
  ok = ok && check_whole(l);
  if (ok && !l->m->version && !(l->m->version = mig_strdup(l->m->order))) ok = mig_no_memory(l->err, "version");
  if (!ok && l->err->code == MIG_E_INPUT) mig_source_blame(l->source, l->err);
  return ok;
}

/* text: of a file that perhaps is not there yet, taken over; empty: the file is read. */
static bool load(mig_migration *m, const char *path, mig_buf *text, mig_guard_check check, mig_error *err) {
  mig_source *source = NULL;
  m->kind = "declarative";
  m->path = mig_strdup(path);
  bool ok = m->path || mig_no_memory(err, "migration");
  ok = ok && mig_name_split(path, &m->order, &m->name, err);
  if (ok && mig_module_is(path)) return mig_module_load(m, check, err);
  m->guards = bson_new();
  m->verify = bson_new();
  m->metadata = bson_new();
  ok = ok && (text->data || mig_fs_read(path, MAX_FILE, text, err)) &&
       mig_sha256_hex(text->data, text->size, m->checksum, err) && mig_source_parse(path, text, &source, err);
  if (ok) {
    loader l = {source, check, m, err};
    ok = load_document(&l);
  }
  mig_source_free(source);
  return ok;
}

bool mig_migration_parse(const char *path, mig_buf *text, mig_guard_check check, mig_migration **out, mig_error *err) {
  mig_error local = {0};
  *out = NULL;
  mig_migration *m = mig_alloc(sizeof *m);
  bool ok = m ? load(m, path, text, check, &local) : mig_no_memory(&local, "migration");
  if (ok)
    *out = m;
  else
    mig_migration_free(m);
  mig_buf_free(text);
  if (!ok && err) *err = local;
  return ok;
}

bool mig_migration_load(const char *path, mig_guard_check check, mig_migration **out, mig_error *err) {
  mig_buf none = MIG_BUF(MAX_FILE);
  return mig_migration_parse(path, &none, check, out, err);
}

static void free_steps(mig_steps *steps) {
  for (size_t i = 0; i < steps->count; i++) mig_step_clear(&steps->items[i]);
  mig_free(steps->items);
}

void mig_migration_free(mig_migration *m) {
  if (!m) return;
  free_steps(&m->up);
  free_steps(&m->down);
  bson_destroy(m->guards);
  bson_destroy(m->verify);
  bson_destroy(m->metadata);
  mig_free(m->name);
  mig_free(m->version);
  mig_free(m->order);
  mig_free(m->description);
  mig_free(m->author);
  mig_free(m->path);
  mig_free(m);
}
