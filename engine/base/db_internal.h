/*
 * db_internal.h - shared by the files that make up db.h; nobody else includes libmongoc
 */
#ifndef MIG_BASE_DB_INTERNAL_H
#define MIG_BASE_DB_INTERNAL_H

#include <mongoc/mongoc.h>

#include "base/db.h"

#define MIG_WTIMEOUT_MS 60000

struct mig_db {
  mongoc_uri_t *uri; /* with every option set; holds the secrets */
  mongoc_client_t *client;
  char *name, *label;
  bson_t *writer; /* NULL: not asked yet */
  bson_t *hello;
  mongoc_client_session_t *session;  /* for transactions; made when one is first needed */
  mongoc_client_session_t *txn;      /* the same while a transaction is open, else NULL */
  mongoc_client_session_t *snapshot; /* snapshot reads, or NULL */
  bool left_behind;                  /* see mig_db_left_behind */
  bool no_builds;                    /* it does not tell which indexes it is still building */
  uint32_t snapshot_seconds, snapshot_increment;
  uint32_t after_seconds, after_increment;   /* a snapshot read must not be from before that; 0: not known */
  int64_t clock_unix_ms, clock_monotonic_ms; /* the server's clock when it was last asked, and ours then */
};

/* Turns what libmongoc says into *err, with `what` in front; fills labels and server code from the reply. */
bool mig_db_error(mig_error *err, const mig_db *db, const char *command, const bson_error_t *error,
                  const bson_t *reply);
/* writeErrors and write-concern errors in a reply that calls itself ok. */
bool mig_db_check_reply(mig_error *err, const mig_db *db, const char *command, const bson_t *reply);
/* "insert app.users" for messages. */
void mig_db_describe(const mig_db *db, const bson_t *command, char *text, size_t size);
/* reply may be NULL; else it is initialised in any case. server_id 0: any. */
bool mig_db_run(mig_db *db, const char *database, bool write, mongoc_client_session_t *session, uint32_t server_id,
                const bson_t *command, bson_t *reply, mig_error *err);
void mig_db_session_end(mig_db *db); /* aborts what is open in it */
/* Sends one insert twice under the same session and transaction number; *once: the server applied it once. */
bool mig_db_try_retryable(const mig_db *like, const char *collection, bool *once, mig_error *err);

#endif
