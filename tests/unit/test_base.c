/* Errors, memory, names, files, BSON helpers: what everything else stands on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bsonx.h"
#include "base/clock.h"
#include "base/crash.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/names.h"

static void redact_blanks_user_and_password(void **state) {
  (void)state;
  static const struct {
    const char *in, *out;
  } rows[] = {
      {"mongodb://u:secret@h:1/d", "mongodb://***@h:1/d"},
      {"x mongodb+srv://user:p@ss@host/db?x=1 y", "x mongodb+srv://***@host/db?x=1 y"},
      {"mongodb://h/d", "mongodb://h/d"},
      {"mongodb://a@h", "mongodb://*@h"},
      {"two mongodb://u:1@a/b and mongodb://u:2@c/d", "two mongodb://***@a/b and mongodb://***@c/d"},
      {"mail me@home", "mail me@home"},
      {"", ""},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char text[200];
    snprintf(text, sizeof text, "%s", rows[i].in);
    mig_redact(text);
    assert_string_equal(text, rows[i].out);
  }
}

static void times_are_dates_or_ages_and_nothing_else(void **state) {
  (void)state;
  const int64_t now = 1768435200000; /* 2026-01-15T00:00:00Z */
  static const struct {
    const char *text;
    int64_t unix_ms; /* 0: refused */
  } rows[] = {{"2026-01-15", 1768435200000},
              {"2026-01-15T10:30", 1768473000000},
              {"2026-01-15T10:30:05Z", 1768473005000},
              {"2024-02-29", 1709164800000},
              {"7d", 1768435200000 - 7 * 86400000LL},
              {"90m", 1768435200000 - 90 * 60000LL},
              {"2w", 1768435200000 - 14 * 86400000LL},
              {"2025-02-29", 0},
              {"2026-13-01", 0},
              {"2026-01-15Z", 0},
              {"2026-01-15T24:00", 0},
              {"2026-1-5", 0},
              {"7", 0},
              {"-7d", 0},
              {" 7d", 0},
              {"99999999999999999999d", 0},
              {"7dd", 0},
              {"", 0}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    int64_t got = 0;
    assert_int_equal(mig_time_parse(rows[i].text, now, &got), rows[i].unix_ms != 0);
    assert_true(got == rows[i].unix_ms);
  }
}

/* What a server, an archive or a file says gets into messages: it must not move a terminal's cursor or fake a line. */
static void texts_are_one_line_of_valid_utf8_without_control_characters(void **state) {
  (void)state;
  static const struct {
    const char *given, *shown;
  } rows[] = {
      {"plain \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80", "plain \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"},
      {"a\033[2Jb\rc\nerror: d\te\x7F", "a?[2Jb c error: d e?"},
      {"\xC2\x9B"
       "31m", /* CSI in one character */
       "?"
       "?31m"},
      {"\xFF\xC3(\xE2\x82", "?"
                            "?("
                            "?"
                            "?"},
      {"\xED\xA0\x80\xF4\x90\x80\x80\xC0\x80", "?"
                                               "?"
                                               "?"
                                               "?"
                                               "?"
                                               "?"
                                               "?"
                                               "?"
                                               "?"}, /* surrogate, beyond Unicode, overlong */
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    mig_error err;
    mig_fail(&err, MIG_E_FAILED, "%s", rows[i].given);
    mig_why(&err, "%s", rows[i].given);
    assert_string_equal(err.what, rows[i].shown);
    assert_string_equal(err.why, rows[i].shown);
    mig_fail_at(&err, "%s", rows[i].given);
    assert_null(strchr(err.what, '\033'));
  }
  char cut[3000];
  mig_error err;
  for (size_t i = 0; i + 2 < sizeof cut; i += 2) memcpy(cut + i, "\xC3\xA9", 3);
  for (int shift = 0; shift < 2; shift++) { /* wherever it is cut */
    mig_fail(&err, MIG_E_FAILED, "%s%s", shift ? "x" : "", cut);
    assert_true(bson_utf8_validate(err.what, strlen(err.what), false));
    mig_fail_at(&err, "%s", "y");
    assert_true(bson_utf8_validate(err.what, strlen(err.what), false));
  }
}

