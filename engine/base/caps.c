/* The table of capabilities, where it is kept, and what can be told by looking. The tries are in caps_try.c. */
#include "base/caps.h"

#include <stdio.h>
#include <string.h>

#include "base/caps_try.h"
#include "base/clock.h"
#include "base/names.h"

#define KEPT_ID "mig.capabilities"

static const char *const names[MIG_CAP_COUNT] = {
    [MIG_CAP_REPLICA_SET] = "replicaSet",
    [MIG_CAP_TRANSACTIONS] = "transactions",
    [MIG_CAP_RETRYABLE_WRITES] = "retryableWrites",
    [MIG_CAP_SNAPSHOT_READS] = "snapshotReads",
    [MIG_CAP_UPDATE_PIPELINE] = "updatePipeline",
    [MIG_CAP_REPLACE_PIPELINE] = "replacePipeline",
    [MIG_CAP_ID_RANGES] = "idRanges",
    [MIG_CAP_COLLMOD] = "collMod",
    [MIG_CAP_CREATE_VALIDATOR] = "createValidator",
    [MIG_CAP_VALIDATOR] = "validator",
    [MIG_CAP_VIEWS] = "views",
    [MIG_CAP_COLLATION] = "collation",
    [MIG_CAP_RENAME_DROP_TARGET] = "renameDropTarget",
    [MIG_CAP_EXACT_MATCH] = "exactMatch",
    [MIG_CAP_DOCUMENT_SIZE] = "documentSize",
};

const char *mig_cap_name(mig_cap cap) {
  return (unsigned)cap < MIG_CAP_COUNT ? names[cap] : "";
}

const char *mig_tri_name(mig_tri t) {
  return t == MIG_YES ? "yes" : t == MIG_NO ? "no" : "unknown";
}

bool mig_caps_has(const mig_caps *caps, mig_cap cap) {
  return caps && caps->has[cap] == MIG_YES;
}

bool mig_caps_is_no_answer(const mig_error *err) {
  return err->network || err->code == MIG_E_NO_MEMORY;
}

mig_tri mig_caps_outcome(bool decided, bool has, const mig_error *err) {
  if (decided) return has ? MIG_YES : MIG_NO;
  return err->server_code == MIG_SERVER_UNAUTHORIZED || err->transient || mig_db_passing(err) ? MIG_UNKNOWN : MIG_NO;
}

static void look_at_hello(const bson_t *hello, mig_caps *out) {
  const char *set = NULL;
  if (mig_db_hello_of_mongos(hello))
    snprintf(out->topology, sizeof out->topology, "sharded");
  else if (mig_bson_str(hello, "setName", &set))
    snprintf(out->topology, sizeof out->topology, "replica set %.40s", set);
  else
    snprintf(out->topology, sizeof out->topology, "standalone");
  out->has[MIG_CAP_REPLICA_SET] = strcmp(out->topology, "standalone") ? MIG_YES : MIG_NO;
}

/* key: what a kept table must have been made on, to be believed. */
static bool look_at_build(mig_db *db, mig_caps *out, char *key, size_t key_size, mig_error *err) {
  bson_t command = BSON_INITIALIZER, reply, inner;
  const char *version = "?", *git = "", *product_version = "";
  BSON_APPEND_INT32(&command, "buildInfo", 1);
  bool ok = mig_db_admin(db, &command, &reply, err);
  bson_destroy(&command);
  if (ok) {
    mig_bson_str(&reply, "version", &version);
    mig_bson_str(&reply, "gitVersion", &git);
    bool ferret = mig_bson_doc(&reply, "ferretdb", &inner);
    if (ferret) mig_bson_str(&inner, "version", &product_version);
    snprintf(out->version, sizeof out->version, "%.60s", version);
    snprintf(out->product, sizeof out->product, "%s", ferret ? "FerretDB" : "MongoDB");
    snprintf(key, key_size, "%.60s|%.60s|%.60s|%s|%s", version, git, product_version, out->product, out->topology);
  }
  bson_destroy(&reply);
  return ok;
}

