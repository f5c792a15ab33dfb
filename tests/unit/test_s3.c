/* What needs no server: URLs and settings, encoding, and answers in XML that cannot be trusted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* the four above must stand before cmocka.h */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup/s3/list.h"
#include "backup/s3/place.h"

#define SECRET "wJalrXUtnFEMI/K7MDENG"

static int setup(void **state) {
  static const char *const names[] = {"AWS_SESSION_TOKEN", "AWS_REGION",    "AWS_DEFAULT_REGION",
                                      "AWS_ENDPOINT_URL",  "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL_S3",
                                      "MIG_S3_TIMEOUT"};
  (void)state;
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) unsetenv(names[i]);
  setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE", 1);
  return setenv("AWS_SECRET_ACCESS_KEY", SECRET, 1);
}

static void urls_name_a_bucket_and_a_prefix(void **state) {
  static const struct {
    const char *url, *bucket, *key;
  } good[] = {
      {"s3://abc", "abc", ""},
      {"s3://abc/", "abc", ""},
      {"s3://my.bucket-1/a", "my.bucket-1", "a"},
      {"s3://abc/a/b c/", "abc", "a/b c"},
      {"s3://abc/\xc3\xa4+=&@:$", "abc", "\xc3\xa4+=&@:$"},
      {"s3://abc/...", "abc", "..."},
  };
  (void)state;
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    mig_s3_place p;
    mig_error err = {0};
    assert_true(mig_s3_place_parse(good[i].url, &p, &err));
    assert_string_equal(p.bucket, good[i].bucket);
    assert_string_equal(p.key, good[i].key);
    mig_s3_place_clear(&p);
  }
}

static void urls_that_could_mean_another_place_are_refused_and_not_repeated(void **state) {
  static const char *const bad[] = {
      "s3://",          "s3:///a",       "s3://ab",       "s3://ab_/x",     "s3://a..b/x",
      "s3://abc//a",    "s3://abc/a//b", "s3://abc/../x", "s3://abc/a/./b", "s3://abc/a/..",
      "s3://abc/a?b",   "s3://abc/a#b",  "s3://abc/a%2e", "s3://abc/a\\b",  "s3://abc/a\nb",
      "s3://abc/a\x7f", "s3://-abc/x",   "http://abc/x",  "s3://a b c/x",   "s3://AKID:" SECRET "@abc/x",
      "s3://AKID@abc",
  };
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    mig_s3_place p;
    mig_error err = {0};
    assert_false(mig_s3_place_parse(bad[i], &p, &err));
    assert_int_equal(err.code, MIG_E_USAGE);
    assert_true(err.why[0] && err.hint[0] && !p.bucket && !p.key);
    assert_null(strstr(err.what, SECRET));
    assert_null(strstr(err.why, SECRET));
  }
  char long_url[2000] = "s3://abc/";
  memset(long_url + 9, 'x', 1500);
  mig_s3_place p;
  mig_error err = {0};
  assert_false(mig_s3_place_parse(long_url, &p, &err));
}

static void the_environment_is_read_in_the_order_of_the_aws_tools(void **state) {
  mig_s3_account a;
  mig_error err = {0};
  (void)state;
  assert_true(mig_s3_account_read(&a, &err));
  assert_string_equal(a.region, "us-east-1");
  assert_true(!a.token && !a.endpoint && a.timeout_s == 60);
  mig_s3_account_clear(&a);
  setenv("AWS_DEFAULT_REGION", "eu-west-1", 1);
  setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000/", 1);
  setenv("AWS_SESSION_TOKEN", "token", 1);
  assert_true(mig_s3_account_read(&a, &err));
  assert_string_equal(a.region, "eu-west-1");
  assert_string_equal(a.endpoint, "http://127.0.0.1:9000");
  assert_string_equal(a.token, "token");
  mig_s3_account_clear(&a);
  setenv("AWS_REGION", "eu-central-1", 1);
  setenv("AWS_ENDPOINT_URL_S3", "https://s3.example.com", 1);
  assert_true(mig_s3_account_read(&a, &err));
  assert_string_equal(a.region, "eu-central-1");
  assert_string_equal(a.endpoint, "https://s3.example.com");
  mig_s3_account_clear(&a);
  assert_true(!a.secret_key && !a.token);
}