static void every_error_text_is_redacted(void **state) {
  (void)state;
  mig_error err;
  mig_fail(&err, MIG_E_SERVER, "at %s", "mongodb://u:hunter2@h/d");
  mig_why(&err, "at %s", "mongodb://u:hunter2@h/d");
  mig_hint(&err, "at %s", "mongodb://u:hunter2@h/d");
  mig_fail_at(&err, "%s", "mongodb://u:hunter2@h/d");
  assert_null(strstr(err.what, "hunter2"));
  assert_null(strstr(err.why, "hunter2"));
  assert_null(strstr(err.hint, "hunter2"));
}

static void exit_codes_are_the_contract(void **state) {
  (void)state;
  assert_int_equal(mig_code_exit(MIG_OK), 0);
  assert_int_equal(mig_code_exit(MIG_E_FAILED), 1);
  assert_int_equal(mig_code_exit(MIG_E_USAGE), 2);
  assert_int_equal(mig_code_exit(MIG_E_RESTORED), 3);
  assert_int_equal(mig_code_exit(MIG_E_NOT_RESTORED), 4);
  assert_int_equal(mig_code_exit(MIG_E_LEASE), 5);
  assert_int_equal(mig_code_exit(MIG_E_CHECK), 6);
  assert_int_equal(mig_code_exit(MIG_E_UNFINISHED), 7);
  assert_int_equal(mig_code_exit(MIG_E_INTERRUPTED), 130);
  for (int i = 1; i < MIG_CODE_COUNT; i++) {
    assert_true(mig_code_exit((mig_code)i) > 0);
    assert_true(strlen(mig_code_name((mig_code)i)) > 2);
  }
}

static void errors_may_quote_themselves_and_be_null(void **state) {
  (void)state;
  mig_error err;
  assert_false(mig_fail(&err, MIG_E_STORE, "inner"));
  assert_false(mig_fail(&err, MIG_E_FAILED, "outer: %s", err.what));
  assert_string_equal(err.what, "outer: inner");
  assert_false(mig_fail_at(&err, "at %d", 7));
  assert_string_equal(err.what, "at 7: outer: inner");
  assert_false(mig_fail(NULL, MIG_E_FAILED, "nobody listens"));
  assert_false(mig_why(NULL, "x"));
}

static void buffer_stops_at_its_maximum(void **state) {
  (void)state;
  mig_error err;
  mig_buf b = MIG_BUF(10);
  assert_true(mig_buf_add(&b, "12345", 5, &err));
  assert_true(mig_buf_printf(&b, &err, "%s", "67890"));
  assert_string_equal(mig_buf_text(&b), "1234567890");
  assert_false(mig_buf_add(&b, "x", 1, &err));
  assert_int_equal(err.code, MIG_E_NO_MEMORY);
  assert_false(mig_buf_add(&b, "x", SIZE_MAX, &err));
  assert_string_equal(mig_buf_text(&b), "1234567890");
  mig_buf_free(&b);
  assert_string_equal(mig_buf_text(&b), "");
}

static bool no_memory_at_all(size_t size) {
  (void)size;
  return false;
}

static void failing_allocation_is_a_clean_error(void **state) {
  (void)state;
  mig_error err = {0};
  mig_buf b = MIG_BUF(100);
  mig_hash *h = NULL;
  mig_alloc_hook = no_memory_at_all;
  assert_null(mig_strdup("x"));
  assert_false(mig_buf_add(&b, "x", 1, &err));
  assert_int_equal(err.code, MIG_E_NO_MEMORY);
  assert_false(mig_hash_new(&h, &err));
  assert_null(h);
  mig_alloc_hook = NULL;
}

