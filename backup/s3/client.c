#include "backup/s3/client.h"

#include <ctype.h>
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "backup/s3/reply.h"
#include "base/clock.h"
#include "base/hash.h"

#define IDLE_MAX     16
#define TRIES        5
#define FIRST_NAP_MS 250
#define CONNECT_S    10L
#define SLOW_S       300L /* a server that puts many parts together is silent for long */

struct mig_s3 {
  mig_s3_place place;
  mig_s3_account account;
  char sigv4[96];
  pthread_mutex_t lock;
  CURL *idle[IDLE_MAX]; /* connections that can be used again */
  size_t idle_count;
};

static pthread_once_t started = PTHREAD_ONCE_INIT;

static void start_curl(void) {
  curl_global_init(CURL_GLOBAL_DEFAULT);
}

bool mig_s3_open(const char *url, mig_s3 **out, mig_error *err) {
  *out = NULL;
  mig_s3 *s = mig_alloc(sizeof *s);
  if (!s) return mig_no_memory(err, "store");
  pthread_once(&started, start_curl);
  pthread_mutex_init(&s->lock, NULL);
  if (!mig_s3_place_parse(url, &s->place, err) || !mig_s3_account_read(&s->account, err)) {
    mig_s3_close(s);
    return false;
  }
  snprintf(s->sigv4, sizeof s->sigv4, "aws:amz:%.60s:s3", s->account.region);
  *out = s;
  return true;
}

void mig_s3_close(mig_s3 *s) {
  if (!s) return;
  for (size_t i = 0; i < s->idle_count; i++) curl_easy_cleanup(s->idle[i]);
  pthread_mutex_destroy(&s->lock);
  mig_s3_account_clear(&s->account);
  mig_s3_place_clear(&s->place);
  mig_free(s);
}

const char *mig_s3_bucket(const mig_s3 *s) {
  return s->place.bucket;
}

const char *mig_s3_key(const mig_s3 *s) {
  return s->place.key;
}

static CURL *take(mig_s3 *s) {
  pthread_mutex_lock(&s->lock);
  CURL *c = s->idle_count ? s->idle[--s->idle_count] : NULL;
  pthread_mutex_unlock(&s->lock);
  if (c) curl_easy_reset(c); /* its connection stays */
  return c ? c : curl_easy_init();
}

static void give_back(mig_s3 *s, CURL *c) {
  if (!c) return;
  curl_easy_reset(c); /* forgets the secrets too */
  pthread_mutex_lock(&s->lock);
  const bool keep = s->idle_count < IDLE_MAX;
  if (keep) s->idle[s->idle_count++] = c;
  pthread_mutex_unlock(&s->lock);
  if (!keep) curl_easy_cleanup(c);
}

static size_t on_body(char *data, size_t one, size_t size, void *arg) {
  mig_s3_answer *a = arg;
  (void)one;
  return mig_buf_add(&a->body, data, size, NULL) ? size : 0;
}

/* The value of a header line, where it is of that name; without blanks and line end. */
static bool header_is(const char *line, size_t size, const char *name, char *value, size_t room) {
  const size_t n = strlen(name);
  if (size <= n || strncasecmp(line, name, n) != 0 || line[n] != ':') return false;
  const char *from = line + n + 1, *end = line + size;
  while (from < end && isspace((unsigned char)*from)) from++;
  while (end > from && isspace((unsigned char)end[-1])) end--;
  const size_t length = (size_t)(end - from);
  if (length >= room) return false;
  memcpy(value, from, length);
  value[length] = 0;
  return true;
}

static size_t on_header(char *line, size_t one, size_t size, void *arg) {
  mig_s3_answer *a = arg;
  char value[MIG_S3_ETAG];
  const char *slash = NULL;
  (void)one;
  if (header_is(line, size, "ETag", value, sizeof value)) memcpy(a->etag, value, sizeof value);
  if (header_is(line, size, "Date", value, sizeof value)) a->date_unix_ms = (int64_t)curl_getdate(value, NULL) * 1000;
  if (header_is(line, size, "Content-Length", value, sizeof value) && !a->has_length)
    a->has_length = mig_s3_number(value, &a->length);
  if (header_is(line, size, "Content-Range", value, sizeof value) && (slash = strchr(value, '/')))
    a->has_length = mig_s3_number(slash + 1, &a->length);
  return size;
}

typedef struct headers {
  struct curl_slist *list;
  bool ok;
} headers;

static void add_header(headers *h, const char *name, const char *value) {
  char *line = h->ok ? mig_strdup_printf("%s: %s", name, value) : NULL;
  struct curl_slist *list = line ? curl_slist_append(h->list, line) : NULL;
  h->ok = list != NULL;
  if (list) h->list = list;
  mig_free(line);
}

static headers make_headers(const mig_s3 *s, const mig_s3_request *r, const char *sum) {
  headers h = {.ok = true};
  char range[64];
  snprintf(range, sizeof range, "bytes=%llu-%llu", (unsigned long long)r->from, (unsigned long long)r->to);
  /* libcurl before 7.88 sums nothing itself, and none sums a GET: S3 wants it in each request */
  add_header(&h, "x-amz-content-sha256", sum);
  if (s->account.token) add_header(&h, "x-amz-security-token", s->account.token);
  if (r->body) add_header(&h, "Content-Type", "application/octet-stream");
  if (r->if_match) add_header(&h, "If-Match", r->if_match);
  if (r->if_none_match) add_header(&h, "If-None-Match", r->if_none_match);
  if (r->to) add_header(&h, "Range", range);
  struct curl_slist *list = h.ok ? curl_slist_append(h.list, "Expect:") : NULL; /* no waiting for "100 Continue" */
  if (list) h.list = list;
  h.ok = list != NULL;
  return h;
}