static void settings_that_could_break_a_header_are_refused_without_their_text(void **state) {
  static const struct {
    const char *name, *value;
  } bad[] = {
      {"AWS_ACCESS_KEY_ID", ""},
      {"AWS_SECRET_ACCESS_KEY", ""},
      {"AWS_ACCESS_KEY_ID", SECRET ":x"},
      {"AWS_SECRET_ACCESS_KEY", SECRET "\r\nX: y"},
      {"AWS_SESSION_TOKEN", SECRET "\nX: y"},
      {"AWS_REGION", SECRET ":s3"},
      {"AWS_ENDPOINT_URL", "ftp://" SECRET},
      {"AWS_ENDPOINT_URL", "http://user:" SECRET "@host"},
      {"AWS_ENDPOINT_URL", "http://host/" SECRET},
      {"AWS_ENDPOINT_URL", "http://"},
      {"MIG_S3_TIMEOUT", "0"},
      {"MIG_S3_TIMEOUT", SECRET},
  };
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    mig_s3_account a;
    mig_error err = {0};
    assert_int_equal(setup(state), 0);
    setenv(bad[i].name, bad[i].value, 1);
    assert_false(mig_s3_account_read(&a, &err));
    assert_int_equal(err.code, MIG_E_USAGE);
    assert_true(err.why[0] && err.hint[0] && !a.secret_key);
    assert_null(strstr(err.what, SECRET));
    assert_null(strstr(err.why, SECRET));
  }
}

static void addresses_are_encoded_as_signatures_want_them(void **state) {
  mig_s3_account a = {.region = (char *)(uintptr_t) "eu-west-1"};
  (void)state;
  char *address = mig_s3_address(&a, "abc", "a/b c+\xc3\xa4~@", "uploads=");
  assert_string_equal(address, "https://abc.s3.eu-west-1.amazonaws.com/a/b%20c%2B%C3%A4~%40?uploads=");
  mig_free(address);
  address = mig_s3_address(&a, "a.bc", "x", NULL); /* its certificate is for one label */
  assert_string_equal(address, "https://s3.eu-west-1.amazonaws.com/a.bc/x");
  mig_free(address);
  a.endpoint = (char *)(uintptr_t) "http://127.0.0.1:9000";
  address = mig_s3_address(&a, "abc", "", NULL);
  assert_string_equal(address, "http://127.0.0.1:9000/abc/");
  mig_free(address);
  const mig_s3_param params[] = {
      {"continuation-token", NULL, "N"}, {"list-type", "2", NULL}, {"prefix", "a/b &=", NULL}, {0}};
  char *markers[] = {(char *)(uintptr_t) "x/+=", NULL, NULL};
  char *query = mig_s3_query(params, markers);
  assert_string_equal(query, "continuation-token=x%2F%2B%3D&list-type=2&prefix=a%2Fb%20%26%3D");
  mig_free(query);
  markers[0] = NULL;
  query = mig_s3_query(params, markers);
  assert_string_equal(query, "list-type=2&prefix=a%2Fb%20%26%3D");
  mig_free(query);
}

static mig_buf text(const char *xml) {
  mig_buf b = MIG_BUF(16u << 20);
  assert_true(mig_buf_add(&b, xml, strlen(xml), NULL));
  return b;
}

static bool count(void *arg, unsigned depth, const char *name, const char *content, mig_error *err) {
  size_t *n = arg;
  (void)err;
  if (depth == 2 && strcmp(name, "Key") == 0 && strcmp(content, "a&b <c>") == 0) (*n)++;
  return true;
}