static void encoded_names_are_safe_and_reversible(void **state) {
  (void)state;
  static const char *const rows[][2] = {
      {"users", "users"},       {"a.b", "a.b"},
      {".hidden", "%2Ehidden"}, {"../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"},
      {"a b", "a%20b"},         {"\xc3\xa4", "%C3%A4"},
      {"100%", "100%25"},       {"a/b\\c", "a%2Fb%5Cc"},
      {"\x01\x7f", "%01%7F"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    mig_error err;
    char *encoded = mig_name_encode(rows[i][0]);
    assert_string_equal(encoded, rows[i][1]);
    char *decoded = mig_name_decode(encoded, &err);
    assert_non_null(decoded);
    assert_string_equal(decoded, rows[i][0]);
    mig_free(encoded);
    mig_free(decoded);
  }
}

static void names_that_nobody_encoded_are_refused(void **state) {
  (void)state;
  static const char *const rows[] = {"", "..", ".a", "a/b", "%61", "%zz", "%2", "%", "a b", "%c3", "a%00b", "\xc3\xa4"};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    mig_error err;
    char *decoded = mig_name_decode(rows[i], &err);
    if (decoded) fail_msg("\"%s\" was taken for an encoded name: \"%s\"", rows[i], decoded);
    assert_int_equal(err.code, MIG_E_ARCHIVE);
  }
}

static void nearest_name_is_meant_or_none(void **state) {
  (void)state;
  static const char *const known[] = {"addField", "removeField", "renameField", NULL};
  assert_string_equal(mig_name_nearest("addFeild", known), "addField");
  assert_string_equal(mig_name_nearest("renamefield", known), "renameField");
  assert_null(mig_name_nearest("explode", known));
}

static void reserved_collections_are_known(void **state) {
  (void)state;
  assert_true(mig_name_reserved("migrationlogs"));
  assert_true(mig_name_reserved("system.views"));
  assert_true(mig_name_reserved("migstage_1"));
  assert_false(mig_name_reserved("users"));
  assert_false(mig_name_collection_ok("db", "", NULL));
  assert_false(mig_name_collection_ok("db", "$x", NULL));
  assert_true(mig_name_collection_ok("db", "odd name \xc3\xa4", NULL));
}

static void publish_never_replaces_and_atomic_write_does(void **state) {
  (void)state;
  mig_error err;
  char folder[] = "/tmp/mig-base-XXXXXX";
  assert_non_null(mkdtemp(folder));
  char *a = mig_fs_join(folder, "a"), *b = mig_fs_join(folder, "b");
  assert_true(mig_fs_write_atomic(a, "one", 3, 0600, &err));
  assert_true(mig_fs_write_atomic(b, "two", 3, 0600, &err));
  assert_false(mig_fs_publish(a, b, &err));
  assert_int_equal(err.code, MIG_E_STORE);
  assert_true(mig_fs_write_atomic(b, "three", 5, 0600, &err));
  mig_buf text;
  assert_true(mig_fs_read(b, 100, &text, &err));
  assert_string_equal(mig_buf_text(&text), "three");
  mig_buf_free(&text);
  assert_false(mig_fs_read(b, 4, &text, &err));
  struct stat st;
  assert_int_equal(stat(b, &st), 0);
  assert_int_equal(st.st_mode & 0777, 0600);
  unlink(b);
  assert_true(mig_fs_publish(a, b, &err));
  char **names;
  size_t n;
  assert_true(mig_fs_list(folder, &names, &n, &err));
  assert_int_equal(n, 1); /* no temporary files left */
  mig_fs_names_free(names, n);
  unlink(b);
  rmdir(folder);
  mig_free(a);
  mig_free(b);
}

static void reading_a_fifo_or_folder_is_refused(void **state) {
  (void)state;
  mig_error err;
  mig_buf text;
  char folder[] = "/tmp/mig-base-XXXXXX";
  assert_non_null(mkdtemp(folder));
  char *fifo = mig_fs_join(folder, "fifo");
  assert_int_equal(mkfifo(fifo, 0600), 0);
  assert_false(mig_fs_read(fifo, 100, &text, &err));
  assert_false(mig_fs_read(folder, 100, &text, &err));
  assert_false(mig_fs_read("/nonexistent/x", 100, &text, &err));
  assert_int_equal(err.code, MIG_E_STORE);
  unlink(fifo);
  rmdir(folder);
  mig_free(fifo);
}

