#include "backup/store_folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool mig_store_paths(const mig_store *s, const char *id, char **partial, char **final, mig_error *err) {
  *partial = *final = NULL;
  if (!mig_store_check_id(id, err)) return false;
  const char *slash = s->name[strlen(s->name) - 1] == '/' ? "" : "/";
  *partial = mig_strdup_printf("%s%s%s" MIG_STORE_PARTIAL, s->name, slash, id);
  *final = mig_strdup_printf("%s%s%s" MIG_STORE_SUFFIX, s->name, slash, id);
  if (*partial && *final) return true;
  mig_free(*partial);
  mig_free(*final);
  *partial = *final = NULL;
  return mig_no_memory(err, "path");
}

/* Fills *item when `name` is a finished snapshot; *is_one says so. */
static bool look(const mig_store *s, const char *name, mig_store_item *item, bool *is_one, mig_error *err) {
  struct stat st;
  char *id = NULL;
  *is_one = false;
  if (!mig_store_name_is_snapshot(name, &id, err)) return false;
  if (!id) return true;
  char *path = mig_fs_join(s->name, name);
  if (!path || lstat(path, &st) != 0 || !S_ISREG(st.st_mode)) {
    const bool ok = path || mig_no_memory(err, "store");
    mig_free(path);
    mig_free(id);
    return ok; /* a link, or gone meanwhile */
  }
  *item = (mig_store_item){id, path, (uint64_t)st.st_size, mig_store_time(id, (int64_t)st.st_mtime * 1000)};
  *is_one = true;
  return true;
}

static bool folder_list(const mig_store *s, mig_store_item **items, size_t *count, mig_error *err) {
  char **names = NULL;
  size_t names_count = 0;
  if (!mig_fs_list(s->name, &names, &names_count, err)) return false;
  bool ok = (*items = mig_alloc((names_count + 1) * sizeof **items)) || mig_no_memory(err, "store");
  for (size_t i = 0; ok && i < names_count; i++) {
    bool is_one = false;
    ok = look(s, names[i], &(*items)[*count], &is_one, err);
    if (ok && is_one) (*count)++;
  }
  mig_fs_names_free(names, names_count);
  return ok;
}

static bool folder_room(const mig_store *s, bool *known, uint64_t *bytes, mig_error *err) {
  return *known = mig_fs_free_bytes(s->name, bytes, err);
}

static void folder_close(mig_store *s) {
  mig_free(s);
}

static const mig_store_kind folder_kind = {mig_store_folder_create, folder_list, mig_store_folder_remove,
                                           mig_store_folder_sweep,  folder_room, folder_close};

/* Paths of snapshots go into the ledger, and are told: they must hold wherever recovery is started from. */
static bool make(const char *folder, char **real, mig_error *err) {
  if (!mig_fs_make_folder(folder, 0700, err)) return false;
  char *found = realpath(folder, NULL);
  if (!found) return mig_fail_errno(err, "cannot use the store %s", folder);
  *real = mig_strdup(found);
  free(found);
  return *real || mig_no_memory(err, "store");
}

bool mig_store_folder_open(const char *folder, bool create, mig_store **out, mig_error *err) {
  char *name = NULL;
  *out = NULL;
  if (create && !make(folder, &name, err)) return false;
  if (!create && !mig_fs_is_folder(folder)) {
    mig_fail(err, MIG_E_STORE, "the snapshot store %s is not a folder", folder);
    return mig_hint(err, "the first snapshot makes it; or check --store or MIG_STORE");
  }
  mig_store *s = mig_alloc(sizeof *s);
  if (!name) name = mig_strdup(folder);
  if (!s || !name) {
    mig_free(s);
    mig_free(name);
    return mig_no_memory(err, "store");
  }
  s->kind = &folder_kind;
  s->name = name;
  s->spool_folder = name;
  *out = s;
  return true;
}
