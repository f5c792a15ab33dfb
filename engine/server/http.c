/* libmicrohttpd on one side, routes and handlers on the other. */
#include "server/http.h"

#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/json_source.h"
#include "base/observer.h"
#include "server/gate.h"
#include "server/httpd.h"
#include "server/tell.h"

typedef struct exchange {
  mig_request q;
  mig_answer a;
  mig_error err;
  mig_buf body;
  size_t received;
  bool refused; /* a and err say why */
  int64_t began_ms;
} exchange;

static const char *header(struct MHD_Connection *c, const char *name) {
  return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

static mig_headers headers_of(struct MHD_Connection *c) {
  return (mig_headers){.host = header(c, "Host"),
                       .origin = header(c, "Origin"),
                       .fetch_site = header(c, "Sec-Fetch-Site"),
                       .authorization = header(c, "Authorization"),
                       .content_type = header(c, "Content-Type"),
                       .content_length = header(c, "Content-Length")};
}

static const struct sockaddr *address_of(struct MHD_Connection *c) {
  const union MHD_ConnectionInfo *i = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  return i ? i->client_addr : NULL;
}

static mig_slot *slot_of(struct MHD_Connection *c) {
  const union MHD_ConnectionInfo *i = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return i ? i->socket_context : NULL;
}

/* Names, versions, times: nothing of this kind is longer. The text of a migration has its own limit. */
static bool short_enough(const char *text) {
  size_t characters = 0;
  for (; *text && characters <= MIG_TEXT_MAX; text++) characters += ((unsigned char)*text & 0xC0) != 0x80;
  return characters <= MIG_TEXT_MAX;
}

/* ---- query parameters ---- */

typedef struct query_reader {
  exchange *x;
  char wrong[160];
} query_reader;

static enum MHD_Result take_parameter(void *arg, enum MHD_ValueKind kind, const char *key, size_t key_size,
                                      const char *value, size_t value_size) {
  query_reader *r = arg;
  const char *const *known = r->x->q.route->query;
  (void)kind;
  while (known && *known && strcmp(*known, key) != 0) known++;
  if (!known || !*known)
    snprintf(r->wrong, sizeof r->wrong, "there is no parameter \"%.60s\" here", key);
  else if (!value || !*value || strlen(key) != key_size || strlen(value) != value_size ||
           !bson_utf8_validate(value, value_size, false))
    snprintf(r->wrong, sizeof r->wrong, "the parameter \"%.60s\" is empty or not text", key);
  else if (!short_enough(value))
    snprintf(r->wrong, sizeof r->wrong, "the parameter \"%.60s\" is longer than %d characters", key, MIG_TEXT_MAX);
  else if (bson_has_field(r->x->q.query, key))
    snprintf(r->wrong, sizeof r->wrong, "the parameter \"%.60s\" stands there twice", key);
  else
    BSON_APPEND_UTF8(r->x->q.query, key, value);
  return r->wrong[0] ? MHD_NO : MHD_YES;
}

static bool read_query(exchange *x, struct MHD_Connection *c) {
  query_reader r = {.x = x};
  MHD_get_connection_values_n(c, MHD_GET_ARGUMENT_KIND, take_parameter, &r);
  if (!r.wrong[0]) return true;
  bool utf8 = bson_utf8_validate(r.wrong, strlen(r.wrong), false);
  return mig_http_fail(&x->a, &x->err, 400, utf8 ? r.wrong : "a parameter is not text",
                       "the query cannot be used as it is", "/openapi.json lists the parameters");
}

/* ---- body ---- */

static bool texts_fit(const bson_t *body, mig_error *err) {
  bson_iter_t it;
  if (!bson_iter_init(&it, body)) return true;
  while (bson_iter_next(&it)) {
    const char *key = bson_iter_key(&it);
    if (!BSON_ITER_HOLDS_UTF8(&it) || strcmp(key, "content") == 0 || short_enough(bson_iter_utf8(&it, NULL))) continue;
    return mig_fail(err, MIG_E_USAGE, "the argument \"%s\" is longer than %d characters", key, MIG_TEXT_MAX);
  }
  return true;
}

static bool read_body(exchange *x) {
  mig_source *source = NULL;
  if (!x->q.route->body) return true;
  bool ok = x->body.size > 0;
  if (!ok)
    return mig_http_fail(&x->a, &x->err, 400, "the body is empty", "a JSON object is expected",
                         "send {} when there is nothing to say");
  ok = mig_source_parse("body", &x->body, &source, &x->err) &&
       (mig_args_check("request", x->q.route->path, x->q.route->body, source->doc, "", &x->err) ||
        mig_source_blame(source, &x->err)) &&
       texts_fit(source->doc, &x->err);
  if (ok) {
    bson_destroy(x->q.body);
    x->q.body = bson_copy(source->doc);
  } else {
    if (x->err.code == MIG_E_INPUT) x->err.code = MIG_E_USAGE;
    x->a.status = mig_http_status(x->err.code);
  }
  mig_source_free(source);
  return ok;
}

/* ---- answer ---- */

static const char *const standing_headers[][2] = {
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
     "form-action 'none'; frame-ancestors 'none'"},
};

