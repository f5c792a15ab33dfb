/* mark, record, baseline: the ledger by hand; nothing is run. */
#include "cli/commands.h"
#include "run/mark.h"

static void show(void *arg, const char *name) {
  mig_cli *cli = arg;
  const char *state = cli->opt[OPT_PENDING] ? "pending" : "applied";
  bson_t *line = BCON_NEW("migration", BCON_UTF8(name), "recorded", BCON_UTF8(state));
  cli->changed = true;
  cli_json(cli, line);
  bson_destroy(line);
  cli_print(cli, "%s is recorded as %s\n", name, state);
}

static bool mark_as(mig_cli *cli, bool applied, mig_error *err) {
  mig_engine *e = NULL;
  if (!cli->opt[OPT_WHY]) {
    mig_fail(err, MIG_E_USAGE, "%s needs --why", cli->command->name);
    return mig_hint(err, "the reason stands in the ledger and in the history");
  }
  bool ok = mig_cli_open(cli, &e, err) &&
            mig_mark(e, cli->args[0], applied, cli->opt[OPT_FORCE] != NULL, cli->opt[OPT_WHY], err);
  if (ok) show(cli, cli->args[0]);
  mig_cli_metrics(cli, e);
  mig_close(e);
  return ok;
}

bool cmd_mark(mig_cli *cli, mig_error *err) {
  bool applied = cli->opt[OPT_APPLIED] != NULL;
  if (applied == (cli->opt[OPT_PENDING] != NULL)) {
    mig_fail(err, MIG_E_USAGE, "mark needs one of --applied and --pending");
    return mig_hint(err, "nothing is run: say only what is already true of the data");
  }
  return mark_as(cli, applied, err);
}

bool cmd_record(mig_cli *cli, mig_error *err) {
  return mark_as(cli, true, err);
}

bool cmd_baseline(mig_cli *cli, mig_error *err) {
  mig_engine *e = NULL;
  bool ok = mig_cli_open(cli, &e, err) && mig_baseline(e, cli->args[0], cli->opt[OPT_WHY], show, cli, err);
  if (ok && !cli->changed) cli_print(cli, "nothing to do\n");
  mig_cli_metrics(cli, e);
  mig_close(e);
  return ok;
}
