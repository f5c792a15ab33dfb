/*
 * faultfs.c - a disk that fails on demand, preloaded into the program by the tests (LD_PRELOAD)
 *
 * MIG_FS_UNDER=FOLDER      only calls on files in it count
 * MIG_FS_FAIL=N:ERRNO      the Nth such call fails with that errno; N:ERRNO:+ fails all from the Nth on
 * MIG_FS_CALL=NAME[,NAME]  only these calls count (open write pwrite read pread fsync rename link unlink mkdir statvfs
 *                          opendir readdir); without it all of them but unlink, which tidies up
 * MIG_FS_SHORT=1           reads and writes move seven bytes at most
 * MIG_FS_LOG=FILE          a line for each call that counts: "3 write /path", and "FAILED" where it was made to fail
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* ISO C has no conversion from an object pointer to a function pointer; POSIX demands that this works. */
#define REAL(name, returns, ...)                                                                                       \
  static returns (*real)(__VA_ARGS__);                                                                                 \
  if (!real) *(void **)&real = dlsym(RTLD_NEXT, name)

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned long counted;

static void note(unsigned long n, const char *call, const char *path, bool failed) {
  REAL("open", int, const char *, int, ...);
  const char *file = getenv("MIG_FS_LOG");
  char line[PATH_MAX + 64];
  if (!file) return;
  const int size = snprintf(line, sizeof line, "%lu %s %s%s\n", n, call, path, failed ? " FAILED" : "");
  const int fd = real(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  static ssize_t (*put)(int, const void *, size_t);
  if (!put) *(void **)&put = dlsym(RTLD_NEXT, "write");
  if (fd < 0 || put(fd, line, (size_t)size) != size) abort(); /* a test that would see nothing */
  close(fd);
}

static bool counts(const char *call) {
  const char *only = getenv("MIG_FS_CALL");
  if (!only) return strcmp(call, "unlink") != 0;
  const size_t n = strlen(call);
  for (const char *p = only; (p = strstr(p, call)) != NULL; p += n)
    if ((p == only || p[-1] == ',') && (p[n] == 0 || p[n] == ',')) return true;
  return false;
}

/* True when this call shall fail; errno is set then. */
static bool fails(const char *call, const char *path) {
  const char *under = getenv("MIG_FS_UNDER"), *how = getenv("MIG_FS_FAIL");
  if (!under || !path || strncmp(path, under, strlen(under)) != 0 || !counts(call)) return false;
  pthread_mutex_lock(&mutex);
  const unsigned long n = ++counted;
  char *rest = NULL;
  const unsigned long nth = how ? strtoul(how, &rest, 10) : 0;
  const long error = rest && *rest == ':' ? strtol(rest + 1, &rest, 10) : EIO;
  const bool now = nth && (n == nth || (n > nth && rest && strcmp(rest, ":+") == 0));
  note(n, call, path, now);
  pthread_mutex_unlock(&mutex);
  if (now) errno = (int)error;
  return now;
}

static bool fails_fd(const char *call, int fd) {
  char link[64], path[PATH_MAX];
  const int saved = errno;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = readlink(link, path, sizeof path - 1);
  errno = saved;
  if (n <= 0) return false;
  path[n] = 0;
  return fails(call, path);
}

/* Paths as given may be relative to where the program runs. */
static bool fails_path(const char *call, const char *path) {
  char whole[2 * PATH_MAX], cwd[PATH_MAX];
  if (path[0] == '/' || !getcwd(cwd, sizeof cwd)) return fails(call, path);
  snprintf(whole, sizeof whole, "%s/%s", cwd, strncmp(path, "./", 2) == 0 ? path + 2 : path);
  return fails(call, whole);
}

static size_t moved(size_t size) {
  return size > 7 && getenv("MIG_FS_SHORT") ? 7 : size;
}

static mode_t mode_of(int flags, va_list ap) {
  return flags & O_CREAT ? (mode_t)va_arg(ap, unsigned) : 0;
}

#define OPEN(name)                                                                                                     \
  int name(const char *path, int flags, ...) {                                                                         \
    REAL(#name, int, const char *, int, ...);                                                                          \
    va_list ap;                                                                                                        \
    va_start(ap, flags);                                                                                               \
    const mode_t mode = mode_of(flags, ap);                                                                            \
    va_end(ap);                                                                                                        \
    return fails_path("open", path) ? -1 : real(path, flags, mode);                                                    \
  }
OPEN(open)
OPEN(open64)

#define MOVE(name, label, buffer)                                                                                      \
  ssize_t name(int fd, buffer data, size_t size) {                                                                     \
    REAL(#name, ssize_t, int, buffer, size_t);                                                                         \
    return fails_fd(label, fd) ? -1 : real(fd, data, moved(size));                                                     \
  }
MOVE(read, "read", void *)
MOVE(write, "write", const void *)

#define MOVE_AT(name, label, buffer)                                                                                   \
  ssize_t name(int fd, buffer data, size_t size, off_t at) {                                                           \
    REAL(#name, ssize_t, int, buffer, size_t, off_t);                                                                  \
    return fails_fd(label, fd) ? -1 : real(fd, data, moved(size), at);                                                 \
  }
MOVE_AT(pread, "pread", void *)
MOVE_AT(pread64, "pread", void *)
MOVE_AT(pwrite, "pwrite", const void *)
MOVE_AT(pwrite64, "pwrite", const void *)

int fsync(int fd) {
  REAL("fsync", int, int);
  return fails_fd("fsync", fd) ? -1 : real(fd);
}

int rename(const char *from, const char *to) {
  REAL("rename", int, const char *, const char *);
  return fails_path("rename", to) ? -1 : real(from, to);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags) {
  REAL("renameat2", int, int, const char *, int, const char *, unsigned);
  return fails_path("rename", to) ? -1 : real(from_fd, from, to_fd, to, flags);
}

int link(const char *from, const char *to) {
  REAL("link", int, const char *, const char *);
  return fails_path("link", to) ? -1 : real(from, to);
}

int unlink(const char *path) {
  REAL("unlink", int, const char *);
  return fails_path("unlink", path) ? -1 : real(path);
}

int mkdir(const char *path, mode_t mode) {
  REAL("mkdir", int, const char *, mode_t);
  return fails_path("mkdir", path) ? -1 : real(path, mode);
}

int statvfs64(const char *path, struct statvfs64 *out) {
  REAL("statvfs64", int, const char *, struct statvfs64 *);
  return fails_path("statvfs", path) ? -1 : real(path, out);
}

int statvfs(const char *path, struct statvfs *out) {
  REAL("statvfs", int, const char *, struct statvfs *);
  return fails_path("statvfs", path) ? -1 : real(path, out);
}

DIR *opendir(const char *path) {
  REAL("opendir", DIR *, const char *);
  return fails_path("opendir", path) ? NULL : real(path);
}

struct dirent64 *readdir64(DIR *dir) {
  REAL("readdir64", struct dirent64 *, DIR *);
  return fails_fd("readdir", dirfd(dir)) ? NULL : real(dir);
}

struct dirent *readdir(DIR *dir) {
  REAL("readdir", struct dirent *, DIR *);
  return fails_fd("readdir", dirfd(dir)) ? NULL : real(dir);
}
