#include "migrations/steps/command_rules.h"

#include <string.h>

#include "base/names.h"
#include "base/removal.h"

#define WRITES "it changes more than collections of this database, which no snapshot could put back"
#define OURS   "transactions and sessions are mig's own business"
#define SERVER "it concerns the server, not the data: a snapshot could not undo it"
#define USERS  "users and roles are in no snapshot and could not be put back"
#define SHARDS "it moves data between shards, which a snapshot could not undo"

static const mig_command_rule rules[] = {
    {"insert", MIG_COMMAND_ONE, MIG_TOUCH_DOCUMENTS, true, NULL},
    {"update", MIG_COMMAND_ONE, MIG_TOUCH_DOCUMENTS, true, NULL},
    {"delete", MIG_COMMAND_ONE, MIG_TOUCH_DOCUMENTS, true, NULL},
    {"findAndModify", MIG_COMMAND_ONE, MIG_TOUCH_DOCUMENTS, true, NULL},
    {"findandmodify", MIG_COMMAND_ONE, MIG_TOUCH_DOCUMENTS, true, NULL},
    {"create", MIG_COMMAND_ONE, MIG_TOUCH_DROP, false, NULL},
    {"drop", MIG_COMMAND_ONE, MIG_TOUCH_DROP, false, NULL},
    {"collMod", MIG_COMMAND_ONE, MIG_TOUCH_METADATA, false, NULL},
    {"createIndexes", MIG_COMMAND_ONE, MIG_TOUCH_METADATA, false, NULL},
    {"dropIndexes", MIG_COMMAND_ONE, MIG_TOUCH_METADATA, false, NULL},
    {"deleteIndexes", MIG_COMMAND_ONE, MIG_TOUCH_METADATA, false, NULL},
    {"reIndex", MIG_COMMAND_ONE, MIG_TOUCH_METADATA, false, NULL},
    {"compact", MIG_COMMAND_ONE, MIG_TOUCH_METADATA, false, NULL},
    {"convertToCapped", MIG_COMMAND_ONE, MIG_TOUCH_DROP, false, NULL},
    {"find", MIG_COMMAND_ONE, MIG_TOUCH_READ, true, NULL},
    {"count", MIG_COMMAND_ONE, MIG_TOUCH_READ, false, NULL},
    {"distinct", MIG_COMMAND_ONE, MIG_TOUCH_READ, true, NULL},
    {"aggregate", MIG_COMMAND_AGGREGATE, MIG_TOUCH_READ, true, NULL},
    {"mapReduce", MIG_COMMAND_MAP_REDUCE, MIG_TOUCH_READ, false, NULL},
    {"mapreduce", MIG_COMMAND_MAP_REDUCE, MIG_TOUCH_READ, false, NULL},
    {"dropDatabase", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false,
     "it would drop mig's own ledger too; use dropCollection for each collection"},
    {"renameCollection", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false,
     "it runs on the admin database; use the step renameCollection"},
    {"bulkWrite", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false,
     "it runs on the admin database; use insert, update and delete"},
    {"cloneCollectionAsCapped", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false,
     "it names its target apart; use createCollection and aggregate with $out"},
    {"clone", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, WRITES},
    {"copydb", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, WRITES},
    {"cloneCollection", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, WRITES},
    {"applyOps", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, WRITES},
    {"eval", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, WRITES},
    {"startTransaction", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, OURS},
    {"commitTransaction", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, OURS},
    {"abortTransaction", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, OURS},
    {"startSession", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, OURS},
    {"endSessions", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, OURS},
    {"killSessions", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, OURS},
    {"killAllSessions", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, OURS},
    {"refreshSessions", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, OURS},
    {"getMore", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, OURS},
    {"killCursors", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, OURS},
    {"shutdown", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, SERVER},
    {"fsync", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, SERVER},
    {"fsyncUnlock", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, SERVER},
    {"killOp", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, SERVER},
    {"setParameter", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, SERVER},
    {"profile", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, SERVER},
    {"setFeatureCompatibilityVersion", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, SERVER},
    {"setDefaultRWConcern", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, SERVER},
    {"replSetInitiate", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, SERVER},
    {"replSetReconfig", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, SERVER},
    {"replSetStepDown", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, SERVER},
    {"repairDatabase", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, SERVER},
    {"createUser", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, USERS},
    {"updateUser", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, USERS},
    {"dropUser", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, USERS},
    {"dropAllUsersFromDatabase", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, USERS},
    {"grantRolesToUser", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, USERS},
    {"revokeRolesFromUser", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, USERS},
    {"createRole", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, USERS},
    {"updateRole", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, USERS},
    {"dropRole", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, USERS},
    {"dropAllRolesFromDatabase", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, USERS},
    {"grantPrivilegesToRole", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, USERS},
    {"revokePrivilegesFromRole", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, USERS},
    {"grantRolesToRole", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, USERS},
    {"revokeRolesFromRole", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, USERS},
    {"enableSharding", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, SHARDS},
    {"shardCollection", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, SHARDS},
    {"reshardCollection", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, SHARDS},
    {"refineCollectionShardKey", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, SHARDS},
    {"moveChunk", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, SHARDS},
    {"movePrimary", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, SHARDS},
    {"split", MIG_COMMAND_REFUSED, MIG_TOUCH_DROP, false, SHARDS},
};

const mig_command_rule *mig_command_rule_find(const char *name) {
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
    if (strcmp(rules[i].name, name) == 0) return &rules[i];
  return NULL;
}

/* What is not known to leave documents alone (expireAfterSeconds, cappedSize, cappedMax, what is still to come) may
 * not.
 */
static bool changes_more(const bson_t *coll_mod) {
  static const char *const harmless[] = {"collMod",
                                         "index",
                                         "validator",
                                         "validationLevel",
                                         "validationAction",
                                         "viewOn",
                                         "pipeline",
                                         "recordPreImages",
                                         "changeStreamPreAndPostImages",
                                         "dryRun",
                                         "comment",
                                         "maxTimeMS",
                                         NULL};
  bson_iter_t it;
  if (mig_bson_find(coll_mod, "index.expireAfterSeconds", &it)) return true;
  if (!bson_iter_init(&it, coll_mod)) return false;
  while (bson_iter_next(&it)) {
    const char *const *h = harmless;
    while (*h && strcmp(*h, bson_iter_key(&it)) != 0) h++;
    if (!*h) return true;
  }
  return false;
}

bool mig_command_removes(const bson_t *command) {
  bson_iter_t first;
  bson_t specs;
  if (!bson_iter_init(&first, command) || !bson_iter_next(&first)) return false;
  if (strcmp(bson_iter_key(&first), "createIndexes") == 0)
    return mig_bson_arr(command, "indexes", &specs) && mig_removal_any_expires(&specs);
  return strcmp(bson_iter_key(&first), "collMod") == 0 && changes_more(command);
}

const char *mig_command_refused_key(const char *key) {
  if (key[0] == '$') return "names with $ steer the connection or name another database";
  if (strcmp(key, "writeConcern") == 0)
    return "mig writes with the majority's acknowledgement; less could be lost without a word";
  return mig_name_steers_command(key) ? OURS : NULL;
}
