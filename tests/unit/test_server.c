/* The server's parts that need no network: addresses, tokens, limits, plain JSON, and routes against openapi.json. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "server/server_internal.h"
#include "server/tell.h"

static void addresses_are_host_and_port_and_know_loopback(void **state) {
  (void)state;
  static const struct {
    const char *text;
    bool ok, loopback;
  } rows[] = {{"127.0.0.1:80", true, true},    {"127.9.9.9:0", true, true}, {"[::1]:8737", true, true},
              {"0.0.0.0:1", true, false},      {"[::]:1", true, false},     {"10.1.2.3:65535", true, false},
              {"127.0.0.1", false, false},     {"::1:80", false, false},    {"127.0.0.1:65536", false, false},
              {"127.0.0.1:", false, false},    {":80", false, false},       {"[::1:80", false, false},
              {"127.0.0.1:+80", false, false}, {"", false, false}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    mig_address a;
    mig_error err = {0};
    assert_int_equal(mig_address_parse(rows[i].text, &a, &err), rows[i].ok);
    if (rows[i].ok)
      assert_int_equal(a.loopback, rows[i].loopback);
    else
      assert_int_equal(err.code, MIG_E_USAGE);
  }
}

static struct sockaddr_in from(const char *text) {
  struct sockaddr_in a = {.sin_family = AF_INET};
  inet_pton(AF_INET, text, &a.sin_addr);
  return a;
}

static void each_address_has_its_own_rate_and_gets_it_back(void **state) {
  (void)state;
  mig_limits *l = mig_limits_new(50);
  struct sockaddr_in one = from("192.0.2.1"), two = from("192.0.2.2");
  int allowed = 0;
  for (int i = 0; i < 1000; i++) allowed += mig_limits_allow(l, (struct sockaddr *)&one, 1);
  assert_in_range(allowed, 200, 260); /* four seconds' worth, and what came back meanwhile */
  assert_true(mig_limits_allow(l, (struct sockaddr *)&two, 1));
  mig_sleep_ms(100);
  assert_true(mig_limits_allow(l, (struct sockaddr *)&one, 1));
  /* an expensive mistake is paid for */
  mig_limits_allow(l, (struct sockaddr *)&two, 1000);
  assert_false(mig_limits_allow(l, (struct sockaddr *)&two, 1));
  for (int i = 0; i < 5000; i++) { /* more addresses than places: nothing grows, nobody is locked out for ever */
    struct sockaddr_in many = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0A000000u + (unsigned)i)};
    assert_true(mig_limits_allow(l, (struct sockaddr *)&many, 1));
  }
  mig_limits_free(l);
}

static void an_ipv6_client_is_its_network(void **state) {
  (void)state;
  struct sockaddr_in6 a = {.sin6_family = AF_INET6}, b = a, c = a;
  unsigned char x[16], y[16], z[16];
  inet_pton(AF_INET6, "2001:db8:1:2::1", &a.sin6_addr);
  inet_pton(AF_INET6, "2001:db8:1:2:ffff::9", &b.sin6_addr);
  inet_pton(AF_INET6, "2001:db8:1:3::1", &c.sin6_addr);
  mig_address_key((struct sockaddr *)&a, x);
  mig_address_key((struct sockaddr *)&b, y);
  mig_address_key((struct sockaddr *)&c, z);
  assert_memory_equal(x, y, 16);
  assert_memory_not_equal(x, z, 16);
}

static void a_connection_that_had_its_time_is_shut(void **state) {
  (void)state;
  mig_limits *l = mig_limits_new(1);
  int pair[2];
  char byte;
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  mig_slot *slot = mig_limits_open(l, pair[0], 50);
  mig_limits_sweep(l);
  assert_int_equal(recv(pair[1], &byte, 1, MSG_DONTWAIT), -1);
  mig_limits_extend(l, slot, 100);
  mig_sleep_ms(60);
  mig_limits_sweep(l);
  assert_int_equal(recv(pair[1], &byte, 1, MSG_DONTWAIT), -1);
  mig_sleep_ms(60);
  mig_limits_sweep(l);
  assert_int_equal(recv(pair[1], &byte, 1, MSG_DONTWAIT), 0);
  mig_limits_close(l, slot);
  mig_limits_free(l);
  close(pair[0]);
  close(pair[1]);
}

