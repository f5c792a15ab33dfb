/* The services of a module, as seen from inside: each is a question to mig. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "migrations/module/host.h"
#include "migrations/module/wire.h"

#define INSERT_COUNT 1000
#define INSERT_BYTES (4u << 20)

bool mig_host_send(mig_ctx *ctx, const bson_t *message) {
  const uint8_t *data = bson_get_data(message);
  for (size_t sent = 0; sent < message->len;) {
    ssize_t n = send(ctx->fd, data + sent, message->len - sent, MSG_NOSIGNAL);
    if (n < 0 && errno != EINTR) _exit(3); /* mig is gone: there is nobody to work for */
    if (n > 0) sent += (size_t)n;
  }
  return true;
}

bool mig_host_receive(mig_ctx *ctx, bson_t **message) {
  for (;;) {
    static uint8_t piece[65536];
    mig_error err;
    if (!mig_wire_take(&ctx->in, message, &err)) return mig_ctx_fail(ctx, "%s", err.what);
    if (*message) return true;
    ssize_t n = read(ctx->fd, piece, sizeof piece);
    if (n == 0 || (n < 0 && errno != EINTR)) _exit(3);
    if (n > 0 && !mig_buf_add(&ctx->in, piece, (size_t)n, &err)) return mig_ctx_fail(ctx, "%s", err.what);
  }
}

static bool failed(mig_ctx *ctx, const char *what) {
  if (!ctx->failed) snprintf(ctx->what, sizeof ctx->what, "%s", what);
  ctx->failed = true;
  return false;
}

bool mig_ctx_fail(mig_ctx *ctx, const char *format, ...) {
  char what[sizeof ctx->what];
  va_list ap;
  va_start(ap, format);
  vsnprintf(what, sizeof what, format, ap);
  va_end(ap);
  return failed(ctx, what);
}

bson_t *mig_host_request(mig_ctx *ctx, const char *op) {
  if (ctx->failed) return NULL;
  bson_t *request = bson_new();
  BSON_APPEND_UTF8(request, "op", op);
  return request;
}

/* Without the flush: for the flush itself. */
static bool ask(mig_ctx *ctx, const bson_t *request, bson_t **reply) {
  bson_t *answer = NULL;
  const char *what = "no reason was given";
  bool ok = false;
  if (!mig_host_send(ctx, request) || !mig_host_receive(ctx, &answer)) return false;
  mig_bson_bool(answer, "ok", &ok);
  mig_bson_str(answer, "what", &what);
  if (!ok) failed(ctx, what);
  if (ok && reply)
    *reply = answer;
  else
    bson_destroy(answer);
  return ok;
}

bool mig_host_ask(mig_ctx *ctx, const bson_t *request, bson_t **reply) {
  return mig_host_flush(ctx) && ask(ctx, request, reply);
}

bool mig_host_flush(mig_ctx *ctx) {
  if (ctx->failed) return false;
  if (!ctx->inserts) return true;
  bson_t request = BSON_INITIALIZER, step, insert;
  BSON_APPEND_UTF8(&request, "op", "step");
  BSON_APPEND_DOCUMENT_BEGIN(&request, "step", &step);
  BSON_APPEND_DOCUMENT_BEGIN(&step, "insert", &insert);
  BSON_APPEND_UTF8(&insert, "collection", ctx->inserts_to);
  BSON_APPEND_ARRAY(&insert, "documents", ctx->inserts);
  bson_append_document_end(&step, &insert);
  bson_append_document_end(&request, &step);
  bson_destroy(ctx->inserts);
  ctx->inserts = NULL;
  ctx->insert_count = 0;
  bool ok = ask(ctx, &request, NULL);
  bson_destroy(&request);
  return ok;
}

bool mig_ctx_insert(mig_ctx *ctx, const char *collection, mig_doc document) {
  bson_t view;
  char buffer[16];
  const char *key;
  if (ctx->failed) return false;
  if (!mig_host_view(document, &view)) return failed(ctx, "mig_ctx_insert: this is no document");
  if (ctx->inserts && (strcmp(ctx->inserts_to, collection) != 0 || ctx->insert_count == INSERT_COUNT ||
                       ctx->inserts->len + view.len > INSERT_BYTES))
    if (!mig_host_flush(ctx)) return false;
  if (!ctx->inserts) {
    mig_free(ctx->inserts_to);
    ctx->inserts_to = mig_strdup(collection);
    if (!ctx->inserts_to) return failed(ctx, "out of memory");
    ctx->inserts = bson_new();
  }
  bson_uint32_to_string(ctx->insert_count++, &key, buffer, sizeof buffer);
  BSON_APPEND_DOCUMENT(ctx->inserts, key, &view);
  return true;
}

