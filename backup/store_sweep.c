/* Removing: what is not wanted any more, and what a killed writer left (a signature, too, is first written beside). A
 * writer holds a lock on its .partial from the moment it is made until it has its final name; a .partial that nobody
 * holds is nobody's. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backup/sign.h"
#include "backup/store_folder.h"

/* Whoever holds the lock is the only one that takes the name away. */
static bool is_still(int fd, const char *path) {
  struct stat opened, named;
  return fstat(fd, &opened) == 0 && lstat(path, &named) == 0 && S_ISREG(opened.st_mode) &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

static void sweep_one(const char *path) {
  const int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return;
  /* one that was just made and is not locked yet may be hit: its writer looks, and makes another */
  if (flock(fd, LOCK_EX | LOCK_NB) == 0 && is_still(fd, path)) unlink(path);
  close(fd);
}

/* What mig_fs_write_atomic was writing: ID.mig.tar.sig.<random>.tmp. It takes a moment: an hour later nobody does. */
#define ABANDONED_S 3600

static bool ends_with(const char *name, const char *suffix) {
  const size_t n = strlen(name), m = strlen(suffix);
  return n > m && strcmp(name + n - m, suffix) == 0;
}

static void sweep_signature(const char *path) {
  struct stat st;
  if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_mtime < time(NULL) - ABANDONED_S) unlink(path);
}

bool mig_store_folder_sweep(const mig_store *s, mig_error *err) {
  char **names = NULL;
  size_t count = 0;
  bool ok = mig_fs_list(s->name, &names, &count, err);
  for (size_t i = 0; ok && i < count; i++) {
    const bool partial = ends_with(names[i], MIG_STORE_PARTIAL);
    if (!partial && !(ends_with(names[i], ".tmp") && strstr(names[i], MIG_STORE_SUFFIX MIG_SIGN_SUFFIX "."))) continue;
    char *path = mig_fs_join(s->name, names[i]);
    if (!path)
      ok = mig_no_memory(err, "store");
    else if (partial)
      sweep_one(path);
    else
      sweep_signature(path);
    mig_free(path);
  }
  mig_fs_names_free(names, count);
  return ok;
}

bool mig_store_folder_remove(const mig_store *s, const char *path, mig_error *err) {
  char *signature = mig_strdup_printf("%s" MIG_SIGN_SUFFIX, path);
  (void)s;
  if (!signature) return mig_no_memory(err, "path");
  unlink(signature); /* first: what is killed here is removed next time, while a signature alone would stay for ever */
  mig_free(signature);
  if (unlink(path) != 0 && errno != ENOENT) return mig_fail_errno(err, "cannot remove %s", path);
  return mig_fs_sync_folder_of(path, err);
}
