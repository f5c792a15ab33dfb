/* list, status, validate: files against ledger. */
#include <string.h>

#include "cli/commands.h"
#include "run/report.h"
#include "validators/guard.h"

bool cmd_list(mig_cli *cli, mig_error *err) {
  mig_folder *folder = NULL;
  if (!mig_folder_load(cli->dir, mig_guard_check_syntax, &folder, err)) return false;
  for (size_t i = 0; i < folder->count; i++) {
    const mig_migration *m = folder->items[i];
    bson_t line = BSON_INITIALIZER;
    BSON_APPEND_UTF8(&line, "migration", m->name);
    BSON_APPEND_UTF8(&line, "version", m->version);
    BSON_APPEND_UTF8(&line, "path", m->path);
    BSON_APPEND_UTF8(&line, "kind", m->kind);
    BSON_APPEND_UTF8(&line, "checksum", m->checksum);
    BSON_APPEND_BOOL(&line, "reversible", m->reversible);
    BSON_APPEND_INT64(&line, "steps", (int64_t)m->up.count);
    cli_json(cli, &line);
    bson_destroy(&line);
    cli_print(cli, "%-40s %-10s %2zu steps  %s%s%s\n", m->name, m->version, m->up.count,
              m->reversible ? "reversible" : "one-way   ", m->description ? "  " : "",
              m->description ? m->description : "");
  }
  if (folder->count == 0) cli_print(cli, "no migrations in %s\n", folder->path);
  mig_folder_free(folder);
  return true;
}

/* Column widths: as wide as the widest, so that a short board stays short. */
typedef struct widths {
  int status, version, name;
} widths;

static void widen(int *width, const char *text) {
  int n = (int)strlen(text);
  if (n > *width) *width = n > 60 ? 60 : n;
}

static void upper(const char *text, char out[static 16]) {
  size_t i = 0;
  for (; text[i] && i < 15; i++) out[i] = (char)(text[i] >= 'a' && text[i] <= 'z' ? text[i] - 32 : text[i]);
  out[i] = 0;
}

/* What took place last; an entry of old may have its data restored from the snapshot of a failed `down`. */
static const char *restored_from(const mig_entry *e) {
  return e->run.snapshot.id ? e->run.snapshot.id : e->snapshot.id;
}

static void show_row(mig_cli *cli, const mig_board *b, const mig_board_row *row, const widths *w) {
  const mig_finding *f = &row->finding;
  const mig_entry *e = f->entry;
  const char *color = f->status == MIG_STATUS_APPLIED ? "green" : f->status == MIG_STATUS_PENDING ? "dim" : "yellow";
  char when[32], duration[40], status[16], progress[MIG_PROGRESS_TEXT];
  if (cli->json) {
    bson_t line = BSON_INITIALIZER;
    mig_report_row(&line, b, row);
    cli_json(cli, &line);
    bson_destroy(&line);
    return;
  }
  cli_local_time(mig_board_when(f), when);
  if (!cli->verbose && mig_board_when(f)) when[10] = 0; /* the day says enough */
  cli_duration(e ? e->duration_ms : 0, duration);
  upper(mig_status_name(f->status), status);
  cli_print(cli, "%s%-*s%s | %-*s | %-*s | %s", cli_color(cli, color), w->status, status, cli_color(cli, "off"),
            w->version, row->version, w->name, row->name, when);
  if (mig_board_when(f) && f->status != MIG_STATUS_RUNNING) cli_print(cli, " (%s)", duration);
  if (f->status == MIG_STATUS_RUNNING) cli_print(cli, " %s", mig_phase_name(e->run.phase));
  if (row->in_progress) {
    mig_progress_text(&b->progress, progress);
    cli_print(cli, " %s", progress);
  }
  if (cli->verbose && e && e->applied_by) cli_print(cli, " by %s, batch %lld", e->applied_by, (long long)e->batch);
  cli_print(cli, "\n");
  if (e && e->error && f->status != MIG_STATUS_APPLIED)
    cli_print(cli, "%*s | %s%.300s%s\n", w->status, "", cli_color(cli, "red"), e->error, cli_color(cli, "off"));
  if (e && e->restored)
    cli_print(cli, "%*s | its data was restored%s%s\n", w->status, "", restored_from(e) ? " from " : "",
              restored_from(e) ? restored_from(e) : "");
  if (row->problem[0])
    cli_print(cli, "%*s | %swarning:%s %s\n", w->status, "", cli_color(cli, "yellow"), cli_color(cli, "off"),
              row->problem);
}

