/* list, status, validate: files against ledger. */
#include <string.h>

#include "cli/commands.h"
#include "run/emergency.h"
#include "run/select.h"
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

static const char *problem_of(const mig_finding *f) {
  if (f->status == MIG_STATUS_RUNNING) return "interrupted or still running: see `mig lock-status`, then `mig recover`";
  if (f->modified) return "the file was modified after it was applied: put it back and write a new migration";
  if (f->missing) return "the file is missing: put it back (its `down` and its history need it)";
  if (f->out_of_order) return "a later migration is applied already: `mig up` will run this one after it";
  return NULL;
}

static void show_finding(mig_cli *cli, const mig_finding *f) {
  const mig_entry *e = f->entry;
  const char *name = f->migration ? f->migration->name : e->name;
  const char *version = f->migration ? f->migration->version : e->version ? e->version : "";
  const char *problem = problem_of(f);
  const char *color = f->status == MIG_STATUS_APPLIED ? "green" : f->status == MIG_STATUS_PENDING ? "dim" : "yellow";
  char when[32], duration[40], status[16];
  int64_t at = !e ? 0 : f->status == MIG_STATUS_REVERTED ? e->reverted_unix_ms : e->applied_unix_ms;
  cli_local_time(at, when);
  cli_duration(e ? e->duration_ms : 0, duration);
  snprintf(status, sizeof status, "%s", mig_status_name(f->status));
  for (char *p = status; *p; p++) *p = (char)(*p - 32);
  if (cli->json) {
    bson_t line = BSON_INITIALIZER;
    BSON_APPEND_UTF8(&line, "migration", name);
    BSON_APPEND_UTF8(&line, "version", version);
    BSON_APPEND_UTF8(&line, "status", mig_status_name(f->status));
    if (at) BSON_APPEND_DATE_TIME(&line, f->status == MIG_STATUS_REVERTED ? "revertedAt" : "appliedAt", at);
    if (e) BSON_APPEND_INT64(&line, "duration", e->duration_ms);
    if (e && e->error) BSON_APPEND_UTF8(&line, "error", e->error);
    if (e) BSON_APPEND_BOOL(&line, "restored", e->restored);
    if (e && e->snapshot.id) BSON_APPEND_UTF8(&line, "snapshot", e->snapshot.id);
    if (f->status == MIG_STATUS_RUNNING) BSON_APPEND_UTF8(&line, "phase", mig_phase_name(e->run.phase));
    if (problem) BSON_APPEND_UTF8(&line, "problem", problem);
    cli_json(cli, &line);
    bson_destroy(&line);
    return;
  }
  cli_print(cli, "%s%-8s%s | %-8s | %-36s | %s%s%s%s\n", cli_color(cli, color), status, cli_color(cli, "off"), version,
            name, at ? when : "-", at ? " (" : "", at ? duration : "", at ? ")" : "");
  if (e && e->error && f->status != MIG_STATUS_APPLIED)
    cli_print(cli, "         | %s%.300s%s\n", cli_color(cli, "red"), e->error, cli_color(cli, "off"));
  if (e && e->restored)
    cli_print(cli, "         | its data was restored%s%s\n", e->snapshot.id ? " from " : "",
              e->snapshot.id ? e->snapshot.id : "");
  if (problem) cli_print(cli, "         | %swarning:%s %s\n", cli_color(cli, "yellow"), cli_color(cli, "off"), problem);
}

typedef struct totals {
  int64_t by_status[5], problems;
  bool restoring;
} totals;

static bool show_all(mig_cli *cli, mig_engine *e, totals *t, bool only_problems, mig_error *err) {
  mig_ledger *ledger = NULL;
  mig_finding *list = NULL;
  size_t n = 0;
  bool ok = mig_engine_folder(e, err) && mig_ledger_load(e->db, &ledger, err) &&
            mig_select_all(e, ledger, &list, &n, err) && mig_emergency_pending(e->db, &t->restoring, err);
  for (size_t i = 0; ok && i < n; i++) {
    t->by_status[list[i].status]++;
    if (problem_of(&list[i])) t->problems++;
    if (!only_problems || problem_of(&list[i])) show_finding(cli, &list[i]);
  }
  if (ok && t->restoring) {
    t->problems++;
    cli_print(cli, "%swarning:%s a restore by hand was interrupted: run `mig recover`\n", cli_color(cli, "yellow"),
              cli_color(cli, "off"));
  }
  mig_free(list);
  mig_ledger_free(ledger);
  return ok;
}

bool cmd_status(mig_cli *cli, mig_error *err) {
  mig_engine *e = NULL;
  totals t = {0};
  bool ok = mig_cli_open(cli, &e, err) && show_all(cli, e, &t, false, err);
  if (ok) {
    int64_t pending =
        t.by_status[MIG_STATUS_PENDING] + t.by_status[MIG_STATUS_FAILED] + t.by_status[MIG_STATUS_REVERTED];
    bson_t *line = BCON_NEW(
        "applied", BCON_INT64(t.by_status[MIG_STATUS_APPLIED]), "pending", BCON_INT64(t.by_status[MIG_STATUS_PENDING]),
        "failed", BCON_INT64(t.by_status[MIG_STATUS_FAILED]), "reverted", BCON_INT64(t.by_status[MIG_STATUS_REVERTED]),
        "unfinished", BCON_INT64(t.by_status[MIG_STATUS_RUNNING]), "restoreInterrupted", BCON_BOOL(t.restoring));
    cli_json(cli, line);
    bson_destroy(line);
    cli_print(cli, "%lld applied, %lld pending, %lld failed, %lld reverted, %lld unfinished on %s\n",
              (long long)t.by_status[MIG_STATUS_APPLIED], (long long)t.by_status[MIG_STATUS_PENDING],
              (long long)t.by_status[MIG_STATUS_FAILED], (long long)t.by_status[MIG_STATUS_REVERTED],
              (long long)t.by_status[MIG_STATUS_RUNNING], mig_db_label(e->db));
    if (cli->opt[OPT_EXIT_CODE] && (pending || t.problems || t.by_status[MIG_STATUS_RUNNING])) cli->exit_code = 6;
  }
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
  totals t = {0};
  if (!mig_folder_load(cli->dir, mig_guard_check_syntax, &folder, err)) return as_finding(err);
  size_t files = folder->count;
  mig_folder_free(folder);
  bool ok = mig_cli_open(cli, &e, err) && show_all(cli, e, &t, true, err);
  if (ok && t.problems == 0) {
    const mig_listener quiet = {0};
    const mig_up_options o = {.dry_run = true};
    ok = mig_up(e, &o, &quiet, NULL, err) || as_finding(err);
  } else if (ok) {
    ok = mig_fail(err, MIG_E_CHECK, "%lld problems were found in %s", (long long)t.problems, cli->dir);
    mig_hint(err, "each is named above with what to do");
  }
  if (ok) cli_print(cli, "%zu migrations, no problems\n", files);
  mig_close(e);
  return ok;
}