static void say(mig_ctx *ctx, const char *level, const char *format, va_list ap) {
  char text[1024];
  vsnprintf(text, sizeof text, format, ap);
  if (!bson_utf8_validate(text, strlen(text), false)) snprintf(text, sizeof text, "(a message that is not UTF-8)");
  bson_t *message = BCON_NEW("op", BCON_UTF8("log"), "level", BCON_UTF8(level), "text", BCON_UTF8(text));
  mig_host_send(ctx, message);
  bson_destroy(message);
}

void mig_ctx_log(mig_ctx *ctx, const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  say(ctx, "info", format, ap);
  va_end(ap);
}

void mig_ctx_warn(mig_ctx *ctx, const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  say(ctx, "warning", format, ap);
  va_end(ap);
}

void mig_ctx_progress(mig_ctx *ctx, const char *what, uint64_t done, uint64_t total) {
  bson_t *message = BCON_NEW("op", BCON_UTF8("progress"), "what", BCON_UTF8(what), "done", BCON_INT64((int64_t)done),
                             "total", BCON_INT64((int64_t)total));
  mig_host_send(ctx, message);
  bson_destroy(message);
}

/* {op, key: document}: the shape of most questions. Takes `request` over, which may be NULL. */
static bool ask_about(mig_ctx *ctx, bson_t *request, const char *key, mig_doc doc, bson_t **reply) {
  bson_t view;
  bool ok = request != NULL && (mig_host_view(doc, &view) || failed(ctx, "a service was given what is no document"));
  if (ok) BSON_APPEND_DOCUMENT(request, key, &view);
  ok = ok && mig_host_ask(ctx, request, reply);
  bson_destroy(request);
  return ok;
}

static bool ask_collection(mig_ctx *ctx, const char *op, const char *collection, mig_doc filter, bson_t **reply) {
  bson_t *request = mig_host_request(ctx, op);
  if (request) BSON_APPEND_UTF8(request, "collection", collection);
  return ask_about(ctx, request, "filter", filter, reply);
}

bool mig_ctx_count(mig_ctx *ctx, const char *collection, mig_doc filter, int64_t *out) {
  bson_t *reply = NULL;
  if (!ask_collection(ctx, "count", collection, filter, &reply)) return false;
  bool ok = mig_bson_int(reply, "n", out);
  bson_destroy(reply);
  return ok;
}

bool mig_ctx_exists(mig_ctx *ctx, const char *collection, bool *out) {
  bson_t *reply = NULL;
  if (!ask_collection(ctx, "stats", collection, MIG_ALL, &reply)) return false;
  bool ok = mig_bson_bool(reply, "exists", out);
  bson_destroy(reply);
  return ok;
}

bool mig_ctx_stats(mig_ctx *ctx, const char *collection, int64_t *documents, int64_t *bytes) {
  bson_t *reply = NULL;
  if (!ask_collection(ctx, "stats", collection, MIG_ALL, &reply)) return false;
  bool ok = mig_bson_int(reply, "documents", documents) && mig_bson_int(reply, "bytes", bytes);
  bson_destroy(reply);
  return ok;
}

bool mig_ctx_check(mig_ctx *ctx, mig_doc guard, bool *holds, const char **why) {
  bson_t *reply = NULL;
  if (!ask_about(ctx, mig_host_request(ctx, "check"), "guard", guard, &reply)) return false;
  bool ok = mig_bson_bool(reply, "holds", holds) && (!why || mig_bson_str(reply, "why", why));
  mig_host_keep(ctx, reply);
  return ok && !ctx->failed;
}

bool mig_ctx_step(mig_ctx *ctx, mig_doc step) {
  return ask_about(ctx, mig_host_request(ctx, "step"), "step", step, NULL);
}

bool mig_ctx_command(mig_ctx *ctx, mig_doc command, mig_doc *reply) {
  bson_t *answer = NULL;
  if (!ask_about(ctx, mig_host_request(ctx, "command"), "command", command, &answer)) return false;
  mig_doc kept = mig_host_keep(ctx, answer);
  if (reply && !mig_doc_inner(kept, "reply", reply)) return failed(ctx, "mig_ctx_command: no reply");
  return !ctx->failed;
}

bool mig_ctx_backup(mig_ctx *ctx, const char *collection, char id[MIG_BACKUP_ID]) {
  bson_t *reply = NULL;
  const char *text = "";
  if (!ask_collection(ctx, "backup", collection, MIG_ALL, &reply)) return false;
  mig_bson_str(reply, "id", &text);
  snprintf(id, MIG_BACKUP_ID, "%s", text);
  bson_destroy(reply);
  return true;
}

static bool ask_id(mig_ctx *ctx, const char *op, const char *id) {
  bson_t *request = mig_host_request(ctx, op);
  if (!request) return false;
  BSON_APPEND_UTF8(request, "id", id);
  bool ok = mig_host_ask(ctx, request, NULL);
  bson_destroy(request);
  return ok;
}

bool mig_ctx_restore(mig_ctx *ctx, const char *id) {
  return ask_id(ctx, "restore", id);
}

bool mig_ctx_drop_backup(mig_ctx *ctx, const char *id) {
  return ask_id(ctx, "drop", id);
}
