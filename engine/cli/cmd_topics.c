/* help steps, help guards, help rules, help man: from the tables of steps, guards and lint's rules, so that nothing
 * here can be out of date. */
#include <string.h>

#include "cli/commands.h"
#include "migrations/step.h"
#include "validators/guard.h"

static void show_args(mig_cli *cli, const mig_arg *args) {
  for (const mig_arg *a = args; a->name; a++)
    cli_print(cli, "  %-12s %-8s %s: %s\n", a->name, a->required ? "" : "optional", mig_arg_type_name(a->type),
              a->help);
}

/* Its lines, moved in. */
static void show_example(mig_cli *cli, const char *example) {
  cli_print(cli, "  for example\n");
  while (example && *example) {
    size_t size = strcspn(example, "\n");
    cli_print(cli, "    %.*s\n", (int)size, example);
    example += size + (example[size] == '\n');
  }
}

static void json_row(mig_cli *cli, const char *kind, const char *name, const char *help, const char *example,
                     const mig_arg *args) {
  bson_t line = BSON_INITIALIZER, list;
  BSON_APPEND_UTF8(&line, kind, name);
  BSON_APPEND_UTF8(&line, "help", help);
  if (example) BSON_APPEND_UTF8(&line, "example", example);
  BSON_APPEND_DOCUMENT_BEGIN(&line, "arguments", &list);
  for (const mig_arg *a = args; a->name; a++) BSON_APPEND_BOOL(&list, a->name, a->required);
  bson_append_document_end(&line, &list);
  cli_json(cli, &line);
  bson_destroy(&line);
}

static void show_steps(mig_cli *cli) {
  for (const mig_step_def *const *d = mig_step_table(); *d; d++) {
    json_row(cli, "step", (*d)->name, (*d)->help, (*d)->example, (*d)->args);
    cli_print(cli, "%s: %s%s%s\n", (*d)->name, (*d)->help, (*d)->destroys ? "; destructive" : "",
              (*d)->transactional ? "" : "; not in a transaction");
    show_args(cli, (*d)->args);
    show_example(cli, (*d)->example);
  }
}

static void show_guards(mig_cli *cli) {
  for (const mig_guard_def *const *d = mig_guard_table(); *d; d++) {
    json_row(cli, "guard", (*d)->name, (*d)->help, (*d)->example, (*d)->args);
    cli_print(cli, "%s: %s\n", (*d)->name, (*d)->help);
    show_args(cli, (*d)->args);
    show_example(cli, (*d)->example);
  }
}

bool cli_help_topic(mig_cli *cli, const char *topic) {
  if (strcmp(topic, "steps") == 0)
    show_steps(cli);
  else if (strcmp(topic, "guards") == 0)
    show_guards(cli);
  else if (strcmp(topic, "rules") == 0)
    cli_help_lint(cli);
  else if (strcmp(topic, "man") == 0)
    cli_man_page(cli);
  else
    return false;
  return true;
}
