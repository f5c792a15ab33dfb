/* version, help: from the tables. */
#include <archive.h>
#include <string.h>
#include <zstd.h>

#include "base/version.h"
#include "cli/commands.h"
#include "cli/parse.h"
#include "migrations/step.h"
#include "validators/guard.h"

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
  cli_print(cli, "mig %s%s%s%s\n  %s\n", c->name, c->arguments[0] ? " " : "", c->arguments,
            c->options ? " [options]" : "", c->help);
  if (c->options) cli_print(cli, "\noptions:\n");
  for (int i = OPT_GENERAL_LAST + 1; i < OPT_COUNT; i++)
    if (c->options & (1ull << i)) show_option(cli, i);
  cli_print(cli, "\ngeneral options:\n");
  for (int i = 0; i <= OPT_GENERAL_LAST; i++) show_option(cli, i);
}

static void show_args(mig_cli *cli, const mig_arg *a) {
  for (; a->name; a++) cli_print(cli, "      %-14s %s%s\n", a->name, a->required ? "" : "[optional] ", a->help);
}

static void show_steps(mig_cli *cli) {
  cli_print(cli, "the steps of \"up\" and \"down\", each {\"NAME\": {ARGUMENTS}}\n");
  for (const mig_step_def *const *s = mig_step_table(); *s; s++) {
    cli_print(cli, "\n  %-20s %s%s\n", (*s)->name, (*s)->help, (*s)->destroys ? " [destructive]" : "");
    show_args(cli, (*s)->args);
  }
}

static void show_guards(mig_cli *cli) {
  cli_print(cli, "the guards of \"guards\" and \"verify\", each {\"NAME\": {ARGUMENTS}}\n");
  for (const mig_guard_def *const *g = mig_guard_table(); *g; g++) {
    cli_print(cli, "\n  %-20s %s\n", (*g)->name, (*g)->help);
    show_args(cli, (*g)->args);
  }
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
    else if (strcmp(cli->args[0], "steps") == 0)
      show_steps(cli);
    else if (strcmp(cli->args[0], "guards") == 0)
      show_guards(cli);
    else {
      mig_fail(err, MIG_E_USAGE, "there is no command \"%s\"", cli->args[0]);
      return mig_hint(err, "`mig help` lists them; there are also `mig help steps` and `mig help guards`");
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
  cli_print(
      cli,
      "\nexit codes: 0 done; 1 failed, nothing changed; 2 usage; 3 failed, data restored; 4 failed and NOT restored;\n"
      "  5 lease held; 6 a check found problems; 7 an interrupted run waits for `mig recover`; 130 interrupted, "
      "clean\n");
  return true;
}
