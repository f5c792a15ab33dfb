/* mig_run_on_start from a program of one's own: <mig.h> alone says when it migrates and when the program may go on. */
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

typedef struct place {
  char folder[64], migrations[80], store[80], database[40];
  mig_db *db;
  mig_settings settings;
} place;

static void write_file(const char *folder, const char *name, const char *text) {
  char path[200];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  fputs(text, f);
  fclose(f);
}

static int setup(void **state) {
  place *p = calloc(1, sizeof *p);
  snprintf(p->folder, sizeof p->folder, "/tmp/migtest-start-XXXXXX");
  assert_non_null(mkdtemp(p->folder));
  snprintf(p->migrations, sizeof p->migrations, "%s/migrations", p->folder);
  snprintf(p->store, sizeof p->store, "%s/store", p->folder);
  assert_int_equal(mkdir(p->migrations, 0700), 0);
  p->db = test_db(p->database);
  p->settings = (mig_settings){
      .uri = test_uri(), .database = p->database, .migrations = p->migrations, .store = p->store, .by = "test"};
  write_file(p->migrations, "0001_one.json",
             "{\"up\": [{\"insert\": {\"collection\": \"c\", \"documents\": [{\"_id\": 1}]}}]}");
  unsetenv("MIGRATE_ON_START");
  unsetenv("MIGRATE_ON_START_FAIL_HARD");
  *state = p;
  return 0;
}

static int teardown(void **state) {
  place *p = *state;
  char command[200];
  test_db_drop(p->db);
  snprintf(command, sizeof command, "rm -rf %s", p->folder);
  int ignored = system(command);
  (void)ignored;
  free(p);
  return 0;
}

static int64_t documents(place *p) {
  mig_error err = {0};
  int64_t n = -1;
  assert_ok(mig_db_count(p->db, "c", NULL, &n, &err), err);
  return n;
}

static void nothing_is_done_unless_it_is_asked_for(void **state) {
  place *p = *state;
  mig_start_report r;
  mig_error err = {0};
  assert_ok(mig_run_on_start(&p->settings, NULL, NULL, &r, &err), err);
  assert_false(r.asked || r.failed || r.applied);
  setenv("MIGRATE_ON_START", "perhaps", 1);
  assert_false(mig_run_on_start(&p->settings, NULL, NULL, &r, &err));
  assert_int_equal(err.code, MIG_E_USAGE);
  assert_int_equal(documents(p), 0);
}

static void it_migrates_once_and_then_has_nothing_to_do(void **state) {
  place *p = *state;
  mig_start_report r;
  mig_error err = {0};
  setenv("MIGRATE_ON_START", "true", 1);
  assert_ok(mig_run_on_start(&p->settings, NULL, NULL, &r, &err), err);
  assert_true(r.asked && !r.failed && r.applied == 1);
  assert_ok(mig_run_on_start(&p->settings, NULL, NULL, NULL, &err), err);
  assert_int_equal(documents(p), 1);
}

static void failure_is_told_and_only_with_fail_hard_one_of_the_program(void **state) {
  place *p = *state;
  mig_start_report r;
  mig_error err = {0};
  setenv("MIGRATE_ON_START", "true", 1);
  write_file(p->migrations, "0002_no.json",
             "{\"guards\": [{\"collectionExists\": {\"collection\": \"nowhere\"}}], \"up\": [{\"createCollection\": "
             "{\"collection\": \"d\"}}]}");
  assert_ok(mig_run_on_start(&p->settings, NULL, NULL, &r, &err), err);
  assert_true(r.failed && r.applied == 1 && r.error.code == MIG_E_GUARD);
  setenv("MIGRATE_ON_START_FAIL_HARD", "1", 1);
  assert_false(mig_run_on_start(&p->settings, NULL, NULL, &r, &err));
  assert_int_equal(err.code, MIG_E_GUARD);
  assert_true(r.failed && r.applied == 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(nothing_is_done_unless_it_is_asked_for, setup, teardown),
      cmocka_unit_test_setup_teardown(it_migrates_once_and_then_has_nothing_to_do, setup, teardown),
      cmocka_unit_test_setup_teardown(failure_is_told_and_only_with_fail_hard_one_of_the_program, setup, teardown),
  };
  test_uri();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
