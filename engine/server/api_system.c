/* Health, metrics, runs, who the client is, and the files of the dashboard. */
#include <string.h>

#include "base/version.h"
#include "run/metrics.h"
#include "server/api.h"
#include "server/tell.h"

bool mig_api_health(mig_request *q, mig_answer *a, mig_error *err) {
  if (mig_jobs_stopping(q->server->jobs))
    return mig_http_fail(a, err, 503, "the server is stopping", "it was told to", "ask another one");
  if (!mig_readers_healthy(q->server->readers, err)) {
    if (q->scope == MIG_SCOPE_NONE) /* strangers learn no addresses */
      mig_http_fail(a, err, 503, "the database does not answer", "more is told to who has a token",
                    "see to the database and its network");
    a->status = 503;
    return false;
  }
  a->doc = BCON_NEW("status", BCON_UTF8("ok"));
  return true;
}

bool mig_api_metrics(mig_request *q, mig_answer *a, mig_error *err) {
  mig_engine *e = NULL;
  a->type = "text/plain; version=0.0.4; charset=utf-8";
  if (!mig_readers_take(q->server->readers, &e, err)) return mig_metrics_down(&a->text, err);
  bool ok = mig_metrics_text(e, &a->text, err);
  mig_readers_give(q->server->readers, e, ok ? NULL : err);
  return ok;
}

bool mig_api_session(mig_request *q, mig_answer *a, mig_error *err) {
  char label[160], database[70];
  (void)err;
  mig_readers_label(q->server->readers, label, database);
  a->doc = bson_new();
  BSON_APPEND_UTF8(a->doc, "version", MIG_VERSION);
  mig_bson_append_text(a->doc, "server", label[0] ? label : NULL);
  mig_bson_append_text(a->doc, "database", database[0] ? database : NULL);
  BSON_APPEND_UTF8(a->doc, "scope", mig_scope_name(q->scope));
  mig_bson_append_text(a->doc, "name", q->who);
  BSON_APPEND_BOOL(a->doc, "tokens", q->server->tokens != NULL);
  return true;
}

bool mig_api_runs(mig_request *q, mig_answer *a, mig_error *err) {
  bson_t list;
  (void)err;
  a->doc = bson_new();
  BSON_APPEND_ARRAY_BEGIN(a->doc, "runs", &list);
  mig_jobs_list(q->server->jobs, &list);
  bson_append_array_end(a->doc, &list);
  return true;
}

bool mig_api_run(mig_request *q, mig_answer *a, mig_error *err) {
  a->doc = bson_new();
  if (mig_jobs_describe(q->server->jobs, q->id, a->doc)) return true;
  return mig_http_fail(a, err, 404, "there is no such run", "it ended long ago, or never was",
                       "/api/migrations/history has all that was ever done");
}

bool mig_api_asset(mig_request *q, mig_answer *a, mig_error *err) {
  (void)err;
  for (const mig_asset *f = mig_assets; f->path; f++) {
    if (strcmp(f->path, q->route->path) != 0) continue;
    a->fixed = f->data;
    a->fixed_size = f->size;
    a->type = f->type;
    a->etag = f->etag;
  }
  return true;
}
