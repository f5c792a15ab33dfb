#include "backup/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"

#define ID_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"
#define LABEL_MAX     80

struct mig_store {
  char *folder;
  mig_key *key;
};

bool mig_store_open(const char *folder, bool create, mig_store **out, mig_error *err) {
  *out = NULL;
  if (!folder || !*folder) {
    mig_fail(err, MIG_E_USAGE, "no snapshot store was named");
    return mig_hint(err, "give --store FOLDER, or set MIG_STORE, or \"store\" in mig.json");
  }
  if (create && !mig_fs_make_folder(folder, 0700, err)) return false;
  if (!mig_fs_is_folder(folder)) {
    mig_fail(err, MIG_E_STORE, "the snapshot store %s is not a folder", folder);
    return mig_hint(err, "the first snapshot makes it; or check --store or MIG_STORE");
  }
  mig_store *s = mig_alloc(sizeof *s);
  if (s) s->folder = mig_strdup(folder);
  if (!s || !s->folder) {
    mig_free(s);
    return mig_no_memory(err, "store");
  }
  *out = s;
  return true;
}

void mig_store_close(mig_store *s) {
  if (!s) return;
  mig_key_free(s->key);
  mig_free(s->folder);
  mig_free(s);
}

bool mig_store_use_key(mig_store *s, const mig_key *key, mig_error *err) {
  mig_key_free(s->key);
  s->key = mig_key_copy(key);
  return !key || s->key || mig_no_memory(err, "key");
}

const mig_key *mig_store_key(const mig_store *s) {
  return s->key;
}

const char *mig_store_folder(const mig_store *s) {
  return s->folder;
}

static bool id_ok(const char *id) {
  size_t n = strlen(id);
  return n > 0 && n <= 200 && id[0] != '.' && strspn(id, ID_CHARACTERS) == n;
}

static bool bad_id(const char *id, mig_error *err) {
  mig_fail(err, MIG_E_USAGE, "\"%.200s\" cannot be the id of a snapshot", id);
  return mig_hint(err, "an id looks like 20261121T071500Z-0001_name-a1b2c3; `mig snapshot list` shows them");
}

bool mig_store_new_id(const char *label, char **id, mig_error *err) {
  char when[MIG_TIME_TEXT], random[7], reduced[LABEL_MAX + 1];
  size_t n = 0;
  *id = NULL;
  if (!mig_random_hex(3, random, err)) return false;
  for (const char *p = label ? label : ""; *p && n < LABEL_MAX; p++)
    reduced[n++] = strchr(ID_CHARACTERS, *p) ? *p : '_';
  reduced[n] = 0;
  mig_time_compact(mig_now_unix_ms(), when);
  *id = mig_strdup_printf("%s-%s-%s", when, n ? reduced : "snapshot", random);
  return *id || mig_no_memory(err, "id");
}

bool mig_store_paths(const mig_store *s, const char *id, char **partial, char **final, mig_error *err) {
  *partial = *final = NULL;
  if (!id_ok(id)) return bad_id(id, err);
  const char *slash = s->folder[strlen(s->folder) - 1] == '/' ? "" : "/";
  *partial = mig_strdup_printf("%s%s%s" MIG_STORE_PARTIAL, s->folder, slash, id);
  *final = mig_strdup_printf("%s%s%s" MIG_STORE_SUFFIX, s->folder, slash, id);
  if (*partial && *final) return true;
  mig_free(*partial);
  mig_free(*final);
  *partial = *final = NULL;
  return mig_no_memory(err, "path");
}

/* The time in front of an id made by mig_store_new_id, or -1. */
static int64_t time_of_id(const char *id) {
  struct tm t = {0};
  char z = 0, dash = 0;
  if (strspn(id, "0123456789") != 8 || id[8] != 'T' || strspn(id + 9, "0123456789") != 6) return -1;
  if (sscanf(id, "%4d%2d%2dT%2d%2d%2d%c%c", &t.tm_year, &t.tm_mon, &t.tm_mday, &t.tm_hour, &t.tm_min, &t.tm_sec, &z,
             &dash) != 8 ||
      z != 'Z' || dash != '-')
    return -1;
  t.tm_year -= 1900;
  t.tm_mon -= 1;
  return (int64_t)timegm(&t) * 1000;
}

/* Fills *item when `name` is a finished snapshot; *is_one says so. */
static bool look(const mig_store *s, const char *name, mig_store_item *item, bool *is_one, mig_error *err) {
  const size_t suffix = strlen(MIG_STORE_SUFFIX), n = strlen(name);
  struct stat st;
  *is_one = false;
  if (n <= suffix || strcmp(name + n - suffix, MIG_STORE_SUFFIX) != 0) return true;
  char *path = mig_fs_join(s->folder, name);
  char *id = mig_strdup(name);
  if (!path || !id) {
    mig_free(path);
    mig_free(id);
    return mig_no_memory(err, "store");
  }
  id[n - suffix] = 0;
  if (!id_ok(id) || lstat(path, &st) != 0 || !S_ISREG(st.st_mode)) {
    mig_free(path);
    mig_free(id);
    return true; /* not one of ours, a link, or gone meanwhile */
  }
  int64_t created = time_of_id(id);
  *item = (mig_store_item){id, path, (uint64_t)st.st_size, created >= 0 ? created : (int64_t)st.st_mtime * 1000};
  *is_one = true;
  return true;
}

