#include "run/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

#define MAX_BYTES ((int64_t)10 << 20)

struct mig_log {
  char *path;
  int64_t max_bytes;
  int fd;
};

bool mig_log_new(const char *path, int64_t max_bytes, mig_log **out, mig_error *err) {
  *out = NULL;
  mig_log *l = mig_alloc(sizeof *l);
  if (!l || !(l->path = mig_strdup(path))) {
    mig_free(l);
    return mig_no_memory(err, "log");
  }
  l->fd = -1;
  l->max_bytes = max_bytes > 0 ? max_bytes : MAX_BYTES;
  *out = l;
  return true;
}

void mig_log_free(mig_log *l) {
  if (!l) return;
  if (l->fd >= 0) close(l->fd);
  mig_free(l->path);
  mig_free(l);
}

static bool same_file(const struct stat *a, const struct stat *b) {
  return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* The file that stands at the path now: another process may have moved ours away, a person may have removed it. */
static bool open_current(mig_log *l, struct stat *st, mig_error *err) {
  struct stat there;
  if (l->fd >= 0 && fstat(l->fd, st) == 0 && stat(l->path, &there) == 0 && same_file(st, &there)) return true;
  if (l->fd >= 0) close(l->fd);
  l->fd = open(l->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
  if (l->fd < 0 || fstat(l->fd, st) != 0) return mig_fail_errno(err, "cannot write the log %s", l->path);
  return true;
}

/* By one process only, which the lock on the file decides; who does not get it at once goes on writing: nobody waits.
 */
static void rotate(mig_log *l) {
  struct stat ours, there;
  if (flock(l->fd, LOCK_EX | LOCK_NB) != 0) return;
  bool still = fstat(l->fd, &ours) == 0 && stat(l->path, &there) == 0 && same_file(&ours, &there);
  for (int i = MIG_LOG_KEEP - 1; still && i >= 0; i--) {
    char *from = i ? mig_strdup_printf("%s.%d", l->path, i) : mig_strdup(l->path);
    char *to = mig_strdup_printf("%s.%d", l->path, i + 1);
    /* a number that is missing is no failure; a log that cannot be moved simply goes on growing */
    bool moved = from && to && (rename(from, to) == 0 || errno == ENOENT);
    mig_free(from);
    mig_free(to);
    if (!moved) break;
  }
  flock(l->fd, LOCK_UN);
}

static void time_text(int64_t unix_ms, char text[static MIG_TIME_TEXT + 8]) {
  char whole[MIG_TIME_TEXT];
  mig_time_iso(unix_ms, whole);
  size_t n = strlen(whole);
  snprintf(text, MIG_TIME_TEXT + 8, "%.*s.%03dZ", (int)(n ? n - 1 : 0), whole, (int)(unix_ms % 1000));
}

static char *line_of(const bson_t *fields) {
  char text[MIG_TIME_TEXT + 8];
  bson_t line = BSON_INITIALIZER;
  bson_iter_t it;
  time_text(mig_now_unix_ms(), text);
  BSON_APPEND_UTF8(&line, "time", text);
  if (bson_iter_init(&it, fields)) {
    while (bson_iter_next(&it)) {
      if (BSON_ITER_HOLDS_DATE_TIME(&it)) {
        time_text(bson_iter_date_time(&it), text);
        BSON_APPEND_UTF8(&line, bson_iter_key(&it), text);
      } else {
        bson_append_iter(&line, bson_iter_key(&it), -1, &it);
      }
    }
  }
  char *json = mig_bson_json(&line);
  char *out = json ? mig_strdup_printf("%s\n", json) : NULL;
  mig_free(json);
  bson_destroy(&line);
  return out;
}

bool mig_log_write(mig_log *l, const bson_t *fields, mig_error *err) {
  struct stat st;
  char *line = line_of(fields);
  if (!line) return mig_no_memory(err, "log");
  size_t size = strlen(line);
  bool ok = open_current(l, &st, err);
  if (ok && S_ISREG(st.st_mode) && st.st_size > 0 && st.st_size + (int64_t)size > l->max_bytes) {
    rotate(l);
    ok = open_current(l, &st, err);
  }
  ssize_t wrote = ok ? write(l->fd, line, size) : -1; /* one write: O_APPEND keeps lines of several processes apart */
  if (ok && wrote != (ssize_t)size) {
    if (wrote >= 0) errno = ENOSPC;
    ok = mig_fail_errno(err, "cannot write the log %s", l->path);
  }
  mig_free(line);
  return ok;
}
