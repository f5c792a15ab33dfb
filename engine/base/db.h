/*
 * db.h - the only way to a server: connection, commands, cursors, bulk writes, transactions
 *
 *     open --> command / find / insert ... [begin ... commit | abort] --> close
 *
 * While a transaction is open on a mig_db, every command through it is part of that transaction; steps and guards
 * need not know. Outside one, writes are acknowledged by the majority.
 * Errors: a reply with ok:0, writeErrors or a write-concern error is a failure, however friendly the rest looks.
 * MIG_E_SERVER carries server_code and labels; MIG_E_NETWORK means nobody knows whether it took effect.
 * Nothing waits for ever: connect 10 s, server selection 15 s, socket 10 min (mig_db_options changes them). Indexes
 * take longer: mig_create_indexes (work.h).
 * Threads: one mig_db, one thread. Another thread opens its own with mig_db_again().
 * Secrets: the URI is held inside and never comes out but through mig_db_label(), which has no user part.
 * Trust: replies are untrusted; read them with bsonx.h.
 */
#ifndef MIG_BASE_DB_H
#define MIG_BASE_DB_H

#include "base/bsonx.h"
#include "base/observer.h"

typedef struct mig_db mig_db;
typedef struct mig_cursor mig_cursor;

typedef struct mig_db_options {
  const char *uri;      /* NULL: mongodb://127.0.0.1:27017 is NOT assumed; it is an error */
  const char *database; /* NULL: the one in the URI; none at all is an error */
  bool retry_writes;    /* only where the server really applies a repeated write once (see caps.h) */
  int32_t connect_timeout_ms, selection_timeout_ms, socket_timeout_ms; /* 0: the defaults above */
} mig_db_options;

/* The database in a connection string: NULL when it names none, or cannot be read (that is open's to say). Only memory
 * can fail. Free with mig_free. */
bool mig_db_uri_database(const char *uri, char **name, mig_error *err);
bool mig_db_open(const mig_db_options *options, mig_db **out, mig_error *err); /* has answered `hello` */
bool mig_db_again(const mig_db *like, const bool *retry_writes, mig_db **out, mig_error *err);
void mig_db_close(mig_db *db); /* aborts an open transaction */
/* The same handle on a new connection with new sessions: after a commit of unknown outcome an old session may still
 * be bound to that transaction. May be called again after it failed. */
bool mig_db_reconnect(mig_db *db, mig_error *err);

const char *mig_db_name(const mig_db *db);
const char *mig_db_label(const mig_db *db);   /* "127.0.0.1:27017/app": for messages */
const bson_t *mig_db_hello(const mig_db *db); /* the first answer, borrowed */
/* The server's clock now, from `hello` (its localTime) carried on by our monotonic clock; asks again after a minute. */
bool mig_db_server_now(mig_db *db, int64_t *unix_ms, mig_error *err);

typedef enum mig_access { MIG_READ, MIG_WRITE } mig_access;
/* Runs a command on the database. reply (may be NULL) must be uninitialised; it is initialised in any case:
 * bson_destroy it. */
bool mig_db_command(mig_db *db, mig_access access, const bson_t *command, bson_t *reply, mig_error *err);
/* What a mig_error's server_code may say, of what we act on. */
enum {
  MIG_SERVER_UNAUTHORIZED = 13,
  MIG_SERVER_NO_NAMESPACE = 26,
  MIG_SERVER_NO_INDEX = 27,
  MIG_SERVER_NAMESPACE_EXISTS = 48,
  MIG_SERVER_NO_MAJORITY = 64, /* in time */
  MIG_SERVER_INVALID_OPTIONS = 72,
  MIG_SERVER_IS_VIEW = 166,
  MIG_SERVER_NOT_IN_TRANSACTION = 263,
  MIG_SERVER_DUPLICATE_KEY = 11000,
  MIG_SERVER_BUILDS_INDEX = 12587 /* and changes nothing else of that collection meanwhile (mongod 4.4 to 5.1) */
};
/* No whole reply, or a server that was not itself (its primary gone, shutting down, interrupted, out of time): the same
 * may succeed in a moment. Whether it took effect is not known. */
bool mig_db_passing(const mig_error *err);
/* The same on the admin database, never in the transaction. */
bool mig_db_admin(mig_db *db, const bson_t *command, bson_t *reply, mig_error *err);
/* The same, always outside the transaction (for probing and for the lease). */
bool mig_db_command_outside(mig_db *db, mig_access access, const bson_t *command, bson_t *reply, mig_error *err);

/* One update of at most one document; *matched is 1 as well when it was upserted. */
typedef struct mig_update {
  const char *collection;
  const bson_t *query, *change;
  bool upsert, outside; /* outside: not in the open transaction */
} mig_update;
bool mig_db_update(mig_db *db, const mig_update *what, int64_t *matched, mig_error *err);

