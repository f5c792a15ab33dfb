/* history: the event log, newest first. */
#include "cli/commands.h"

#include "base/names.h"

static void show(mig_cli *cli, const bson_t *event) {
  const char *name = "", *direction = "", *outcome = "", *by = "", *error = NULL;
  int64_t at = 0, duration = 0;
  char when[32], took[40];
  mig_bson_str(event, "name", &name);
  mig_bson_str(event, "direction", &direction);
  mig_bson_str(event, "outcome", &outcome);
  mig_bson_str(event, "by", &by);
  mig_bson_str(event, "error", &error);
  mig_bson_date(event, "startedAt", &at);
  mig_bson_int(event, "duration", &duration);
  cli_local_time(at, when);
  cli_duration(duration, took);
  cli_json(cli, event);
  cli_print(cli, "%s  %-8s %-12s %-36s %12s  %s\n", when, direction, outcome, name, took, by);
  if (error && *error) cli_print(cli, "                     %.300s\n", error);
}

bool cmd_history(mig_cli *cli, mig_error *err) {
  mig_engine *e = NULL;
  mig_cursor *c = NULL;
  const bson_t *event = NULL;
  int64_t limit = 0, page = 0, shown = 0;
  if (!mig_cli_int(cli, OPT_LIMIT, 20, &limit, err) || !mig_cli_int(cli, OPT_PAGE, 1, &page, err)) return false;
  /* int32: some servers take no long here */
  if (limit > 100000 || page > 20000) return mig_fail(err, MIG_E_USAGE, "--limit or --page is too large");
  bson_t filter = BSON_INITIALIZER;
  if (cli->arg_count) BSON_APPEND_UTF8(&filter, "name", cli->args[0]);
  if (cli->opt[OPT_STATUS]) BSON_APPEND_UTF8(&filter, "outcome", cli->opt[OPT_STATUS]);
  bson_t *find = BCON_NEW("find", BCON_UTF8(MIG_EVENTS), "filter", BCON_DOCUMENT(&filter), "sort", "{", "startedAt",
                          BCON_INT32(-1), "_id", BCON_INT32(-1), "}", "skip", BCON_INT32((int32_t)((page - 1) * limit)),
                          "limit", BCON_INT32((int32_t)limit));
  bool ok = mig_cli_open(cli, &e, err) && mig_db_query(e->db, find, &c, err);
  mig_next next = MIG_NEXT_END;
  while (ok && (next = mig_cursor_next(c, &event, err)) == MIG_NEXT_DOC) {
    show(cli, event);
    shown++;
  }
  ok = ok && next != MIG_NEXT_ERROR;
  if (ok && shown == 0) cli_print(cli, page > 1 ? "no more events\n" : "no events\n");
  mig_cursor_close(c);
  mig_close(e);
  bson_destroy(find);
  bson_destroy(&filter);
  return ok;
}
