/* What the server is at work on for us, as far as it tells ($currentOp). */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/db_internal.h"

#define LOOK_EVERY_MS 1100 /* the server counts in whole seconds */
#define NUMBER_CHARS  80
#define USER_CHARS    300

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

typedef struct watch {
  mig_db *db;
  const bson_t *writers; /* of runners that are gone */
  const bson_t *self;    /* the writer that we are */
  bool all;              /* what the server shows is of all users */
  char still[200];       /* one that still runs */
  bson_t begun;          /* the numbers of our writes at the first look; after it only those count */
} watch;

/* Does `key` of ourselves, or of one of those who are gone, say `text`? */
static bool known(const watch *w, const char *key, const char *text) {
  const char *own = NULL;
  bson_iter_t it;
  bson_t each;
  if (mig_bson_str(w->self, key, &own) && strcmp(own, text) == 0) return true;
  if (!w->writers || !bson_iter_init(&it, w->writers)) return false;
  while (bson_iter_next(&it))
    if (mig_bson_iter_doc(&it, &each) && mig_bson_str(&each, key, &own) && strcmp(own, text) == 0) return true;
  return false;
}

/* What a server says of its users at `path`, as "name@database"; empty where it says nothing. */
static void user_at(const bson_t *doc, const char *path, char user[static USER_CHARS]) {
  const char *name = "", *database = "";
  bson_t each;
  bson_iter_t it;
  user[0] = 0;
  if (!mig_bson_find(doc, path, &it) || !mig_bson_iter_doc(&it, &each) || !mig_bson_str(&each, "user", &name)) return;
  mig_bson_str(&each, "db", &database);
  snprintf(user, USER_CHARS, "%s@%s", name, database);
}

/* A thread of a mongod that builds an index: nobody's by name, although somebody asked for it, and it goes on when that
 * one has gone. A restore sees the index among those of its collection, and dropping it ends the build; what other
 * servers build is waited for. */
static bool is_build(const bson_t *op) {
  const char *desc = "";
  return mig_bson_str(op, "desc", &desc) && strncmp(desc, "IndexBuildsCoordinator", 22) == 0;
}

