/*
 * support.h - what integration tests share: a database of their own on the server in MIG_TEST_URI
 *
 * Without MIG_TEST_URI the whole program exits with 77 and says so (ctest counts it as skipped).
 */
#ifndef MIG_TESTS_SUPPORT_H
#define MIG_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/caps.h"
#include "base/hash.h"

static inline const char *test_uri(void) {
  const char *uri = getenv("MIG_TEST_URI");
  if (!uri || !*uri) {
    printf("skipped: MIG_TEST_URI is not set (scripts/test sets it)\n");
    exit(77);
  }
  return uri;
}

/* Fails the test with all that the error says. */
#define assert_ok(call, err)                                                                                           \
  do {                                                                                                                 \
    if (!(call)) fail_msg("%s: %s | %s", #call, (err).what, (err).why);                                                \
  } while (0)

static inline mig_db *test_db(char name[static 40]) {
  mig_error err = {0};
  mig_db *db = NULL;
  char hex[9];
  assert_ok(mig_random_hex(4, hex, &err), err);
  snprintf(name, 40, "migtest_%s", hex);
  const mig_db_options options = {.uri = test_uri(), .database = name};
  assert_ok(mig_db_open(&options, &db, &err), err);
  return db;
}

static inline void test_run(mig_db *db, bson_t *command) {
  mig_error err = {0};
  assert_ok(mig_db_command(db, MIG_WRITE, command, NULL, &err), err);
  bson_destroy(command);
}

static inline void test_db_drop(mig_db *db) {
  test_run(db, BCON_NEW("dropDatabase", BCON_INT32(1)));
  mig_db_close(db);
}

#define skip_because(what)                                                                                             \
  do {                                                                                                                 \
    printf("skipped: %s\n", what);                                                                                     \
    skip();                                                                                                            \
  } while (0)

#endif