/* find / aggregate / listCollections / listIndexes: `command` as the server takes it. */
bool mig_db_query(mig_db *db, const bson_t *command, mig_cursor **out, mig_error *err);
typedef enum mig_next { MIG_NEXT_DOC, MIG_NEXT_END, MIG_NEXT_ERROR } mig_next;
mig_next mig_cursor_next(mig_cursor *c, const bson_t **doc, mig_error *err); /* doc is borrowed until the next call */
void mig_cursor_close(mig_cursor *c);
/* The first document of a query, copied; *found says whether there was one. */
bool mig_db_first(mig_db *db, const bson_t *command, bson_t *doc, bool *found, mig_error *err);

/* Documents go to the server as they are: no key check, no _id added where there is one, unordered, validators bypassed
 * if asked. failed (may be NULL) gets the index of the first one refused. Any refused document makes it fail. */
typedef struct mig_insert {
  const char *collection;
  const bson_t *const *documents;
  size_t count;
  bool bypass_validation;
} mig_insert;
bool mig_db_insert(mig_db *db, const mig_insert *what, mig_error *err);

/* Snapshot reads: from begin to end every mig_db_query on this handle reads at one cluster time, which is not before
 * what the primary had acknowledged at begin; where the majority does not get there in 10 s begin fails. */
bool mig_db_snapshot_begin(mig_db *db, mig_error *err);
/* The same on another handle, at the time of `with`, whose first read has found it. */
bool mig_db_snapshot_join(mig_db *db, const mig_db *with, mig_error *err);
bool mig_db_snapshot_time(const mig_db *db, uint32_t *seconds, uint32_t *increment); /* false before the first read */
void mig_db_snapshot_end(mig_db *db);

bool mig_db_begin(mig_db *db, mig_error *err);  /* snapshot read concern, majority write concern */
bool mig_db_commit(mig_db *db, mig_error *err); /* one attempt; may be repeated after unknown_commit */
void mig_db_abort(mig_db *db);                  /* forgets it in any case */
bool mig_db_in_transaction(const mig_db *db);
#define MIG_SESSION_BYTES 16
/* The id of the session that transactions and, from now on, all writes of this handle run in; another one after
 * mig_db_reconnect. */
bool mig_db_session(mig_db *db, uint8_t id[static MIG_SESSION_BYTES], mig_error *err);
/* Ends what a session left open: what the server still does in it is stopped, and a transaction that was neither
 * committed nor prepared is aborted at once instead of after the server's limit (a minute or more). It decides nothing:
 * what was committed stays. A server may refuse. */
bool mig_db_kill_session(mig_db *db, const uint8_t id[static MIG_SESSION_BYTES], mig_error *err);

/* Is there a write of ours that we no longer wait for, and whose end nobody has seen? */
bool mig_db_left_behind(const mig_db *db);

/* By what the server tells our operations from those of others: {user: "name@database" (empty where it has no users),
 * app: the appName}. Asks once; borrowed. NULL: it could not be asked. */
const bson_t *mig_db_writer(mig_db *db, mig_error *err);
/* Waits until the server no longer works on a write on this database that had begun before and is ours or that of a
 * runner that is gone; at most so long. writers: an array of what mig_db_writer told those, untrusted; may be NULL.
 * Other programs, told apart by appName, do not count. A server that does not tell has nothing to wait for; one that
 * does not show this user the operations of one of the writers: MIG_E_UNFINISHED. */
bool mig_db_wait_writes(mig_db *db, const bson_t *writers, int64_t patience_ms, mig_error *err);

/* Collections as listCollections tells, without the server's own (system.*). filter may be NULL. */
bool mig_db_collections(mig_db *db, const bson_t *filter, mig_cursor **out, mig_error *err);
/* The listCollections entry of one collection, copied; *found false when there is none. */
bool mig_db_collection_info(mig_db *db, const char *collection, bson_t *entry, bool *found, mig_error *err);
bool mig_db_has_collection(mig_db *db, const char *collection, bool *found, mig_error *err);
/* Has the entry a field at this path ("options.collation")? *has false: or there is no such collection. */
bool mig_db_has_option(mig_db *db, const char *collection, const char *path, bool *has, mig_error *err);
/* The index documents of a collection as one array document {"0": {...}, ...}; empty when the collection is missing. */
bool mig_db_indexes(mig_db *db, const char *collection, bson_t *out, mig_error *err);
/* The same; an index that a mongod is still building, which may yet come to nothing, has the field MIG_INDEX_BUILD more
 * and so equals no index that is there. Servers that do not tell list it as they do. */
#define MIG_INDEX_BUILD "buildUUID"
bool mig_db_indexes_marked(mig_db *db, const char *collection, bson_t *out, mig_error *err);
/* Documents that match (NULL: all), by aggregation; inside a transaction too. */
bool mig_db_count(mig_db *db, const char *collection, const bson_t *filter, int64_t *out, mig_error *err);
/* Quick figures of a whole collection from its metadata (estimates): documents and raw bytes. */
bool mig_db_stats(mig_db *db, const char *collection, int64_t *documents, int64_t *raw_bytes, mig_error *err);
/* Distributed by a shard key, which stands in no snapshot: a new collection in its place would have none. */
bool mig_db_sharded(mig_db *db, const char *collection, bool *sharded, mig_error *err);
bool mig_db_hello_of_mongos(const bson_t *hello);

#endif
