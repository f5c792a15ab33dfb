/* What the server is at work on for us, as far as it tells ($currentOp). */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/db_internal.h"

#define LOOK_EVERY_MS 1100 /* the server counts in whole seconds */
#define NUMBER_CHARS  80

/* $out and $merge write; what cannot be read counts as a write. */
static bool only_reads(const bson_t *op) {
  bson_t pipeline, stage;
  bson_iter_t it, found;
  if (!mig_bson_arr(op, "command.pipeline", &pipeline) || !bson_iter_init(&it, &pipeline)) return false;
  while (bson_iter_next(&it))
    if (!mig_bson_iter_doc(&it, &stage) || bson_iter_init_find(&found, &stage, "$out") ||
        bson_iter_init_find(&found, &stage, "$merge"))
      return false;
  return true;
}

/* While an aggregate writes, its kind is that of the write. */
static bool is_read(const bson_t *op) {
  const char *kind = "";
  bson_iter_t it;
  mig_bson_str(op, "op", &kind);
  if (strcmp(kind, "query") == 0 || strcmp(kind, "getmore") == 0 || strcmp(kind, "none") == 0) return true;
  if (mig_bson_find(op, "command.find", &it)) return true;
  return strcmp(kind, "command") == 0 && mig_bson_find(op, "command.aggregate", &it) && only_reads(op);
}

static bool is_on(const mig_db *db, const bson_t *op, const char *path) {
  const char *ns = "";
  const size_t n = strlen(db->name);
  mig_bson_str(op, path, &ns);
  return strncmp(ns, db->name, n) == 0 && (ns[n] == '.' || ns[n] == 0);
}

/* On our database (a rename is done on "admin"), not another program's by name, and no read. */
static bool is_ours(const mig_db *db, const bson_t *op) {
  const char *app = NULL, *our_app = mongoc_uri_get_appname(db->uri);
  if (!is_on(db, op, "ns") && !is_on(db, op, "command.renameCollection")) return false;
  if (mig_bson_str(op, "appName", &app) && our_app && strcmp(app, our_app) != 0) return false;
  return !is_read(op);
}

/* The server's number of an operation, as text: it stays the same however many writes an operation is made of, while
 * the time counts from the last of them. */
static bool number_of(const bson_t *op, char text[static NUMBER_CHARS]) {
  const char *name = NULL;
  int64_t number = 0;
  if (mig_bson_int(op, "opid", &number))
    snprintf(text, NUMBER_CHARS, "%lld", (long long)number);
  else if (mig_bson_str(op, "opid", &name)) /* of a shard */
    snprintf(text, NUMBER_CHARS, "%s", name);
  else
    return false;
  return true;
}

/* begun: the numbers of our writes at the first look; after it only those count. */
static bool still_runs(const mig_db *db, const bson_t *op, bool first, int64_t seconds, bson_t *begun) {
  char number[NUMBER_CHARS];
  bool active = false;
  int64_t running = 0;
  mig_bson_bool(op, "active", &active);
  if (!active) return false;
  if (!number_of(op, number))
    return is_ours(db, op) && mig_bson_int(op, "secs_running", &running) && running >= seconds;
  if (!first) return bson_has_field(begun, number);
  if (!is_ours(db, op)) return false;
  BSON_APPEND_BOOL(begun, number, true);
  return true;
}

/* *any: one of our writes that had begun at the first look still runs. False when the server does not tell. */
static bool look(mig_db *db, bool first, int64_t seconds, bson_t *begun, bool *any, mig_error *err) {
  bson_t reply, batch, op;
  bson_iter_t it;
  bson_t *command = BCON_NEW("aggregate", BCON_INT32(1), "pipeline", "[", "{", "$currentOp", "{", "allUsers",
                             BCON_BOOL(false), "}", "}", "]", "cursor", "{", "batchSize", BCON_INT32(10000), "}");
  *any = false;
  bool ok = mig_db_admin(db, command, &reply, err);
  if (ok && mig_bson_arr(&reply, "cursor.firstBatch", &batch) && bson_iter_init(&it, &batch))
    while (bson_iter_next(&it))
      if (mig_bson_iter_doc(&it, &op) && still_runs(db, &op, first, seconds, begun)) *any = true;
  bson_destroy(&reply);
  bson_destroy(command);
  return ok;
}

static bool wait_writes(mig_db *db, int64_t patience_ms, bson_t *begun, mig_error *err) {
  const int64_t began = mig_now_monotonic_ms();
  for (bool first = true;; first = false) {
    mig_error local = {0};
    bool any = false;
    const int64_t waited = mig_now_monotonic_ms() - began;
    const bool told = look(db, first, waited / 1000, begun, &any, &local);
    if (!told && mig_db_passing(&local)) {
      if (err) *err = local;
      return false;
    }
    if (!told || !any) return true;
    if (waited > patience_ms) {
      mig_fail(err, MIG_E_SERVER, "%s is still at work on a write of ours", db->label);
      mig_why(err, "its connection broke, and the server has not ended it in %lld s", (long long)(waited / 1000));
      return mig_hint(err, "end it there (db.currentOp(), db.killOp()), or wait for it; then mig recover");
    }
    mig_sleep_ms(LOOK_EVERY_MS);
  }
}

bool mig_db_wait_writes(mig_db *db, int64_t patience_ms, mig_error *err) {
  bson_t begun = BSON_INITIALIZER;
  const bool ok = wait_writes(db, patience_ms, &begun, err);
  bson_destroy(&begun);
  return ok;
}
