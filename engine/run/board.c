#include "run/board.h"

#include <stdio.h>
#include <string.h>

#include "run/emergency.h"

static void describe(mig_board_row *row) {
  const mig_finding *f = &row->finding;
  char *text = row->problem;
  size_t size = sizeof row->problem;
  if (f->status == MIG_STATUS_RUNNING && !row->going)
    snprintf(text, size, "interrupted, or its runner cannot be seen from here: `mig lock-status`, then `mig recover`");
  else if (f->modified)
    snprintf(text, size, "the file was modified after it was applied: put it back and write a new migration");
  else if (f->missing && f->renamed_to)
    snprintf(text, size, "the file is missing; %.120s has the same content: give it its old name again",
             f->renamed_to->name);
  else if (f->missing)
    snprintf(text, size, "the file is missing: put it back (its `down` and its history need it)");
  else if (f->out_of_order)
    snprintf(text, size,
             "a later migration is applied already: `mig up` will run this one after it, or give it a later number");
}

static void fill(mig_board *b, const mig_finding *list, size_t count) {
  for (size_t i = 0; i < count; i++) {
    mig_board_row *row = &b->rows[i];
    const mig_entry *entry = list[i].entry;
    row->finding = list[i];
    row->name = list[i].migration ? list[i].migration->name : entry->name;
    row->version = list[i].migration ? list[i].migration->version : entry->version ? entry->version : "";
    row->going = list[i].status == MIG_STATUS_RUNNING && b->lease_live && entry->run.fence == b->lease.fence;
    row->in_progress = row->going && entry->run.id && strcmp(b->progress.run, entry->run.id) == 0 &&
                       strcmp(b->progress.phase, mig_phase_name(entry->run.phase)) == 0;
    describe(row);
    b->by_status[list[i].status]++;
    if (row->problem[0]) b->problems++;
    if (list[i].status == MIG_STATUS_APPLIED) b->duration_ms += entry->duration_ms;
  }
  b->count = count;
}

/* 10300 to "10,300" */
static void grouped(int64_t n, char text[static 32]) {
  char plain[32];
  int size = snprintf(plain, sizeof plain, "%lld", (long long)(n < 0 ? 0 : n)), out = 0;
  for (int i = 0; i < size && out < 30; i++) {
    if (i && (size - i) % 3 == 0) text[out++] = ',';
    text[out++] = plain[i];
  }
  text[out] = 0;
}

void mig_progress_text(const mig_progress_state *p, char text[static MIG_PROGRESS_TEXT]) {
  char done[32], total[32];
  grouped(p->done, done);
  grouped(p->total, total);
  if (p->percent >= 0)
    snprintf(text, MIG_PROGRESS_TEXT, "%d%% (%s, %s of %s)", p->percent, p->what, done, total);
  else
    snprintf(text, MIG_PROGRESS_TEXT, "%s, %s", p->what, done);
}

bool mig_board_load(mig_engine *e, mig_board *out, mig_error *err) {
  mig_finding *list = NULL;
  size_t count = 0;
  memset(out, 0, sizeof *out);
  /* the lease first: a run that ends in between is then seen as over, not as interrupted */
  bool ok = mig_engine_folder(e, err) && mig_lease_look(e->db, &out->lease, err) &&
            mig_ledger_load(e->db, &out->ledger, err) && mig_select_all(e, out->ledger, &list, &count, err) &&
            mig_emergency_pending(e->db, &out->restore_waits, err) && mig_progress_look(e->db, &out->progress, err);
  out->lease_live = out->lease.locked && !out->lease.expired && !out->lease.holder_dead;
  if (!out->lease_live || out->progress.fence != out->lease.fence) memset(&out->progress, 0, sizeof out->progress);
  out->restore_waits = out->restore_waits && !(out->lease_live && strcmp(out->lease.reason, "restore") == 0);
  if (ok && !(out->rows = mig_alloc((count + 1) * sizeof *out->rows))) ok = mig_no_memory(err, "status");
  if (ok) fill(out, list, count);
  if (ok && out->restore_waits) out->problems++;
  mig_free(list);
  if (!ok) mig_board_clear(out);
  return ok;
}

int64_t mig_board_when(const mig_finding *f) {
  if (!f->entry) return 0;
  if (f->status == MIG_STATUS_RUNNING) return f->entry->run.started_unix_ms;
  if (f->status == MIG_STATUS_FAILED) return f->entry->updated_unix_ms;
  return f->status == MIG_STATUS_REVERTED ? f->entry->reverted_unix_ms : f->entry->applied_unix_ms;
}

void mig_board_clear(mig_board *b) {
  mig_ledger_free(b->ledger);
  mig_free(b->rows);
  memset(b, 0, sizeof *b);
}
