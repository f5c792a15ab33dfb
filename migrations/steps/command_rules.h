/*
 * command_rules.h - what is known about database commands: which collection they touch and how, and which are refused
 *
 * A command that is in no row may run only with "collections" declared, all of which count as replaced.
 */
#ifndef MIG_MIGRATIONS_STEPS_COMMAND_RULES_H
#define MIG_MIGRATIONS_STEPS_COMMAND_RULES_H

#include "migrations/step.h"

typedef enum mig_command_kind {
  MIG_COMMAND_REFUSED,
  MIG_COMMAND_ONE,       /* touches the collection that is its first value */
  MIG_COMMAND_AGGREGATE, /* and what $out or $merge name */
  MIG_COMMAND_MAP_REDUCE /* and what "out" names */
} mig_command_kind;

typedef struct mig_command_rule {
  const char *name;
  mig_command_kind kind;
  mig_touch touch;
  bool transactional;
  const char *why; /* of a refusal */
} mig_command_rule;

const mig_command_rule *mig_command_rule_find(const char *name); /* NULL: not known */
/* Of a command that changes metadata: the server may then remove documents, or make the collection anew to undo it. */
bool mig_command_removes(const bson_t *command);
/* Why an argument of any command is refused; NULL when it is not. */
const char *mig_command_refused_key(const char *key);
/* The run of the step `command`, and what the server answered; reply is initialised in any case: bson_destroy it. */
bool mig_command_run(const mig_step *step, mig_work *w, bson_t *reply, mig_error *err);

#endif
