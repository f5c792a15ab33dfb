/* lint: what is wrong or dangerous in migration files; needs no server. */
#include <string.h>

#include "cli/commands.h"
#include "migrations/lint.h"
#include "validators/guard.h"

typedef struct sum {
  mig_cli *cli;
  int64_t errors, warnings;
} sum;

static const char *level_name(const mig_lint_finding *f) {
  return f->rule->level == MIG_LINT_ERROR ? "error" : "warning";
}

/* Values of a GitHub workflow command: percent, line ends and, in properties, colon and comma are escaped. */
static void print_escaped(mig_cli *cli, const char *text, bool property) {
  while (*text) {
    const size_t plain = strcspn(text, property ? "%\r\n:," : "%\r\n");
    cli_print(cli, "%.*s", (int)plain, text); /* whole characters: a byte of one is no text */
    text += plain;
    if (*text) cli_print(cli, "%%%02X", (unsigned char)*text++);
  }
}

static void show_annotation(mig_cli *cli, const mig_lint_finding *f) {
  cli_print(cli, "::%s file=", level_name(f));
  print_escaped(cli, f->path, true);
  cli_print(cli, ",line=%zu,col=%zu,title=%s::", f->line, f->column, f->rule->name);
  print_escaped(cli, f->what, false);
  if (f->hint[0]) cli_print(cli, "%%0A");
  print_escaped(cli, f->hint, false);
  cli_print(cli, "\n");
}

static void show(void *arg, const mig_lint_finding *f) {
  sum *s = arg;
  mig_cli *cli = s->cli;
  bool error = f->rule->level == MIG_LINT_ERROR;
  s->errors += error;
  s->warnings += !error;
  bson_t *line = BCON_NEW("file", BCON_UTF8(f->path), "line", BCON_INT64((int64_t)f->line), "column",
                          BCON_INT64((int64_t)f->column), "level", BCON_UTF8(level_name(f)), "rule",
                          BCON_UTF8(f->rule->name), "what", BCON_UTF8(f->what), "hint", BCON_UTF8(f->hint));
  cli_json(cli, line);
  bson_destroy(line);
  if (cli->opt[OPT_GITHUB]) {
    show_annotation(cli, f);
    return;
  }
  cli_print(cli, "%s:%zu:%zu: %s%s%s: %s [%s]\n", f->path, f->line, f->column, cli_color(cli, error ? "red" : "yellow"),
            level_name(f), cli_color(cli, "off"), f->what, f->rule->name);
  if (f->hint[0]) cli_print(cli, "  hint: %s\n", f->hint);
}

bool cmd_lint(mig_cli *cli, mig_error *err) {
  sum s = {.cli = cli};
  size_t files = 0;
  bool ok = true;
  if (cli->arg_count == 0) ok = mig_lint_folder(cli->dir, mig_guard_check_syntax, show, &s, &files, err);
  for (int i = 0; ok && i < cli->arg_count; i++, files++)
    ok = mig_lint_file(cli->args[i], mig_guard_check_syntax, show, &s, err);
  if (!ok) return false;
  bson_t *line =
      BCON_NEW("files", BCON_INT64((int64_t)files), "errors", BCON_INT64(s.errors), "warnings", BCON_INT64(s.warnings));
  cli_json(cli, line);
  bson_destroy(line);
  if (!cli->opt[OPT_GITHUB])
    cli_print(cli, "%zu %s, %lld %s, %lld %s\n", files, files == 1 ? "file" : "files", (long long)s.errors,
              s.errors == 1 ? "error" : "errors", (long long)s.warnings, s.warnings == 1 ? "warning" : "warnings");
  if (s.errors || (s.warnings && cli->opt[OPT_STRICT])) cli->exit_code = 6;
  return true;
}

void cli_help_lint(mig_cli *cli) {
  for (const mig_lint_rule *r = mig_lint_rules(); r->name; r++) {
    bool error = r->level == MIG_LINT_ERROR;
    bson_t *line = BCON_NEW("rule", BCON_UTF8(r->name), "level", BCON_UTF8(error ? "error" : "warning"), "help",
                            BCON_UTF8(r->help));
    cli_json(cli, line);
    bson_destroy(line);
    cli_print(cli, "%-17s %-8s %s\n", r->name, error ? "error" : "warning", r->help);
  }
}
