/*
 * Sets the rule that the documents of a collection must obey. Unless level or action are softer, the documents that are
 * there must obey it already: otherwise the next change of one of them, by whatever program, would be refused.
 */
#include <string.h>

#include "migrations/steps/common.h"

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "collection to protect"},
    {"validator", MIG_ARG_DOCUMENT, true, "{\"$jsonSchema\": {...}} or a filter; {} takes the rule away"},
    {"level", MIG_ARG_STRING, false,
     "\"strict\" (default), \"moderate\" (documents that break it already may be changed) or \"off\""},
    {"action", MIG_ARG_STRING, false, "\"error\" (default) or \"warn\" (only logged by the server)"},
    {0},
};

static const char *level_of(const mig_step *step) {
  const char *level = mig_step_str(step, "level");
  return *level ? level : "strict";
}

static const char *action_of(const mig_step *step) {
  const char *action = mig_step_str(step, "action");
  return *action ? action : "error";
}

static bool check(const mig_step *step, mig_error *err) {
  const char *level = level_of(step), *action = action_of(step);
  if (strcmp(level, "strict") != 0 && strcmp(level, "moderate") != 0 && strcmp(level, "off") != 0)
    return mig_step_refuse(err, "level", "\"level\" is \"strict\", \"moderate\" or \"off\", not \"%.40s\"", level);
  if (strcmp(action, "error") != 0 && strcmp(action, "warn") != 0)
    return mig_step_refuse(err, "action", "\"action\" is \"error\" or \"warn\", not \"%.40s\"", action);
  return true;
}

static bool guards(const mig_step *step, bson_t *array, mig_error *err) {
  bson_t validator, own = BSON_INITIALIZER;
  mig_guards_collection_exists(step, array, err);
  mig_step_doc(step, "validator", &validator);
  if (!bson_empty(&validator) && strcmp(level_of(step), "strict") == 0 && strcmp(action_of(step), "error") == 0) {
    BSON_APPEND_UTF8(&own, "collection", mig_step_str(step, "collection"));
    BSON_APPEND_DOCUMENT(&own, "filter", &validator);
    BSON_APPEND_UTF8(&own, "expect", "all");
    mig_guard_append(array, "matches", &own);
  }
  bson_destroy(&own);
  return true;
}

static bool refuse(const mig_step *step, const mig_work *w, const char *why, mig_error *err) {
  mig_fail(err, MIG_E_UNSUPPORTED, "setValidator %s.%s: this server does not do it", mig_db_name(w->db),
           mig_step_str(step, "collection"));
  mig_why(err, "%s", why);
  return mig_hint(err, "`mig doctor` tells what this server can do; check the documents by the guard schema instead");
}

/* "Accepted" is not "kept": look at what the server lists. An empty one may be listed as such, or not at all. */
static bool kept(const mig_step *step, mig_work *w, const bson_t *validator, mig_error *err) {
  bson_t entry, have;
  bool found = false;
  bool ok = mig_db_collection_info(w->db, mig_step_str(step, "collection"), &entry, &found, err);
  bool some = ok && found && mig_bson_doc(&entry, "options.validator", &have) && !bson_empty(&have);
  bson_destroy(&entry);
  if (!ok || some == !bson_empty(validator)) return ok;
  return refuse(step, w, "it accepts the validator, but does not list it afterwards", err);
}

static bool run(const mig_step *step, mig_work *w, mig_error *err) {
  bson_t validator, command = BSON_INITIALIZER;
  mig_step_doc(step, "validator", &validator);
  if (w->caps->has[MIG_CAP_COLLMOD] == MIG_NO) return refuse(step, w, "it has no collMod", err);
  if (w->caps->has[MIG_CAP_VALIDATOR] == MIG_NO) return refuse(step, w, "it does not check documents", err);
  BSON_APPEND_UTF8(&command, "collMod", mig_step_str(step, "collection"));
  BSON_APPEND_DOCUMENT(&command, "validator", &validator);
  BSON_APPEND_UTF8(&command, "validationLevel", level_of(step));
  BSON_APPEND_UTF8(&command, "validationAction", action_of(step));
  bool ok = mig_step_run_command(w, &command, err) && kept(step, w, &validator, err);
  bson_destroy(&command);
  return ok;
}

const mig_step_def mig_step_set_validator = {
    .name = "setValidator",
    .help = "sets the rule that the documents of a collection must obey",
    .args = args,
    .check = check,
    .touch = MIG_TOUCH_METADATA,
    .guards = guards,
    .run = run,
    .example = "{\"setValidator\": {\"collection\": \"users\", \"level\": \"moderate\",\n"
               "  \"validator\": {\"$jsonSchema\": {\"required\": [\"email\"],\n"
               "    \"properties\": {\"email\": {\"bsonType\": \"string\"}}}}}}",
};
