#include "migrations/lint_rules.h"

#include <string.h>

#include "migrations/filter.h"

static bool is(const mig_step *step, const char *name) {
  return strcmp(step->def->name, name) == 0;
}

static const mig_step *first_destructive(const mig_steps *steps) {
  for (size_t i = 0; i < steps->count; i++)
    if (steps->items[i].def->destroys) return &steps->items[i];
  return NULL;
}

/* "down" as it would be, when every step has an inverse: the last one first. */
static char *proposed_down(const mig_steps *steps) {
  mig_buf text = MIG_BUF(600);
  bool ok = mig_buf_printf(&text, NULL, "\"down\": [");
  for (size_t i = steps->count; ok && i-- > 0;) {
    bson_t *inverse = mig_step_inverse(&steps->items[i]);
    char *json = inverse ? mig_bson_json(inverse) : NULL;
    ok = json && mig_buf_printf(&text, NULL, "%s%s", json, i ? ", " : "]");
    mig_free(json);
    if (inverse) bson_destroy(inverse);
  }
  char *out = ok ? mig_strdup(mig_buf_text(&text)) : NULL;
  mig_buf_free(&text);
  return out;
}

static void check_down(mig_linter *l, const mig_migration *m) {
  const mig_step *destroys = first_destructive(&m->up);
  if (m->reversible) return;
  char *down = proposed_down(&m->up);
  char *hint = mig_strdup_printf("%s%s", down ? "this would take it back: " : "", down ? down : "");
  if (destroys && !down)
    mig_lint_add(l, MIG_LINT_ONE_WAY, m->path, destroys->where,
                 "add \"down\"; where nothing can bring the data back but the snapshot, allow it: \"metadata\": "
                 "{\"lint\": {\"allow\": [\"one-way\"]}}",
                 "step %s destroys data, and there is no \"down\"", destroys->def->name);
  else
    mig_lint_add(l, MIG_LINT_NO_DOWN, m->path, NULL, down && hint ? hint : "add \"down\": `mig down` will refuse",
                 "there is no \"down\"");
  mig_free(hint);
  mig_free(down);
}

static void check_snapshot(mig_linter *l, const mig_migration *m) {
  const mig_step *destroys = first_destructive(&m->up);
  if (m->snapshot != MIG_SNAPSHOT_OFF || !destroys) return;
  mig_lint_add(l, MIG_LINT_NO_SNAPSHOT, m->path, destroys->where, "leave \"snapshot\" out",
               "step %s destroys data, and \"snapshot\" is \"off\": nothing could be restored", destroys->def->name);
}

/* A unique index that is neither guarded by the file nor made room for by a step before it. */
static bool same_fields(const bson_t *key, const bson_t *fields) {
  bson_iter_t it, field;
  if (bson_count_keys(key) != bson_count_keys(fields) || !bson_iter_init(&it, key)) return false;
  while (bson_iter_next(&it)) {
    bool found = false;
    if (!bson_iter_init(&field, fields)) return false;
    while (!found && bson_iter_next(&field))
      found = BSON_ITER_HOLDS_UTF8(&field) && strcmp(bson_iter_utf8(&field, NULL), bson_iter_key(&it)) == 0;
    if (!found) return false;
  }
  return true;
}

static bool about_it(const bson_t *args, const char *collection, const bson_t *key) {
  const char *of = NULL;
  bson_t fields;
  return mig_bson_str(args, "collection", &of) && strcmp(of, collection) == 0 &&
         mig_bson_arr(args, "fields", &fields) && same_fields(key, &fields);
}

static bool guarded(const mig_migration *m, const char *collection, const bson_t *key) {
  bson_iter_t it;
  bson_t guard, args;
  if (!bson_iter_init(&it, m->guards)) return false;
  while (bson_iter_next(&it))
    if (mig_bson_iter_doc(&it, &guard) && mig_bson_doc(&guard, "noDuplicates", &args) &&
        about_it(&args, collection, key))
      return true;
  return false;
}

/* The collection comes into being in this migration: what is in it, the steps before have put there. */
static bool is_new(const mig_steps *steps, size_t before, const char *collection) {
  for (size_t i = 0; i < before; i++) {
    const char *name = NULL;
    if (is(&steps->items[i], "createCollection") && mig_bson_str(steps->items[i].args, "collection", &name) &&
        strcmp(name, collection) == 0)
      return true;
  }
  return false;
}

static void check_unique(mig_linter *l, const mig_migration *m, const mig_steps *steps, size_t at) {
  const mig_step *step = &steps->items[at];
  const char *collection = "";
  bool unique = false;
  bson_t key;
  if (!is(step, "createIndex") || !mig_bson_bool(step->args, "options.unique", &unique) || !unique) return;
  if (!mig_bson_str(step->args, "collection", &collection) || !mig_bson_doc(step->args, "key", &key)) return;
  if (guarded(m, collection, &key) || is_new(steps, at, collection)) return;
  for (size_t i = 0; i < at; i++)
    if (is(&steps->items[i], "removeDuplicates") && about_it(steps->items[i].args, collection, &key)) return;
  mig_lint_add(l, MIG_LINT_UNGUARDED_UNIQUE, m->path, step->where,
               "use the step createUniqueConstraint, or add the guard noDuplicates, or removeDuplicates before it",
               "a unique index on %s, and nothing here rules out duplicates", collection);
}

static bool filter_is_empty(const bson_t *holder) {
  bson_t filter;
  return mig_bson_doc(holder, "filter", &filter) && bson_empty(&filter);
}

static void check_filters(mig_linter *l, const mig_migration *m, const mig_step *step) {
  bson_t list, one;
  bson_iter_t it;
  bool all = is(step, "update") && filter_is_empty(step->args);
  if (is(step, "bulkUpdate") && mig_bson_arr(step->args, "updates", &list) && bson_iter_init(&it, &list))
    while (!all && bson_iter_next(&it)) all = mig_bson_iter_doc(&it, &one) && filter_is_empty(&one);
  if (all)
    mig_lint_add(l, MIG_LINT_UPDATE_ALL, m->path, step->where, "name the documents by a filter if not all are meant",
                 "step %s changes every document of the collection", step->def->name);
  if (is(step, "delete") && filter_is_empty(step->args))
    mig_lint_add(l, MIG_LINT_DELETE_ALL, m->path, step->where,
                 "name the documents by a filter; if all are meant, allow it: \"metadata\": {\"lint\": {\"allow\": "
                 "[\"delete-all\"]}}",
                 "step delete removes every document of the collection");
}

void mig_lint_migration(mig_linter *l, const mig_migration *m) {
  const mig_steps *both[] = {&m->up, &m->down};
  if (!m->description)
    mig_lint_add(l, MIG_LINT_NO_DESCRIPTION, m->path, NULL,
                 "say in \"description\" what changes and why: the ledger and the history show it",
                 "there is no \"description\"");
  check_down(l, m);
  check_snapshot(l, m);
  for (size_t d = 0; d < 2; d++) {
    for (size_t i = 0; i < both[d]->count; i++) {
      check_unique(l, m, both[d], i);
      if (d == 0) check_filters(l, m, &both[d]->items[i]);
    }
  }
}
