/*
 * host.h - the inside of a module's process: loads it, describes it or runs it, and asks mig for every service
 *
 *     int main(int argc, char **argv) { if (mig_module_hosts(argc, argv)) return mig_module_host(); ... }
 *
 * The rest of this header is for the files that make up the host. Nothing here is trusted by mig: see wire.h.
 * Memory: documents live in a list that is cut back to a mark when a callback returns.
 */
#ifndef MIG_MIGRATIONS_MODULE_HOST_H
#define MIG_MIGRATIONS_MODULE_HOST_H

#include "base/bsonx.h"
#include "mig_module.h"

bool mig_module_hosts(int argc, char **argv); /* this process was started to be one */
int mig_module_host(void);

/* ---- parts ---- */

typedef struct mig_kept { /* a document that lives until its mark is reached */
  struct mig_kept *older;
  bson_t *doc;
} mig_kept;

struct mig_ctx {
  int fd;
  mig_buf in;
  mig_kept *kept;
  bool failed;     /* a service failed, or a document could not be made: nothing works any more */
  char what[1024]; /* why */
  bson_t *inserts; /* documents that wait, an array under construction; NULL: none */
  char *inserts_to;
  uint32_t insert_count;
};

/* Keeps a document until its mark is reached; takes it over. data is NULL when memory is short. */
mig_doc mig_host_keep(mig_ctx *ctx, bson_t *doc);
void mig_host_release(mig_ctx *ctx, const mig_kept *mark);
/* As mig_ctx_doc, of a text without values. */
mig_doc mig_host_parse(mig_ctx *ctx, const char *text);
/* A view of a module's bytes; false: not BSON. */
bool mig_host_view(mig_doc doc, bson_t *view);
/* Asks and waits for the answer; reply (may be NULL) is the caller's. False: ctx->failed. */
bool mig_host_ask(mig_ctx *ctx, const bson_t *request, bson_t **reply);
bool mig_host_send(mig_ctx *ctx, const bson_t *message);
bool mig_host_receive(mig_ctx *ctx, bson_t **message);
/* Sends the inserts that wait. */
bool mig_host_flush(mig_ctx *ctx);
/* {op: name} to be completed; NULL when a service may not be used any more. */
bson_t *mig_host_request(mig_ctx *ctx, const char *op);

#endif
