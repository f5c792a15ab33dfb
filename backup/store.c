#include "backup/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "backup/s3.h"
#include "backup/store_folder.h"
#include "base/clock.h"
#include "base/hash.h"

#define ID_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"
#define LABEL_MAX     80

bool mig_store_open(const char *place, bool create, mig_store **out, mig_error *err) {
  *out = NULL;
  if (!place || !*place) {
    mig_fail(err, MIG_E_USAGE, "no snapshot store was named");
    return mig_hint(err, "give --store FOLDER or s3://BUCKET/PREFIX, or set MIG_STORE, or \"store\" in mig.json");
  }
  return mig_s3_is_url(place) ? mig_s3_store_open(place, out, err) : mig_store_folder_open(place, create, out, err);
}

void mig_store_close(mig_store *s) {
  if (!s) return;
  mig_key_free(s->key);
  mig_sign_key_free(s->sign_key);
  char *name = s->name;
  s->kind->close(s);
  mig_free(name);
}

bool mig_store_use_key(mig_store *s, const mig_key *key, mig_error *err) {
  mig_key_free(s->key);
  s->key = mig_key_copy(key);
  return !key || s->key || mig_no_memory(err, "key");
}

const mig_key *mig_store_key(const mig_store *s) {
  return s->key;
}

bool mig_store_use_sign_key(mig_store *s, const mig_sign_key *key, mig_error *err) {
  mig_sign_key_free(s->sign_key);
  s->sign_key = mig_sign_key_copy(key);
  return !key || s->sign_key || mig_no_memory(err, "key");
}

const mig_sign_key *mig_store_sign_key(const mig_store *s) {
  return s->sign_key;
}

bool mig_store_exists(const char *place) {
  return mig_s3_is_url(place) || mig_fs_exists(place);
}

const char *mig_store_name(const mig_store *s) {
  return s->name;
}

const char *mig_store_spool_folder(const mig_store *s) {
  return s->spool_folder;
}

bool mig_store_create(mig_store *s, const char *id, mig_sink **out, mig_error *err) {
  return s->kind->create(s, id, out, err);
}

bool mig_store_remove(const mig_store *s, const char *path, mig_error *err) {
  return s->kind->remove(s, path, err);
}

bool mig_store_sweep(const mig_store *s, mig_error *err) {
  return s->kind->sweep(s, err);
}

static bool id_ok(const char *id) {
  size_t n = strlen(id);
  return n > 0 && n <= 200 && id[0] != '.' && strspn(id, ID_CHARACTERS) == n;
}

static bool bad_id(const char *id, mig_error *err) {
  mig_fail(err, MIG_E_USAGE, "\"%.200s\" cannot be the id of a snapshot", id);
  return mig_hint(err, "an id looks like 20261121T071500Z-0001_name-a1b2c3; `mig snapshot list` shows them");
}

bool mig_store_check_id(const char *id, mig_error *err) {
  return id_ok(id) || bad_id(id, err);
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

bool mig_store_names_another(const char *path, const char *id) {
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  const size_t n = strlen(id);
  if (time_of_id(name) < 0) return false;
  return strncmp(name, id, n) != 0 || strncmp(name + n, MIG_STORE_SUFFIX, strlen(MIG_STORE_SUFFIX)) != 0;
}

int64_t mig_store_time(const char *id, int64_t modified_unix_ms) {
  const int64_t created = time_of_id(id);
  return created >= 0 ? created : modified_unix_ms;
}

bool mig_store_name_is_snapshot(const char *name, char **id, mig_error *err) {
  const size_t suffix = strlen(MIG_STORE_SUFFIX), n = strlen(name);
  *id = NULL;
  if (n <= suffix || strcmp(name + n - suffix, MIG_STORE_SUFFIX) != 0) return true;
  if (!(*id = mig_strndup(name, n - suffix))) return mig_no_memory(err, "store");
  if (id_ok(*id)) return true;
  mig_free(*id); /* not one of ours */
  *id = NULL;
  return true;
}

static int by_age(const void *a, const void *b) {
  const mig_store_item *x = a, *y = b;
  if (x->created_unix_ms != y->created_unix_ms) return x->created_unix_ms < y->created_unix_ms ? -1 : 1;
  return strcmp(x->id, y->id);
}

bool mig_store_list(const mig_store *s, mig_store_item **items, size_t *count, mig_error *err) {
  *items = NULL;
  *count = 0;
  if (!s->kind->list(s, items, count, err)) {
    mig_store_items_free(*items, *count);
    *items = NULL;
    *count = 0;
    return false;
  }
  if (*count) qsort(*items, *count, sizeof **items, by_age);
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
  mig_fail(err, MIG_E_STORE, "there is no snapshot \"%.200s\" in %s", id, s->name);
  return mig_hint(err, "`mig snapshot list` shows what is there; a path must have a '/' in it");
}

bool mig_store_find(const mig_store *s, const char *id_or_path, char **path, mig_error *err) {
  mig_store_item *items = NULL;
  size_t count = 0;
  char id[256];
  *path = NULL;
  if (mig_s3_is_url(id_or_path)) return (*path = mig_strdup(id_or_path)) || mig_no_memory(err, "path");
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

char *mig_store_absolute(const char *path) {
  if (mig_s3_is_url(path)) return mig_strdup(path);
  char *real = realpath(path, NULL);
  char *out = mig_strdup(real ? real : path);
  free(real);
  return out;
}

bool mig_store_space(const mig_store *s, uint64_t need_bytes, mig_error *err) {
  uint64_t have = 0;
  bool known = false;
  if (!s->kind->room(s, &known, &have, err)) return false;
  if (!known || have >= need_bytes) return true;
  mig_fail(err, MIG_E_STORE, "not enough room in the snapshot store %s", s->name);
  mig_why(err, "%.1f MiB may be needed, %.1f MiB are free", (double)need_bytes / 1048576.0, (double)have / 1048576.0);
  return mig_hint(err, "free some room there (old snapshots, say), or choose another folder with --store");
}

const char *mig_store_folder_of(const char *place) {
  return mig_s3_is_url(place) ? NULL : place;
}

bool mig_store_room(const char *place, bool *known, uint64_t *bytes, mig_error *err) {
  mig_store *s = NULL;
  mig_store_item *items = NULL;
  size_t count = 0;
  if (!mig_s3_is_url(place)) return *known = mig_fs_free_bytes(place, bytes, err);
  *known = false;
  const bool ok = mig_s3_store_open(place, &s, err) && mig_store_list(s, &items, &count, err); /* does it answer? */
  mig_store_items_free(items, count);
  mig_store_close(s);
  return ok;
}
