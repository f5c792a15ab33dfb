/* What collStats tells of a collection. */
#include <string.h>

#include "base/db_internal.h"

/* *told false, with the server's code: views, and servers or users without collStats. reply is initialised in any case.
 */
static bool ask(mig_db *db, const char *collection, bson_t *reply, bool *told, mig_error *refused, mig_error *err) {
  bson_t command = BSON_INITIALIZER;
  memset(refused, 0, sizeof *refused);
  BSON_APPEND_UTF8(&command, "collStats", collection);
  *told = mig_db_command_outside(db, MIG_READ, &command, reply, refused);
  bson_destroy(&command);
  if (*told || !(mig_db_passing(refused) || refused->code == MIG_E_NO_MEMORY)) return true;
  if (err) *err = *refused;
  return false;
}

bool mig_db_stats(mig_db *db, const char *collection, int64_t *documents, int64_t *raw_bytes, mig_error *err) {
  bson_t reply;
  mig_error refused;
  bool told = false;
  *documents = *raw_bytes = 0;
  bool ok = ask(db, collection, &reply, &told, &refused, err);
  if (told) {
    mig_bson_int(&reply, "count", documents);
    mig_bson_int(&reply, "size", raw_bytes);
  }
  bson_destroy(&reply);
  return ok && (told || mig_db_count(db, collection, NULL, documents, err));
}

bool mig_db_hello_of_mongos(const bson_t *hello) {
  const char *msg = NULL;
  return mig_bson_str(hello, "msg", &msg) && strcmp(msg, "isdbgrid") == 0;
}

bool mig_db_sharded(mig_db *db, const char *collection, bool *sharded, mig_error *err) {
  bson_t reply;
  mig_error refused;
  bool told = false;
  *sharded = false;
  bool ok = ask(db, collection, &reply, &told, &refused, err);
  if (told) mig_bson_bool(&reply, "sharded", sharded);
  bson_destroy(&reply);
  const bool none =
      refused.server_code == MIG_SERVER_NO_NAMESPACE || refused.server_code == MIG_SERVER_IS_VIEW; /* nor sharded */
  if (!ok || told || none || !mig_db_hello_of_mongos(mig_db_hello(db))) return ok;
  mig_fail(err, MIG_E_SERVER, "%s does not say whether %s is sharded", db->label, collection);
  mig_why(err, "%s", refused.what);
  return mig_hint(err, "give this user the privilege collStats (in readWrite, read and dbAdmin)");
}
