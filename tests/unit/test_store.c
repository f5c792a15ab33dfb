#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* the four above must stand before cmocka.h */
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backup/sink.h"
#include "backup/store_folder.h"
#include "base/clock.h"

typedef struct fixture {
  char folder[64];
  mig_store *store;
  mig_error err;
} fixture;

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  snprintf(f->folder, sizeof f->folder, "/tmp/mig-store-XXXXXX");
  if (!mkdtemp(f->folder) || !mig_store_open(f->folder, false, &f->store, &f->err)) return -1;
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  char command[128];
  mig_store_close(f->store);
  snprintf(command, sizeof command, "rm -rf '%s'", f->folder);
  int gone = system(command);
  free(f);
  return gone;
}

static void touch(const fixture *f, const char *name) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", f->folder, name);
  int fd = open(path, O_WRONLY | O_CREAT, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, "abc", 3), 3);
  close(fd);
}

static void a_store_is_made_with_its_parents_for_us_alone(void **state) {
  fixture *f = *state;
  char folder[128];
  struct stat st;
  mig_store *s = NULL;
  snprintf(folder, sizeof folder, "%s/a/b/c", f->folder);
  assert_false(mig_store_open(folder, false, &s, &f->err));
  assert_int_equal(f->err.code, MIG_E_STORE);
  assert_null(s);
  assert_true(mig_store_open(folder, true, &s, &f->err));
  assert_string_equal(mig_store_name(s), folder);
  assert_int_equal(stat(folder, &st), 0);
  assert_int_equal(st.st_mode & 07777, 0700);
  mig_store_close(s);
  touch(f, "file");
  snprintf(folder, sizeof folder, "%s/file", f->folder);
  assert_false(mig_store_open(folder, true, &s, &f->err));
  assert_false(mig_store_open("", true, &s, &f->err));
  assert_int_equal(f->err.code, MIG_E_USAGE);
  mig_store_close(NULL);
}

static void new_ids_are_safe_names_and_never_the_same(void **state) {
  fixture *f = *state;
  char *one = NULL, *other = NULL, *partial = NULL, *final = NULL;
  static const char *const labels[] = {"0001_x", "../../etc/passwd", "", "a b\n\xC3\xA9", "...", NULL};
  for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
    assert_true(mig_store_new_id(labels[i], &one, &f->err) && mig_store_new_id(labels[i], &other, &f->err));
    assert_string_not_equal(one, other);
    assert_null(strchr(one, '/'));
    assert_int_equal(one[8], 'T');
    assert_int_equal(one[15], 'Z');
    assert_true(mig_store_paths(f->store, one, &partial, &final, &f->err));
    assert_true(strncmp(final, f->folder, strlen(f->folder)) == 0);
    mig_free(partial);
    mig_free(final);
    mig_free(one);
    mig_free(other);
  }
  char label[1000];
  memset(label, 'x', sizeof label);
  label[999] = 0;
  assert_true(mig_store_new_id(label, &one, &f->err));
  assert_true(strlen(one) < 128);
  mig_free(one);
}

static void ids_that_are_paths_are_refused(void **state) {
  fixture *f = *state;
  char *partial = NULL, *final = NULL;
  static const char *const bad[] = {"", ".", "..", "../x", "a/b", ".hidden", "a b", "a\n", "\xC3\xA9", "-/"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_false(mig_store_paths(f->store, bad[i], &partial, &final, &f->err));
    assert_int_equal(f->err.code, MIG_E_USAGE);
    assert_null(partial);
    assert_null(final);
  }
  char long_id[300];
  memset(long_id, 'x', sizeof long_id);
  long_id[299] = 0;
  assert_false(mig_store_paths(f->store, long_id, &partial, &final, &f->err));
}

