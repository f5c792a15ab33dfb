/* A folder of migrations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "migrations/migration.h"

static char folder[64];

#define STEP "{\"up\": [{\"dropCollection\": {\"collection\": \"c\"}}]}"

static void put(const char *name, const char *text) {
  char path[300];
  mig_error err = {0};
  snprintf(path, sizeof path, "%s/%s", folder, name);
  if (!mig_fs_write_atomic(path, text, strlen(text), 0600, &err)) fail_msg("%s", err.what);
}

static void make(const char *name) {
  char path[300];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  assert_true(mig_fs_make_folder(path, 0700, NULL));
}

static int setup(void **state) {
  (void)state;
  strcpy(folder, "/tmp/mig-folder-XXXXXX");
  return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state) {
  char command[100];
  (void)state;
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  return system(command);
}

static mig_folder *load_ok(void) {
  mig_folder *f = NULL;
  mig_error err = {0};
  if (!mig_folder_load(folder, NULL, &f, &err)) fail_msg("%s: %s", err.what, err.why);
  return f;
}

static void load_fails(mig_error *err) {
  mig_folder *f = NULL;
  *err = (mig_error){0};
  assert_false(mig_folder_load(folder, NULL, &f, err));
  assert_null(f);
}

static void migrations_come_in_numeric_order(void **state) {
  static const char *const order[] = {"1_a", "2_b", "9_c", "0010_d", "100_e"};
  (void)state;
  put("100_e.json", STEP);
  put("0010_d.json", STEP);
  put("9_c.json", STEP);
  make("pending");
  make("completed");
  put("pending/2_b.json", STEP);
  put("completed/1_a.json", STEP);
  mig_folder *f = load_ok();
  assert_int_equal(f->count, 5);
  for (size_t i = 0; i < 5; i++) assert_string_equal(f->items[i]->name, order[i]);
  mig_folder_free(f);
}

static void other_files_and_folders_are_no_migrations(void **state) {
  (void)state;
  put("1_a.json", STEP);
  put("README.md", "x");
  put("2_b.json~", "{");
  put(".3_c.json", "{");
  make("old");
  put("old/4_d.json", "{");
  mig_folder *f = load_ok();
  assert_int_equal(f->count, 1);
  mig_folder_free(f);
}

static void an_empty_folder_has_no_migrations(void **state) {
  (void)state;
  mig_folder *f = load_ok();
  assert_int_equal(f->count, 0);
  assert_null(mig_folder_find(f, "1"));
  mig_folder_free(f);
}

static void a_number_used_twice_names_both_files(void **state) {
  mig_error err;
  (void)state;
  put("0001_a.json", STEP);
  put("1_b.json", STEP);
  load_fails(&err);
  assert_int_equal(err.code, MIG_E_INPUT);
  assert_non_null(strstr(err.what, "0001_a.json"));
  assert_non_null(strstr(err.what, "1_b.json"));
  assert_true(err.hint[0]);
}

static void a_version_used_twice_names_both_files(void **state) {
  mig_error err;
  (void)state;
  put("1_a.json", "{\"version\": \"1.4\", \"up\": [{\"dropCollection\": {\"collection\": \"c\"}}]}");
  put("3_c.json", STEP);
  put("7_b.json", "{\"version\": \"1.4\", \"up\": [{\"dropCollection\": {\"collection\": \"c\"}}]}");
  load_fails(&err);
  assert_non_null(strstr(err.what, "1_a.json"));
  assert_non_null(strstr(err.what, "7_b.json"));
  assert_non_null(strstr(err.what, "1.4"));
}

static void the_same_file_in_both_folders_is_an_error(void **state) {
  mig_error err;
  (void)state;
  make("pending");
  make("completed");
  put("pending/1_a.json", STEP);
  put("completed/1_a.json", STEP);
  load_fails(&err);
  assert_non_null(strstr(err.what, "pending/1_a.json"));
  assert_non_null(strstr(err.what, "completed/1_a.json"));
}

static void a_module_that_does_not_compile_is_named_rather_than_skipped(void **state) {
  mig_error err;
  char cache[100];
  (void)state;
  snprintf(cache, sizeof cache, "%s/cache", folder);
  setenv("MIG_MODULE_CACHE", cache, 1);
  put("1_a.json", STEP);
  put("2_b.c", "int x");
  load_fails(&err);
  assert_int_equal(err.code, MIG_E_INPUT);
  assert_non_null(strstr(err.what, "2_b.c does not compile"));
  assert_non_null(strstr(err.why, "2_b.c:1:"));
}

static void a_bad_name_names_the_file(void **state) {
  mig_error err;
  (void)state;
  put("users.json", STEP);
  load_fails(&err);
  assert_non_null(strstr(err.what, "users.json"));
}

static void what_cannot_be_read_names_the_path(void **state) {
  mig_folder *f = NULL;
  mig_error err = {0};
  (void)state;
  assert_false(mig_folder_load("/tmp/mig-there-is-none", NULL, &f, &err));
  assert_string_equal(err.what, "there is no folder /tmp/mig-there-is-none");
  assert_true(err.hint[0]);
  put("1_a.json", STEP);
  char path[300];
  snprintf(path, sizeof path, "%s/1_a.json", folder);
  assert_false(mig_folder_load(path, NULL, &f, &err));
  assert_non_null(strstr(err.what, "is not a folder"));
  make("2_b.json");
  load_fails(&err);
  assert_non_null(strstr(err.what, "2_b.json"));
}

static void migrations_are_found_by_name_file_version_and_number(void **state) {
  (void)state;
  put("0001_a.json", "{\"version\": \"1.4\", \"up\": [{\"dropCollection\": {\"collection\": \"c\"}}]}");
  put("0002_b.json", STEP);
  mig_folder *f = load_ok();
  assert_ptr_equal(mig_folder_find(f, "0001_a"), f->items[0]);
  assert_ptr_equal(mig_folder_find(f, "0001_a.json"), f->items[0]);
  assert_ptr_equal(mig_folder_find(f, "1.4"), f->items[0]);
  assert_ptr_equal(mig_folder_find(f, "0002"), f->items[1]);
  assert_ptr_equal(mig_folder_find(f, "2"), f->items[1]);
  assert_null(mig_folder_find(f, "0001_"));
  assert_null(mig_folder_find(f, ""));
  mig_folder_free(f);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      T(migrations_come_in_numeric_order),
      T(other_files_and_folders_are_no_migrations),
      T(an_empty_folder_has_no_migrations),
      T(a_number_used_twice_names_both_files),
      T(a_version_used_twice_names_both_files),
      T(the_same_file_in_both_folders_is_an_error),
      T(a_module_that_does_not_compile_is_named_rather_than_skipped),
      T(a_bad_name_names_the_file),
      T(what_cannot_be_read_names_the_path),
      T(migrations_are_found_by_name_file_version_and_number),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
