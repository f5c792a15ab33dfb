/*
 * gate.h - the checks that a request must pass before anything of it is looked at closely
 *
 * Each fills *a and *err like a handler and returns false when the request is refused.
 */
#ifndef MIG_SERVER_GATE_H
#define MIG_SERVER_GATE_H

#include "server/server_internal.h"

typedef struct mig_headers { /* NULL: not there */
  const char *host, *origin, *fetch_site, *authorization, *content_type, *content_length;
} mig_headers;

/* Without tokens the browser of this machine's user could be made to act for a stranger's page: the request must name
 * this machine (DNS rebinding), and what changes something must come from our own page (request forgery). */
bool mig_gate_origin(const mig_server *s, const mig_headers *h, bool changes, mig_answer *a, mig_error *err);
/* Finds the route; fills q->route and q->id. */
bool mig_gate_route(mig_request *q, const char *method, const char *path, mig_answer *a, mig_error *err);
/* Fills q->scope and q->who. */
bool mig_gate_token(mig_request *q, const mig_headers *h, mig_answer *a, mig_error *err);
bool mig_gate_body(const mig_request *q, const mig_headers *h, mig_answer *a, mig_error *err);

#endif
