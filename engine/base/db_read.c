/* Cursors, bulk inserts, snapshot reads, and what the server knows about collections. */
#include <stdio.h>
#include <string.h>

#include "base/db_internal.h"
#include "base/names.h"

#define SNAPSHOT_WAIT_MS 10000

struct mig_cursor {
  mongoc_cursor_t *inner;
  mig_db *db;
  bool skip_system; /* listCollections: the server's own are none of ours */
  char what[400];
};

static const char *verb_of(const bson_t *command) {
  bson_iter_t it;
  return bson_iter_init(&it, command) && bson_iter_next(&it) ? bson_iter_key(&it) : "";
}

/* Appends the read concern of the snapshot, if one is on; the first read finds the time, not before what the primary
 * has acknowledged; the others use it. */
static bson_t *with_snapshot(const mig_db *db, const bson_t *command) {
  bson_t *copy = bson_copy(command), concern;
  BSON_APPEND_DOCUMENT_BEGIN(copy, "readConcern", &concern);
  BSON_APPEND_UTF8(&concern, "level", "snapshot");
  if (db->snapshot_seconds)
    BSON_APPEND_TIMESTAMP(&concern, "atClusterTime", db->snapshot_seconds, db->snapshot_increment);
  else if (db->after_seconds)
    BSON_APPEND_TIMESTAMP(&concern, "afterClusterTime", db->after_seconds, db->after_increment);
  bson_append_document_end(copy, &concern);
  return copy;
}

static void keep_cluster_time(mig_db *db, const bson_t *reply) {
  bson_iter_t it;
  if (db->snapshot_seconds) return;
  if (!mig_bson_find(reply, "cursor.atClusterTime", &it) && !mig_bson_find(reply, "atClusterTime", &it)) return;
  if (BSON_ITER_HOLDS_TIMESTAMP(&it)) bson_iter_timestamp(&it, &db->snapshot_seconds, &db->snapshot_increment);
}

static uint32_t primary_id(mig_db *db, mongoc_client_session_t *session) {
  if (session && mongoc_client_session_get_server_id(session)) return mongoc_client_session_get_server_id(session);
  mongoc_server_description_t *server = mongoc_client_select_server(db->client, true, NULL, NULL);
  uint32_t id = server ? mongoc_server_description_id(server) : 0;
  mongoc_server_description_destroy(server);
  return id;
}

/* The cursor lives on one server (a mongos, say): its getMore must go there. */
static mongoc_cursor_t *cursor_of(mig_db *db, bson_t *reply, mongoc_client_session_t *session, uint32_t server_id,
                                  const bson_t *command) {
  bson_t opts = BSON_INITIALIZER;
  int64_t batch = 0;
  if (session) mongoc_client_session_append(session, &opts, NULL);
  if (server_id) BSON_APPEND_INT32(&opts, "serverId", (int32_t)server_id);
  if (mig_bson_int(command, "batchSize", &batch) || mig_bson_int(command, "cursor.batchSize", &batch))
    BSON_APPEND_INT64(&opts, "batchSize", batch);
  mongoc_cursor_t *cursor = mongoc_cursor_new_from_command_reply_with_opts(db->client, reply, &opts);
  bson_destroy(&opts);
  return cursor;
}

bool mig_db_query(mig_db *db, const bson_t *command, mig_cursor **out, mig_error *err) {
  *out = NULL;
  const char *verb = verb_of(command);
  bool listing = strncmp(verb, "list", 4) == 0; /* not allowed in a transaction; part of no snapshot */
  mongoc_client_session_t *session = listing ? NULL : db->txn ? db->txn : db->snapshot;
  bool in_snapshot = session && session == db->snapshot;
  mig_cursor *c = mig_alloc(sizeof *c);
  if (!c) return mig_no_memory(err, "cursor");
  c->db = db;
  mig_db_describe(db, command, c->what, sizeof c->what);
  uint32_t server_id = primary_id(db, session);
  bson_t reply;
  bson_t *own = in_snapshot ? with_snapshot(db, command) : NULL;
  bool ok = mig_db_run(db, db->name, false, session, server_id, own ? own : command, &reply, err);
  if (own) bson_destroy(own);
  if (!ok) {
    bson_destroy(&reply);
    mig_free(c);
    return false;
  }
  if (in_snapshot) keep_cluster_time(db, &reply);
  c->inner = cursor_of(db, &reply, session, server_id, command); /* takes reply over */
  bson_error_t error;
  if (mongoc_cursor_error(c->inner, &error)) {
    mig_db_error(err, db, c->what, &error, NULL);
    mig_cursor_close(c);
    return false;
  }
  *out = c;
  return true;
}