static void secrets_are_read_only_where_nobody_else_can(void **state) {
  (void)state;
  static const struct {
    mode_t mode;
    bool refused, refused_of_another;
  } rows[] = {{0600, false, false}, {0400, false, false}, {0440, false, true}, {0640, false, true}, {0460, true, true},
              {0444, true, true},   {0620, true, true},   {0602, true, true},  {0650, true, true}};
  char path[] = "/tmp/mig-base-XXXXXX";
  mig_error err;
  mig_buf secret;
  const int fd = mkstemp(path);
  assert_int_equal(write(fd, "hush", 4), 4);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (int another = getuid() == 0 ? 0 : 1; another < 2; another++) { /* root's, and another's */
      const bool refused = another ? rows[i].refused_of_another : rows[i].refused;
      if (getuid() == 0) assert_int_equal(fchown(fd, another ? 1 : 0, 0), 0);
      assert_int_equal(fchmod(fd, rows[i].mode), 0);
      err = (mig_error){0};
      assert_int_equal(mig_fs_read_secret(path, 100, &secret, &err), !refused);
      if (refused) assert_int_equal(err.code, MIG_E_USAGE);
      if (refused) assert_non_null(strstr(err.what, "can be read by others"));
      if (!refused) assert_memory_equal(secret.data, "hush", 4);
      mig_fs_wipe(&secret);
    }
  close(fd);
  unlink(path);
  assert_false(mig_fs_read_secret(path, 100, &secret, &err));
  assert_int_equal(err.code, MIG_E_USAGE);
}