static void tokens_are_found_by_their_whole_text_only(void **state) {
  (void)state;
  char path[] = "/tmp/mig-tokens-XXXXXX";
  const char *name = NULL, text[] = "write aaaaaaaaaaaaaaaaaaaa deploy\r\n\n# x\n\tread bbbbbbbbbbbbbbbbbbbb";
  mig_tokens *t = NULL;
  mig_error err = {0};
  int fd = mkstemp(path);
  assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
  close(fd);
  assert_true(mig_tokens_load(path, &t, &err));
  assert_int_equal(mig_tokens_find(t, "aaaaaaaaaaaaaaaaaaaa", &name), MIG_SCOPE_WRITE);
  assert_string_equal(name, "deploy");
  assert_int_equal(mig_tokens_find(t, "bbbbbbbbbbbbbbbbbbbb", &name), MIG_SCOPE_READ);
  assert_string_equal(name, "read");
  static const char *const wrong[] = {"", "a", "aaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaa", "deploy", "sha256:"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    assert_int_equal(mig_tokens_find(t, wrong[i], &name), MIG_SCOPE_NONE);
  mig_tokens_free(t);
  chmod(path, 0604);
  assert_false(mig_tokens_load(path, &t, &err));
  assert_int_equal(err.code, MIG_E_USAGE);
  unlink(path);
}

static void documents_are_told_as_plain_json(void **state) {
  (void)state;
  bson_oid_t oid;
  bson_oid_init_from_string(&oid, "0123456789abcdef01234567");
  bson_t *doc = BCON_NEW("a", BCON_DATE_TIME(1768435200250), "b", BCON_OID(&oid), "c", "[", BCON_DATE_TIME(-1), "]",
                         "d", "{", "e", BCON_INT64(3000000000), "}", "f", BCON_DATE_TIME(INT64_MAX));
  char *json = mig_tell_json(doc);
  assert_non_null(strstr(json, "\"a\" : \"2026-01-15T00:00:00.250Z\""));
  assert_non_null(strstr(json, "\"b\" : \"0123456789abcdef01234567\""));
  assert_non_null(strstr(json, "1969-12-31T23:59:59.999Z"));
  assert_non_null(strstr(json, "3000000000"));
  assert_null(strstr(json, "$"));
  mig_free(json);
  bson_destroy(doc);
}

static const mig_asset *asset(const char *path) {
  const mig_asset *a = mig_assets;
  while (a->path && strcmp(a->path, path) != 0) a++;
  return a->path ? a : NULL;
}

/* The text of a path in openapi.json, up to the next path; NULL: it is not described. */
static char *described(const char *all, const char *path) {
  char key[200];
  snprintf(key, sizeof key, "\n  \"%s\": {", path);
  const char *at = strstr(all, key), *end = at ? strstr(at + 4, "\n  \"") : NULL,
             *last = at ? strstr(at, "\n }") : NULL;
  if (!at) return NULL;
  if (!end || (last && last < end)) end = last;
  return mig_strdup_printf("%.*s", (int)(end - at), at);
}

static void every_route_is_described_and_nothing_else(void **state) {
  (void)state;
  const mig_asset *doc = asset("/openapi.json");
  size_t routes = 0, operations = 0;
  assert_non_null(doc);
  char *all = mig_strdup_printf("%.*s", (int)doc->size, (const char *)doc->data);
  for (const mig_route *r = mig_routes; r->method; r++) {
    if (asset(r->path) && strcmp(r->path, "/openapi.json") != 0) continue; /* the dashboard's files */
    char *part = described(all, r->path);
    if (!part) fail_msg("%s is not in openapi.json", r->path);
    assert_non_null(strstr(part, strcmp(r->method, "GET") == 0 ? "\"get\": {" : "\"post\": {"));
    assert_int_equal(strstr(part, "\"bearer\": []") != NULL, r->scope != MIG_SCOPE_NONE);
    assert_int_equal(strstr(part, "Scope: write") != NULL, r->scope == MIG_SCOPE_WRITE);
    for (const char *const *q = r->query; q && *q; q++) {
      char parameter[80];
      snprintf(parameter, sizeof parameter, "\"name\": \"%s\"", *q);
      assert_non_null(strstr(part, parameter));
    }
    for (const mig_arg *a = r->body; a && a->name; a++) {
      char argument[80];
      snprintf(argument, sizeof argument, "\"%s\": {", a->name);
      assert_non_null(strstr(part, argument));
    }
    mig_free(part);
    routes++;
  }
  for (const char *p = all; (p = strstr(p, "\"operationId\": ")); p++)
    if (strstr(p, "\n") && p[-1] == ' ') operations++;
  mig_free(all);
  assert_int_equal(operations, routes + 4); /* and the links from the four runs that are accepted */
}

static void the_page_has_no_inline_code_and_names_nobody_else(void **state) {
  (void)state;
  static const char *const files[] = {"/", "/app.js", "/app.css"};
  static const char *const never[] = {"<style",      " style=",      " onclick", " onload",
                                      "javascript:", "innerHTML = ", "eval(",    "https://"};
  for (size_t f = 0; f < 3; f++) {
    const mig_asset *a = asset(files[f]);
    assert_non_null(a);
    char *text = mig_strdup_printf("%.*s", (int)a->size, (const char *)a->data);
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
      if (strstr(text, never[i])) fail_msg("%s has %s", files[f], never[i]);
    mig_free(text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(addresses_are_host_and_port_and_know_loopback),
      cmocka_unit_test(each_address_has_its_own_rate_and_gets_it_back),
      cmocka_unit_test(an_ipv6_client_is_its_network),
      cmocka_unit_test(a_connection_that_had_its_time_is_shut),
      cmocka_unit_test(tokens_are_found_by_their_whole_text_only),
      cmocka_unit_test(documents_are_told_as_plain_json),
      cmocka_unit_test(every_route_is_described_and_nothing_else),
      cmocka_unit_test(the_page_has_no_inline_code_and_names_nobody_else),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
