#include "migrations/lint.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/names.h"
#include "migrations/lint_rules.h"
#include "migrations/order.h"

static const mig_lint_rule rules[MIG_LINT_COUNT + 1] = {
    [MIG_LINT_UNUSABLE] = {"unusable", MIG_LINT_ERROR,
                           "the file cannot be used: its name, syntax, an unknown key, step, guard or argument"},
    [MIG_LINT_SAME_NUMBER] = {"same-number", MIG_LINT_ERROR, "two files have one number: nothing says which is first"},
    [MIG_LINT_SAME_VERSION] = {"same-version", MIG_LINT_ERROR, "two files have one version"},
    [MIG_LINT_ONE_WAY] = {"one-way", MIG_LINT_ERROR, "a step destroys data and there is no \"down\""},
    [MIG_LINT_NO_SNAPSHOT] = {"no-snapshot", MIG_LINT_ERROR, "a step destroys data and \"snapshot\" is \"off\""},
    [MIG_LINT_UNGUARDED_UNIQUE] = {"unguarded-unique", MIG_LINT_ERROR,
                                   "a unique index, and no guard or step that sees to duplicates"},
    [MIG_LINT_DELETE_ALL] = {"delete-all", MIG_LINT_ERROR, "delete without a filter"},
    [MIG_LINT_UNKNOWN_ALLOW] = {"unknown-allow", MIG_LINT_ERROR, "\"metadata.lint.allow\" names no rule of these"},
    [MIG_LINT_NO_DOWN] = {"no-down", MIG_LINT_WARNING, "no \"down\", though nothing is destroyed"},
    [MIG_LINT_UPDATE_ALL] = {"update-all", MIG_LINT_WARNING, "update without a filter"},
    [MIG_LINT_NO_DESCRIPTION] = {"no-description", MIG_LINT_WARNING, "no \"description\""},
    [MIG_LINT_MIXED_NAMES] = {"mixed-names", MIG_LINT_WARNING, "files counted by number beside files counted by time"},
};

const mig_lint_rule *mig_lint_rules(void) {
  return rules;
}

typedef struct known {
  char *path, *order, *version;
} known;

struct mig_linter {
  mig_guard_check check;
  mig_lint_fn fn;
  void *arg;
  const bson_t *allow; /* of the file at hand; NULL: none */
  known *all;
  size_t count, files;
};

static bool allowed(const mig_linter *l, const char *rule) {
  bson_iter_t it;
  if (!l->allow || !bson_iter_init(&it, l->allow)) return false;
  while (bson_iter_next(&it))
    if (BSON_ITER_HOLDS_UTF8(&it) && strcmp(bson_iter_utf8(&it, NULL), rule) == 0) return true;
  return false;
}

/* ":7:14" at the end of "a/b.json:7:14" */
static void read_place(const char *where, mig_lint_finding *f) {
  const char *colon = where ? strrchr(where, ':') : NULL;
  while (colon && colon > where && *--colon != ':') {
  }
  if (colon) (void)sscanf(colon, ":%zu:%zu", &f->line, &f->column);
}

void mig_lint_add(mig_linter *l, mig_lint_id id, const char *path, const char *where, const char *hint,
                  const char *what_fmt, ...) {
  mig_lint_finding f = {.rule = &rules[id], .path = path, .line = 1, .column = 1};
  va_list ap;
  if (allowed(l, rules[id].name)) return;
  va_start(ap, what_fmt);
  vsnprintf(f.what, sizeof f.what, what_fmt, ap);
  va_end(ap);
  snprintf(f.hint, sizeof f.hint, "%s", hint);
  read_place(where, &f);
  l->fn(l->arg, &f);
}

/* "path:7:14: what" of the loader, taken apart. */
static void add_unusable(mig_linter *l, const char *path, const mig_error *err) {
  mig_lint_finding f = {.rule = &rules[MIG_LINT_UNUSABLE], .path = path, .line = 1, .column = 1};
  const char *what = err->what;
  size_t size = strlen(path), line = 0, column = 0;
  int used = 0;
  if (strncmp(what, path, size) == 0 && what[size] == ':') {
    what += size;
    if (sscanf(what, ":%zu:%zu: %n", &line, &column, &used) == 2 && used) {
      f.line = line;
      f.column = column;
      what += used;
    } else {
      what += 1 + (what[1] == ' ');
    }
  }
  snprintf(f.what, sizeof f.what, "%.300s%s%.390s", what, err->why[0] ? ": " : "", err->why);
  snprintf(f.hint, sizeof f.hint, "%s", err->hint);
  l->fn(l->arg, &f);
}

