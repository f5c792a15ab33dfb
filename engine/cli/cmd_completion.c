/* completion: scripts for shells, from the tables of commands and options. */
#include <ctype.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/completion.h"
#include "migrations/templates.h"

/* "delta|swap" and "a, b" to "delta swap" and "a b"; false when it is not a choice of lower-case words. */
static bool choices(const char *text, char words[static MIG_WORDS]) {
  size_t n = 0;
  bool several = false;
  for (; *text && n + 1 < MIG_WORDS; text++) {
    if (isupper((unsigned char)*text)) return false;
    bool between = strchr("|, ", *text) != NULL;
    several = several || between;
    if (strchr("[].", *text) || (between && n > 0 && words[n - 1] == ' ')) continue;
    words[n++] = between ? ' ' : *text;
  }
  words[n] = 0;
  return several;
}

mig_values mig_values_of_option(int option, char words[static MIG_WORDS]) {
  const char *takes = mig_option_table[option].takes;
  words[0] = 0;
  if (!takes) return MIG_VALUES_NONE;
  if (option == OPT_TEMPLATE) {
    char *names = mig_template_names();
    bool some = names && choices(names, words);
    mig_free(names);
    return some ? MIG_VALUES_WORDS : MIG_VALUES_NONE;
  }
  if (option == OPT_TO) return MIG_VALUES_MIGRATION;
  if (strcmp(takes, "FOLDER") == 0) return MIG_VALUES_FOLDER;
  if (strcmp(takes, "FILE") == 0) return MIG_VALUES_FILE;
  return choices(takes, words) ? MIG_VALUES_WORDS : MIG_VALUES_NONE;
}

mig_values mig_values_of_command(const mig_command *c, char words[static MIG_WORDS]) {
  const char *takes = c->arguments;
  words[0] = 0;
  if (c->fn == cmd_create) return MIG_VALUES_NONE; /* a name that is not there yet */
  if (c->fn == cmd_completion) return choices("bash|zsh|fish", words) ? MIG_VALUES_WORDS : MIG_VALUES_NONE;
  if (c->fn == cmd_help) return MIG_VALUES_COMMAND;
  if (strstr(takes, "CMD")) return MIG_VALUES_PROGRAM;
  if (strstr(takes, "SNAPSHOT")) return MIG_VALUES_SNAPSHOT;
  if (strstr(takes, "NAME") || strstr(takes, "VERSION")) return MIG_VALUES_MIGRATION;
  return choices(takes, words) ? MIG_VALUES_WORDS : MIG_VALUES_NONE;
}

bool mig_option_fits(const mig_command *c, int option) {
  return option <= OPT_GENERAL_LAST || (c && (c->options & (1ull << option)));
}

bool mig_group_of(const mig_command *c, char group[static 40], bool *first) {
  size_t size = strcspn(c->name, " ");
  snprintf(group, 40, "%.*s", c->name[size] ? (int)size : 0, c->name);
  *first = true;
  for (const mig_command *k = mig_commands; k != c; k++)
    if (strncmp(k->name, c->name, size + 1) == 0) *first = false;
  return group[0] != 0;
}

void mig_aliases_of(const mig_command *c, char out[static MIG_WORDS]) {
  size_t n = 0;
  out[0] = 0;
  for (const mig_alias *a = mig_aliases; a->name; a++)
    if (strcmp(a->command, c->name) == 0) n += (size_t)snprintf(out + n, MIG_WORDS - n, "|%s", a->name);
}

bool cmd_completion(mig_cli *cli, mig_error *err) {
  static const struct {
    const char *shell;
    void (*write)(mig_cli *cli);
  } shells[] = {{"bash", mig_completion_bash}, {"zsh", mig_completion_zsh}, {"fish", mig_completion_fish}};
  for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
    if (strcmp(cli->args[0], shells[i].shell) != 0) continue;
    shells[i].write(cli);
    return true;
  }
  mig_fail(err, MIG_E_USAGE, "there is no completion for \"%.40s\"", cli->args[0]);
  return mig_hint(err, "there are: bash, zsh, fish");
}