static void add_headers(struct MHD_Response *r, const exchange *x) {
  const mig_answer *a = &x->a;
  char number[16];
  for (size_t i = 0; i < sizeof standing_headers / sizeof *standing_headers; i++)
    MHD_add_response_header(r, standing_headers[i][0], standing_headers[i][1]);
  MHD_add_response_header(r, "Content-Type", a->type ? a->type : "application/json");
  MHD_add_response_header(r, "Cache-Control", a->etag ? "no-cache" : "no-store");
  if (a->etag) MHD_add_response_header(r, "ETag", a->etag);
  if (a->allow) MHD_add_response_header(r, "Allow", a->allow);
  if (a->location[0]) MHD_add_response_header(r, "Location", a->location);
  if (a->status == 401) MHD_add_response_header(r, "WWW-Authenticate", "Bearer realm=\"mig\"");
  snprintf(number, sizeof number, "%d", a->retry_after_s ? a->retry_after_s : 1);
  if (a->retry_after_s || a->status == 429 || a->status == 503) MHD_add_response_header(r, "Retry-After", number);
}

static enum MHD_Result send_answer(exchange *x, struct MHD_Connection *c) {
  mig_answer *a = &x->a;
  char *json = NULL;
  const void *data = a->fixed ? a->fixed : mig_buf_text(&a->text);
  size_t size = a->fixed ? a->fixed_size : a->text.size;
  if (x->refused) {
    if (!a->status) a->status = mig_http_status(x->err.code);
    if (a->doc) bson_destroy(a->doc);
    a->doc = mig_http_problem(a->status, a->title, &x->err);
    a->type = "application/problem+json";
    a->fixed = NULL;
    a->etag = NULL;
  }
  if (!a->status) a->status = 200;
  if (a->doc) {
    json = mig_tell_json(a->doc);
    data = json ? json : "{}";
    size = strlen(data);
  }
  struct MHD_Response *r = MHD_create_response_from_buffer(size, (void *)(uintptr_t)data, MHD_RESPMEM_MUST_COPY);
  mig_free(json);
  if (!r) return MHD_NO;
  add_headers(r, x);
  enum MHD_Result queued = MHD_queue_response(c, a->status, r);
  MHD_destroy_response(r);
  return queued;
}

static void handle(exchange *x, struct MHD_Connection *c) {
  mig_limits_extend(x->q.server->limits, slot_of(c), MIG_ANSWER_MS);
  if (!x->refused && x->received > MIG_BODY_MAX)
    x->refused = !mig_http_fail(&x->a, &x->err, 413, "the body is too large", "at most 1 MiB is taken",
                                "put larger migrations into the folder as files");
  if (!x->refused) x->refused = !read_body(x);
  if (!x->refused) x->refused = !x->q.route->handler(&x->q, &x->a, &x->err);
  const char *etag = header(c, "If-None-Match");
  if (!x->refused && x->a.etag && etag && strcmp(etag, x->a.etag) == 0) {
    x->a.status = MHD_HTTP_NOT_MODIFIED;
    x->a.fixed_size = 0;
  }
}