/* Reading a collection that is not there tells nothing: the server gives no time for it. */
static bool some_collection(mig_db *db, char *name, size_t size, bool *found, mig_error *err) {
  mig_cursor *c = NULL;
  const bson_t *doc = NULL;
  const char *text = NULL, *type = NULL;
  mig_next next = MIG_NEXT_END;
  *found = false;
  if (!mig_db_collections(db, NULL, &c, err)) return false;
  while (!*found && (next = mig_cursor_next(c, &doc, err)) == MIG_NEXT_DOC) {
    if (!mig_bson_str(doc, "name", &text) || (mig_bson_str(doc, "type", &type) && strcmp(type, "collection") != 0))
      continue;
    *found = strlen(text) < size;
    snprintf(name, size, "%s", text);
  }
  mig_cursor_close(c);
  return next != MIG_NEXT_ERROR;
}

static bool look_at_snapshot_reads(mig_db *db, mig_caps *out, mig_error *err) {
  char name[256];
  bool found = false, has = false;
  mig_error local = {0};
  if (!some_collection(db, name, sizeof name, &found, err)) return false;
  if (!found) return true; /* stays unknown: nothing to read here */
  bool decided = mig_caps_read_snapshot(db, name, &has, &local);
  if (!decided && mig_caps_is_no_answer(&local)) {
    if (err) *err = local;
    return false;
  }
  out->has[MIG_CAP_SNAPSHOT_READS] = mig_caps_outcome(decided, has, &local);
  return true;
}

static bool use_kept(mig_db *db, const char *key, mig_caps *out, mig_error *err) {
  bson_t *command =
      BCON_NEW("find", BCON_UTF8(MIG_LOCKS), "filter", "{", "_id", BCON_UTF8(KEPT_ID), "}", "limit", BCON_INT32(1));
  bson_t doc;
  bool found = false;
  const char *made_on = NULL;
  bool ok = mig_db_first(db, command, &doc, &found, err);
  if (ok && found && mig_bson_str(&doc, "server", &made_on) && strcmp(made_on, key) == 0) {
    for (int i = 0; i < MIG_CAP_COUNT; i++) {
      char path[64];
      bool has = false;
      snprintf(path, sizeof path, "has.%s", names[i]);
      if (out->has[i] == MIG_UNKNOWN && mig_bson_bool(&doc, path, &has)) out->has[i] = has ? MIG_YES : MIG_NO;
    }
  }
  bson_destroy(&doc);
  bson_destroy(command);
  return ok;
}

static bool keep(mig_db *db, const char *key, const mig_caps *caps, mig_error *err) {
  bson_t has = BSON_INITIALIZER;
  for (int i = 0; i < MIG_CAP_COUNT; i++)
    if (caps->has[i] != MIG_UNKNOWN) BSON_APPEND_BOOL(&has, names[i], caps->has[i] == MIG_YES);
  bson_t *command =
      BCON_NEW("update", BCON_UTF8(MIG_LOCKS), "updates", "[", "{", "q", "{", "_id", BCON_UTF8(KEPT_ID), "}", "u", "{",
               "$set", "{", "server", BCON_UTF8(key), "has", BCON_DOCUMENT(&has), "updatedAt",
               BCON_DATE_TIME(mig_now_unix_ms()), "}", "}", "upsert", BCON_BOOL(true), "}", "]");
  bool ok = mig_db_command_outside(db, MIG_WRITE, command, NULL, err);
  bson_destroy(command);
  bson_destroy(&has);
  return ok;
}

static bool complete(const mig_caps *caps) {
  for (int i = 0; i < MIG_CAP_COUNT; i++)
    if (caps->has[i] == MIG_UNKNOWN) return false;
  return true;
}

bool mig_caps_probe(mig_db *db, mig_probe how, mig_caps *out, mig_error *err) {
  char key[400];
  memset(out, 0, sizeof *out);
  look_at_hello(mig_db_hello(db), out);
  if (!look_at_build(db, out, key, sizeof key, err)) return false;
  if (how != MIG_PROBE_AGAIN && !use_kept(db, key, out, err)) return false;
  if (complete(out)) return true;
  if (out->has[MIG_CAP_SNAPSHOT_READS] == MIG_UNKNOWN && !look_at_snapshot_reads(db, out, err)) return false;
  if (how == MIG_PROBE_READ) return true;
  return mig_caps_try(db, out, err) && keep(db, key, out, err);
}