static void answers_are_taken_apart_and_bad_ones_refused(void **state) {
  static const char *const bad[] = {
      "",
      "<a>",
      "<a></b>",
      "hello",
      "<a>\x01</a>",
      "<!DOCTYPE a><a/>",
      "<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>",
      "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>",
      "<a>&unknown;</a>",
      "<a><a><a><a><a><a><a><a><a/></a></a></a></a></a></a></a></a>",
  };
  size_t n = 0;
  mig_error err = {0};
  (void)state;
  mig_buf b =
      text("<?xml version=\"1.0\"?><L xmlns=\"http://x/\"><C><Key>a&amp;b &lt;c&gt;</Key></C><C><Key>x</Key></C></L>");
  assert_true(mig_s3_xml(&b, count, &n, &err));
  assert_int_equal(n, 1);
  mig_buf_free(&b);
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    b = text(bad[i]);
    memset(&err, 0, sizeof err);
    assert_false(mig_s3_xml(&b, count, &n, &err));
    assert_true(err.code == MIG_E_STORE && err.why[0]);
    mig_buf_free(&b);
  }
  char *much = malloc(5000);
  snprintf(much, 5000, "<a>%04000d</a>", 1);
  b = text(much);
  assert_false(mig_s3_xml(&b, count, &n, &err));
  mig_buf_free(&b);
  free(much);
}

static void error_codes_are_letters_and_digits_only(void **state) {
  static const struct {
    const char *xml, *code;
  } cases[] = {
      {"<Error><Code>NoSuchKey</Code><Message>m</Message></Error>", "NoSuchKey"},
      {"<Error><Message>m</Message></Error>", ""},
      {"<Other><Code>NoSuchKey</Code></Other>", ""},
      {"<Error><Code>A b\x1b[2J</Code></Error>", ""},
      {"<Error><Code>A-Signature=00</Code></Error>", "A"},
      {"<Error><X><Code>Inner</Code></X></Error>", ""},
      {"<Error><Code>aaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbb</Code></Error>",
       ""},
      {"", ""},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char code[64];
    mig_buf b = text(cases[i].xml);
    mig_s3_error_code(&b, code);
    assert_string_equal(code, cases[i].code);
    mig_buf_free(&b);
  }
}

static void numbers_times_and_encoded_keys_are_read_strictly(void **state) {
  uint64_t n = 7;
  int64_t ms = 0;
  (void)state;
  assert_true(mig_s3_number("5368709120", &n) && n == 5368709120u);
  assert_false(mig_s3_number("", &n) || mig_s3_number("-1", &n) || mig_s3_number("1 ", &n) ||
               mig_s3_number("99999999999999999999", &n));
  assert_true(mig_s3_time("2026-11-21T07:15:00Z", &ms) && ms == 1795245300000);
  assert_true(mig_s3_time("2026-11-21T07:15:00.123Z", &ms) && ms == 1795245300000);
  assert_false(mig_s3_time("2026-11-21", &ms) || mig_s3_time("2026-11-21T07:15:00", &ms) || mig_s3_time("", &ms));
  char good[] = "a%2Fb%C3%A4+c", bad[] = "a%2", zero[] = "a%00b", letters[] = "%zz";
  assert_true(mig_s3_decode(good));
  assert_string_equal(good, "a/b\xc3\xa4 c");
  assert_false(mig_s3_decode(bad) || mig_s3_decode(zero) || mig_s3_decode(letters));
}

int main(void) {
#define T(name) cmocka_unit_test_setup(name, setup)
  const struct CMUnitTest tests[] = {
      T(urls_name_a_bucket_and_a_prefix),
      T(urls_that_could_mean_another_place_are_refused_and_not_repeated),
      T(the_environment_is_read_in_the_order_of_the_aws_tools),
      T(settings_that_could_break_a_header_are_refused_without_their_text),
      T(addresses_are_encoded_as_signatures_want_them),
      T(answers_are_taken_apart_and_bad_ones_refused),
      T(error_codes_are_letters_and_digits_only),
      T(numbers_times_and_encoded_keys_are_read_strictly),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
