/* Words of the command line into command, options and arguments, by the two tables. */
#include "cli/parse.h"

#include <stdlib.h>
#include <string.h>

#include "base/names.h"

const mig_option_row mig_option_table[] = {
#define ROW(id, name, takes, help) {name, takes, help},
    MIG_OPTIONS(ROW)
#undef ROW
};

static int find_option(const char *name, size_t size) {
  for (int i = 0; i < OPT_COUNT; i++)
    if (strlen(mig_option_table[i].name) == size && memcmp(mig_option_table[i].name, name, size) == 0) return i;
  return -1;
}

static bool unknown_option(const char *word, size_t size, mig_error *err) {
  const char *names[OPT_COUNT + 1];
  char name[60];
  for (int i = 0; i < OPT_COUNT; i++) names[i] = mig_option_table[i].name;
  names[OPT_COUNT] = NULL;
  snprintf(name, sizeof name, "%.*s", (int)(size < sizeof name ? size : sizeof name - 1), word);
  const char *near = mig_name_nearest(name, names);
  mig_fail(err, MIG_E_USAGE, "unknown option --%s", name);
  return near ? mig_hint(err, "did you mean --%s?", near) : mig_hint(err, "mig help lists them");
}

static bool take_more(const char ***list, const char *value, mig_error *err) {
  size_t n = 0;
  while (*list && (*list)[n]) n++;
  const char **grown = mig_realloc(*list, (n + 2) * sizeof *grown);
  if (!grown) return mig_no_memory(err, "arguments");
  grown[n] = value;
  grown[n + 1] = NULL;
  *list = grown;
  return true;
}

static bool take_option(mig_cli *cli, int argc, char **argv, int *i, mig_error *err) {
  const char *word = argv[*i], *equals = strchr(word, '=');
  size_t size = equals ? (size_t)(equals - word - 2) : strlen(word + 2);
  int option = find_option(word + 2, size);
  if (option < 0) return unknown_option(word + 2, size, err);
  const mig_option_row *row = &mig_option_table[option];
  if (!row->takes && equals) return mig_fail(err, MIG_E_USAGE, "--%s takes no value", row->name);
  const char *value = !row->takes ? "" : equals ? equals + 1 : *i + 1 < argc ? argv[++*i] : NULL;
  if (!value || (row->takes && !*value)) {
    mig_fail(err, MIG_E_USAGE, "--%s needs a value: %s", row->name, row->takes);
    return mig_why(err, "%s", row->help);
  }
  const char ***list = option == OPT_ONLY   ? &cli->only
                       : option == OPT_META ? &cli->meta
                       : option == OPT_AS   ? &cli->as
                                            : NULL;
  if (!list && cli->opt[option] && row->takes) return mig_fail(err, MIG_E_USAGE, "--%s is given twice", row->name);
  cli->opt[option] = value;
  return !list || take_more(list, value, err);
}

const mig_command *mig_command_find(const char *first, const char *second, int *words) {
  const mig_command *one = NULL;
  for (const mig_alias *a = mig_aliases; a->name; a++)
    if (strcmp(a->name, first) == 0) first = a->command;
  for (const mig_command *c = mig_commands; c->name; c++) {
    size_t n = strlen(first);
    if (second && strncmp(c->name, first, n) == 0 && c->name[n] == ' ' && strcmp(c->name + n + 1, second) == 0) {
      *words = 2;
      return c;
    }
    if (strcmp(c->name, first) == 0) one = c;
  }
  *words = 1;
  return one;
}

static bool unknown_command(const mig_cli *cli, mig_error *err) {
  const char *names[128], *near;
  size_t n = 0;
  char both[120];
  snprintf(both, sizeof both, "%.50s%s%.50s", cli->args[0], cli->arg_count > 1 ? " " : "",
           cli->arg_count > 1 ? cli->args[1] : "");
  for (const mig_command *c = mig_commands; c->name && n < 120; c++) names[n++] = c->name;
  for (const mig_alias *a = mig_aliases; a->name && n < 127; a++) names[n++] = a->name;
  names[n] = NULL;
  near = mig_name_nearest(both, names);
  if (!near) near = mig_name_nearest(cli->args[0], names);
  mig_fail(err, MIG_E_USAGE, "unknown command \"%s\"", both);
  return near ? mig_hint(err, "did you mean `mig %s`? `mig help` lists them", near)
              : mig_hint(err, "`mig help` lists them");
}