mig_next mig_cursor_next(mig_cursor *c, const bson_t **doc, mig_error *err) {
  while (mongoc_cursor_next(c->inner, doc)) {
    const char *name = NULL;
    if (c->skip_system && mig_bson_str(*doc, "name", &name) && strncmp(name, "system.", 7) == 0) continue;
    return MIG_NEXT_DOC;
  }
  *doc = NULL;
  bson_error_t error;
  const bson_t *reply = NULL;
  if (!mongoc_cursor_error_document(c->inner, &error, &reply)) return MIG_NEXT_END;
  mig_db_error(err, c->db, c->what, &error, reply);
  return MIG_NEXT_ERROR;
}

void mig_cursor_close(mig_cursor *c) {
  if (!c) return;
  if (c->inner) mongoc_cursor_destroy(c->inner);
  mig_free(c);
}

bool mig_db_first(mig_db *db, const bson_t *command, bson_t *doc, bool *found, mig_error *err) {
  mig_cursor *c = NULL;
  const bson_t *first = NULL;
  bson_init(doc);
  *found = false;
  if (!mig_db_query(db, command, &c, err)) return false;
  mig_next next = mig_cursor_next(c, &first, err);
  if (next == MIG_NEXT_DOC) {
    bson_destroy(doc);
    bson_copy_to(first, doc);
    *found = true;
  }
  mig_cursor_close(c);
  return next != MIG_NEXT_ERROR;
}

bool mig_db_insert(mig_db *db, const mig_insert *what, mig_error *err) {
  if (what->count == 0) return true;
  bson_error_t error = {0};
  bson_t opts = BSON_INITIALIZER, reply;
  char text[400];
  snprintf(text, sizeof text, "insert %s.%s", db->name, what->collection);
  BSON_APPEND_BOOL(&opts, "validate", false);
  BSON_APPEND_BOOL(&opts, "ordered", false);
  if (what->bypass_validation) BSON_APPEND_BOOL(&opts, "bypassDocumentValidation", true);
  if (db->session) mongoc_client_session_append(db->session, &opts, NULL); /* in the transaction, if one is open */
  mongoc_collection_t *collection = mongoc_client_get_collection(db->client, db->name, what->collection);
  mongoc_write_concern_t *concern = mongoc_write_concern_new();
  mongoc_write_concern_set_wmajority(concern, MIG_WTIMEOUT_MS);
  if (!db->txn) mongoc_write_concern_append(concern, &opts);
  bool ok = mongoc_collection_insert_many(collection, (const bson_t **)(uintptr_t)what->documents, what->count, &opts,
                                          &reply, &error);
  mongoc_write_concern_destroy(concern);
  mongoc_collection_destroy(collection);
  bson_destroy(&opts);
  int64_t inserted = 0;
  if (!ok)
    mig_db_error(err, db, text, &error, &reply);
  else if (!mig_db_check_reply(err, db, text, &reply))
    ok = false;
  else if (!mig_bson_int(&reply, "insertedCount", &inserted) || inserted != (int64_t)what->count) {
    ok = mig_fail(err, MIG_E_SERVER, "%s: %zu documents were sent, the server took %lld", text, what->count,
                  (long long)inserted);
  }
  bson_destroy(&reply);
  return ok;
}

static bool open_snapshot(mig_db *db, mig_error *err) {
  bson_error_t error = {0};
  mongoc_session_opt_t *opts = mongoc_session_opts_new();
  mongoc_session_opts_set_causal_consistency(opts, false); /* the times are ours to say */
  mig_db_snapshot_end(db);
  db->snapshot = mongoc_client_start_session(db->client, opts, &error);
  mongoc_session_opts_destroy(opts);
  return db->snapshot ? true : mig_db_error(err, db, "start session", &error, NULL);
}

/* The time of the primary's last write, whoever has acknowledged it; none where there is no replica set. */
static bool ask_time(mig_db *db, mig_error *err) {
  bson_t ping = BSON_INITIALIZER, reply;
  bson_iter_t it;
  BSON_APPEND_INT32(&ping, "ping", 1);
  const bool ok = mig_db_run(db, db->name, false, NULL, 0, &ping, &reply, err);
  if (ok && mig_bson_find(&reply, "operationTime", &it) && BSON_ITER_HOLDS_TIMESTAMP(&it))
    bson_iter_timestamp(&it, &db->after_seconds, &db->after_increment);
  bson_destroy(&reply);
  bson_destroy(&ping);
  return ok;
}

/* A snapshot read is of what the majority has, which may be long behind: it must wait for what was acknowledged. Not
 * for ever, where the majority is away. */
static bool find_time(mig_db *db, mig_error *err) {
  bson_t *find = BCON_NEW("find", BCON_UTF8(MIG_LEDGER), "limit", BCON_INT32(1), "singleBatch", BCON_BOOL(true),
                          "maxTimeMS", BCON_INT32(SNAPSHOT_WAIT_MS)),
         *asked = with_snapshot(db, find);
  bson_t reply;
  const bool ok = mig_db_run(db, db->name, false, db->snapshot, primary_id(db, db->snapshot), asked, &reply, err);
  if (ok) keep_cluster_time(db, &reply);
  bson_destroy(&reply);
  bson_destroy(asked);
  bson_destroy(find);
  return ok;
}

