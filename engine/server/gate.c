#include "server/gate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "localhost:8737" names this machine; the port may be another one (a tunnel). */
static bool names_us(const mig_server *s, const char *host) {
  const char *const known[] = {"localhost", "127.0.0.1", "[::1]", s->address.host};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    size_t n = strlen(known[i]);
    if (strncasecmp(host, known[i], n) != 0) continue;
    if (!host[n] || (host[n] == ':' && strspn(host + n + 1, "0123456789") == strlen(host + n + 1))) return true;
  }
  return false;
}

bool mig_gate_origin(const mig_server *s, const mig_headers *h, bool changes, mig_answer *a, mig_error *err) {
  if (s->tokens) return true; /* a stranger's page has none */
  if (!h->host || !names_us(s, h->host))
    return mig_http_fail(a, err, 421, "this server does not answer to that host name",
                         "it runs without tokens, for this machine only, and a page of another name may be a trick",
                         "use http://127.0.0.1 or http://localhost; for other names start it with --tokens");
  if (!changes) return true;
  const char *behind = h->origin ? strstr(h->origin, "://") : NULL;
  bool foreign = h->origin && (!behind || strcasecmp(behind + 3, h->host) != 0);
  bool cross = h->fetch_site && strcmp(h->fetch_site, "same-origin") != 0 && strcmp(h->fetch_site, "none") != 0;
  if (!foreign && !cross) return true;
  return mig_http_fail(a, err, 403, "a page of another site sent this request", "nothing is changed on its behalf",
                       "use the dashboard at / or a program");
}

/* Fits "/api/runs/{id}"; the part for {id} goes to id. */
static bool fits(const char *pattern, const char *path, char id[static MIG_ID_MAX]) {
  const char *open = strchr(pattern, '{');
  id[0] = 0;
  if (!open) return strcmp(pattern, path) == 0;
  size_t before = (size_t)(open - pattern);
  if (strncmp(pattern, path, before) != 0) return false;
  const char *rest = path + before, *after = strchr(open, '}') + 1;
  size_t n = strcspn(rest, "/");
  if (n == 0 || n >= MIG_ID_MAX || strcmp(rest + n, after) != 0) return false;
  memcpy(id, rest, n);
  id[n] = 0;
  return true;
}

static const char *allowed(const char *path) {
  char id[MIG_ID_MAX];
  bool get = false, post = false;
  for (const mig_route *r = mig_routes; r->method; r++) {
    if (!fits(r->path, path, id)) continue;
    get = get || strcmp(r->method, "GET") == 0;
    post = post || strcmp(r->method, "POST") == 0;
  }
  return get && post ? "GET, HEAD, POST" : get ? "GET, HEAD" : post ? "POST" : NULL;
}

bool mig_gate_route(mig_request *q, const char *method, const char *path, mig_answer *a, mig_error *err) {
  if (strcmp(method, "HEAD") == 0) method = "GET";
  for (const mig_route *r = mig_routes; r->method; r++) {
    if (strcmp(r->method, method) != 0 || !fits(r->path, path, q->id)) continue;
    q->route = r;
    return true;
  }
  a->allow = allowed(path);
  if (a->allow)
    return mig_http_fail(a, err, 405, "this path does not take that method", a->allow,
                         "/openapi.json lists what there is");
  return mig_http_fail(a, err, 404, "there is nothing at this path", "no part of the API or the dashboard is there",
                       "/openapi.json lists what there is");
}

bool mig_gate_token(mig_request *q, const mig_headers *h, mig_answer *a, mig_error *err) {
  static const char bearer[] = "Bearer ";
  q->scope = q->server->tokens ? MIG_SCOPE_NONE : MIG_SCOPE_WRITE;
  if (!q->server->tokens) return true;
  const char *given = h->authorization;
  bool is_bearer = given && strncasecmp(given, bearer, sizeof bearer - 1) == 0;
  if (is_bearer) q->scope = mig_tokens_find(q->server->tokens, given + sizeof bearer - 1, &q->who);
  if (q->scope >= q->route->scope) return true;
  if (!given)
    return mig_http_fail(a, err, 401, "a token is needed", "the request has no Authorization header",
                         "send Authorization: Bearer TOKEN");
  if (q->scope == MIG_SCOPE_NONE)
    return mig_http_fail(a, err, 401, "the token is not known", "it is not in the file that --tokens names",
                         "send Authorization: Bearer TOKEN with one of its tokens");
  return mig_http_fail(a, err, 403, "this token may only read", "what was asked for needs the scope write",
                       "use a token whose line begins with write");
}

bool mig_gate_body(const mig_request *q, const mig_headers *h, mig_answer *a, mig_error *err) {
  unsigned long long size = h->content_length ? strtoull(h->content_length, NULL, 10) : 0;
  if (size > MIG_BODY_MAX)
    return mig_http_fail(a, err, 413, "the body is too large", "at most 1 MiB is taken",
                         "put larger migrations into the folder as files");
  if (!q->route->body) return true;
  /* also a guard: a page of another site cannot send this type without asking first */
  static const char json[] = "application/json";
  size_t n = sizeof json - 1;
  bool is_json = h->content_type && strncasecmp(h->content_type, json, n) == 0 &&
                 (!h->content_type[n] || h->content_type[n] == ';' || h->content_type[n] == ' ');
  if (is_json) return true;
  return mig_http_fail(a, err, 415, "the body must be JSON", "Content-Type is not application/json",
                       "send Content-Type: application/json, and {} when there is nothing to say");
}
