/*
 * serve.h - shared by the files that do what a module asks for
 *
 * Each service checks the request (untrusted), what the module declared, and whether it is legal in a transaction.
 */
#ifndef MIG_MIGRATIONS_MODULE_SERVE_H
#define MIG_MIGRATIONS_MODULE_SERVE_H

#include "migrations/module/child.h"
#include "migrations/step.h"

#define MIG_SERVE_CURSORS 16

typedef struct mig_served_cursor {
  mig_cursor *cursor; /* NULL: free */
  char *collection;   /* of a find; NULL: of another query, whose documents cannot be rewritten */
  bson_t *batch;      /* array: the documents the module has now */
} mig_served_cursor;

typedef struct mig_serving {
  const mig_step *step;
  const char *name;
  mig_work *w;
  mig_child *child;
  mig_served_cursor cursors[MIG_SERVE_CURSORS];
  bson_t *backups; /* {id: collection}, made by this run */
} mig_serving;

/* Answers one request; what it appends to reply goes back. */
typedef bool (*mig_service)(mig_serving *s, const bson_t *request, bson_t *reply, mig_error *err);
typedef struct mig_service_row {
  const char *op;
  mig_service serve;
} mig_service_row;
extern const mig_service_row mig_services_read[], mig_services_write[]; /* each ends with a NULL op */

/* The module may do that with this collection: it is declared. */
bool mig_serve_allows(const mig_serving *s, const char *collection, mig_touch touch, mig_error *err);
/* MIG_E_FAILED: a request without what it needs. Always false. */
bool mig_serve_nonsense(const mig_serving *s, mig_error *err);
/* A command as a step: checked, and only what is declared. writes: whether it may write. */
bool mig_serve_command(const mig_serving *s, const bson_t *command, bool writes, mig_step *out, mig_error *err);
bool mig_serve_legal(const mig_serving *s, const mig_step *step, mig_error *err);
void mig_serve_close(mig_served_cursor *c);

#endif