static void show_board(mig_cli *cli, const mig_board *b, bool only_problems) {
  widths w = {0};
  for (size_t i = 0; i < b->count; i++) {
    widen(&w.status, mig_status_name(b->rows[i].finding.status));
    widen(&w.version, b->rows[i].version);
    widen(&w.name, b->rows[i].name);
  }
  for (size_t i = 0; i < b->count; i++)
    if (!only_problems || b->rows[i].problem[0]) show_row(cli, b, &b->rows[i], &w);
  if (b->restore_waits)
    cli_print(cli, "%swarning:%s a restore by hand was interrupted: run `mig recover`\n", cli_color(cli, "yellow"),
              cli_color(cli, "off"));
}

static void show_totals(mig_cli *cli, const mig_engine *e, const mig_board *b) {
  const int64_t *n = b->by_status;
  char duration[40], progress[MIG_PROGRESS_TEXT];
  bson_t line = BSON_INITIALIZER;
  mig_report_totals(&line, b);
  cli_json(cli, &line);
  bson_destroy(&line);
  cli_duration(b->duration_ms, duration);
  if (b->lease_live)
    cli_print(cli, "the lease is held by %s, process %lld (%s)\n", b->lease.host, (long long)b->lease.pid,
              b->lease.reason);
  if (b->progress.fence && !b->progress.run[0]) { /* no migration: a restore by hand, a snapshot */
    mig_progress_text(&b->progress, progress);
    cli_print(cli, "  %s: %s\n", b->progress.phase, progress);
  }
  cli_print(cli, "%lld applied, %lld pending, %lld failed, %lld reverted, %lld unfinished on %s\n",
            (long long)n[MIG_STATUS_APPLIED], (long long)n[MIG_STATUS_PENDING], (long long)n[MIG_STATUS_FAILED],
            (long long)n[MIG_STATUS_REVERTED], (long long)n[MIG_STATUS_RUNNING], mig_db_label(e->db));
  if (b->problems) cli_print(cli, "%lld warnings, ", (long long)b->problems);
  cli_print(cli, "%s in all migrations applied\n", duration);
}

bool cmd_status(mig_cli *cli, mig_error *err) {
  mig_engine *e = NULL;
  mig_board b = {0};
  bool ok = mig_cli_open(cli, &e, err) && mig_board_load(e, &b, err);
  if (ok) {
    show_board(cli, &b, false);
    show_totals(cli, e, &b);
    bool all_applied = b.by_status[MIG_STATUS_APPLIED] == (int64_t)b.count;
    if (cli->opt[OPT_EXIT_CODE] && (!all_applied || b.problems)) cli->exit_code = 6;
  }
  mig_board_clear(&b);
  mig_cli_metrics(cli, e);
  mig_close(e);
  return ok;
}

/* An unusable file is what validate is there to find: exit 6, like every other finding. */
static bool as_finding(mig_error *err) {
  if (err->code == MIG_E_INPUT || err->code == MIG_E_GUARD) err->code = MIG_E_CHECK;
  return false;
}

bool cmd_validate(mig_cli *cli, mig_error *err) {
  mig_engine *e = NULL;
  mig_folder *folder = NULL;
  mig_board b = {0};
  if (!mig_folder_load(cli->dir, mig_guard_check_syntax, &folder, err)) return as_finding(err);
  size_t files = folder->count;
  mig_folder_free(folder);
  bool ok = mig_cli_open(cli, &e, err) && mig_board_load(e, &b, err);
  if (ok) show_board(cli, &b, true);
  if (ok && b.problems == 0) {
    const mig_listener quiet = {0};
    const mig_up_options o = {.dry_run = true};
    ok = mig_up(e, &o, &quiet, NULL, err) || as_finding(err);
  } else if (ok) {
    ok = mig_fail(err, MIG_E_CHECK, "%lld problems were found in %s", (long long)b.problems, cli->dir);
    mig_hint(err, "each is named above with what to do");
  }
  if (ok) cli_print(cli, "%zu migrations, no problems\n", files);
  mig_board_clear(&b);
  mig_close(e);
  return ok;
}
