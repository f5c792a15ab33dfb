/* The indexes of a collection, those that are still being built, and the command that takes longer than any other. */
#include <string.h>

#include "base/clock.h"
#include "base/db_internal.h"
#include "base/work.h"

#define LOOK_MS     1000
#define PATIENCE_MS (24 * 3600 * INT64_C(1000))
#define EARLY_MS    50 /* the driver's clock and ours */
#define LOOKS       5  /* in vain, one after the other */

static void append_spec(bson_t *out, uint32_t n, const bson_t *listed) {
  char buffer[16];
  const char *key;
  bson_t spec, marked;
  bson_iter_t build;
  bson_uint32_to_string(n, &key, buffer, sizeof buffer);
  if (!mig_bson_doc(listed, "spec", &spec) || !bson_iter_init_find(&build, listed, MIG_INDEX_BUILD)) {
    BSON_APPEND_DOCUMENT(out, key, listed);
    return;
  }
  BSON_APPEND_DOCUMENT_BEGIN(out, key, &marked);
  bson_concat(&marked, &spec);
  bson_append_iter(&marked, MIG_INDEX_BUILD, -1, &build);
  bson_append_document_end(out, &marked);
}

static bool list(mig_db *db, const char *collection, bool builds, bson_t *out, mig_error *err) {
  mig_cursor *c = NULL;
  const bson_t *doc = NULL;
  mig_error local = {0};
  bson_t command = BSON_INITIALIZER;
  uint32_t n = 0;
  bson_init(out);
  BSON_APPEND_UTF8(&command, "listIndexes", collection);
  if (builds) BSON_APPEND_BOOL(&command, "includeBuildUUIDs", true);
  bool ok = mig_db_query(db, &command, &c, &local);
  bson_destroy(&command);
  if (!ok) {
    if (local.server_code == MIG_SERVER_NO_NAMESPACE || local.server_code == MIG_SERVER_IS_VIEW) return true;
    if (err) *err = local;
    return false;
  }
  mig_next next;
  while ((next = mig_cursor_next(c, &doc, err)) == MIG_NEXT_DOC) append_spec(out, n++, doc);
  mig_cursor_close(c);
  return next == MIG_NEXT_END;
}

bool mig_db_indexes(mig_db *db, const char *collection, bson_t *out, mig_error *err) {
  return list(db, collection, false, out, err);
}

bool mig_db_indexes_marked(mig_db *db, const char *collection, bson_t *out, mig_error *err) {
  mig_error local = {0};
  if (!db->no_builds) {
    if (list(db, collection, true, out, &local)) return true;
    if (local.code != MIG_E_SERVER || mig_db_passing(&local)) {
      if (err) *err = local;
      return false;
    }
    bson_destroy(out);
  }
  const bool ok = list(db, collection, false, out, err);
  if (ok) db->no_builds = true; /* refused only because it was asked for that */
  return ok;
}

/* Is one of these still being built? */
static bool look(mig_db *db, const bson_t *command, bool *building, mig_error *err) {
  bson_t live, specs, spec, one;
  bson_iter_t it, other;
  const char *collection = "", *wanted = NULL, *name = NULL;
  *building = false;
  mig_bson_str(command, "createIndexes", &collection);
  const bool ok = mig_db_indexes_marked(db, collection, &live, err);
  if (ok && bson_iter_init(&it, &live))
    while (!*building && bson_iter_next(&it)) {
      if (!mig_bson_iter_doc(&it, &one) || !bson_has_field(&one, MIG_INDEX_BUILD) || !mig_bson_str(&one, "name", &name))
        continue;
      if (!mig_bson_arr(command, "indexes", &specs) || !bson_iter_init(&other, &specs)) continue;
      while (!*building && bson_iter_next(&other))
        *building =
            mig_bson_iter_doc(&other, &spec) && mig_bson_str(&spec, "name", &wanted) && strcmp(wanted, name) == 0;
    }
  bson_destroy(&live);
  return ok;
}

/* The connection is gone because we gave it up, not because it broke, or the server is away. */
static bool gave_up(const mig_db *db, const mig_error *err, int64_t sent_ms) {
  return err->network && !db->txn &&
         mig_now_monotonic_ms() - sent_ms + EARLY_MS >=
             mongoc_uri_get_option_as_int32(db->uri, MONGOC_URI_SOCKETTIMEOUTMS, INT32_MAX);
}

/* Until the server no longer says that it is at it. False with err->code MIG_OK: it cannot be asked. */
static bool wait_for(mig_work *w, const bson_t *command, mig_error *err) {
  mig_error local;
  bool building = true;
  int vain = 0;
  *err = (mig_error){0};
  while (building) {
    mig_sleep_ms(LOOK_MS);
    if (!mig_checkpoint(w, err)) return false;
    const bool told = look(w->db, command, &building, &local);
    vain = told ? 0 : vain + 1;
    if (!told && (!mig_db_passing(&local) || vain == LOOKS)) return false;
    building |= !told;
  }
  return true;
}

/* What was sent first may still be at work. */
static void leave(mig_db *db) {
  uint8_t session[MIG_SESSION_BYTES];
  mig_error ignored;
  db->left_behind = true;
  if (db->session && mig_db_session(db, session, &ignored)) mig_db_kill_session(db, session, &ignored);
}

bool mig_db_left_behind(const mig_db *db) {
  return db->left_behind;
}

static void say_slow(mig_work *w, const bson_t *command, int64_t ms) {
  const char *collection = "";
  mig_bson_str(command, "createIndexes", &collection);
  mig_say(w->observer, MIG_INFO, "createIndexes %s.%s: no answer in %lld s; the server may still be building: waits on",
          w->db->name, collection, (long long)ms / 1000);
}

/* A server goes on with a build that nobody waits for, and the same command sent once more waits for that, or finds it
 * done, or fails as it has failed. All in our session: killing it ends them all. */
bool mig_create_indexes(mig_work *w, const bson_t *command, bson_t *reply, mig_error *err) {
  const int64_t began_ms = mig_now_monotonic_ms();
  mig_error local = {0}, waited;
  bool first = true;
  for (;; first = false) {
    const int64_t sent_ms = mig_now_monotonic_ms();
    if (mig_db_command(w->db, MIG_WRITE, command, reply, &local)) {
      w->db->left_behind |= !first; /* the server may come to the first one later than to this */
      return true;
    }
    if (!gave_up(w->db, &local, sent_ms) || sent_ms - began_ms > PATIENCE_MS) break;
    if (first) say_slow(w, command, mig_now_monotonic_ms() - sent_ms);
    if (!wait_for(w, command, &waited)) {
      if (waited.code != MIG_OK) local = waited;
      first = false;
      break;
    }
    bson_destroy(reply);
  }
  if (!first) leave(w->db);
  if (err) *err = local;
  return false;
}