static void check_allow(mig_linter *l, const mig_migration *m) {
  const char *names[MIG_LINT_COUNT + 1] = {NULL};
  bson_t list;
  bson_iter_t it;
  l->allow = NULL;
  if (!mig_bson_arr(m->metadata, "lint.allow", &list) || !bson_iter_init(&it, &list)) return;
  for (size_t i = 0; i < MIG_LINT_COUNT; i++) names[i] = rules[i].name;
  while (bson_iter_next(&it)) {
    const char *name = BSON_ITER_HOLDS_UTF8(&it) ? bson_iter_utf8(&it, NULL) : "", *const *n = names;
    while (*n && strcmp(*n, name) != 0) n++;
    if (*n) continue;
    const char *near = mig_name_nearest(name, names);
    mig_lint_add(l, MIG_LINT_UNKNOWN_ALLOW, m->path, NULL, "`mig help rules` lists the rules",
                 "\"metadata.lint.allow\" names no rule \"%.60s\"%s%s%s", name, near ? "; did you mean \"" : "",
                 near ? near : "", near ? "\"?" : "");
  }
}

static bool remember(mig_linter *l, const char *path, const char *order, const char *version, mig_error *err) {
  known *grown = mig_realloc(l->all, (l->count + 1) * sizeof *grown);
  if (!grown) return mig_no_memory(err, "lint");
  l->all = grown;
  grown[l->count] = (known){mig_strdup(path), mig_strdup(order), mig_strdup(version)};
  const known *k = &grown[l->count++];
  return (k->path && k->order && k->version) || mig_no_memory(err, "lint");
}

/* Of a module only the name: what is in it, its compiler and `mig validate` see to. Nothing of it is run here. */
static bool module(mig_linter *l, const char *path, mig_error *err) {
  char *order = NULL, *name = NULL;
  mig_error local = {0};
  if (!mig_name_split(path, &order, &name, &local)) {
    add_unusable(l, path, &local);
    return true;
  }
  bool ok = remember(l, path, order, order, err);
  mig_free(order);
  mig_free(name);
  return ok;
}

static bool one(void *arg, const char *path, mig_error *err) {
  mig_linter *l = arg;
  mig_migration *m = NULL;
  mig_error local = {0};
  bson_t allow;
  size_t size = strlen(path);
  l->allow = NULL;
  l->files++;
  if (size < 5 || strcmp(path + size - 5, ".json") != 0) return module(l, path, err);
  if (!mig_migration_load(path, l->check, &m, &local)) {
    if (local.code == MIG_E_NO_MEMORY) return mig_no_memory(err, "lint");
    add_unusable(l, path, &local);
    return true;
  }
  check_allow(l, m);
  if (mig_bson_arr(m->metadata, "lint.allow", &allow)) l->allow = &allow;
  mig_lint_migration(l, m);
  l->allow = NULL;
  bool ok = remember(l, m->path, m->order, m->version, err);
  mig_migration_free(m);
  return ok;
}

static int by_order(const void *a, const void *b) {
  const known *x = a, *y = b;
  int order = mig_order_compare(x->order, y->order);
  return order ? order : strcmp(x->path, y->path);
}

static int by_version(const void *a, const void *b) {
  const known *x = a, *y = b;
  int order = strcmp(x->version, y->version);
  return order ? order : strcmp(x->path, y->path);
}

static void compare_all(mig_linter *l) {
  const known *by_time = NULL, *by_number = NULL;
  if (l->count < 2) return;
  qsort(l->all, l->count, sizeof *l->all, by_version);
  for (size_t i = 1; i < l->count; i++)
    if (strcmp(l->all[i - 1].version, l->all[i].version) == 0 &&
        mig_order_compare(l->all[i - 1].order, l->all[i].order) != 0)
      mig_lint_add(l, MIG_LINT_SAME_VERSION, l->all[i].path, NULL, "give one of the two another \"version\"",
                   "%s has the version %s too", l->all[i - 1].path, l->all[i].version);
  qsort(l->all, l->count, sizeof *l->all, by_order);
  for (size_t i = 0; i < l->count; i++) {
    const known *k = &l->all[i];
    if (strchr(k->order, '-'))
      by_time = by_time ? by_time : k;
    else
      by_number = k;
    if (i && mig_order_compare(l->all[i - 1].order, k->order) == 0)
      mig_lint_add(l, MIG_LINT_SAME_NUMBER, k->path, NULL, "give one of the two another number",
                   "%s has the number %s too", l->all[i - 1].path, k->order);
  }
  if (by_time && by_number)
    mig_lint_add(l, MIG_LINT_MIXED_NAMES, by_time->path, NULL,
                 "stay with one: `mig create` goes on with the last one's",
                 "counted by time, while %s is counted by number", by_number->path);
}

static void forget(mig_linter *l) {
  for (size_t i = 0; i < l->count; i++) {
    mig_free(l->all[i].path);
    mig_free(l->all[i].order);
    mig_free(l->all[i].version);
  }
  mig_free(l->all);
}

bool mig_lint_folder(const char *path, mig_guard_check check, mig_lint_fn fn, void *arg, size_t *files,
                     mig_error *err) {
  mig_linter l = {.check = check, .fn = fn, .arg = arg};
  bool ok = mig_folder_each(path, one, &l, err);
  if (ok) compare_all(&l);
  forget(&l);
  *files = l.files;
  return ok;
}

bool mig_lint_file(const char *path, mig_guard_check check, mig_lint_fn fn, void *arg, mig_error *err) {
  mig_linter l = {.check = check, .fn = fn, .arg = arg};
  bool ok = one(&l, path, err);
  forget(&l);
  return ok;
}
