/* Transactions, and the session they run in. */
#include <string.h>

#include "base/db_internal.h"

/* One session for all transactions of a handle: beginning the next one ends, on the server, what is left of the last.
 */
static bool need_session(mig_db *db, mig_error *err) {
  bson_error_t error = {0};
  if (db->session) return true;
  mongoc_session_opt_t *opts = mongoc_session_opts_new();
  mongoc_session_opts_set_causal_consistency(opts, false);
  db->session = mongoc_client_start_session(db->client, opts, &error);
  mongoc_session_opts_destroy(opts);
  return db->session || mig_db_error(err, db, "start session", &error, NULL);
}

bool mig_db_session(mig_db *db, uint8_t id[static MIG_SESSION_BYTES], mig_error *err) {
  bson_iter_t it;
  bson_subtype_t subtype;
  uint32_t size = 0;
  const uint8_t *data = NULL;
  if (!need_session(db, err)) return false;
  if (mig_bson_find(mongoc_client_session_get_lsid(db->session), "id", &it) && BSON_ITER_HOLDS_BINARY(&it))
    bson_iter_binary(&it, &subtype, &size, &data);
  if (size != MIG_SESSION_BYTES) return mig_fail(err, MIG_E_FAILED, "the driver's session has no id");
  memcpy(id, data, MIG_SESSION_BYTES);
  return true;
}

bool mig_db_kill_session(mig_db *db, const uint8_t id[static MIG_SESSION_BYTES], mig_error *err) {
  bson_t *command =
      BCON_NEW("killSessions", "[", "{", "id", BCON_BIN(BSON_SUBTYPE_UUID, id, MIG_SESSION_BYTES), "}", "]");
  bool ok = mig_db_admin(db, command, NULL, err);
  bson_destroy(command);
  return ok;
}

void mig_db_session_end(mig_db *db) {
  mig_db_abort(db);
  if (db->session) mongoc_client_session_destroy(db->session);
  db->session = NULL;
}

bool mig_db_begin(mig_db *db, mig_error *err) {
  bson_error_t error = {0};
  if (!need_session(db, err)) return false;
  mongoc_transaction_opt_t *opts = mongoc_transaction_opts_new();
  mongoc_read_concern_t *read = mongoc_read_concern_new();
  mongoc_write_concern_t *write = mongoc_write_concern_new();
  mongoc_read_concern_set_level(read, MONGOC_READ_CONCERN_LEVEL_SNAPSHOT);
  mongoc_write_concern_set_wmajority(write, MIG_WTIMEOUT_MS);
  mongoc_transaction_opts_set_read_concern(opts, read);
  mongoc_transaction_opts_set_write_concern(opts, write);
  bool ok = mongoc_client_session_start_transaction(db->session, opts, &error);
  mongoc_write_concern_destroy(write);
  mongoc_read_concern_destroy(read);
  mongoc_transaction_opts_destroy(opts);
  if (!ok) return mig_db_error(err, db, "start transaction", &error, NULL);
  db->txn = db->session;
  return true;
}

bool mig_db_commit(mig_db *db, mig_error *err) {
  if (!db->txn) return mig_fail(err, MIG_E_FAILED, "there is no transaction to commit");
  bson_error_t error = {0};
  bson_t reply;
  bool ok = mongoc_client_session_commit_transaction(db->txn, &reply, &error);
  if (!ok)
    mig_db_error(err, db, "commitTransaction", &error, &reply);
  else if (!mig_db_check_reply(err, db, "commitTransaction", &reply))
    ok = false;
  bson_destroy(&reply);
  if (ok) db->txn = NULL;
  return ok;
}

void mig_db_abort(mig_db *db) {
  if (!db->txn) return;
  if (mongoc_client_session_in_transaction(db->txn)) mongoc_client_session_abort_transaction(db->txn, NULL);
  db->txn = NULL;
}

bool mig_db_in_transaction(const mig_db *db) {
  return db->txn != NULL;
}
