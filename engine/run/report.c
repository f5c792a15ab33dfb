#include "run/report.h"

#include "backup/diff.h"
#include "run/attempt.h"

void mig_report_error(bson_t *line, const mig_error *err) {
  bson_t e;
  BSON_APPEND_DOCUMENT_BEGIN(line, "error", &e);
  BSON_APPEND_UTF8(&e, "code", mig_code_name(err->code));
  BSON_APPEND_UTF8(&e, "what", err->what);
  BSON_APPEND_UTF8(&e, "why", mig_error_why(err));
  BSON_APPEND_UTF8(&e, "hint", mig_error_hint(err));
  if (err->server_code) BSON_APPEND_INT32(&e, "serverCode", err->server_code);
  bson_append_document_end(line, &e);
}

void mig_report_result(bson_t *line, const mig_result *r) {
  BSON_APPEND_UTF8(line, "migration", r->name);
  mig_bson_append_text(line, "version", r->version);
  BSON_APPEND_UTF8(line, "direction", r->direction);
  BSON_APPEND_UTF8(line, "outcome", r->outcome);
  BSON_APPEND_INT64(line, "duration", r->duration_ms);
  mig_result_append(line, r);
  BSON_APPEND_UTF8(line, "transaction", r->transaction);
  mig_bson_append_text(line, "snapshot", r->snapshot_id);
  mig_bson_append_text(line, "snapshotPath", r->snapshot_path);
  if (r->displaced_path) {
    BSON_APPEND_UTF8(line, "displaced", r->displaced_path);
    BSON_APPEND_INT64(line, "displacedDocuments", r->displaced_documents);
  }
  if (r->error) mig_report_error(line, r->error);
}

void mig_report_forecast(bson_t *line, const mig_forecast *f) {
  bson_t list, part;
  char buffer[16];
  const char *key;
  BSON_APPEND_UTF8(line, "migration", f->name);
  mig_bson_append_text(line, "version", f->version);
  BSON_APPEND_UTF8(line, "direction", f->direction);
  BSON_APPEND_UTF8(line, "outcome", f->refusals ? "would be refused" : "would run");
  BSON_APPEND_UTF8(line, "transaction", f->transaction);
  BSON_APPEND_UTF8(line, "whyTransaction", f->why_transaction);
  BSON_APPEND_ARRAY_BEGIN(line, "collections", &list);
  for (uint32_t i = 0; f->collections[i]; i++) {
    bson_uint32_to_string(i, &key, buffer, sizeof buffer);
    BSON_APPEND_UTF8(&list, key, f->collections[i]);
  }
  bson_append_array_end(line, &list);
  BSON_APPEND_INT64(line, "steps", (int64_t)f->step_count);
  BSON_APPEND_INT64(line, "guards", (int64_t)f->guard_count);
  BSON_APPEND_BOOL(line, "destroys", f->destroys);
  BSON_APPEND_INT64(line, "documents", f->documents);
  BSON_APPEND_DOCUMENT_BEGIN(line, "snapshot", &part);
  BSON_APPEND_INT64(&part, "documents", f->snapshot_documents);
  BSON_APPEND_INT64(&part, "bytes", f->snapshot_bytes);
  bson_append_document_end(line, &part);
  BSON_APPEND_ARRAY_BEGIN(line, "refusals", &list);
  for (uint32_t i = 0; i < f->refusals; i++) {
    bson_uint32_to_string(i, &key, buffer, sizeof buffer);
    BSON_APPEND_UTF8(&list, key, f->reasons[i]);
  }
  bson_append_array_end(line, &list);
}

static void append_progress(bson_t *line, const mig_progress_state *p) {
  bson_t part;
  BSON_APPEND_DOCUMENT_BEGIN(line, "progress", &part);
  BSON_APPEND_UTF8(&part, "what", p->what);
  BSON_APPEND_INT64(&part, "done", p->done);
  if (p->percent >= 0) BSON_APPEND_INT64(&part, "total", p->total);
  if (p->percent >= 0) BSON_APPEND_INT32(&part, "percent", p->percent);
  BSON_APPEND_DATE_TIME(&part, "updatedAt", p->updated_unix_ms);
  bson_append_document_end(line, &part);
}

void mig_report_row(bson_t *line, const mig_board *b, const mig_board_row *row) {
  const mig_finding *f = &row->finding;
  const mig_entry *e = f->entry;
  BSON_APPEND_UTF8(line, "migration", row->name);
  BSON_APPEND_UTF8(line, "version", row->version);
  BSON_APPEND_UTF8(line, "status", mig_status_name(f->status));
  if (mig_board_when(f) && f->status != MIG_STATUS_RUNNING && f->status != MIG_STATUS_FAILED)
    BSON_APPEND_DATE_TIME(line, f->status == MIG_STATUS_REVERTED ? "revertedAt" : "appliedAt", mig_board_when(f));
  if (e) BSON_APPEND_INT64(line, "duration", e->duration_ms);
  if (e && e->batch) BSON_APPEND_INT64(line, "batch", e->batch);
  if (e && e->applied_by) BSON_APPEND_UTF8(line, "by", e->applied_by);
  if (e && e->error) BSON_APPEND_UTF8(line, "error", e->error);
  if (e) BSON_APPEND_BOOL(line, "restored", e->restored);
  if (e && e->snapshot.id) BSON_APPEND_UTF8(line, "snapshot", e->snapshot.id);
  if (f->status == MIG_STATUS_RUNNING) {
    BSON_APPEND_UTF8(line, "phase", mig_phase_name(e->run.phase));
    BSON_APPEND_BOOL(line, "going", row->going);
    if (row->in_progress) append_progress(line, &b->progress);
  }
  if (row->problem[0]) BSON_APPEND_UTF8(line, "problem", row->problem);
}

