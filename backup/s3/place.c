#include "backup/s3/place.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#define LETTERS         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define KEY_MAX         900 /* of 1024: a snapshot's name follows */
#define DEFAULT_TIMEOUT 60

static bool bad_url(const char *why, mig_error *err) {
  mig_fail(err, MIG_E_USAGE, "the snapshot store is not s3://BUCKET/PREFIX");
  mig_why(err, "%s", why);
  return mig_hint(err, "for example --store s3://my-backups/mig/app; credentials belong into the environment");
}

static bool bucket_ok(const char *bucket, size_t size) {
  return size >= 3 && size <= 63 && strspn(bucket, LETTERS "._-") >= size && strchr(LETTERS, bucket[0]) &&
         strchr(LETTERS, bucket[size - 1]) && !memmem(bucket, size, "..", 2);
}

static const char *bad_key(const char *key) {
  const size_t size = strlen(key);
  if (size > KEY_MAX) return "the prefix is too long";
  for (const char *p = key; *p; p++)
    if ((unsigned char)*p < 0x20 || *p == 0x7f || strchr("?#%\\", *p))
      return "the prefix holds a control character or one of ? # % \\";
  for (const char *part = key; *key;) {
    const size_t n = strcspn(part, "/");
    if (n == 0 || (n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.'))
      return "a part of the prefix is empty, \".\" or \"..\"";
    if (!part[n]) break;
    part += n + 1;
  }
  return NULL;
}

bool mig_s3_place_parse(const char *url, mig_s3_place *out, mig_error *err) {
  *out = (mig_s3_place){0};
  if (strncmp(url, "s3://", 5) != 0) return bad_url("it does not begin with s3://", err);
  url += 5;
  const size_t bucket = strcspn(url, "/");
  if (memchr(url, '@', bucket)) return bad_url("there is something in front of an \"@\"", err);
  if (!bucket_ok(url, bucket)) return bad_url("a bucket's name has 3 to 63 letters, digits, dots and hyphens", err);
  const char *key = url[bucket] ? url + bucket + 1 : "";
  size_t size = strlen(key);
  if (size && key[size - 1] == '/') size--;
  out->bucket = mig_strndup(url, bucket);
  out->key = mig_strndup(key, size);
  const bool memory = out->bucket && out->key;
  const char *why = memory ? bad_key(out->key) : NULL;
  if (memory && !why) return true;
  mig_s3_place_clear(out);
  return why ? bad_url(why, err) : mig_no_memory(err, "store");
}

void mig_s3_place_clear(mig_s3_place *p) {
  mig_free(p->bucket);
  mig_free(p->key);
  *p = (mig_s3_place){0};
}

static const char *set(const char *first, const char *second) {
  const char *value = getenv(first);
  if (value && *value) return value;
  value = second ? getenv(second) : NULL;
  return value && *value ? value : NULL;
}

static bool bad_setting(const char *name, const char *why, const char *hint, mig_error *err) {
  mig_fail(err, MIG_E_USAGE, "%s cannot be used for the snapshot store", name);
  mig_why(err, "%s", why);
  return mig_hint(err, "%s", hint);
}

/* They go into headers. */
static bool plain(const char *value) {
  for (; value && *value; value++)
    if (*value <= 0x20 || *value == 0x7f) return false;
  return true;
}

static const char *bad_endpoint(const char *endpoint) {
  const char *host = !strncmp(endpoint, "https://", 8)  ? endpoint + 8
                     : !strncmp(endpoint, "http://", 7) ? endpoint + 7
                                                        : NULL;
  if (!host) return "it does not begin with http:// or https://";
  if (strchr(host, '@')) return "it has a user in it";
  if (strspn(host, LETTERS ".-:[]_") != strlen(host) || !*host) return "there is more in it than a host and a port";
  return NULL;
}

static bool check(const mig_s3_account *a, mig_error *err) {
  const char *why = a->endpoint ? bad_endpoint(a->endpoint) : NULL;
  if (why)
    return bad_setting("AWS_ENDPOINT_URL", why, "it is like https://s3.example.com or http://127.0.0.1:9000", err);
  if (strspn(a->region, LETTERS "-") != strlen(a->region))
    return bad_setting("AWS_REGION", "a region has letters, digits and hyphens", "it is like eu-central-1", err);
  if (!plain(a->access_key) || !plain(a->secret_key) || !plain(a->token) || strchr(a->access_key, ':'))
    return bad_setting("AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or AWS_SESSION_TOKEN",
                       "there is a blank, a line end or another character in it that none has", "set it anew", err);
  return true;
}

bool mig_s3_account_read(mig_s3_account *out, mig_error *err) {
  const char *key = set("AWS_ACCESS_KEY_ID", NULL), *secret = set("AWS_SECRET_ACCESS_KEY", NULL);
  const char *token = set("AWS_SESSION_TOKEN", NULL), *region = set("AWS_REGION", "AWS_DEFAULT_REGION");
  const char *endpoint = set("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"), *ca = set("AWS_CA_BUNDLE", NULL);
  const char *timeout = set("MIG_S3_TIMEOUT", NULL);
  *out = (mig_s3_account){0};
  if (!key || !secret)
    return bad_setting("the environment", "AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY is not set",
                       "set both, and AWS_SESSION_TOKEN where there is one; profiles and roles are not read", err);
  out->timeout_s = timeout ? strtol(timeout, NULL, 10) : DEFAULT_TIMEOUT;
  if (out->timeout_s < 1 || out->timeout_s > 3600)
    return bad_setting("MIG_S3_TIMEOUT", "it is no number of seconds from 1 to 3600", "leave it out for 60", err);
  out->access_key = mig_strdup(key);
  out->secret_key = mig_strdup(secret);
  out->token = mig_strdup(token);
  out->region = mig_strdup(region ? region : "us-east-1");
  out->endpoint = mig_strdup(endpoint);
  out->ca_file = mig_strdup(ca);
  if (out->endpoint && out->endpoint[strlen(out->endpoint) - 1] == '/') out->endpoint[strlen(out->endpoint) - 1] = 0;
  const bool memory = out->access_key && out->secret_key && out->region && !token == !out->token &&
                      !endpoint == !out->endpoint && !ca == !out->ca_file;
  if (memory ? check(out, err) : mig_no_memory(err, "store")) return true;
  mig_s3_account_clear(out);
  return false;
}

static void wipe(char *secret) {
  if (secret) OPENSSL_cleanse(secret, strlen(secret));
  mig_free(secret);
}

void mig_s3_account_clear(mig_s3_account *a) {
  mig_free(a->access_key);
  wipe(a->secret_key);
  wipe(a->token);
  mig_free(a->region);
  mig_free(a->endpoint);
  mig_free(a->ca_file);
  *a = (mig_s3_account){0};
}

bool mig_s3_encode(mig_buf *to, const char *text, bool keep_slash, mig_error *err) {
  for (; *text; text++) {
    const bool as_it_is = strchr(LETTERS "-._~", *text) || (keep_slash && *text == '/');
    if (!mig_buf_printf(to, err, as_it_is ? "%c" : "%%%02X", (unsigned char)*text)) return false;
  }
  return true;
}

char *mig_s3_address(const mig_s3_account *a, const char *bucket, const char *key, const char *query) {
  mig_buf b = MIG_BUF(16u << 10);
  bool ok = true;
  /* the bucket's name stands in Amazon's host name; elsewhere, and where the certificate would not fit, in the path */
  if (a->endpoint)
    ok = mig_buf_printf(&b, NULL, "%s/%s/", a->endpoint, bucket);
  else if (strchr(bucket, '.'))
    ok = mig_buf_printf(&b, NULL, "https://s3.%s.amazonaws.com/%s/", a->region, bucket);
  else
    ok = mig_buf_printf(&b, NULL, "https://%s.s3.%s.amazonaws.com/", bucket, a->region);
  ok = ok && mig_s3_encode(&b, key, true, NULL);
  if (ok && query) ok = mig_buf_printf(&b, NULL, "?%s", query);
  char *out = ok ? mig_strdup(mig_buf_text(&b)) : NULL;
  mig_buf_free(&b);
  return out;
}
