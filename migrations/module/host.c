#include "migrations/module/host.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "migrations/module/process.h"
#include "migrations/module/wire.h"

bool mig_module_hosts(int argc, char **argv) {
  return argc >= 2 && strcmp(argv[1], "--module-host") == 0;
}

static const mig_module *load(mig_ctx *ctx, const char *path) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    mig_ctx_fail(ctx, "it cannot be loaded: %s", dlerror());
    return NULL;
  }
  const mig_module *m = dlsym(library, "mig_module_descriptor");
  if (!m) mig_ctx_fail(ctx, "it has no mig_module_descriptor");
  if (m && m->abi != MIG_MODULE_ABI) {
    mig_ctx_fail(ctx, "it was made for another mig: its abi is %d, here it is %d", m->abi, MIG_MODULE_ABI);
    m = NULL;
  }
  if (m && !m->up) {
    mig_ctx_fail(ctx, "its descriptor has no up");
    m = NULL;
  }
  return m;
}

static void append_text(bson_t *doc, const char *key, const char *text) {
  if (text) BSON_APPEND_UTF8(doc, key, text);
}

static void append_list(bson_t *doc, const char *key, const char *const *list) {
  bson_t array;
  char buffer[16];
  const char *index;
  BSON_APPEND_ARRAY_BEGIN(doc, key, &array);
  for (uint32_t i = 0; list && list[i]; i++) {
    bson_uint32_to_string(i, &index, buffer, sizeof buffer);
    BSON_APPEND_UTF8(&array, index, list[i]);
  }
  bson_append_array_end(doc, &array);
}

/* Guards are written as text; they go as documents. */
static bool append_guards(mig_ctx *ctx, bson_t *doc, const char *key, const char *const *list) {
  bson_t array, view;
  char buffer[16];
  const char *index;
  BSON_APPEND_ARRAY_BEGIN(doc, key, &array);
  for (uint32_t i = 0; !ctx->failed && list && list[i]; i++) {
    bson_uint32_to_string(i, &index, buffer, sizeof buffer);
    if (mig_host_view(mig_host_parse(ctx, list[i]), &view)) BSON_APPEND_DOCUMENT(&array, index, &view);
  }
  bson_append_array_end(doc, &array);
  return !ctx->failed;
}

static bool describe(mig_ctx *ctx, const mig_module *m, bson_t *end) {
  bson_t doc;
  BSON_APPEND_DOCUMENT_BEGIN(end, "module", &doc);
  append_text(&doc, "name", m->name);
  append_text(&doc, "version", m->version);
  append_text(&doc, "description", m->description);
  append_text(&doc, "author", m->author);
  append_text(&doc, "transaction", m->transaction);
  append_text(&doc, "snapshot", m->snapshot);
  append_list(&doc, "writes", m->writes);
  append_list(&doc, "indexes", m->indexes);
  append_list(&doc, "reads", m->reads);
  bool ok = append_guards(ctx, &doc, "guards", m->guards) && append_guards(ctx, &doc, "verify", m->verify);
  bson_t metadata;
  if (m->metadata && mig_host_view(mig_host_parse(ctx, m->metadata), &metadata))
    BSON_APPEND_DOCUMENT(&doc, "metadata", &metadata);
  ok = ok && !ctx->failed;
  BSON_APPEND_INT64(&doc, "silenceMs", m->silence_ms);
  BSON_APPEND_BOOL(&doc, "reversible", m->down != NULL);
  bson_append_document_end(end, &doc);
  return ok;
}

static bool work(mig_ctx *ctx, const bson_t *begin, bson_t *end) {
  const char *run = "", *path = "";
  if (!mig_bson_str(begin, "run", &run) || !mig_bson_str(begin, "path", &path)) return false;
  const mig_module *m = load(ctx, path);
  if (!m) return false;
  if (strcmp(run, "describe") == 0) return describe(ctx, m, end);
  bool (*go)(mig_ctx *) = strcmp(run, "down") == 0 ? m->down : m->up;
  if (!go) return mig_ctx_fail(ctx, "it has no %s", run);
  bool ok = go(ctx);
  if (!ok) return mig_ctx_fail(ctx, "%s() returned false", run);
  return mig_host_flush(ctx) && !ctx->failed;
}

int mig_module_host(void) {
  static mig_ctx ctx; /* not on the stack: a module that overruns its own should not meet it at once */
  ctx.fd = MIG_PROCESS_SOCKET;
  ctx.in = MIG_BUF(MIG_WIRE_MAX + 65536);
  bson_t *begin = NULL, end = BSON_INITIALIZER;
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (!mig_host_receive(&ctx, &begin)) return 3;
  BSON_APPEND_UTF8(&end, "op", "end");
  bool ok = work(&ctx, begin, &end);
  BSON_APPEND_BOOL(&end, "ok", ok);
  BSON_APPEND_UTF8(&end, "what", ok || !bson_utf8_validate(ctx.what, strlen(ctx.what), false) ? "" : ctx.what);
  fflush(stdout);
  mig_host_send(&ctx, &end);
  _exit(0); /* nothing of the module's is run any more */
}