/* On our database (a rename is done on "admin"), not another program's by name, and no read. */
static bool is_ours(const watch *w, const bson_t *op) {
  const char *app = NULL;
  char user[USER_CHARS];
  if (is_read(op) || is_build(op) || (!is_on(w->db, op, "ns") && !is_on(w->db, op, "command.renameCollection")))
    return false;
  if (mig_bson_str(op, "appName", &app)) return known(w, "app", app);
  user_at(op, "effectiveUsers.0", user);
  return !user[0] || known(w, "user", user);
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

static bool still_runs(watch *w, const bson_t *op, bool first, int64_t seconds) {
  char number[NUMBER_CHARS];
  bool active = false;
  int64_t running = 0;
  bson_iter_t it;
  mig_bson_bool(op, "active", &active);
  if (!active) return false;
  if (!number_of(op, number)) return is_ours(w, op) && mig_bson_int(op, "secs_running", &running) && running >= seconds;
  if (!first) return bson_iter_init_find(&it, &w->begun, number); /* of a shard it may have a dot */
  if (!is_ours(w, op)) return false;
  BSON_APPEND_BOOL(&w->begun, number, true);
  return true;
}

static void describe(watch *w, const bson_t *op) {
  const char *ns = "", *kind = "";
  char number[NUMBER_CHARS] = "";
  mig_bson_str(op, "ns", &ns);
  mig_bson_str(op, "op", &kind);
  number_of(op, number);
  snprintf(w->still, sizeof w->still, "%.20s on %.120s, opid %.40s", kind, ns, number);
}

/* *any: one of our writes that had begun at the first look still runs. False when the server does not tell. */
static bool look(watch *w, bool first, int64_t seconds, bool *any, mig_error *err) {
  bson_t reply, batch, op;
  bson_iter_t it;
  bson_t *command = BCON_NEW("aggregate", BCON_INT32(1), "pipeline", "[", "{", "$currentOp", "{", "allUsers",
                             BCON_BOOL(w->all), "}", "}", "]", "cursor", "{", "batchSize", BCON_INT32(10000), "}");
  *any = false;
  bool ok = mig_db_admin(w->db, command, &reply, err);
  if (ok && mig_bson_arr(&reply, "cursor.firstBatch", &batch) && bson_iter_init(&it, &batch))
    while (bson_iter_next(&it))
      if (mig_bson_iter_doc(&it, &op) && still_runs(w, &op, first, seconds)) {
        *any = true;
        describe(w, &op);
      }
  bson_destroy(&reply);
  bson_destroy(command);
  return ok;
}

/* One who is gone and was not this user: NULL when there is none. */
static const char *stranger(const watch *w) {
  const char *user = NULL, *self = "";
  bson_iter_t it;
  bson_t each;
  mig_bson_str(w->self, "user", &self);
  if (!w->writers || !bson_iter_init(&it, w->writers)) return NULL;
  while (bson_iter_next(&it))
    if (mig_bson_iter_doc(&it, &each) && mig_bson_str(&each, "user", &user) && user[0] && strcmp(user, self) != 0)
      return user;
  return NULL;
}

static bool unseen(const watch *w, const char *user, mig_error *err) {
  mig_fail(err, MIG_E_UNFINISHED, "%s may still be at work on a write of the user %s", w->db->label, user);
  mig_why(err, "what was interrupted was his, and the server does not show his operations to this user");
  return mig_hint(err, "run this as %s, or give this user the privilege inprog (the role clusterMonitor)", user);
}

/* Of all users, where the server lets us see that. */
static bool first_look(watch *w, bool *told, bool *any, mig_error *err) {
  mig_error local = {0};
  w->all = true;
  *told = look(w, true, 0, any, &local);
  if (*told) return true;
  if (!mig_db_passing(&local)) {
    if (local.server_code == MIG_SERVER_UNAUTHORIZED && stranger(w)) return unseen(w, stranger(w), err);
    w->all = false;
    local = (mig_error){0};
    *told = look(w, true, 0, any, &local);
    if (*told && stranger(w)) return unseen(w, stranger(w), err);
  }
  if (*told || !mig_db_passing(&local)) return true;
  if (err) *err = local;
  return false;
}

static bool wait_writes(watch *w, int64_t patience_ms, mig_error *err) {
  const int64_t began = mig_now_monotonic_ms();
  bool any = false, told = false;
  if (!first_look(w, &told, &any, err)) return false;
  while (told && any) {
    mig_error local = {0};
    mig_sleep_ms(LOOK_EVERY_MS);
    const int64_t waited = mig_now_monotonic_ms() - began;
    told = look(w, false, waited / 1000, &any, &local);
    if (!told && mig_db_passing(&local)) {
      if (err) *err = local;
      return false;
    }
    if (told && any && waited > patience_ms) {
      mig_fail(err, MIG_E_SERVER, "%s is still at work on a write of ours", w->db->label);
      mig_why(err, "%s: its connection broke, and the server has not ended it in %lld s", w->still,
              (long long)(waited / 1000));
      return mig_hint(err, "end it there (db.currentOp(), db.killOp()), or wait for it; then mig recover");
    }
  }
  return true;
}

bool mig_db_wait_writes(mig_db *db, const bson_t *writers, int64_t patience_ms, mig_error *err) {
  watch w = {.db = db, .writers = writers, .self = mig_db_writer(db, err), .begun = BSON_INITIALIZER};
  const bool ok = w.self && wait_writes(&w, patience_ms, err);
  bson_destroy(&w.begun);
  return ok;
}

static bool ask_user(mig_db *db, char user[static USER_CHARS], mig_error *err) {
  bson_t reply;
  mig_error local = {0};
  bson_t *command = BCON_NEW("connectionStatus", BCON_INT32(1));
  const bool told = mig_db_admin(db, command, &reply, &local);
  user_at(&reply, "authInfo.authenticatedUsers.0", user);
  bson_destroy(&reply);
  bson_destroy(command);
  if (!told) user[0] = 0;
  if (told || !mig_db_passing(&local)) return true;
  if (err) *err = local;
  return false;
}

const bson_t *mig_db_writer(mig_db *db, mig_error *err) {
  const char *app = mongoc_uri_get_appname(db->uri);
  char user[USER_CHARS];
  if (!db->writer && ask_user(db, user, err))
    db->writer = BCON_NEW("user", BCON_UTF8(user), "app", BCON_UTF8(app ? app : ""));
  return db->writer;
}