static void the_list_is_of_finished_snapshots_oldest_first(void **state) {
  fixture *f = *state;
  mig_store_item *items = NULL;
  size_t count = 0;
  char link_path[256];
  touch(f, "20261121T071500Z-b-000002.mig.tar");
  touch(f, "20261121T071500Z-b-000001.mig.tar");
  touch(f, "20251121T071500Z-z-000003.mig.tar");
  touch(f, "imported.mig.tar");
  touch(f, "20261121T071501Z-c-000004.mig.tar.partial");
  touch(f, "notes.txt");
  touch(f, ".mig.tar");
  touch(f, "bad name.mig.tar");
  snprintf(link_path, sizeof link_path, "%s/20261121T071502Z-l-000005.mig.tar", f->folder);
  assert_int_equal(symlink("/etc/passwd", link_path), 0);
  snprintf(link_path, sizeof link_path, "%s/20261121T071503Z-d-000006.mig.tar", f->folder);
  assert_int_equal(mkdir(link_path, 0700), 0);
  assert_true(mig_store_list(f->store, &items, &count, &f->err));
  assert_int_equal(count, 4);
  size_t last = 0;
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(items[i].bytes, 3);
    if (strcmp(items[i].id, "imported") == 0) last = i;
    if (i) assert_true(items[i - 1].created_unix_ms <= items[i].created_unix_ms);
  }
  assert_string_equal(items[0].id, "20251121T071500Z-z-000003");
  assert_int_equal(items[0].created_unix_ms, 1763709300000);
  assert_true(items[last].created_unix_ms <= mig_now_unix_ms());
  mig_store_items_free(items, count);
  mig_store_items_free(NULL, 0);
}

static bool finds(fixture *f, const char *what, const char *name) {
  char *path = NULL;
  bool ok = mig_store_find(f->store, what, &path, &f->err);
  assert_true(ok == (path != NULL));
  if (ok) assert_string_equal(strrchr(path, '/') + 1, name);
  mig_free(path);
  return ok;
}

static void snapshots_are_found_by_id_beginning_and_path(void **state) {
  fixture *f = *state;
  char path[256];
  touch(f, "20261121T071500Z-b-000001.mig.tar");
  touch(f, "20261121T071500Z-b-000002.mig.tar");
  touch(f, "20261122T071500Z-c-000003.mig.tar");
  touch(f, "20261122T071500Z-c-000003-more.mig.tar");
  assert_true(finds(f, "20261121T071500Z-b-000001", "20261121T071500Z-b-000001.mig.tar"));
  assert_true(finds(f, "20261121T071500Z-b-000002.mig.tar", "20261121T071500Z-b-000002.mig.tar"));
  assert_true(finds(f, "20261122T071500Z-c-000003", "20261122T071500Z-c-000003.mig.tar")); /* exact before longer */
  assert_true(finds(f, "20261122T071500Z-c-000003-", "20261122T071500Z-c-000003-more.mig.tar"));
  assert_false(finds(f, "20261121", ""));
  assert_int_equal(f->err.code, MIG_E_USAGE);
  assert_non_null(strstr(f->err.why, "000001"));
  assert_false(finds(f, "2027", ""));
  assert_int_equal(f->err.code, MIG_E_STORE);
  assert_false(finds(f, "..", ""));
  assert_false(finds(f, "", ""));
  snprintf(path, sizeof path, "%s/20261121T071500Z-b-000001.mig.tar", f->folder);
  assert_true(finds(f, path, "20261121T071500Z-b-000001.mig.tar"));
  snprintf(path, sizeof path, "%s/../%s/20261121T071500Z-b-000001.mig.tar", f->folder, strrchr(f->folder, '/') + 1);
  assert_true(finds(f, path, "20261121T071500Z-b-000001.mig.tar")); /* a path is the user's own business */
  assert_false(finds(f, "/no/such/file", ""));
  assert_false(finds(f, f->folder, ""));
}

static void a_link_is_not_taken_for_a_snapshot(void **state) {
  fixture *f = *state;
  char path[256];
  snprintf(path, sizeof path, "%s/20261121T071500Z-b-000001.mig.tar", f->folder);
  assert_int_equal(symlink("/etc/passwd", path), 0);
  assert_false(finds(f, "20261121T071500Z-b-000001", ""));
  assert_false(finds(f, path, ""));
  assert_non_null(strstr(f->err.hint, "links"));
}

