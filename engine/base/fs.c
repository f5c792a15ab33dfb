#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/hash.h"

char *mig_fs_join(const char *folder, const char *name) {
  size_t n = strlen(folder);
  return mig_strdup_printf("%s%s%s", folder, n && folder[n - 1] == '/' ? "" : "/", name);
}

bool mig_fs_exists(const char *path) {
  struct stat st;
  return stat(path, &st) == 0;
}

bool mig_fs_is_folder(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool read_all(int fd, const char *path, size_t max_bytes, mig_buf *out, mig_error *err) {
  uint8_t piece[16384];
  for (;;) {
    ssize_t n = read(fd, piece, sizeof piece);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return mig_fail_errno(err, "cannot read %s", path);
    if (n == 0) return true;
    if (out->size + (size_t)n > max_bytes)
      return mig_fail(err, MIG_E_INPUT, "%s is larger than %zu bytes", path, max_bytes);
    if (!mig_buf_add(out, piece, (size_t)n, err)) return false;
  }
}

static bool is_private(const struct stat *st) {
  return (st->st_mode & 077) == 0 || (st->st_uid == 0 && (st->st_mode & 037) == 0);
}

static bool not_private(const char *path, const struct stat *st, mig_error *err) {
  mig_fail(err, MIG_E_USAGE, "%s can be read by others", path);
  mig_why(err, "it holds a secret, and its mode is %04o", (unsigned)(st->st_mode & 07777));
  return mig_hint(err, "chmod 600 %s", path);
}

static bool read_file(const char *path, bool secret, size_t max_bytes, mig_buf *out, mig_error *err) {
  *out = MIG_BUF(max_bytes);
  /* O_NONBLOCK: opening a FIFO that somebody put there must not hang. */
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return mig_fail_errno(err, "cannot read %s", path);
  struct stat st;
  bool ok = fstat(fd, &st) == 0 ? true : mig_fail_errno(err, "cannot read %s", path);
  if (ok && !S_ISREG(st.st_mode)) ok = mig_fail(err, MIG_E_INPUT, "%s is not a regular file", path);
  if (ok && secret && !is_private(&st)) ok = not_private(path, &st, err);
  ok = ok && read_all(fd, path, max_bytes, out, err);
  if (!ok) mig_fs_wipe(out);
  close(fd);
  return ok;
}

bool mig_fs_read(const char *path, size_t max_bytes, mig_buf *out, mig_error *err) {
  return read_file(path, false, max_bytes, out, err);
}

bool mig_fs_read_secret(const char *path, size_t max_bytes, mig_buf *out, mig_error *err) {
  mig_error local = {0};
  if (read_file(path, true, max_bytes, out, &local)) return true;
  if (local.code != MIG_E_NO_MEMORY) local.code = MIG_E_USAGE;
  if (err) *err = local;
  return false;
}

void mig_fs_wipe(mig_buf *secret) {
  if (secret->data) OPENSSL_cleanse(secret->data, secret->capacity);
  mig_buf_free(secret);
}

void mig_fs_version(const struct stat *st, char *text, size_t size) {
  snprintf(text, size, "%llu %llu %lld %lld.%09ld %lld.%09ld", (unsigned long long)st->st_dev,
           (unsigned long long)st->st_ino, (long long)st->st_size, (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
           (long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
}

bool mig_fs_sync_folder(const char *folder, mig_error *err) {
  const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool ok = (fd >= 0 && fsync(fd) == 0) || mig_fail_errno(err, "cannot sync the folder %s", folder);
  if (fd >= 0) close(fd);
  return ok;
}

bool mig_fs_sync_folder_of(const char *path, mig_error *err) {
  char *folder = mig_strdup(path);
  if (!folder) return mig_no_memory(err, "path");
  char *slash = strrchr(folder, '/');
  if (slash == folder)
    slash[1] = 0;
  else if (slash)
    *slash = 0;
  const bool ok = mig_fs_sync_folder(slash ? folder : ".", err);
  mig_free(folder);
  return ok;
}

bool mig_fs_sync_file(const char *path, mig_error *err) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  bool ok = fd >= 0 && fsync(fd) == 0;
  if (!ok) mig_fail_errno(err, "cannot sync %s", path);
  if (fd >= 0) close(fd);
  return ok;
}

bool mig_fs_publish(const char *from, const char *to, mig_error *err) {
  if (!mig_fs_sync_file(from, err)) return false;
  /* RENAME_NOREPLACE: two runs must never write over each other's archive. Not every file system has it. */
  int failed = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
  if (failed && (errno == EINVAL || errno == ENOSYS)) {
    if (link(from, to) == 0) {
      unlink(from);
      failed = 0;
    }
  }
  if (failed) return mig_fail_errno(err, "cannot rename %s to %s", from, to);
  mig_crash_point(MIG_CRASH_SNAPSHOT_RENAMED);
  /* sync the folder too: a power cut can undo the rename */
  return mig_fs_sync_folder_of(to, err);
}

bool mig_fs_write_atomic(const char *path, const void *data, size_t size, unsigned mode, mig_error *err) {
  char random[17];
  if (!mig_random_hex(8, random, err)) return false;
  char *temp = mig_strdup_printf("%s.%s.tmp", path, random);
  if (!temp) return mig_no_memory(err, "path");
  bool ok = false;
  int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, (mode_t)mode);
  if (fd < 0) {
    mig_fail_errno(err, "cannot write %s", path);
    goto done;
  }
  for (size_t done_bytes = 0; done_bytes < size;) {
    ssize_t n = write(fd, (const uint8_t *)data + done_bytes, size - done_bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      mig_fail_errno(err, "cannot write %s", path);
      goto done;
    }
    done_bytes += (size_t)n;
  }
  if (fsync(fd) != 0 || rename(temp, path) != 0) {
    mig_fail_errno(err, "cannot write %s", path);
    goto done;
  }
  ok = mig_fs_sync_folder_of(path, err);
done:
  if (fd >= 0) close(fd);
  if (!ok) unlink(temp);
  mig_free(temp);
  return ok;
}

bool mig_fs_make_folder(const char *path, unsigned mode, mig_error *err) {
  char *copy = mig_strdup(path);
  if (!copy) return mig_no_memory(err, "path");
  bool ok = true;
  for (char *p = copy + 1; ok; p++) {
    if (*p != '/' && *p != 0) continue;
    char was = *p;
    *p = 0;
    if (mkdir(copy, (mode_t)mode) != 0 && errno != EEXIST) ok = mig_fail_errno(err, "cannot make the folder %s", copy);
    *p = was;
    if (!was) break;
  }
  if (ok && !mig_fs_is_folder(path)) {
    ok = mig_fail(err, MIG_E_STORE, "%s is not a folder", path);
    mig_hint(err, "move that file away, or choose another folder");
  }
  mig_free(copy);
  return ok;
}

bool mig_fs_free_bytes(const char *path, uint64_t *out, mig_error *err) {
  char *at = mig_strdup(path);
  if (!at) return mig_no_memory(err, "path");
  struct statvfs st;
  int failed;
  while ((failed = statvfs(*at ? at : ".", &st)) != 0 && errno == ENOENT && *at) {
    char *slash = strrchr(at, '/');
    if (slash == at && at[1])
      at[1] = 0;
    else if (slash && slash != at)
      *slash = 0;
    else
      *at = 0;
  }
  if (failed)
    mig_fail_errno(err, "cannot tell the free space of %s", path);
  else
    *out = (uint64_t)st.f_bavail * (uint64_t)st.f_frsize;
  mig_free(at);
  return !failed;
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

bool mig_fs_list(const char *path, char ***names, size_t *count, mig_error *err) {
  char **list = NULL;
  size_t n = 0, room = 0;
  bool ok = false;
  *names = NULL;
  *count = 0;
  DIR *dir = opendir(path);
  if (!dir) return mig_fail_errno(err, "cannot read the folder %s", path);
  for (;;) {
    errno = 0;
    struct dirent *entry = readdir(dir);
    if (!entry && errno) {
      mig_fail_errno(err, "cannot read the folder %s", path);
      goto done;
    }
    if (!entry) break;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (n == room) {
      room = room ? room * 2 : 16;
      char **grown = mig_realloc(list, room * sizeof *list);
      if (!grown) {
        mig_no_memory(err, "folder");
        goto done;
      }
      list = grown;
    }
    if (!(list[n] = mig_strdup(entry->d_name))) {
      mig_no_memory(err, "folder");
      goto done;
    }
    n++;
  }
  if (n) qsort(list, n, sizeof *list, by_name);
  ok = true;
done:
  closedir(dir);
  if (!ok) {
    mig_fs_names_free(list, n);
    return false;
  }
  *names = list;
  *count = n;
  return true;
}

void mig_fs_names_free(char **names, size_t count) {
  for (size_t i = 0; names && i < count; i++) mig_free(names[i]);
  mig_free(names);
}
