/* What a server or the driver says, turned into our errors. */
#include <stdio.h>
#include <string.h>

#include "base/db_internal.h"

void mig_db_describe(const mig_db *db, const bson_t *command, char *text, size_t size) {
  bson_iter_t it;
  if (!bson_iter_init(&it, command) || !bson_iter_next(&it)) {
    snprintf(text, size, "command");
    return;
  }
  const char *verb = bson_iter_key(&it);
  const char *target = BSON_ITER_HOLDS_UTF8(&it) ? bson_iter_utf8(&it, NULL) : NULL;
  if (!target)
    snprintf(text, size, "%s on %s", verb, db->name);
  else if (strcmp(verb, "renameCollection") == 0)
    snprintf(text, size, "%s %s", verb, target);
  else
    snprintf(text, size, "%s %s.%s", verb, db->name, target);
}

static void add_hint(mig_error *err, const mig_db *db, const bson_error_t *error) {
  if (error->domain == MONGOC_ERROR_SERVER_SELECTION)
    mig_hint(err, "is the server at %s running and reachable? check --uri or MIG_URI", db->label);
  else if (error->domain == MONGOC_ERROR_CLIENT && error->code == MONGOC_ERROR_CLIENT_AUTHENTICATE)
    mig_hint(err, "check user, password and authSource in the connection string");
  else if (err->server_code == 13 || err->server_code == 8000 || strcasestr(error->message, "not authorized") ||
           strcasestr(error->message, "permission denied"))
    mig_hint(err, "give this user the readWrite role (and dbAdmin for indexes and validators) on %s", db->name);
  else if (err->server_code == 18)
    mig_hint(err, "check user, password and authSource in the connection string");
  else if (err->network)
    mig_hint(err, "the connection broke: `mig status` tells where things stand");
}

bool mig_db_error(mig_error *err, const mig_db *db, const char *command, const bson_error_t *error,
                  const bson_t *reply) {
  bool network = error->domain == MONGOC_ERROR_STREAM || error->domain == MONGOC_ERROR_SERVER_SELECTION ||
                 error->domain == MONGOC_ERROR_PROTOCOL;
  mig_fail(err, network ? MIG_E_NETWORK : MIG_E_SERVER, "%s failed", command);
  if (!err) return false;
  mig_why(err, "%s", error->message[0] ? error->message : "no reason was given");
  err->network = network;
  if (error->domain == MONGOC_ERROR_SERVER || error->domain == MONGOC_ERROR_WRITE_CONCERN ||
      error->domain == MONGOC_ERROR_QUERY || error->domain == MONGOC_ERROR_COMMAND)
    err->server_code = (int32_t)error->code;
  int64_t code = 0;
  if (reply && mig_bson_int(reply, "code", &code)) err->server_code = (int32_t)code;
  if (reply) {
    err->transient = mongoc_error_has_label(reply, "TransientTransactionError");
    err->unknown_commit = mongoc_error_has_label(reply, "UnknownTransactionCommitResult");
  }
  if (err->server_code) {
    char with_code[sizeof err->why];
    snprintf(with_code, sizeof with_code, "%.*s (code %d)", (int)sizeof with_code - 24, err->why, err->server_code);
    mig_why(err, "%s", with_code);
  }
  add_hint(err, db, error);
  return false;
}

bool mig_db_passing(const mig_error *err) {
  static const int32_t codes[] = {
      6,     /* HostUnreachable */
      7,     /* HostNotFound */
      50,    /* MaxTimeMSExpired */
      89,    /* NetworkTimeout */
      91,    /* ShutdownInProgress */
      133,   /* FailedToSatisfyReadPreference: of a mongos, whose shard has no primary */
      134,   /* ReadConcernMajorityNotAvailableYet */
      189,   /* PrimarySteppedDown */
      262,   /* ExceededTimeLimit */
      9001,  /* SocketException */
      10107, /* NotWritablePrimary */
      11600, /* InterruptedAtShutdown */
      11601, /* Interrupted */
      11602, /* InterruptedDueToReplStateChange */
      13435, /* NotPrimaryNoSecondaryOk */
      13436, /* NotPrimaryOrSecondary */
  };
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
    if (err->server_code == codes[i]) return true;
  return err->network;
}

static bool fail_from(mig_error *err, const mig_db *db, const char *command, const char *kind, const bson_t *detail,
                      const bson_t *reply) {
  bson_error_t error;
  int64_t code = 0;
  const char *message = "no reason was given";
  mig_bson_int(detail, "code", &code);
  mig_bson_str(detail, "errmsg", &message);
  bson_set_error(&error, MONGOC_ERROR_SERVER, (uint32_t)code, "%s: %s", kind, message);
  return mig_db_error(err, db, command, &error, reply);
}

bool mig_db_check_reply(mig_error *err, const mig_db *db, const char *command, const bson_t *reply) {
  static const char *const arrays[] = {"writeErrors", "writeConcernErrors", NULL};
  for (const char *const *name = arrays; *name; name++) {
    bson_t list, first;
    bson_iter_t it;
    if (!mig_bson_arr(reply, *name, &list) || !bson_iter_init(&it, &list) || !bson_iter_next(&it)) continue;
    if (!mig_bson_iter_doc(&it, &first)) return mig_fail(err, MIG_E_SERVER, "%s: a reply that makes no sense", command);
    return fail_from(err, db, command, name == arrays ? "write error" : "write concern error", &first, reply);
  }
  bson_t concern;
  if (mig_bson_doc(reply, "writeConcernError", &concern))
    return fail_from(err, db, command, "write concern error", &concern, reply);
  bson_iter_t it;
  if (mig_bson_find(reply, "ok", &it)) {
    double ok = BSON_ITER_HOLDS_BOOL(&it) ? bson_iter_bool(&it) : bson_iter_as_int64(&it) == 1;
    if (ok < 1) return fail_from(err, db, command, "the server", reply, reply);
  }
  return true;
}
