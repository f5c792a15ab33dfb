/* How runs, forecasts and errors look, for people and as JSON. */
#include <string.h>

#include "cli/cli.h"
#include "run/attempt.h"

/* For errors whose layer has said all in `what`. */
static const struct {
  const char *why, *hint;
} fallback[MIG_CODE_COUNT] = {
    [MIG_E_USAGE] = {"the command line or the settings cannot be used like that", "`mig help` tells what it takes"},
    [MIG_E_INPUT] = {"a migration file cannot be used as it is, and so none is run",
                     "correct it; `mig list` reads them all, `mig validate` checks them"},
    [MIG_E_GUARD] = {"a condition of the migration does not hold", NULL},
    [MIG_E_SERVER] = {"the server refused it", "`mig doctor` tells what this server does"},
    [MIG_E_NETWORK] = {"the server did not answer", "`mig status` tells where things stand"},
    [MIG_E_STORE] = {"the snapshot store or a file cannot be used", "look at the path; --store, --dir name others"},
    [MIG_E_ARCHIVE] = {"the snapshot is damaged, was altered, or is none", "use another copy of the snapshot"},
    [MIG_E_UNSUPPORTED] = {"it cannot be done here", "`mig doctor` tells what this server does"},
    [MIG_E_NO_MEMORY] = {"the system gave no more memory", NULL},
    [MIG_E_NOT_RESTORED] = {"some of the data may be as the run left it", "mig recover"},
    [MIG_E_LEASE] = {"only one runner may work on a database at a time", "`mig lock-status` tells who it is"},
    [MIG_E_CHECK] = {"files, ledger and database do not agree", "`mig status` shows each migration"},
    [MIG_E_UNFINISHED] = {"a run was interrupted and is not yet settled", "mig recover"},
    [MIG_E_INTERRUPTED] = {"a signal came", "run the command again to go on"},
};

const char *cli_why(const mig_error *err) {
  const char *why = (unsigned)err->code < MIG_CODE_COUNT ? fallback[err->code].why : NULL;
  return err->why[0] ? err->why : why ? why : "no reason is known";
}

const char *cli_hint(const mig_error *err) {
  const char *hint = (unsigned)err->code < MIG_CODE_COUNT ? fallback[err->code].hint : NULL;
  return err->hint[0] ? err->hint : hint ? hint : "`mig help` and docs/troubleshooting.md may help";
}

void cli_json_error(bson_t *line, const mig_error *err) {
  bson_t e;
  BSON_APPEND_DOCUMENT_BEGIN(line, "error", &e);
  BSON_APPEND_UTF8(&e, "code", mig_code_name(err->code));
  BSON_APPEND_UTF8(&e, "what", err->what);
  BSON_APPEND_UTF8(&e, "why", cli_why(err));
  BSON_APPEND_UTF8(&e, "hint", cli_hint(err));
  if (err->server_code) BSON_APPEND_INT32(&e, "serverCode", err->server_code);
  bson_append_document_end(line, &e);
}

static void text_or_null(bson_t *doc, const char *key, const char *text) {
  if (text)
    BSON_APPEND_UTF8(doc, key, text);
  else
    BSON_APPEND_NULL(doc, key);
}

static void json_result(mig_cli *cli, const mig_result *r) {
  bson_t line = BSON_INITIALIZER;
  BSON_APPEND_UTF8(&line, "migration", r->name);
  text_or_null(&line, "version", r->version);
  BSON_APPEND_UTF8(&line, "direction", r->direction);
  BSON_APPEND_UTF8(&line, "outcome", r->outcome);
  BSON_APPEND_INT64(&line, "duration", r->duration_ms);
  mig_result_append(&line, r);
  BSON_APPEND_UTF8(&line, "transaction", r->transaction);
  text_or_null(&line, "snapshot", r->snapshot_id);
  text_or_null(&line, "snapshotPath", r->snapshot_path);
  if (r->displaced_path) {
    BSON_APPEND_UTF8(&line, "displaced", r->displaced_path);
    BSON_APPEND_INT64(&line, "displacedDocuments", r->displaced_documents);
  }
  if (r->error) cli_json_error(&line, r->error);
  cli_json(cli, &line);
  bson_destroy(&line);
}

static void on_result(void *arg, const mig_result *r) {
  mig_cli *cli = arg;
  char duration[40], bytes[40];
  bool good = strcmp(r->outcome, "applied") == 0 || strcmp(r->outcome, "reverted") == 0;
  const char *color = good ? "green" : strcmp(r->outcome, "restored") == 0 ? "yellow" : "red";
  const char *label = strcmp(r->outcome, "notRestored") == 0 ? "NOT RESTORED" : r->outcome;
  cli_duration(r->duration_ms, duration);
  cli_bytes(r->snapshot_bytes, bytes);
  if (cli->json) {
    json_result(cli, r);
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

static void json_forecast(mig_cli *cli, const mig_forecast *f) {
  bson_t line = BSON_INITIALIZER, list, part;
  char buffer[16];
  const char *key;
  BSON_APPEND_UTF8(&line, "migration", f->name);
  text_or_null(&line, "version", f->version);
  BSON_APPEND_UTF8(&line, "direction", f->direction);
  BSON_APPEND_UTF8(&line, "outcome", f->refusals ? "would be refused" : "would run");
  BSON_APPEND_UTF8(&line, "transaction", f->transaction);
  BSON_APPEND_UTF8(&line, "whyTransaction", f->why_transaction);
  BSON_APPEND_ARRAY_BEGIN(&line, "collections", &list);
  for (uint32_t i = 0; f->collections[i]; i++) {
    bson_uint32_to_string(i, &key, buffer, sizeof buffer);
    BSON_APPEND_UTF8(&list, key, f->collections[i]);
  }
  bson_append_array_end(&line, &list);
  BSON_APPEND_INT64(&line, "steps", (int64_t)f->step_count);
  BSON_APPEND_INT64(&line, "guards", (int64_t)f->guard_count);
  BSON_APPEND_BOOL(&line, "destroys", f->destroys);
  BSON_APPEND_INT64(&line, "documents", f->documents);
  BSON_APPEND_DOCUMENT_BEGIN(&line, "snapshot", &part);
  BSON_APPEND_INT64(&part, "documents", f->snapshot_documents);
  BSON_APPEND_INT64(&part, "bytes", f->snapshot_bytes);
  bson_append_document_end(&line, &part);
  BSON_APPEND_ARRAY_BEGIN(&line, "refusals", &list);
  for (uint32_t i = 0; i < f->refusals; i++) {
    bson_uint32_to_string(i, &key, buffer, sizeof buffer);
    BSON_APPEND_UTF8(&list, key, f->reasons[i]);
  }
  bson_append_array_end(&line, &list);
  cli_json(cli, &line);
  bson_destroy(&line);
}

static void on_forecast(void *arg, const mig_forecast *f) {
  mig_cli *cli = arg;
  char bytes[40];
  cli_bytes(f->snapshot_bytes, bytes);
  cli->forecasts++;
  if (cli->json) {
    json_forecast(cli, f);
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
