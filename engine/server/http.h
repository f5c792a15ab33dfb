/*
 * http.h - one request and its answer, between libmicrohttpd (http.c) and the handlers (api_*.c)
 *
 * A request reaches its handler only when it has passed every gate: rate, host and origin, token and scope, method,
 * size, content type, known query parameters, a body that is JSON and has the arguments of its route.
 * A handler fills the answer and returns true, or returns false with *err, which becomes application/problem+json.
 * Ownership: what a request has is borrowed by the handler; the answer's document and text go over to http.c.
 */
#ifndef MIG_SERVER_HTTP_H
#define MIG_SERVER_HTTP_H

#include "base/args.h"
#include "server/tokens.h"

typedef struct mig_server mig_server;
typedef struct mig_request mig_request;

typedef struct mig_answer {
  unsigned status;   /* 0: 200 */
  const char *title; /* of a problem that is HTTP's own; NULL: the error's code gives it */
  bson_t *doc;       /* JSON, or */
  mig_buf text;      /* text of `type`, or */
  const void *fixed; /* bytes that live for ever */
  size_t fixed_size;
  const char *type; /* NULL: application/json */
  const char *etag;
  const char *allow; /* for 405 */
  char location[80];
  int retry_after_s;
} mig_answer;

typedef bool mig_handler(mig_request *q, mig_answer *a, mig_error *err);

typedef struct mig_route {
  const char *method, *path; /* {id} stands for one part */
  mig_scope scope;
  mig_handler *handler;
  const char *const *query; /* names of its parameters; NULL: none */
  const mig_arg *body;      /* arguments of its JSON body; NULL: it has none */
} mig_route;

#define MIG_ID_MAX 256

struct mig_request {
  mig_server *server;
  const mig_route *route;
  char id[MIG_ID_MAX]; /* {id} of the path */
  bson_t *query;       /* parameters as text */
  bson_t *body;        /* checked arguments; empty when the route has none */
  mig_scope scope;     /* of the token; without tokens MIG_SCOPE_WRITE */
  const char *who;     /* the token's name; NULL without tokens */
};

/* A problem of HTTP's own: status, title and the three lines. Always false. */
bool mig_http_fail(mig_answer *a, mig_error *err, unsigned status, const char *what, const char *why, const char *hint);
unsigned mig_http_status(mig_code code);
const char *mig_http_phrase(unsigned status);
/* {type, title, status, detail, code, why, hint}; for bson_destroy. */
bson_t *mig_http_problem(unsigned status, const char *title, const mig_error *err);

#endif
