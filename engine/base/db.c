/* Opening and commands. Cursors are in db_read.c, transactions in db_txn.c, errors in db_error.c. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/db_internal.h"
#include "base/names.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* The driver would write to stderr: connection strings, and since 1.30, where MONGODB_LOG_ALL asks for it, commands. */
static void start_driver(void) {
  mongoc_log_set_handler(NULL, NULL);
  mongoc_init();
}

static void silence(mongoc_client_t *client) {
#if MONGOC_CHECK_VERSION(1, 30, 0)
  mongoc_structured_log_opts_t *opts = mongoc_structured_log_opts_new();
  mongoc_structured_log_opts_set_handler(opts, NULL, NULL);
  mongoc_client_set_structured_log_opts(client, opts);
  mongoc_structured_log_opts_destroy(opts);
#else
  (void)client;
#endif
}

static void default_int(mongoc_uri_t *uri, const char *option, int32_t asked, int32_t standard) {
  if (asked > 0)
    mongoc_uri_set_option_as_int32(uri, option, asked);
  else if (mongoc_uri_get_option_as_int32(uri, option, 0) <= 0)
    mongoc_uri_set_option_as_int32(uri, option, standard);
}

/* 0 is "never", which the driver would take for its own default of five minutes. */
static void socket_timeout(mongoc_uri_t *uri, int32_t asked) {
  if (asked <= 0 && mongoc_uri_has_option(uri, MONGOC_URI_SOCKETTIMEOUTMS))
    asked = mongoc_uri_get_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, INT32_MAX);
  default_int(uri, MONGOC_URI_SOCKETTIMEOUTMS, asked, (int32_t)mig_test_ms("MIG_TEST_SOCKET_MS", 600000));
}

/* Of the ledger, the lease and the data only the newest state counts, whatever the connection string asks for. */
static void read_the_newest(mongoc_uri_t *uri) {
  mongoc_read_prefs_t *primary = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);
  mongoc_read_concern_t *usual = mongoc_read_concern_new();
  mongoc_uri_set_read_prefs_t(uri, primary);
  mongoc_uri_set_read_concern(uri, usual);
  mongoc_read_concern_destroy(usual);
  mongoc_read_prefs_destroy(primary);
}

static bool parse_uri(const mig_db_options *o, mig_db *db, mig_error *err) {
  bson_error_t error = {0};
  if (!o->uri || !*o->uri) {
    mig_fail(err, MIG_E_USAGE, "no server was named");
    return mig_hint(err, "give --uri mongodb://HOST:PORT/DATABASE, or set MIG_URI, or \"uri\" in mig.json");
  }
  db->uri = mongoc_uri_new_with_error(o->uri, &error);
  if (!db->uri) {
    mig_fail(err, MIG_E_USAGE, "the connection string cannot be read");
    mig_why(err, "%s", strstr(o->uri, "@") ? "its form is wrong (not shown, it may hold a password)" : error.message);
    return mig_hint(err, "mongodb://HOST[:PORT][,HOST...]/DATABASE[?options]; a user and a password stand before "
                         "HOST as USER:PASSWORD@, their special characters percent-encoded");
  }
  const char *name = o->database && *o->database ? o->database : mongoc_uri_get_database(db->uri);
  if (!name || !*name) {
    mig_fail(err, MIG_E_USAGE, "no database was named");
    return mig_hint(err, "put it into the connection string (mongodb://HOST/DATABASE) or give --db NAME or MIG_DB");
  }
  if (!mig_name_database_ok(name, err)) return false;
  default_int(db->uri, MONGOC_URI_CONNECTTIMEOUTMS, o->connect_timeout_ms, 10000);
  default_int(db->uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, o->selection_timeout_ms, 15000);
  socket_timeout(db->uri, o->socket_timeout_ms);
  mongoc_uri_set_option_as_bool(db->uri, MONGOC_URI_SERVERSELECTIONTRYONCE, false);
  read_the_newest(db->uri);
  if (!mongoc_uri_get_appname(db->uri)) mongoc_uri_set_appname(db->uri, "mig");
  if (!o->retry_writes) mongoc_uri_set_option_as_bool(db->uri, MONGOC_URI_RETRYWRITES, false);
  const mongoc_host_list_t *host = mongoc_uri_get_hosts(db->uri);
  db->name = mig_strdup(name);
  db->label = mig_strdup_printf("%s/%s", host ? host->host_and_port : "srv", name);
  return (db->name && db->label) || mig_no_memory(err, "connection");
}