/* ---- the course of a request ---- */

static bool gates(exchange *x, struct MHD_Connection *c, const char *method, const char *path) {
  mig_server *s = x->q.server;
  const mig_headers h = headers_of(c);
  bool changes = strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0;
  if (!mig_limits_allow(s->limits, address_of(c), 1))
    return mig_http_fail(&x->a, &x->err, 429, "too many requests from this address", "it asks faster than it may",
                         "wait, and ask less often");
  bool ok = mig_gate_origin(s, &h, changes, &x->a, &x->err) && mig_gate_route(&x->q, method, path, &x->a, &x->err) &&
            mig_gate_token(&x->q, &h, &x->a, &x->err) && mig_gate_body(&x->q, &h, &x->a, &x->err) && read_query(x, c);
  /* guessing tokens costs as much as twenty good requests */
  if (!ok && x->a.status == 401 && h.authorization) mig_limits_allow(s->limits, address_of(c), 20);
  return ok;
}

static exchange *begin(mig_server *s, struct MHD_Connection *c, const char *method, const char *path) {
  exchange *x = mig_alloc(sizeof *x);
  if (!x) return NULL;
  x->q.server = s;
  x->q.query = bson_new();
  x->q.body = bson_new();
  x->body = MIG_BUF(MIG_BODY_MAX);
  x->began_ms = mig_now_monotonic_ms();
  x->refused = !gates(x, c, method, path);
  return x;
}

/* A body that is refused is read all the same, up to a limit: closing at once would hide the answer from its sender. */
static bool take_piece(exchange *x, const char *data, size_t size) {
  x->received += size;
  if (x->received > MIG_DRAIN_MAX) return false;
  if (x->refused || x->received > MIG_BODY_MAX || !x->q.route->body) return true;
  return mig_buf_add(&x->body, data, size, &x->err);
}

enum MHD_Result mig_httpd_access(void *arg, struct MHD_Connection *c, const char *path, const char *method,
                                 const char *version, const char *data, size_t *size, void **state) {
  exchange *x = *state;
  (void)version;
  if (!x) {
    x = begin(arg, c, method, path);
    *state = x;
    bool at_once = x && x->refused && x->a.status == 429;
    if (at_once) return send_answer(x, c);
    return x ? MHD_YES : MHD_NO;
  }
  if (*size) {
    bool ok = take_piece(x, data, *size);
    *size = 0;
    return ok ? MHD_YES : MHD_NO;
  }
  handle(x, c);
  return send_answer(x, c);
}

static void say(const exchange *x) {
  const mig_request *q = &x->q;
  mig_say(&q->server->engine.observer, MIG_DEBUG, "%s %s %u %lld ms %s", q->route ? q->route->method : "-",
          q->route ? q->route->path : "-", x->a.status, (long long)(mig_now_monotonic_ms() - x->began_ms),
          q->who ? q->who : "-");
}

void mig_httpd_completed(void *arg, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode why) {
  exchange *x = *state;
  mig_server *s = arg;
  (void)why;
  mig_limits_extend(s->limits, slot_of(c), MIG_REQUEST_MS);
  if (!x) return;
  say(x);
  bson_destroy(x->q.query);
  bson_destroy(x->q.body);
  if (x->a.doc) bson_destroy(x->a.doc);
  mig_buf_free(&x->a.text);
  mig_buf_free(&x->body);
  mig_free(x);
  *state = NULL;
}

void mig_httpd_connection(void *arg, struct MHD_Connection *c, void **context,
                          enum MHD_ConnectionNotificationCode what) {
  mig_server *s = arg;
  const union MHD_ConnectionInfo *i = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
  if (what == MHD_CONNECTION_NOTIFY_STARTED && i) *context = mig_limits_open(s->limits, i->connect_fd, MIG_REQUEST_MS);
  if (what == MHD_CONNECTION_NOTIFY_CLOSED) mig_limits_close(s->limits, *context);
}
