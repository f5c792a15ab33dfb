/* up, run, plan, down, rollback, redo, recover. */
#include <string.h>

#include "cli/commands.h"

static bool finish(mig_cli *cli, bool ok, bool dry_run, int64_t n, const char *did) {
  cli->changed = n > 0;
  if (ok && n == 0 && (!dry_run || !cli->forecasts))
    cli_print(cli, "nothing to do\n");
  else if (ok && !dry_run)
    cli_print(cli, "%lld %s\n", (long long)n, did);
  return ok;
}

static bool up_with(mig_cli *cli, const char *only, bool dry_run, mig_error *err) {
  mig_engine *e = NULL;
  mig_up_options o = {
      .to = cli->opt[OPT_TO], .only = only, .continue_on_error = cli->opt[OPT_CONTINUE] != NULL, .dry_run = dry_run};
  mig_listener listener = cli_listener(cli);
  int64_t n = 0;
  if (!mig_cli_int(cli, OPT_STEPS, 0, &o.steps, err)) return false;
  mig_cli_catch_signals();
  bool ok = mig_cli_open(cli, &e, err) && mig_up(e, &o, &listener, &n, err);
  mig_cli_metrics(cli, e);
  mig_close(e);
  return finish(cli, ok, dry_run, n, "applied");
}

bool cmd_up(mig_cli *cli, mig_error *err) {
  return up_with(cli, NULL, cli->opt[OPT_DRY_RUN] != NULL, err);
}

bool cmd_plan(mig_cli *cli, mig_error *err) {
  return up_with(cli, NULL, true, err);
}

bool cmd_run(mig_cli *cli, mig_error *err) {
  return up_with(cli, cli->args[0], cli->opt[OPT_DRY_RUN] != NULL, err);
}

typedef bool down_fn(mig_engine *m, const mig_down_options *options, const mig_listener *listener, int64_t *ran,
                     mig_error *err);

static bool down_with(mig_cli *cli, down_fn *run, const char *did, mig_error *err) {
  mig_engine *e = NULL;
  mig_down_options o = {.only = cli->arg_count ? cli->args[0] : NULL,
                        .to = cli->opt[OPT_TO],
                        .batch = cli->opt[OPT_BATCH] != NULL,
                        .all = cli->opt[OPT_ALL] != NULL,
                        .dry_run = cli->opt[OPT_DRY_RUN] != NULL};
  mig_listener listener = cli_listener(cli);
  int64_t n = 0;
  if (!mig_cli_int(cli, OPT_STEPS, 0, &o.steps, err)) return false;
  int ways = (o.only != NULL) + (o.to != NULL) + o.batch + o.all + (o.steps > 0);
  if (ways > 1) {
    mig_fail(err, MIG_E_USAGE, "NAME, --steps, --to, --batch and --all exclude each other");
    return mig_hint(err, "mig help %s", cli->command->name);
  }
  mig_cli_catch_signals();
  bool ok = mig_cli_open(cli, &e, err) && run(e, &o, &listener, &n, err);
  mig_cli_metrics(cli, e);
  mig_close(e);
  return finish(cli, ok, o.dry_run, n, did);
}

bool cmd_down(mig_cli *cli, mig_error *err) {
  return down_with(cli, mig_down, "reverted", err);
}

bool cmd_rollback(mig_cli *cli, mig_error *err) {
  return down_with(cli, mig_down, "reverted", err);
}

bool cmd_redo(mig_cli *cli, mig_error *err) {
  return down_with(cli, mig_redo, "reverted and applied again", err);
}

bool cmd_recover(mig_cli *cli, mig_error *err) {
  mig_engine *e = NULL;
  mig_listener listener = cli_listener(cli);
  int64_t n = 0;
  mig_cli_catch_signals();
  bool ok = mig_cli_open(cli, &e, err) && mig_recover(e, &listener, &n, err);
  mig_cli_metrics(cli, e);
  mig_close(e);
  cli->changed = n > 0;
  if (ok) cli_print(cli, n ? "%lld settled\n" : "nothing to recover\n", (long long)n);
  return ok;
}
