/* A folder of migrations: which files are some, in which order, and that no two claim the same place. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "migrations/migration.h"
#include "migrations/order.h"

typedef struct reader {
  mig_folder *folder;
  size_t capacity;
  mig_guard_check check;
} reader;

static bool add(void *arg, const char *path, mig_error *err) {
  reader *r = arg;
  mig_folder *f = r->folder;
  if (f->count == r->capacity) {
    size_t wanted = r->capacity ? r->capacity * 2 : 16;
    mig_migration **grown = mig_realloc(f->items, wanted * sizeof(mig_migration *));
    if (!grown) return mig_no_memory(err, "list of migrations");
    f->items = grown;
    r->capacity = wanted;
  }
  if (!mig_migration_load(path, r->check, &f->items[f->count], err)) return false;
  f->count++;
  return true;
}

typedef struct walk {
  mig_folder_fn fn;
  void *arg;
} walk;

static bool is_migration(const char *name) {
  return name[0] != '.' && mig_name_ending(name) > 0;
}

static bool walk_folder(const walk *w, const char *path, mig_error *err) {
  char **names = NULL;
  size_t count = 0;
  bool ok = mig_fs_list(path, &names, &count, err);
  for (size_t i = 0; ok && i < count; i++) {
    if (!is_migration(names[i])) continue;
    char *file = mig_fs_join(path, names[i]);
    ok = file ? w->fn(w->arg, file, err) : mig_no_memory(err, "path");
    mig_free(file);
  }
  mig_fs_names_free(names, count);
  return ok;
}

static bool walk_below(const walk *w, const char *path, const char *name, mig_error *err) {
  char *below = mig_fs_join(path, name);
  bool ok = below || mig_no_memory(err, "path");
  ok = ok && (!mig_fs_is_folder(below) || walk_folder(w, below, err));
  mig_free(below);
  return ok;
}

bool mig_folder_each(const char *path, mig_folder_fn fn, void *arg, mig_error *err) {
  const walk w = {fn, arg};
  if (!mig_fs_exists(path)) {
    mig_fail(err, MIG_E_INPUT, "there is no folder %s", path);
    return mig_hint(err, "`mig init` makes one; --dir or MIG_DIR names another");
  }
  if (!mig_fs_is_folder(path)) {
    mig_fail(err, MIG_E_INPUT, "%s is not a folder", path);
    return mig_hint(err, "--dir or MIG_DIR names the folder with the migrations");
  }
  return walk_folder(&w, path, err) && walk_below(&w, path, "pending", err) && walk_below(&w, path, "completed", err);
}

static int by_name(const void *a, const void *b) {
  const mig_migration *const *x = a, *const *y = b;
  return mig_name_order((*x)->name, (*y)->name);
}

static int by_order(const void *a, const void *b) {
  const mig_migration *const *x = a, *const *y = b;
  int order = mig_order_compare((*x)->order, (*y)->order);
  return order ? order : strcmp((*x)->path, (*y)->path);
}

static int by_version(const void *a, const void *b) {
  const mig_migration *const *x = a, *const *y = b;
  int order = strcmp((*x)->version, (*y)->version);
  return order ? order : strcmp((*x)->path, (*y)->path);
}

static bool check_duplicates(mig_folder *f, mig_error *err) {
  mig_migration **m = f->items;
  if (f->count < 2) return true;
  qsort(m, f->count, sizeof(mig_migration *), by_order);
  for (size_t i = 1; i < f->count; i++) {
    if (mig_order_compare(m[i - 1]->order, m[i]->order) != 0) continue;
    mig_fail(err, MIG_E_INPUT, "%s: %s has the number %s too", m[i]->path, m[i - 1]->path, m[i - 1]->order);
    return mig_hint(err, "give one of the two another number: nothing says which comes first");
  }
  qsort(m, f->count, sizeof(mig_migration *), by_version);
  for (size_t i = 1; i < f->count; i++) {
    if (strcmp(m[i - 1]->version, m[i]->version) != 0) continue;
    mig_fail(err, MIG_E_INPUT, "%s: %s has the version %s too", m[i]->path, m[i - 1]->path, m[i]->version);
    return mig_hint(err, "give one of the two another \"version\"");
  }
  qsort(m, f->count, sizeof(mig_migration *), by_name);
  return true;
}

bool mig_folder_load(const char *path, mig_guard_check check, mig_folder **out, mig_error *err) {
  *out = NULL;
  mig_folder *f = mig_alloc(sizeof *f);
  reader r = {f, 0, check};
  bool ok = f && (f->path = mig_strdup(path));
  if (!ok) mig_no_memory(err, "folder of migrations");
  ok = ok && mig_folder_each(path, add, &r, err);
  ok = ok && check_duplicates(f, err);
  if (ok)
    *out = f;
  else
    mig_folder_free(f);
  return ok;
}

const mig_migration *mig_folder_find(const mig_folder *f, const char *name) {
  size_t size = strlen(name) - mig_name_ending(name);
  for (size_t i = 0; i < f->count; i++)
    if (strlen(f->items[i]->name) == size && memcmp(f->items[i]->name, name, size) == 0) return f->items[i];
  for (size_t i = 0; i < f->count; i++)
    if (strcmp(f->items[i]->version, name) == 0) return f->items[i];
  for (size_t i = 0; i < f->count; i++) /* "7" finds 0007_x */
    if (mig_order_compare(f->items[i]->order, name) == 0) return f->items[i];
  return NULL;
}

void mig_folder_free(mig_folder *f) {
  if (!f) return;
  for (size_t i = 0; i < f->count; i++) mig_migration_free(f->items[i]);
  mig_free(f->items);
  mig_free(f->path);
  mig_free(f);
}