bool mig_db_snapshot_begin(mig_db *db, mig_error *err) {
  if (open_snapshot(db, err) && ask_time(db, err) && (!db->after_seconds || find_time(db, err))) return true;
  mig_db_snapshot_end(db);
  return false;
}

bool mig_db_snapshot_join(mig_db *db, const mig_db *with, mig_error *err) {
  if (!open_snapshot(db, err)) return false;
  return mig_db_snapshot_time(with, &db->snapshot_seconds, &db->snapshot_increment) ||
         mig_fail(err, MIG_E_SERVER, "%s does not say at which time it read", db->label);
}

bool mig_db_snapshot_time(const mig_db *db, uint32_t *seconds, uint32_t *increment) {
  *seconds = db->snapshot_seconds;
  *increment = db->snapshot_increment;
  return db->snapshot_seconds != 0;
}

void mig_db_snapshot_end(mig_db *db) {
  if (db->snapshot) mongoc_client_session_destroy(db->snapshot);
  db->snapshot = NULL;
  db->snapshot_seconds = db->snapshot_increment = db->after_seconds = db->after_increment = 0;
}

bool mig_db_collections(mig_db *db, const bson_t *filter, mig_cursor **out, mig_error *err) {
  bson_t command = BSON_INITIALIZER;
  BSON_APPEND_INT32(&command, "listCollections", 1);
  if (filter) BSON_APPEND_DOCUMENT(&command, "filter", filter);
  bool ok = mig_db_query(db, &command, out, err);
  if (ok) (*out)->skip_system = true;
  bson_destroy(&command);
  return ok;
}

bool mig_db_collection_info(mig_db *db, const char *collection, bson_t *entry, bool *found, mig_error *err) {
  mig_cursor *c = NULL;
  const bson_t *doc = NULL;
  bson_t filter = BSON_INITIALIZER;
  mig_next next = MIG_NEXT_ERROR;
  bson_init(entry);
  *found = false;
  BSON_APPEND_UTF8(&filter, "name", collection);
  if (mig_db_collections(db, &filter, &c, err)) {
    while ((next = mig_cursor_next(c, &doc, err)) == MIG_NEXT_DOC && !*found) {
      const char *name = NULL;
      if (!mig_bson_str(doc, "name", &name) || strcmp(name, collection) != 0) continue; /* a filter may be ignored */
      bson_destroy(entry);
      bson_copy_to(doc, entry);
      *found = true;
    }
  }
  mig_cursor_close(c);
  bson_destroy(&filter);
  return next != MIG_NEXT_ERROR;
}

bool mig_db_has_collection(mig_db *db, const char *collection, bool *found, mig_error *err) {
  bson_t entry;
  const bool ok = mig_db_collection_info(db, collection, &entry, found, err);
  bson_destroy(&entry);
  return ok;
}

bool mig_db_has_option(mig_db *db, const char *collection, const char *path, bool *has, mig_error *err) {
  bson_t entry;
  bson_iter_t it;
  bool found = false;
  const bool ok = mig_db_collection_info(db, collection, &entry, &found, err);
  *has = ok && found && mig_bson_find(&entry, path, &it);
  bson_destroy(&entry);
  return ok;
}

bool mig_db_count(mig_db *db, const char *collection, const bson_t *filter, int64_t *out, mig_error *err) {
  bson_t command = BSON_INITIALIZER, pipeline, stage, cursor, doc;
  bool found = false;
  *out = 0;
  BSON_APPEND_UTF8(&command, "aggregate", collection);
  BSON_APPEND_ARRAY_BEGIN(&command, "pipeline", &pipeline);
  if (filter && bson_count_keys(filter) > 0) {
    BSON_APPEND_DOCUMENT_BEGIN(&pipeline, "0", &stage);
    BSON_APPEND_DOCUMENT(&stage, "$match", filter);
    bson_append_document_end(&pipeline, &stage);
  }
  BSON_APPEND_DOCUMENT_BEGIN(&pipeline, filter && bson_count_keys(filter) > 0 ? "1" : "0", &stage);
  BSON_APPEND_UTF8(&stage, "$count", "n");
  bson_append_document_end(&pipeline, &stage);
  bson_append_array_end(&command, &pipeline);
  BSON_APPEND_DOCUMENT_BEGIN(&command, "cursor", &cursor);
  bson_append_document_end(&command, &cursor);
  bool ok = mig_db_first(db, &command, &doc, &found, err);
  bson_destroy(&command);
  if (ok && found && !mig_bson_int(&doc, "n", out))
    ok = mig_fail(err, MIG_E_SERVER, "count of %s.%s: a reply that makes no sense", db->name, collection);
  bson_destroy(&doc);
  return ok;
}