static void too_little_room_is_said_before(void **state) {
  fixture *f = *state;
  assert_true(mig_store_space(f->store, 1, &f->err));
  assert_false(mig_store_space(f->store, UINT64_MAX, &f->err));
  assert_int_equal(f->err.code, MIG_E_STORE);
  assert_non_null(strstr(f->err.what, f->folder));
  assert_true(f->err.why[0] && f->err.hint[0]);
}

static void left_overs_of_dead_writers_are_swept_and_live_ones_kept(void **state) {
  fixture *f = *state;
  char dead[256], live[256], other[256];
  snprintf(dead, sizeof dead, "%s/20261121T071500Z-b-000001.mig.tar.partial", f->folder);
  snprintf(live, sizeof live, "%s/20261121T071500Z-b-000002.mig.tar.partial", f->folder);
  snprintf(other, sizeof other, "%s/20261121T071500Z-b-000003.mig.tar", f->folder);
  assert_true(mig_fs_write_atomic(dead, "x", 1, 0600, &f->err));
  assert_true(mig_fs_write_atomic(live, "x", 1, 0600, &f->err));
  assert_true(mig_fs_write_atomic(other, "x", 1, 0600, &f->err));
  int fd = open(live, O_WRONLY);
  assert_int_equal(flock(fd, LOCK_EX), 0);
  assert_true(mig_store_sweep(f->store, &f->err));
  assert_false(mig_fs_exists(dead));
  assert_true(mig_fs_exists(live));
  assert_true(mig_fs_exists(other));
  close(fd);
  assert_true(mig_store_sweep(f->store, &f->err));
  assert_false(mig_fs_exists(live));
}

/* Killed between making the file and its first byte. */
static void an_empty_left_over_is_swept_too(void **state) {
  fixture *f = *state;
  char dead[256];
  snprintf(dead, sizeof dead, "%s/20261121T071500Z-b-000001.mig.tar.partial", f->folder);
  close(open(dead, O_WRONLY | O_CREAT, 0600));
  assert_true(mig_store_sweep(f->store, &f->err));
  assert_false(mig_fs_exists(dead));
}

/* In the place of libc's: between the making of a file and its lock, a sweep comes by. */
static mig_store *sweep_before_lock;

int flock(int fd, int operation) {
  mig_store *store = sweep_before_lock;
  mig_error err = {0};
  sweep_before_lock = NULL;
  if (store) assert_true(mig_store_sweep(store, &err));
  return (int)syscall(SYS_flock, fd, operation);
}

static void a_writer_loses_nothing_to_a_sweep_that_comes_before_its_lock(void **state) {
  fixture *f = *state;
  mig_sink *sink = NULL;
  char *path = NULL;
  sweep_before_lock = f->store;
  assert_true(mig_store_create(f->store, "20261121T071500Z-b-000001", &sink, &f->err));
  assert_null(sweep_before_lock);
  assert_true(mig_store_sweep(f->store, &f->err)); /* now it is locked */
  assert_true(mig_sink_write(sink, "x", 1, &f->err));
  assert_true(mig_sink_publish(sink, NULL, &path, &f->err));
  assert_true(mig_fs_exists(path));
  mig_free(path);
  mig_sink_free(sink);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      T(a_store_is_made_with_its_parents_for_us_alone),
      T(new_ids_are_safe_names_and_never_the_same),
      T(ids_that_are_paths_are_refused),
      T(the_list_is_of_finished_snapshots_oldest_first),
      T(snapshots_are_found_by_id_beginning_and_path),
      T(a_link_is_not_taken_for_a_snapshot),
      T(too_little_room_is_said_before),
      T(left_overs_of_dead_writers_are_swept_and_live_ones_kept),
      T(an_empty_left_over_is_swept_too),
      T(a_writer_loses_nothing_to_a_sweep_that_comes_before_its_lock),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