void mig_report_totals(bson_t *line, const mig_board *b) {
  const int64_t *n = b->by_status;
  BCON_APPEND(line, "applied", BCON_INT64(n[MIG_STATUS_APPLIED]), "pending", BCON_INT64(n[MIG_STATUS_PENDING]),
              "failed", BCON_INT64(n[MIG_STATUS_FAILED]), "reverted", BCON_INT64(n[MIG_STATUS_REVERTED]), "unfinished",
              BCON_INT64(n[MIG_STATUS_RUNNING]), "restoreInterrupted", BCON_BOOL(b->restore_waits));
  if (b->progress.fence && !b->progress.run[0]) append_progress(line, &b->progress);
}

/* A time that there is none of is no time of 1970. */
static void append_time(bson_t *line, const char *key, int64_t unix_ms) {
  if (unix_ms > 0)
    BSON_APPEND_DATE_TIME(line, key, unix_ms);
  else
    BSON_APPEND_NULL(line, key);
}

void mig_report_lease(bson_t *line, const mig_lease_state *s) {
  BCON_APPEND(line, "locked", BCON_BOOL(s->locked), "expired", BCON_BOOL(s->expired), "holderDead",
              BCON_BOOL(s->holder_dead), "lockedBy", BCON_UTF8(s->by), "host", BCON_UTF8(s->host), "pid",
              BCON_INT64(s->pid), "reason", BCON_UTF8(s->reason), "fence", BCON_INT64(s->fence));
  append_time(line, "lockedAt", s->locked_unix_ms);
  append_time(line, "expiresAt", s->locked ? s->expires_unix_ms : 0);
}

void mig_report_difference(bson_t *line, const mig_restore_collection *c) {
  BSON_APPEND_UTF8(line, "collection", c->name);
  if (c->target) BSON_APPEND_UTF8(line, "target", c->target);
  if (c->strategy[0]) BSON_APPEND_UTF8(line, "strategy", c->strategy);
  BSON_APPEND_BOOL(line, "differs", mig_diff_row_differs(c));
  BSON_APPEND_INT64(line, "missing", c->missing);
  BSON_APPEND_INT64(line, "changed", c->changed);
  BSON_APPEND_INT64(line, "extra", c->extra);
  BSON_APPEND_INT64(line, "indexesDiffering", c->indexes_differing);
  BSON_APPEND_BOOL(line, "optionsDiffer", c->options_differ);
  BSON_APPEND_BOOL(line, "sequenceDiffers", c->sequence_differs);
  BSON_APPEND_BOOL(line, "created", c->created);
  BSON_APPEND_BOOL(line, "dropped", c->dropped);
}

void mig_report_restore(bson_t *line, const mig_emergency_report *r, bool dry_run) {
  const mig_restore_report *x = &r->restore;
  char buffer[16];
  const char *key = NULL;
  const mig_follow_list *l = &r->follows;
  const char *reverted = ""; /* the oldest: that of the snapshot itself, if it has one */
  bson_t list, one;
  for (size_t i = 0; i < l->count; i++)
    if (l->items[i].certain && l->items[i].status == MIG_STATUS_REVERTED) reverted = l->items[i].name;
  BCON_APPEND(line, "restored", BCON_BOOL(!dry_run), "identical", BCON_BOOL(x->identical), "written",
              BCON_INT64(x->written), "removed", BCON_INT64(x->removed), "safetySnapshot",
              BCON_UTF8(r->safety.id ? r->safety.id : ""), "reverted", BCON_UTF8(reverted));
  BSON_APPEND_ARRAY_BEGIN(line, "ledger", &list);
  for (uint32_t i = 0; i < l->count; i++) {
    bson_uint32_to_string(i, &key, buffer, sizeof buffer);
    BSON_APPEND_DOCUMENT_BEGIN(&list, key, &one);
    BCON_APPEND(&one, "migration", BCON_UTF8(l->items[i].name), "status",
                BCON_UTF8(mig_status_name(l->items[i].status)), "certain", BCON_BOOL(l->items[i].certain));
    bson_append_document_end(&list, &one);
  }
  bson_append_array_end(line, &list);
  BSON_APPEND_ARRAY_BEGIN(line, "stays", &list);
  for (size_t i = 0; i < r->stays_count; i++) {
    bson_uint32_to_string((uint32_t)i, &key, buffer, sizeof buffer);
    BSON_APPEND_UTF8(&list, key, r->stays[i]);
  }
  bson_append_array_end(line, &list);
}