bool mig_db_uri_database(const char *uri, char **name, mig_error *err) {
  bson_error_t ignored;
  pthread_once(&once, start_driver);
  mongoc_uri_t *parsed = mongoc_uri_new_with_error(uri, &ignored);
  const char *found = parsed ? mongoc_uri_get_database(parsed) : NULL;
  const bool named = found && *found;
  *name = named ? mig_strdup(found) : NULL;
  if (parsed) mongoc_uri_destroy(parsed);
  return !named || *name || mig_no_memory(err, "connection");
}

static bool ask_hello(mig_db *db, bson_t *reply, mig_error *err) {
  bson_t hello = BSON_INITIALIZER;
  BSON_APPEND_INT32(&hello, "hello", 1);
  bool ok = mig_db_admin(db, &hello, reply, err);
  bson_destroy(&hello);
  if (ok || !err || err->server_code != 59) return ok;
  bson_destroy(reply); /* before 4.4.2 it had another name */
  bson_init(&hello);
  BSON_APPEND_INT32(&hello, "isMaster", 1);
  ok = mig_db_admin(db, &hello, reply, err);
  bson_destroy(&hello);
  return ok;
}

bool mig_db_server_now(mig_db *db, int64_t *unix_ms, mig_error *err) {
  int64_t now = mig_now_monotonic_ms();
  if (!db->clock_monotonic_ms || now - db->clock_monotonic_ms > 60000) {
    bson_t reply;
    int64_t server = 0;
    bool ok = ask_hello(db, &reply, err);
    if (ok && !mig_bson_date(&reply, "localTime", &server))
      ok = mig_fail(err, MIG_E_SERVER, "%s does not tell its time", db->label);
    if (ok) {
      db->clock_unix_ms = server;
      now = db->clock_monotonic_ms = mig_now_monotonic_ms();
    }
    bson_destroy(&reply);
    if (!ok) return false;
  }
  *unix_ms = db->clock_unix_ms + (now - db->clock_monotonic_ms);
  return true;
}

static bool connect_client(mig_db *db, mig_error *err) {
  bson_error_t error = {0};
  mongoc_client_t *client = mongoc_client_new_from_uri_with_error(db->uri, &error);
  if (!client) {
    mig_fail(err, MIG_E_USAGE, "cannot use the connection string for %s", db->label);
    return mig_why(err, "%s", error.message);
  }
  if (db->client) mongoc_client_destroy(db->client);
  db->client = client;
  silence(client);
  mongoc_client_set_error_api(db->client, MONGOC_ERROR_API_VERSION_2);
  bson_t reply;
  bool ok = ask_hello(db, &reply, err);
  if (ok) {
    if (db->hello) bson_destroy(db->hello);
    db->hello = bson_copy(&reply);
  } else {
    mig_fail_at(err, "cannot talk to %s", db->label);
  }
  bson_destroy(&reply);
  return ok;
}

bool mig_db_reconnect(mig_db *db, mig_error *err) {
  mig_db_session_end(db);
  mig_db_snapshot_end(db);
  db->clock_monotonic_ms = 0;
  return connect_client(db, err);
}

bool mig_db_open(const mig_db_options *options, mig_db **out, mig_error *err) {
  *out = NULL;
  pthread_once(&once, start_driver);
  mig_db *db = mig_alloc(sizeof *db);
  if (!db) return mig_no_memory(err, "connection");
  if (!parse_uri(options, db, err) || !connect_client(db, err)) {
    mig_db_close(db);
    return false;
  }
  *out = db;
  return true;
}

bool mig_db_again(const mig_db *like, const bool *retry_writes, mig_db **out, mig_error *err) {
  *out = NULL;
  mig_db *db = mig_alloc(sizeof *db);
  if (!db) return mig_no_memory(err, "connection");
  db->uri = mongoc_uri_copy(like->uri);
  db->name = mig_strdup(like->name);
  db->label = mig_strdup(like->label);
  bool ok = db->name && db->label ? true : mig_no_memory(err, "connection");
  if (ok && retry_writes) mongoc_uri_set_option_as_bool(db->uri, MONGOC_URI_RETRYWRITES, *retry_writes);
  ok = ok && connect_client(db, err);
  if (!ok)
    mig_db_close(db);
  else
    *out = db;
  return ok;
}

void mig_db_close(mig_db *db) {
  if (!db) return;
  mig_db_session_end(db);
  mig_db_snapshot_end(db);
  if (db->client) mongoc_client_destroy(db->client);
  if (db->uri) mongoc_uri_destroy(db->uri);
  if (db->hello) bson_destroy(db->hello);
  mig_free(db->name);
  mig_free(db->label);
  if (db->writer) bson_destroy(db->writer);
  mig_free(db);
}

const char *mig_db_name(const mig_db *db) {
  return db->name;
}

const char *mig_db_label(const mig_db *db) {
  return db->label;
}

const bson_t *mig_db_hello(const mig_db *db) {
  return db->hello;
}