#define SET(option, value) ok = ok && curl_easy_setopt(c, option, value) == CURLE_OK

static bool set_options(const mig_s3 *s, const mig_s3_request *r, CURL *c, const char *address,
                        const struct curl_slist *list, mig_s3_answer *a) {
  const mig_s3_account *account = &s->account;
  bool ok = true;
  SET(CURLOPT_URL, address);
  SET(CURLOPT_AWS_SIGV4, s->sigv4);
  SET(CURLOPT_USERNAME, account->access_key);
  SET(CURLOPT_PASSWORD, account->secret_key);
  SET(CURLOPT_HTTPHEADER, list);
  SET(CURLOPT_NOSIGNAL, 1L);
  SET(CURLOPT_CONNECTTIMEOUT, CONNECT_S);
  SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
  SET(CURLOPT_LOW_SPEED_TIME, r->slow ? SLOW_S : account->timeout_s);
  if (account->ca_file) SET(CURLOPT_CAINFO, account->ca_file);
  if (strcmp(r->method, "HEAD") == 0)
    SET(CURLOPT_NOBODY, 1L);
  else if (r->body || strcmp(r->method, "POST") == 0) {
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_bytes);
    SET(CURLOPT_POSTFIELDS, r->body ? (const char *)r->body : "");
  }
  if (strcmp(r->method, "HEAD") != 0) SET(CURLOPT_CUSTOMREQUEST, r->method);
  SET(CURLOPT_WRITEFUNCTION, on_body);
  SET(CURLOPT_WRITEDATA, a);
  SET(CURLOPT_HEADERFUNCTION, on_header);
  SET(CURLOPT_HEADERDATA, a);
  return ok;
}

void mig_s3_answer_clear(mig_s3_answer *a) {
  mig_buf body = a->body;
  mig_buf_clear(&body);
  *a = (mig_s3_answer){.body = body};
}

/* Once. False: no answer, *code says why. */
static bool try_once(mig_s3 *s, const mig_s3_request *r, const char *address, const struct curl_slist *list,
                     mig_s3_answer *a, CURLcode *code) {
  long status = 0;
  CURL *c = take(s);
  *code = CURLE_OUT_OF_MEMORY;
  if (c && set_options(s, r, c, address, list, a)) *code = curl_easy_perform(c);
  if (c) curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
  give_back(s, c);
  a->status = (int)status;
  if (*code == CURLE_OK && status >= 400) mig_s3_error_code(&a->body, a->code);
  return *code == CURLE_OK && status >= 200;
}

static bool worth_another(bool answered, CURLcode code, const mig_s3_answer *a) {
  if (answered)
    return a->status >= 500 || a->status == 429 || a->status == 408 || strcmp(a->code, "RequestTimeout") == 0 ||
           strcmp(a->code, "SlowDown") == 0 || strcmp(a->code, "XAmzContentSHA256Mismatch") == 0 ||
           strcmp(a->code, "BadDigest") == 0;
  return code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_CONNECT || code == CURLE_OPERATION_TIMEDOUT ||
         code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR || code == CURLE_GOT_NOTHING ||
         code == CURLE_PARTIAL_FILE || code == CURLE_SSL_CONNECT_ERROR;
}

static bool failed(const mig_s3 *s, const mig_s3_request *r, CURLcode code, const mig_s3_answer *a, mig_error *err) {
  const char *host = s->account.endpoint ? s->account.endpoint : "Amazon S3";
  const char *key = r->key ? r->key : s->place.key;
  mig_fail(err, MIG_E_STORE, "%s s3://%s%s%s", r->what, s->place.bucket, *key ? "/" : "", key);
  if (code == CURLE_OK)
    mig_why(err, "%s answered %d%s%s, %d times", host, a->status, *a->code ? " " : "", a->code, a->tries);
  else
    mig_why(err, "no answer from %s: %s (tried %d times)", host, curl_easy_strerror(code), a->tries);
  return mig_hint(err, "see whether that server runs and can be reached from here; AWS_ENDPOINT_URL names another");
}

static void nap(int tries) {
  char random[5] = "0";
  mig_random_hex(2, random, NULL); /* so that many runners do not come back at the same time */
  const int64_t most = (int64_t)FIRST_NAP_MS << tries;
  mig_sleep_ms(most / 2 + most / 2 * (int64_t)strtol(random, NULL, 16) / 0xffff);
}

bool mig_s3_call(mig_s3 *s, const mig_s3_request *r, mig_s3_answer *out, mig_error *err) {
  char sum[MIG_SHA256_HEX];
  CURLcode code = CURLE_OUT_OF_MEMORY;
  bool answered = false;
  mig_s3_answer_clear(out);
  if (!mig_sha256_hex(r->body ? r->body : "", r->body_bytes, sum, err)) return false;
  char *address = mig_s3_address(&s->account, s->place.bucket, r->key ? r->key : "", r->query);
  headers h = make_headers(s, r, sum);
  for (int tries = 1; address && h.ok; tries++) {
    mig_s3_answer_clear(out);
    answered = try_once(s, r, address, h.list, out, &code);
    out->tries = tries;
    if (!worth_another(answered, code, out) || tries == TRIES || r->once) break;
    nap(tries);
  }
  curl_slist_free_all(h.list);
  mig_free(address);
  if (code == CURLE_OUT_OF_MEMORY) return mig_no_memory(err, "S3");
  return (answered && out->status < 500) || failed(s, r, code, out, err);
}
