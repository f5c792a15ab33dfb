/* How runs and forecasts look, for people; their JSON is run/report.c's. */
#include <string.h>

#include "cli/cli.h"
#include "run/report.h"

static void on_result(void *arg, const mig_result *r) {
  mig_cli *cli = arg;
  char duration[40], bytes[40];
  bool good = strcmp(r->outcome, "applied") == 0 || strcmp(r->outcome, "reverted") == 0;
  const char *color = good ? "green" : strcmp(r->outcome, "restored") == 0 ? "yellow" : "red";
  const char *label = strcmp(r->outcome, "notRestored") == 0 ? "NOT RESTORED" : r->outcome;
  cli_duration(r->duration_ms, duration);
  cli_bytes(r->snapshot_bytes, bytes);
  if (cli->json) {
    bson_t line = BSON_INITIALIZER;
    mig_report_result(&line, r);
    cli_json(cli, &line);
    bson_destroy(&line);
    return;
  }
  cli_print(cli, "%s%-12s%s %s (%s)\n", cli_color(cli, color), label, cli_color(cli, "off"), r->name, duration);
  if (r->why_transaction) cli_print(cli, "             transaction %s: %s\n", r->transaction, r->why_transaction);
  if (r->snapshot_id) cli_print(cli, "             snapshot %s (%s)\n", r->snapshot_id, bytes);
  if (good) cli_print(cli, "             %lld documents written\n", (long long)r->documents_written);
  if (r->displaced_path)
    cli_print(cli, "             %lld documents that the restore replaced or removed are kept in\n             %s\n",
              (long long)r->displaced_documents, r->displaced_path);
}

static void on_forecast(void *arg, const mig_forecast *f) {
  mig_cli *cli = arg;
  char bytes[40];
  cli_bytes(f->snapshot_bytes, bytes);
  cli->forecasts++;
  if (cli->json) {
    bson_t line = BSON_INITIALIZER;
    mig_report_forecast(&line, f);
    cli_json(cli, &line);
    bson_destroy(&line);
    return;
  }
  cli_print(cli, "%swould %s%s  %s%s%s\n", cli_color(cli, f->refusals ? "red" : "green"),
            f->refusals ? "be refused" : "run", cli_color(cli, "off"), f->name,
            strcmp(f->direction, "down") == 0 ? " (down)" : "", f->destroys ? "  [destructive]" : "");
  cli_print(cli, "  collections ");
  for (size_t i = 0; f->collections[i]; i++) cli_print(cli, "%s%s", i ? ", " : "", f->collections[i]);
  cli_print(cli, "\n  %zu steps, %zu guards, about %lld documents written\n", f->step_count, f->guard_count,
            (long long)f->documents);
  cli_print(cli, "  transaction %s: %s\n", f->transaction, f->why_transaction);
  cli_print(cli, "  snapshot    about %lld documents, %s uncompressed\n", (long long)f->snapshot_documents, bytes);
  for (size_t i = 0; i < f->refusals; i++)
    cli_print(cli, "  %srefused%s     %s\n", cli_color(cli, "red"), cli_color(cli, "off"), f->reasons[i]);
}

mig_listener cli_listener(mig_cli *cli) {
  return (mig_listener){.arg = cli, .result = on_result, .forecast = on_forecast};
}
