/* /api/migrations: where everything stands, what was done, new files, up and down. */
#include <string.h>

#include "base/clock.h"
#include "migrations/create.h"
#include "run/history.h"
#include "run/report.h"
#include "server/api.h"
#include "server/tell.h"
#include "validators/guard.h"

#define MOST_STEPS 1000000

static void tell_board(const mig_engine *e, const mig_board *b, bson_t *out) {
  bson_t list, part;
  BSON_APPEND_UTF8(out, "server", mig_db_label(e->db));
  BSON_APPEND_UTF8(out, "database", mig_db_name(e->db));
  BSON_APPEND_ARRAY_BEGIN(out, "migrations", &list);
  for (size_t i = 0; i < b->count; i++) {
    bson_t row = BSON_INITIALIZER;
    const mig_finding *f = &b->rows[i].finding;
    mig_report_row(&row, b, &b->rows[i]);
    mig_tell_date(&row, "changedAt", mig_board_when(f));
    if (f->migration) mig_bson_append_text(&row, "description", f->migration->description);
    if (f->migration) BSON_APPEND_BOOL(&row, "reversible", f->migration->reversible);
    mig_tell_item(&list, (uint32_t)i, &row);
    bson_destroy(&row);
  }
  bson_append_array_end(out, &list);
  BSON_APPEND_DOCUMENT_BEGIN(out, "totals", &part);
  mig_report_totals(&part, b);
  BSON_APPEND_INT64(&part, "problems", b->problems);
  BSON_APPEND_INT64(&part, "duration", b->duration_ms);
  bson_append_document_end(out, &part);
  BSON_APPEND_DOCUMENT_BEGIN(out, "lease", &part);
  mig_report_lease(&part, &b->lease);
  BSON_APPEND_BOOL(&part, "live", b->lease_live);
  bson_append_document_end(out, &part);
}

bool mig_api_status(mig_request *q, mig_answer *a, mig_error *err) {
  mig_engine *e = NULL;
  mig_board board = {0};
  if (!mig_readers_take(q->server->readers, &e, err)) return false;
  bool ok = mig_board_load(e, &board, err);
  if (ok) {
    a->doc = bson_new();
    tell_board(e, &board, a->doc);
  }
  mig_board_clear(&board);
  mig_readers_give(q->server->readers, e, ok ? NULL : err);
  return ok;
}

static bool history_query(const mig_request *q, mig_history_query *out, mig_error *err) {
  const char *since = NULL;
  *out = (mig_history_query){0};
  mig_bson_str(q->query, "status", &out->outcome);
  mig_bson_str(q->query, "direction", &out->direction);
  mig_bson_str(q->query, "migration", &out->migration);
  mig_bson_str(q->query, "by", &out->by);
  if (out->direction && strcmp(out->direction, "up") != 0 && strcmp(out->direction, "down") != 0 &&
      strcmp(out->direction, "restore") != 0)
    return mig_fail(err, MIG_E_USAGE, "the parameter \"direction\" is up, down or restore, not \"%.40s\"",
                    out->direction);
  if (mig_bson_str(q->query, "since", &since) && !mig_time_parse(since, mig_now_unix_ms(), &out->since_unix_ms)) {
    mig_fail(err, MIG_E_USAGE, "the parameter \"since\" cannot be \"%.40s\"", since);
    return mig_hint(err, "2026-01-15, 2026-01-15T10:30:00Z (UTC), or an age: 90m, 12h, 7d, 2w");
  }
  return mig_api_number(q, "limit", 20, 500, &out->limit, err) && mig_api_number(q, "page", 1, 20000, &out->page, err);
}

bool mig_api_history(mig_request *q, mig_answer *a, mig_error *err) {
  mig_engine *e = NULL;
  mig_cursor *c = NULL;
  mig_history_query query;
  const bson_t *event = NULL;
  bson_t *out = bson_new(), list;
  mig_next next = MIG_NEXT_END;
  int64_t total = 0;
  uint32_t n = 0;
  bool ok = history_query(q, &query, err) && mig_readers_take(q->server->readers, &e, err);
  ok = ok && mig_history_find(e->db, &query, &c, &total, err);
  BSON_APPEND_ARRAY_BEGIN(out, "events", &list);
  while (ok && (next = mig_cursor_next(c, &event, err)) == MIG_NEXT_DOC) mig_tell_item(&list, n++, event);
  bson_append_array_end(out, &list);
  ok = ok && next != MIG_NEXT_ERROR;
  mig_cursor_close(c);
  if (e) mig_readers_give(q->server->readers, e, ok ? NULL : err);
  BCON_APPEND(out, "total", BCON_INT64(total), "page", BCON_INT64(query.page), "limit", BCON_INT64(query.limit));
  if (ok)
    a->doc = out;
  else
    bson_destroy(out);
  return ok;
}

bool mig_api_create(mig_request *q, mig_answer *a, mig_error *err) {
  static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER; /* or two would get the same number */
  mig_create_options o = {.folder = q->server->engine.migrations, .declarative = true, .check = mig_guard_check_syntax};
  char *path = NULL;
  mig_migration *m = NULL;
  mig_bson_str(q->body, "name", &o.words);
  mig_bson_str(q->body, "template", &o.template_name);
  mig_bson_str(q->body, "content", &o.text);
  if (!o.template_name == !o.text) {
    mig_fail(err, MIG_E_USAGE, "a new migration comes from \"template\" or from \"content\"");
    return mig_why(err, o.text ? "both are given" : "neither is given");
  }
  pthread_mutex_lock(&one_at_a_time);
  bool ok = mig_create(&o, &path, &m, err);
  pthread_mutex_unlock(&one_at_a_time);
  mig_free(path);
  if (!ok) return false;
  a->status = 201;
  a->doc =
      BCON_NEW("migration", BCON_UTF8(m->name), "version", BCON_UTF8(m->version), "checksum", BCON_UTF8(m->checksum),
               "reversible", BCON_BOOL(m->reversible), "steps", BCON_INT64((int64_t)m->up.count));
  mig_migration_free(m);
  return true;
}

static bool steps_ok(const mig_request *q, mig_error *err) {
  int64_t steps = 1;
  mig_bson_int(q->body, "steps", &steps);
  if (steps >= 1 && steps <= MOST_STEPS) return true;
  mig_fail(err, MIG_E_USAGE, "the argument \"steps\" is a whole number from 1 to %d", MOST_STEPS);
  return mig_hint(err, "leave it out for all (up) or one (down)");
}

bool mig_api_up(mig_request *q, mig_answer *a, mig_error *err) {
  return steps_ok(q, err) && mig_api_accept(q, &(mig_order){.kind = MIG_JOB_UP, .options = q->body}, a, err);
}

bool mig_api_down(mig_request *q, mig_answer *a, mig_error *err) {
  static const char *const ways[] = {"only", "to", "steps", "batch", "all"};
  size_t given = 0;
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) given += bson_has_field(q->body, ways[i]);
  if (!steps_ok(q, err)) return false;
  if (given > 1) return mig_fail(err, MIG_E_USAGE, "only, to, steps, batch and all exclude each other");
  return mig_api_accept(q, &(mig_order){.kind = MIG_JOB_DOWN, .options = q->body}, a, err);
}
