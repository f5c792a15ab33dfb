/* What the server is at work on for us, as far as it tells ($currentOp). */
#include <string.h>

#include "base/clock.h"
#include "base/db_internal.h"

#define LOOK_EVERY_MS 1100 /* the server counts in whole seconds */

static bool is_read(const bson_t *op) {
  const char *kind = "";
  bson_iter_t it;
  mig_bson_str(op, "op", &kind);
  if (strcmp(kind, "query") == 0 || strcmp(kind, "getmore") == 0 || strcmp(kind, "none") == 0) return true;
  return mig_bson_find(op, "command.aggregate", &it) || mig_bson_find(op, "command.find", &it);
}

/* On our database, not another program's by name, no read, and begun so long ago at least. */
static bool is_ours(const mig_db *db, const bson_t *op, int64_t seconds) {
  const char *ns = "", *app = NULL, *our_app = mongoc_uri_get_appname(db->uri);
  const size_t n = strlen(db->name);
  bool active = false;
  int64_t running = 0;
  mig_bson_bool(op, "active", &active);
  mig_bson_str(op, "ns", &ns);
  mig_bson_int(op, "secs_running", &running);
  if (!active || strncmp(ns, db->name, n) != 0 || ns[n] != '.' || running < seconds) return false;
  if (mig_bson_str(op, "appName", &app) && our_app && strcmp(app, our_app) != 0) return false;
  return !is_read(op);
}

/* *any: one of our writes that had begun `seconds` ago still runs. False when the server does not tell. */
static bool look(mig_db *db, int64_t seconds, bool *any, mig_error *err) {
  bson_t reply, batch, op;
  bson_iter_t it;
  bson_t *command = BCON_NEW("aggregate", BCON_INT32(1), "pipeline", "[", "{", "$currentOp", "{", "allUsers",
                             BCON_BOOL(false), "}", "}", "]", "cursor", "{", "batchSize", BCON_INT32(10000), "}");
  *any = false;
  bool ok = mig_db_admin(db, command, &reply, err);
  if (ok && mig_bson_arr(&reply, "cursor.firstBatch", &batch) && bson_iter_init(&it, &batch))
    while (!*any && bson_iter_next(&it)) *any = mig_bson_iter_doc(&it, &op) && is_ours(db, &op, seconds);
  bson_destroy(&reply);
  bson_destroy(command);
  return ok;
}

bool mig_db_wait_writes(mig_db *db, int64_t patience_ms, mig_error *err) {
  const int64_t began = mig_now_monotonic_ms();
  for (;;) {
    mig_error local = {0};
    bool any = false;
    const int64_t waited = mig_now_monotonic_ms() - began;
    const bool told = look(db, waited / 1000, &any, &local);
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
