/* restore: a snapshot back into the database, by hand. */
#include <string.h>

#include "cli/commands.h"
#include "run/emergency.h"

static bool strategy(const mig_cli *cli, mig_strategy *out, mig_error *err) {
  const char *text = cli->opt[OPT_STRATEGY];
  *out = MIG_STRATEGY_AUTO;
  if (!text) return true;
  if (strcmp(text, "delta") == 0)
    *out = MIG_STRATEGY_DELTA;
  else if (strcmp(text, "swap") == 0)
    *out = MIG_STRATEGY_SWAP;
  else
    return mig_fail(err, MIG_E_USAGE, "--strategy is delta or swap, not \"%.40s\"", text);
  return true;
}

/* Archives of documents that others wrote meanwhile and that were not left in place. */
static void show_displaced(mig_cli *cli, const char *path) {
  if (!path) return;
  bson_t *line = BCON_NEW("displaced", BCON_UTF8(path));
  cli_json(cli, line);
  bson_destroy(line);
  cli_print(cli, "documents that were replaced or removed are kept in %s\n", path);
}

static void show(mig_cli *cli, const mig_emergency_report *r, bool dry_run) {
  const mig_restore_report *x = &r->restore;
  for (size_t i = 0; i < x->count; i++) cli_diff_row(cli, &x->collections[i]);
  show_displaced(cli, x->displaced_path);
  for (size_t i = 0; i < MIG_RESTORE_DISPLACED; i++) show_displaced(cli, x->more_displaced[i]);
  bson_t *line =
      BCON_NEW("restored", BCON_BOOL(!dry_run), "identical", BCON_BOOL(x->identical), "written", BCON_INT64(x->written),
               "removed", BCON_INT64(x->removed), "safetySnapshot", BCON_UTF8(r->safety.id ? r->safety.id : ""),
               "reverted", BCON_UTF8(r->reverted ? r->reverted : ""));
  cli_json(cli, line);
  bson_destroy(line);
  if (r->safety.id) cli_print(cli, "the state before this restore is kept as %s\n", r->safety.id);
  if (dry_run)
    cli_print(cli, x->identical ? "nothing differs\n" : "nothing was written (dry run)\n");
  else if (x->identical)
    cli_print(cli, "nothing differed: the database is as in the snapshot\n");
  else
    cli_print(cli, "%srestored%s: %lld documents written, %lld removed; everything was read back and compared\n",
              cli_color(cli, "green"), cli_color(cli, "off"), (long long)x->written, (long long)x->removed);
  if (r->reverted) cli_print(cli, "the ledger follows: %s is no longer applied\n", r->reverted);
}

bool cmd_restore(mig_cli *cli, mig_error *err) {
  mig_engine *e = NULL;
  mig_emergency_report report = {0};
  char question[300];
  mig_emergency_options o = {.snapshot = cli->args[0],
                             .only = cli->only,
                             .dry_run = cli->opt[OPT_DRY_RUN] != NULL,
                             .no_safety_snapshot = cli->opt[OPT_NO_SAFETY] != NULL};
  const mig_diff_listener listener = cli_diff_listener(cli);
  if (!strategy(cli, &o.strategy, err)) return false;
  if (cli->opt[OPT_DOCUMENTS] && !o.dry_run) return mig_fail(err, MIG_E_USAGE, "--documents goes with --dry-run");
  if (o.dry_run) o.listener = &listener;
  bool ok = mig_cli_open(cli, &e, err);
  if (ok)
    snprintf(question, sizeof question, "Put %.120s back into %.120s, replacing what is there?", cli->args[0],
             mig_db_label(e->db));
  ok = ok && (o.dry_run || cli_confirm(cli, question, err));
  mig_cli_catch_signals(); /* not before: a signal at the question just ends it */
  ok = ok && mig_emergency_restore(e, &o, &report, err);
  cli->changed = ok && !o.dry_run;
  if (ok) show(cli, &report, o.dry_run);
  mig_emergency_report_clear(&report);
  mig_cli_metrics(cli, e);
  mig_close(e);
  return ok;
}
