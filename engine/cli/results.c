/* How runs, forecasts and errors look, for people and as JSON. */
#include <string.h>

#include "cli/cli.h"

void cli_json_error(bson_t *line, const mig_error *err) {
  bson_t e;
  BSON_APPEND_DOCUMENT_BEGIN(line, "error", &e);
  BSON_APPEND_UTF8(&e, "code", mig_code_name(err->code));
  BSON_APPEND_UTF8(&e, "what", err->what);
  BSON_APPEND_UTF8(&e, "why", err->why);
  BSON_APPEND_UTF8(&e, "hint", err->hint);
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
  bson_t line = BSON_INITIALIZER, part;
  BSON_APPEND_UTF8(&line, "migration", r->name);
  text_or_null(&line, "version", r->version);
  BSON_APPEND_UTF8(&line, "direction", r->direction);
  BSON_APPEND_UTF8(&line, "outcome", r->outcome);
  BSON_APPEND_INT64(&line, "duration", r->duration_ms);
  BSON_APPEND_DOCUMENT_BEGIN(&line, "phases", &part);
  BSON_APPEND_INT64(&part, "validate", r->validate_ms);
  BSON_APPEND_INT64(&part, "snapshot", r->snapshot_ms);
  BSON_APPEND_INT64(&part, "run", r->run_ms);
  BSON_APPEND_INT64(&part, "verify", r->verify_ms);
  BSON_APPEND_INT64(&part, "commit", r->commit_ms);
  BSON_APPEND_INT64(&part, "restore", r->restore_ms);
  bson_append_document_end(&line, &part);
  BSON_APPEND_DOCUMENT_BEGIN(&line, "documents", &part);
  BSON_APPEND_INT64(&part, "read", r->documents_read);
  BSON_APPEND_INT64(&part, "written", r->documents_written);
  bson_append_document_end(&line, &part);
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