static void sha256_matches_the_published_vector(void **state) {
  (void)state;
  char hex[MIG_SHA256_HEX];
  mig_error err;
  assert_true(mig_sha256_hex("abc", 3, hex, &err));
  assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void getters_do_not_convert(void **state) {
  (void)state;
  bson_t *d = BCON_NEW("i", BCON_INT32(7), "d", BCON_DOUBLE(7.5), "e", BCON_DOUBLE(8), "s", BCON_UTF8("x"), "in", "{",
                       "n", BCON_INT64(9), "}");
  int64_t n = -1;
  const char *text = NULL;
  bool flag = false;
  assert_true(mig_bson_int(d, "i", &n) && n == 7);
  assert_true(mig_bson_int(d, "e", &n) && n == 8);
  assert_true(mig_bson_int(d, "in.n", &n) && n == 9);
  assert_false(mig_bson_int(d, "d", &n));
  assert_false(mig_bson_int(d, "s", &n));
  assert_false(mig_bson_str(d, "i", &text));
  assert_false(mig_bson_bool(d, "i", &flag));
  assert_false(mig_bson_int(d, "missing", &n));
  bson_destroy(d);
}

static void broken_bson_is_found(void **state) {
  (void)state;
  bson_t *d = BCON_NEW("a", "{", "b", "[", BCON_UTF8("x"), BCON_INT32(1), "]", "}", "z", BCON_DOUBLE(1.5));
  const uint8_t *good = bson_get_data(d);
  uint8_t copy[200];
  size_t refused = 0;
  assert_true(mig_bson_valid(good, d->len));
  for (size_t n = 0; n < d->len; n++) assert_false(mig_bson_valid(good, n));
  for (size_t i = 0; i < d->len; i++) { /* some changes are legal content; none may crash, lengths must be found */
    memcpy(copy, good, d->len);
    copy[i] ^= 0xff;
    if (!mig_bson_valid(copy, d->len)) refused++;
  }
  assert_true(refused > 20);
  bson_destroy(d);
}

static void too_deep_bson_is_refused(void **state) {
  (void)state;
  bson_t *inner = BCON_NEW("x", BCON_INT32(1));
  for (int i = 0; i < 250; i++) {
    bson_t *outer = BCON_NEW("a", BCON_DOCUMENT(inner));
    bson_destroy(inner);
    inner = outer;
    if (i == 150) assert_true(mig_bson_valid(bson_get_data(inner), inner->len));
  }
  assert_false(mig_bson_valid(bson_get_data(inner), inner->len));
  bson_destroy(inner);
}

static void value_json_shows_one_value_shortened(void **state) {
  (void)state;
  bson_t *d = BCON_NEW("a", "{", "b", BCON_INT32(1), "}", "s", BCON_UTF8("a long text that is cut somewhere"));
  bson_iter_t it;
  assert_true(mig_bson_find(d, "a", &it));
  char *json = mig_bson_value_json(&it, 80);
  assert_non_null(strstr(json, "\"b\""));
  assert_true(json[0] == '{' && json[strlen(json) - 1] == '}');
  mig_free(json);
  assert_true(mig_bson_find(d, "s", &it));
  json = mig_bson_value_json(&it, 12);
  assert_int_equal(strlen(json), 12);
  mig_free(json);
  bson_destroy(d);
}

static void json_is_the_same_with_every_libbson(void **state) {
  (void)state;
  bson_t *d = BCON_NEW("d", "{", "}", "a", "[", "]", "t", BCON_UTF8("two  \"  spaces\\"), "k  ", BCON_INT32(1));
  char *json = mig_bson_json(d);
  assert_string_equal(json, "{ \"d\" : { }, \"a\" : [ ], \"t\" : \"two  \\\"  spaces\\\\\", \"k  \" : 1 }");
  mig_free(json);
  bson_destroy(d);
}

static void crash_points_have_names_and_reasons(void **state) {
  (void)state;
  for (int i = 0; i < MIG_CRASH_COUNT; i++) {
    assert_true(strlen(mig_crash_name((mig_crash)i)) > 3);
    assert_true(strlen(mig_crash_when((mig_crash)i)) > 10);
    for (int k = 0; k < i; k++) assert_string_not_equal(mig_crash_name((mig_crash)i), mig_crash_name((mig_crash)k));
  }
}

static void times_are_utc(void **state) {
  (void)state;
  char text[MIG_TIME_TEXT];
  mig_time_iso(1795245300000LL, text);
  assert_string_equal(text, "2026-11-21T07:15:00Z");
  mig_time_compact(1795245300000LL, text);
  assert_string_equal(text, "20261121T071500Z");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(redact_blanks_user_and_password),
      cmocka_unit_test(times_are_dates_or_ages_and_nothing_else),
      cmocka_unit_test(texts_are_one_line_of_valid_utf8_without_control_characters),
      cmocka_unit_test(every_error_text_is_redacted),
      cmocka_unit_test(exit_codes_are_the_contract),
      cmocka_unit_test(errors_may_quote_themselves_and_be_null),
      cmocka_unit_test(buffer_stops_at_its_maximum),
      cmocka_unit_test(failing_allocation_is_a_clean_error),
      cmocka_unit_test(encoded_names_are_safe_and_reversible),
      cmocka_unit_test(names_that_nobody_encoded_are_refused),
      cmocka_unit_test(nearest_name_is_meant_or_none),
      cmocka_unit_test(reserved_collections_are_known),
      cmocka_unit_test(publish_never_replaces_and_atomic_write_does),
      cmocka_unit_test(reading_a_fifo_or_folder_is_refused),
      cmocka_unit_test(secrets_are_read_only_where_nobody_else_can),
      cmocka_unit_test(sha256_matches_the_published_vector),
      cmocka_unit_test(getters_do_not_convert),
      cmocka_unit_test(broken_bson_is_found),
      cmocka_unit_test(too_deep_bson_is_refused),
      cmocka_unit_test(value_json_shows_one_value_shortened),
      cmocka_unit_test(json_is_the_same_with_every_libbson),
      cmocka_unit_test(crash_points_have_names_and_reasons),
      cmocka_unit_test(times_are_utc),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