static bool fits_command(const mig_cli *cli, mig_error *err) {
  const mig_command *c = cli->command;
  for (int i = OPT_GENERAL_LAST + 1; i < OPT_COUNT; i++) {
    if (!cli->opt[i] || (c->options & (1ull << i))) continue;
    mig_fail(err, MIG_E_USAGE, "`mig %s` does not take --%s", c->name, mig_option_table[i].name);
    return mig_hint(err, "mig help %s", c->name);
  }
  bool few = cli->arg_count < c->min_args, many = c->max_args >= 0 && cli->arg_count > c->max_args;
  if (!few && !many) return true;
  mig_fail(err, MIG_E_USAGE, "`mig %s` takes %s", c->name, c->arguments[0] ? c->arguments : "no arguments");
  if (many) mig_why(err, "\"%.80s\" is one too many", cli->args[c->max_args]);
  return mig_hint(err, "mig help %s", c->name);
}

/* mongodb://user:password@host, or ?tlsCertificateKeyFilePassword=: in whatever option or argument it stands. */
static bool holds_password(const char *word) {
  const char *host = strstr(word, "://"), *at = host ? strrchr(host, '@') : NULL;
  return (at && memchr(host + 3, ':', (size_t)(at - host - 3))) || (host && strcasestr(host, "password="));
}

/* Before anything is said of a word: no message may show a password, and with --json also this is said as JSON. */
static bool look_first(mig_cli *cli, int argc, char **argv, mig_error *err) {
  bool secret = false;
  for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
    if (strcmp(argv[i], "--json") == 0) cli->opt[OPT_JSON] = "";
    secret = secret || holds_password(argv[i]);
  }
  if (!secret) return true;
  mig_fail(err, MIG_E_USAGE, "a password does not belong on the command line");
  mig_why(err, "every user of this machine can read it there");
  return mig_hint(err, "give the connection string by the variable MIG_URI, or as \"uri\" in mig.json (chmod 600)");
}

bool mig_cli_parse(mig_cli *cli, int argc, char **argv, mig_error *err) {
  bool plain = false;
  int words = 0;
  if (!look_first(cli, argc, argv, err)) return false;
  cli->args = mig_alloc(((size_t)argc + 1) * sizeof *cli->args);
  if (!cli->args) return mig_no_memory(err, "arguments");
  for (int i = 1; i < argc; i++) {
    if (!plain && strcmp(argv[i], "--") == 0)
      plain = true;
    else if (!plain && strcmp(argv[i], "-h") == 0)
      cli->opt[OPT_HELP] = "";
    else if (!plain && strcmp(argv[i], "-v") == 0)
      cli->opt[OPT_VERBOSE] = "";
    else if (!plain && strcmp(argv[i], "-q") == 0)
      cli->opt[OPT_QUIET] = "";
    else if (!plain && strcmp(argv[i], "-y") == 0)
      cli->opt[OPT_YES] = "";
    else if (!plain && strncmp(argv[i], "--", 2) == 0) {
      if (!take_option(cli, argc, argv, &i, err)) return false;
    } else if (!plain && argv[i][0] == '-' && argv[i][1]) {
      mig_fail(err, MIG_E_USAGE, "unknown option %.60s", argv[i]);
      return mig_hint(err, "mig help lists them");
    } else
      cli->args[cli->arg_count++] = argv[i];
  }
  if (cli->arg_count == 0) {
    cli->command = mig_command_find(cli->opt[OPT_VERSION] ? "version" : "help", NULL, &words);
    return true;
  }
  cli->command = mig_command_find(cli->args[0], cli->arg_count > 1 ? cli->args[1] : NULL, &words);
  if (!cli->command) return unknown_command(cli, err);
  cli->arg_count -= words;
  memmove(cli->args, cli->args + words, ((size_t)cli->arg_count + 1) * sizeof *cli->args);
  return cli->opt[OPT_HELP] || fits_command(cli, err);
}

void mig_cli_words_free(mig_cli *cli) {
  mig_free(cli->args);
  mig_free(cli->only);
  mig_free(cli->as);
  mig_free(cli->meta);
}
