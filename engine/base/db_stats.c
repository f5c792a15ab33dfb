/* What collStats tells of a collection. */
#include "base/db_internal.h"

/* *told false: views, and servers or users without collStats. reply is initialised in any case. */
static bool ask(mig_db *db, const char *collection, bson_t *reply, bool *told, mig_error *err) {
  bson_t command = BSON_INITIALIZER;
  mig_error local = {0};
  BSON_APPEND_UTF8(&command, "collStats", collection);
  *told = mig_db_command_outside(db, MIG_READ, &command, reply, &local);
  bson_destroy(&command);
  if (*told || !local.network) return true;
  if (err) *err = local;
  return false;
}

bool mig_db_stats(mig_db *db, const char *collection, int64_t *documents, int64_t *raw_bytes, mig_error *err) {
  bson_t reply;
  bool told = false;
  *documents = *raw_bytes = 0;
  bool ok = ask(db, collection, &reply, &told, err);
  if (told) {
    mig_bson_int(&reply, "count", documents);
    mig_bson_int(&reply, "size", raw_bytes);
  }
  bson_destroy(&reply);
  return ok && (told || mig_db_count(db, collection, NULL, documents, err));
}

bool mig_db_sharded(mig_db *db, const char *collection, bool *sharded, mig_error *err) {
  bson_t reply;
  bool told = false;
  *sharded = false;
  const bool ok = ask(db, collection, &reply, &told, err);
  if (told) mig_bson_bool(&reply, "sharded", sharded);
  bson_destroy(&reply);
  return ok;
}