static int by_age(const void *a, const void *b) {
  const mig_store_item *x = a, *y = b;
  if (x->created_unix_ms != y->created_unix_ms) return x->created_unix_ms < y->created_unix_ms ? -1 : 1;
  return strcmp(x->id, y->id);
}

bool mig_store_list(const mig_store *s, mig_store_item **items, size_t *count, mig_error *err) {
  char **names = NULL;
  size_t names_count = 0, n = 0;
  mig_store_item *list = NULL;
  bool ok = false;
  *items = NULL;
  *count = 0;
  if (!mig_fs_list(s->folder, &names, &names_count, err)) return false;
  if (!(list = mig_alloc((names_count + 1) * sizeof *list))) {
    mig_no_memory(err, "store");
    goto done;
  }
  for (size_t i = 0; i < names_count; i++) {
    bool is_one = false;
    if (!look(s, names[i], &list[n], &is_one, err)) goto done;
    if (is_one) n++;
  }
  if (n) qsort(list, n, sizeof *list, by_age);
  ok = true;
done:
  mig_fs_names_free(names, names_count);
  if (!ok) {
    mig_store_items_free(list, n);
    return false;
  }
  *items = list;
  *count = n;
  return true;
}

void mig_store_items_free(mig_store_item *items, size_t count) {
  for (size_t i = 0; items && i < count; i++) {
    mig_free(items[i].id);
    mig_free(items[i].path);
  }
  mig_free(items);
}

static bool find_path(const char *path, char **out, mig_error *err) {
  struct stat st;
  if (lstat(path, &st) != 0) return mig_fail_errno(err, "cannot read the snapshot %s", path);
  if (!S_ISREG(st.st_mode)) {
    mig_fail(err, MIG_E_STORE, "%s is not a regular file", path);
    return mig_hint(err, "links are not followed: name the file itself");
  }
  return (*out = mig_strdup(path)) || mig_no_memory(err, "path");
}

static bool choose(const mig_store *s, const char *id, const mig_store_item *items, size_t count, char **path,
                   mig_error *err) {
  const size_t n = strlen(id);
  const mig_store_item *match = NULL, *second = NULL;
  for (size_t i = 0; i < count; i++) {
    if (strncmp(items[i].id, id, n) != 0) continue;
    bool exact = items[i].id[n] == 0;
    if (match && !exact)
      second = &items[i];
    else
      match = &items[i];
    if (exact) {
      second = NULL;
      break;
    }
  }
  if (second) {
    mig_fail(err, MIG_E_USAGE, "\"%.200s\" is the beginning of more than one snapshot's id", id);
    mig_why(err, "%s and %s, for example", match->id, second->id);
    return mig_hint(err, "give more of the id");
  }
  if (match) return (*path = mig_strdup(match->path)) || mig_no_memory(err, "path");
  mig_fail(err, MIG_E_STORE, "there is no snapshot \"%.200s\" in %s", id, s->folder);
  return mig_hint(err, "`mig snapshot list` shows what is there; a path must have a '/' in it");
}

bool mig_store_find(const mig_store *s, const char *id_or_path, char **path, mig_error *err) {
  mig_store_item *items = NULL;
  size_t count = 0;
  char id[256];
  *path = NULL;
  if (strchr(id_or_path, '/') || mig_fs_exists(id_or_path)) {
    if (!mig_fs_is_folder(id_or_path)) return find_path(id_or_path, path, err);
  }
  snprintf(id, sizeof id, "%s", id_or_path);
  size_t n = strlen(id), suffix = strlen(MIG_STORE_SUFFIX);
  if (n > suffix && strcmp(id + n - suffix, MIG_STORE_SUFFIX) == 0) id[n - suffix] = 0;
  if (!id_ok(id)) return bad_id(id_or_path, err);
  if (!mig_store_list(s, &items, &count, err)) return false;
  bool ok = choose(s, id, items, count, path, err);
  mig_store_items_free(items, count);
  return ok;
}

bool mig_store_space(const mig_store *s, uint64_t need_bytes, mig_error *err) {
  uint64_t have = 0;
  if (!mig_fs_free_bytes(s->folder, &have, err)) return false;
  if (have >= need_bytes) return true;
  mig_fail(err, MIG_E_STORE, "not enough room in the snapshot store %s", s->folder);
  mig_why(err, "%.1f MiB may be needed, %.1f MiB are free", (double)need_bytes / 1048576.0, (double)have / 1048576.0);
  return mig_hint(err, "free some room there (old snapshots, say), or choose another folder with --store");
}
