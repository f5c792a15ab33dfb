/* snapshot prune: what the rules keep stays, the rest goes. */
#include "cli/commands.h"
#include "run/prune.h"

static bool rules(const mig_cli *cli, mig_keep *out, mig_error *err) {
  const char *within = cli->opt[OPT_KEEP_WITHIN];
  if (!mig_cli_int(cli, OPT_KEEP_LAST, 0, &out->last, err) || !mig_cli_int(cli, OPT_KEEP_DAILY, 0, &out->daily, err) ||
      !mig_cli_int(cli, OPT_KEEP_WEEKLY, 0, &out->weekly, err) ||
      !mig_cli_int(cli, OPT_KEEP_MONTHLY, 0, &out->monthly, err))
    return false;
  if (within && (!mig_keep_span_parse(within, &out->within) || !mig_keep_any(&(mig_keep){.within = out->within}))) {
    mig_fail(err, MIG_E_USAGE, "--keep-within takes a time like 1y5m7d2h, not \"%.60s\"", within);
    return mig_hint(err, "years, months, days, hours, in this order; 14d is two weeks");
  }
  if (!cli->args[0] || !mig_keep_any(out)) return true;
  mig_fail(err, MIG_E_USAGE, "either rules (--keep-...) or snapshots by name, not both");
  return mig_hint(err, "rules judge the whole store; names remove just those");
}

static void show_row(mig_cli *cli, const mig_prune_row *row, bool dry_run) {
  const char *action = row->removed ? "removed" : !row->remove ? "keep" : dry_run ? "remove" : "left";
  char bytes[40], when[32];
  bson_t *line = BCON_NEW("snapshot", BCON_UTF8(row->item.id), "createdAt", BCON_DATE_TIME(row->item.created_unix_ms),
                          "bytes", BCON_INT64((int64_t)row->item.bytes), "action", BCON_UTF8(action), "why",
                          BCON_UTF8(row->why), "forced", BCON_BOOL(row->forced));
  cli_json(cli, line);
  bson_destroy(line);
  cli_bytes((int64_t)row->item.bytes, bytes);
  cli_local_time(row->item.created_unix_ms, when);
  cli_print(cli, "%s%-8s%s %s  %10s  %s%s%s%s\n", cli_color(cli, row->remove ? "red" : "dim"), action,
            cli_color(cli, "off"), when, bytes, row->item.id, row->why[0] ? " (" : "", row->why,
            row->why[0] ? ")" : "");
}

bool cmd_snapshot_prune(mig_cli *cli, mig_error *err) {
  mig_engine *e = NULL;
  mig_prune_report report = {0};
  char bytes[40];
  mig_prune_options o = {.names = cli->arg_count ? cli->args : NULL,
                         .force = cli->opt[OPT_FORCE] != NULL,
                         .dry_run = cli->opt[OPT_DRY_RUN] != NULL};
  if (!rules(cli, &o.keep, err)) return false;
  if (o.force && !o.names) {
    mig_fail(err, MIG_E_USAGE, "--force goes with the names of snapshots");
    return mig_hint(err, "rules never remove what is needed; name what must go all the same");
  }
  mig_cli_catch_signals();
  const bool ok = mig_cli_open(cli, &e, err) && mig_prune(e, &o, &report, err);
  for (size_t i = 0; (ok || report.removed) && i < report.count; i++) show_row(cli, &report.rows[i], o.dry_run);
  if (ok || report.removed) {
    cli_bytes((int64_t)report.bytes, bytes);
    bson_t *line =
        BCON_NEW("pruned", BCON_INT64((int64_t)report.removed), "bytes", BCON_INT64((int64_t)report.bytes), "kept",
                 BCON_INT64((int64_t)(report.count - report.removed)), "dryRun", BCON_BOOL(o.dry_run));
    cli_json(cli, line);
    bson_destroy(line);
    cli_print(cli, "%zu of %zu snapshots%s removed, %s\n", report.removed, report.count, o.dry_run ? " would be" : "",
              bytes);
  }
  mig_prune_report_clear(&report);
  mig_close(e);
  return ok;
}
