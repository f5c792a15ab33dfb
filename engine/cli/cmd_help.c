/* version, help: from the tables. */
#include <archive.h>
#include <string.h>
#include <zstd.h>

#include "base/version.h"
#include "cli/commands.h"
#include "cli/parse.h"

const mig_exit mig_exits[] = {
    {0, "done", "done, or nothing to do"},
    {1, "failed, nothing changed", "it failed, and nothing was changed"},
    {2, "usage", "wrong usage, configuration or migration file"},
    {3, "failed, data restored", "it failed half-way, and the data was restored and compared"},
    {4, "failed and NOT restored", "it failed, and the data could not be restored: act now"},
    {5, "lease held", "another runner holds the lease, or ours was lost"},
    {6, "a check found problems", "a check found problems (validate, verify, status --exit-code)"},
    {7, "an interrupted run waits for `mig recover`", "an interrupted run waits for `mig recover`"},
    {130, "interrupted, clean", "a signal came; what was begun was undone"},
    {0}};

bool cmd_version(mig_cli *cli, mig_error *err) {
  (void)err;
  bson_t *line = BCON_NEW("mig", BCON_UTF8(MIG_VERSION), "bson", BCON_UTF8(bson_get_version()), "zstd",
                          BCON_UTF8(ZSTD_versionString()), "libarchive", BCON_UTF8(archive_version_string()));
  cli_json(cli, line);
  bson_destroy(line);
  cli_print(cli, "mig %s (libbson %s, zstd %s, %s)\n", MIG_VERSION, bson_get_version(), ZSTD_versionString(),
            archive_version_string());
  return true;
}

static void show_option(mig_cli *cli, int i) {
  char left[40];
  const mig_option_row *o = &mig_option_table[i];
  snprintf(left, sizeof left, "--%s%s%s", o->name, o->takes ? " " : "", o->takes ? o->takes : "");
  cli_print(cli, "  %-28s %s\n", left, o->help);
}

static void show_command(mig_cli *cli, const mig_command *c) {
  cli_print(cli, "mig %s%s%s%s\n  %s\n", c->name, c->options ? " [options]" : "", c->arguments[0] ? " " : "",
            c->arguments, c->help);
  if (c->options) cli_print(cli, "\noptions:\n");
  for (int i = OPT_GENERAL_LAST + 1; i < OPT_COUNT; i++)
    if (c->options & (1ull << i)) show_option(cli, i);
  cli_print(cli, "\ngeneral options:\n");
  for (int i = 0; i <= OPT_GENERAL_LAST; i++) show_option(cli, i);
}

bool cmd_help_for(mig_cli *cli, mig_error *err) {
  if (cli->command->fn == cmd_help) return cmd_help(cli, err);
  show_command(cli, cli->command);
  return true;
}

bool cmd_help(mig_cli *cli, mig_error *err) {
  int words = 0;
  if (cli->arg_count == 1 && cli_help_topic(cli, cli->args[0])) return true;
  if (cli->arg_count) {
    const mig_command *c = mig_command_find(cli->args[0], cli->arg_count > 1 ? cli->args[1] : NULL, &words);
    if (c)
      show_command(cli, c);
    else {
      mig_fail(err, MIG_E_USAGE, "there is no command \"%s\"", cli->args[0]);
      return mig_hint(err, "`mig help` lists them; there are also `mig help steps`, `guards` and `man`");
    }
    return true;
  }
  cli_print(cli,
            "mig changes MongoDB databases safely: checks first, copies what it will touch, restores by itself.\n\n"
            "usage: mig [options] COMMAND\n\ncommands:\n");
  for (const mig_command *c = mig_commands; c->name; c++) {
    char left[60];
    snprintf(left, sizeof left, "%s %s", c->name, c->arguments);
    cli_print(cli, "  %-28s %s\n", left, c->help);
  }
  for (const mig_alias *a = mig_aliases; a->name; a++)
    cli_print(cli, "  %-28s the same as `mig %s`\n", a->name, a->command);
  cli_print(cli, "\ngeneral options:\n");
  for (int i = 0; i <= OPT_GENERAL_LAST; i++) show_option(cli, i);
  cli_print(cli, "\nexit codes:");
  for (const mig_exit *x = mig_exits; x->meaning; x++)
    cli_print(cli, x == mig_exits ? " %d %s" : x->code == 5 ? ";\n  %d %s" : "; %d %s", x->code, x->brief);
  cli_print(cli, "\n");
  return true;
}
