/* snapshot diff: counts, and on request each index, option and document that differs, in both forms. */
#include "backup/json_out.h"
#include "cli/commands.h"
#include "run/report.h"

static const char *difference_name(const void *archive, const void *live) {
  return !live ? "missing" : !archive ? "extra" : "changed";
}

/* A document as text that shows every type; its bytes as base64 where JSON cannot carry it. Free with mig_free. */
static char *exact(const bson_t *doc) {
  char *json = mig_bson_canonical_json(doc);
  mig_buf text = MIG_BUF(64u << 20);
  if (json) return json;
  if (mig_buf_printf(&text, NULL, "{\"$bson\":") && mig_json_bson(&text, doc, NULL) && mig_buf_add(&text, "}", 1, NULL))
    json = mig_strdup(mig_buf_text(&text));
  mig_buf_free(&text);
  return json;
}

static void print_form(mig_cli *cli, const char *sign, const char *color, const bson_t *doc) {
  if (!doc) return;
  char *text = exact(doc);
  cli_print(cli, "  %s%s %s%s\n", cli_color(cli, color), sign, text ? text : "?", cli_color(cli, "off"));
  mig_free(text);
}

static void append_form(bson_t *line, const char *key, const bson_t *doc) {
  char *json = doc ? mig_bson_canonical_json(doc) : NULL;
  if (!doc)
    BSON_APPEND_NULL(line, key);
  else if (json)
    BSON_APPEND_DOCUMENT(line, key, doc);
  else /* not to be said in JSON: its bytes */
    BSON_APPEND_BINARY(line, key, BSON_SUBTYPE_BINARY, bson_get_data(doc), doc->len);
  mig_free(json);
}

/* name: of an index; NULL for others. */
static bool tell(mig_cli *cli, const char *kind, const char *collection, const char *name, const bson_t *archive,
                 const bson_t *live) {
  const char *difference = difference_name(archive, live);
  if (cli->json) {
    bson_t line = BSON_INITIALIZER;
    BSON_APPEND_UTF8(&line, "in", collection);
    BSON_APPEND_UTF8(&line, "kind", kind);
    if (name) BSON_APPEND_UTF8(&line, "name", name);
    BSON_APPEND_UTF8(&line, "difference", difference);
    append_form(&line, "snapshot", archive);
    append_form(&line, "other", live);
    cli_json_exact(cli, &line);
    bson_destroy(&line);
    return true;
  }
  cli_print(cli, "%s: %s%s%s %s\n", collection, kind, name ? " " : "", name ? name : "", difference);
  print_form(cli, "-", "red", archive);
  print_form(cli, "+", "green", live);
  return true;
}

static bool document(void *arg, const char *collection, mig_difference what, const bson_t *archive, const bson_t *live,
                     mig_error *err) {
  (void)what;
  (void)err;
  return tell(arg, "document", collection, NULL, archive, live);
}

static bool index_differs(void *arg, const char *collection, const char *name, const bson_t *archive,
                          const bson_t *live, mig_error *err) {
  (void)err;
  return tell(arg, "index", collection, name, archive, live);
}

static bool options_differ(void *arg, const char *collection, const bson_t *archive, const bson_t *live,
                           mig_error *err) {
  (void)err;
  return tell(arg, "options", collection, NULL, archive, live);
}

mig_diff_listener cli_diff_listener(mig_cli *cli) {
  return (mig_diff_listener){.arg = cli,
                             .document = cli->opt[OPT_DOCUMENTS] ? document : NULL,
                             .index = index_differs,
                             .options = options_differ};
}

void cli_diff_row(mig_cli *cli, const mig_restore_collection *c) {
  const bool restores = c->strategy[0] != 0;
  bson_t line = BSON_INITIALIZER;
  mig_report_difference(&line, c);
  cli_json(cli, &line);
  bson_destroy(&line);
  cli_print(cli, "  %-32s %s%s%8lld missing %8lld changed %8lld extra %3lld indexes%s%s%s%s\n",
            c->target ? c->target : c->name, c->strategy, restores ? " " : "", (long long)c->missing,
            (long long)c->changed, (long long)c->extra, (long long)c->indexes_differing,
            c->options_differ ? ", options" : "", c->sequence_differs ? ", sequence" : "",
            !c->created ? ""
            : restores  ? ", was missing"
                        : ", is missing",
            !c->dropped ? ""
            : restores  ? ", should not be there"
                        : ", is not in the snapshot");
}

bool cli_checkpoint(void *arg, mig_error *err) {
  (void)arg;
  return !mig_cli_stop || mig_fail(err, MIG_E_INTERRUPTED, "interrupted by a signal");
}

static bool run(mig_cli *cli, mig_archive *archive, mig_archive *against, mig_restore_report *report, mig_error *err) {
  const mig_diff_listener listener = cli_diff_listener(cli);
  const mig_diff_options options = {.against = against, .only = cli->only, .listener = &listener};
  const mig_observer observer = cli_observer(cli);
  mig_work offline = {.observer = &observer, .checkpoint = cli_checkpoint};
  mig_engine *e = NULL;
  if (against) return mig_diff_run(&offline, archive, &options, report, err);
  const bool ok = mig_cli_open(cli, &e, err) && mig_diff_run(&e->work, archive, &options, report, err);
  mig_close(e);
  return ok;
}

bool cmd_snapshot_diff(mig_cli *cli, mig_error *err) {
  mig_archive *archive = NULL, *against = NULL;
  mig_restore_report report = {0};
  mig_cli_catch_signals();
  const bool ok =
      cli_open_snapshot(cli, cli->args[0], &archive, err) && cli_unlock(cli, archive, err) &&
      (!cli->args[1] || (cli_open_snapshot(cli, cli->args[1], &against, err) && cli_unlock(cli, against, err))) &&
      run(cli, archive, against, &report, err);
  for (size_t i = 0; ok && i < report.count; i++) cli_diff_row(cli, &report.collections[i]);
  if (ok) {
    bson_t *line = BCON_NEW("identical", BCON_BOOL(report.identical));
    cli_json(cli, line);
    bson_destroy(line);
    cli_print(cli, report.identical ? "nothing differs\n" : "%sdiffers%s\n", cli_color(cli, "yellow"),
              cli_color(cli, "off"));
    if (!report.identical) cli->exit_code = mig_code_exit(MIG_E_CHECK);
  }
  mig_restore_report_clear(&report);
  mig_archive_free(against);
  mig_archive_free(archive);
  return ok;
}
