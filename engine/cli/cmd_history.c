/* history: the event log, newest first. */
#include "cli/commands.h"

#include "base/clock.h"
#include "run/history.h"

static void show(mig_cli *cli, const bson_t *event) {
  const char *name = "", *direction = "", *outcome = "", *by = "", *error = NULL, *why = NULL;
  int64_t at = 0, duration = 0;
  char when[32], took[40];
  mig_bson_str(event, "name", &name);
  mig_bson_str(event, "direction", &direction);
  mig_bson_str(event, "outcome", &outcome);
  mig_bson_str(event, "by", &by);
  mig_bson_str(event, "error", &error);
  mig_bson_str(event, "why", &why);
  mig_bson_date(event, "startedAt", &at);
  mig_bson_int(event, "duration", &duration);
  cli_local_time(at, when);
  cli_duration(duration, took);
  cli_json(cli, event);
  cli_print(cli, "%s  %-8s %-12s %-36s %12s  %s\n", when, direction, outcome, name, took, by);
  if (error && *error) cli_print(cli, "                     %.300s\n", error);
  if (why && *why) cli_print(cli, "                     why: %.300s\n", why);
}

static bool read_query(const mig_cli *cli, mig_history_query *q, mig_error *err) {
  const char *since = cli->opt[OPT_SINCE];
  *q = (mig_history_query){.migration = cli->arg_count ? cli->args[0] : NULL,
                           .outcome = cli->opt[OPT_STATUS],
                           .direction = cli->opt[OPT_DIRECTION],
                           .by = cli->opt[OPT_BY]}; /* the option itself: MIG_BY says who looks, not whom to look for */
  if (since && !mig_time_parse(since, mig_now_unix_ms(), &q->since_unix_ms)) {
    mig_fail(err, MIG_E_USAGE, "--since takes a date or an age, not \"%.60s\"", since);
    return mig_hint(err, "2026-01-15, 2026-01-15T10:30:00Z (UTC), or 90m, 12h, 7d, 2w");
  }
  if (!mig_cli_int(cli, OPT_LIMIT, 20, &q->limit, err) || !mig_cli_int(cli, OPT_PAGE, 1, &q->page, err)) return false;
  return (q->limit <= 100000 && q->page <= 20000) || mig_fail(err, MIG_E_USAGE, "--limit or --page is too large");
}

bool cmd_history(mig_cli *cli, mig_error *err) {
  mig_engine *e = NULL;
  mig_cursor *c = NULL;
  const bson_t *event = NULL;
  mig_history_query q;
  int64_t shown = 0, total = 0;
  if (!read_query(cli, &q, err)) return false;
  bool ok = mig_cli_open(cli, &e, err) && mig_history_find(e->db, &q, &c, &total, err);
  mig_next next = MIG_NEXT_END;
  while (ok && (next = mig_cursor_next(c, &event, err)) == MIG_NEXT_DOC) {
    show(cli, event);
    shown++;
  }
  ok = ok && next != MIG_NEXT_ERROR;
  if (ok && shown == 0)
    cli_print(cli, total ? "no more events\n" : "no events\n");
  else if (ok && total > shown)
    cli_print(cli, "page %lld of %lld, %lld events\n", (long long)q.page, (long long)((total + q.limit - 1) / q.limit),
              (long long)total);
  mig_cursor_close(c);
  mig_close(e);
  return ok;
}