static void append_majority(bson_t *opts) {
  bson_t concern;
  BSON_APPEND_DOCUMENT_BEGIN(opts, "writeConcern", &concern);
  BSON_APPEND_UTF8(&concern, "w", "majority");
  BSON_APPEND_INT32(&concern, "wtimeout", MIG_WTIMEOUT_MS);
  bson_append_document_end(opts, &concern);
}

bool mig_db_run(mig_db *db, const char *database, bool write, mongoc_client_session_t *session, uint32_t server_id,
                const bson_t *command, bson_t *reply, mig_error *err) {
  bson_error_t error = {0};
  bson_t opts = BSON_INITIALIZER, own;
  char text[400];
  mig_db_describe(db, command, text, sizeof text);
  if (!reply) reply = &own;
  bool ok = true;
  if (session && !mongoc_client_session_append(session, &opts, &error)) ok = false;
  if (server_id && !session) BSON_APPEND_INT32(&opts, "serverId", (int32_t)server_id);
  if (write && !(session && mongoc_client_session_in_transaction(session)) && !bson_has_field(command, "writeConcern"))
    append_majority(&opts);
  if (!ok)
    bson_init(reply);
  else if (write)
    ok = mongoc_client_write_command_with_opts(db->client, database, command, &opts, reply, &error);
  else
    ok = mongoc_client_read_command_with_opts(db->client, database, command, NULL, &opts, reply, &error);
  bson_destroy(&opts);
  ok = ok ? mig_db_check_reply(err, db, text, reply) : mig_db_error(err, db, text, &error, reply);
  if (reply == &own) bson_destroy(&own);
  return ok;
}

bool mig_db_command(mig_db *db, mig_access access, const bson_t *command, bson_t *reply, mig_error *err) {
  /* Writes outside transactions run in the session, too: killing it ends them on the server. */
  mongoc_client_session_t *session = db->txn || access == MIG_READ ? db->txn : db->session;
  return mig_db_run(db, db->name, access == MIG_WRITE, session, 0, command, reply, err);
}

bool mig_db_command_outside(mig_db *db, mig_access access, const bson_t *command, bson_t *reply, mig_error *err) {
  return mig_db_run(db, db->name, access == MIG_WRITE, NULL, 0, command, reply, err);
}

bool mig_db_admin(mig_db *db, const bson_t *command, bson_t *reply, mig_error *err) {
  bson_iter_t it;
  const bool write = bson_iter_init_find(&it, command, "renameCollection");
  /* in the session like all writes, but for transactions, where it is not legal */
  return mig_db_run(db, "admin", write, write && !db->txn ? db->session : NULL, 0, command, reply, err);
}

bool mig_db_update(mig_db *db, const mig_update *what, int64_t *matched, mig_error *err) {
  bson_t reply;
  bson_t *command =
      BCON_NEW("update", BCON_UTF8(what->collection), "updates", "[", "{", "q", BCON_DOCUMENT(what->query), "u",
               BCON_DOCUMENT(what->change), "upsert", BCON_BOOL(what->upsert), "}", "]");
  bool ok = what->outside ? mig_db_command_outside(db, MIG_WRITE, command, &reply, err)
                          : mig_db_command(db, MIG_WRITE, command, &reply, err);
  *matched = 0;
  if (ok && !mig_bson_int(&reply, "n", matched))
    ok = mig_fail(err, MIG_E_SERVER, "update %s: no count in the reply", what->collection);
  bson_destroy(&reply);
  bson_destroy(command);
  return ok;
}

bool mig_db_try_retryable(const mig_db *like, const char *collection, bool *once_only, mig_error *err) {
  /* Its own client: the transaction number used here must not come back to a session of ours. */
  const bool no = false;
  mig_db *db = NULL;
  bson_error_t error = {0};
  *once_only = false;
  if (!mig_db_again(like, &no, &db, err)) return false;
  mongoc_client_session_t *session = mongoc_client_start_session(db->client, NULL, &error);
  bool ok = session || mig_db_error(err, db, "start session", &error, NULL);
  for (int i = 0; ok && i < 2; i++) {
    bson_t *insert = BCON_NEW("insert", BCON_UTF8(collection), "documents", "[", "{", "retried", BCON_BOOL(true), "}",
                              "]", "txnNumber", BCON_INT64(1));
    ok = mig_db_run(db, db->name, true, session, 0, insert, NULL, err);
    bson_destroy(insert);
  }
  bson_t filter = BSON_INITIALIZER;
  BSON_APPEND_BOOL(&filter, "retried", true);
  int64_t n = 0;
  ok = ok && mig_db_count(db, collection, &filter, &n, err);
  *once_only = ok && n == 1;
  bson_destroy(&filter);
  if (session) mongoc_client_session_destroy(session);
  mig_db_close(db);
  return ok;
}
