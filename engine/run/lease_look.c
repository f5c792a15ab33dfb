/* The lease as it stands in migrationlocks: looked at, and taken away by force. */
#include <stdio.h>
#include <string.h>

#include "run/host.h"
#include "run/lease_internal.h"

bool mig_lease_next_fence(mig_db *db, int64_t *fence, mig_error *err) {
  bson_t *command =
      BCON_NEW("findAndModify", BCON_UTF8(MIG_LOCKS), "query", "{", "_id", BCON_UTF8(FENCE_ID), "}", "update", "{",
               "$inc", "{", "value", BCON_INT64(1), "}", "}", "upsert", BCON_BOOL(true), "new", BCON_BOOL(true));
  bool ok = false;
  for (int attempt = 0; attempt < 5 && !ok; attempt++) { /* two first runners at once: the upserts may collide */
    bson_t reply;
    ok = mig_db_command_outside(db, MIG_WRITE, command, &reply, err);
    if (ok && !mig_bson_int(&reply, "value.value", fence)) {
      bson_destroy(&reply);
      mig_fail(err, MIG_E_SERVER, "findAndModify %s: no value in the reply", MIG_LOCKS);
      break;
    }
    bson_destroy(&reply);
    if (!ok && (!err || err->network)) break;
  }
  bson_destroy(command);
  return ok;
}

bool mig_lease_raise_fence(mig_db *db, int64_t least, mig_error *err) {
  bson_t *command = BCON_NEW("update", BCON_UTF8(MIG_LOCKS), "updates", "[", "{", "q", "{", "_id", BCON_UTF8(FENCE_ID),
                             "}", "u", "{", "$max", "{", "value", BCON_INT64(least), "}", "}", "}", "]");
  bool ok = mig_db_command_outside(db, MIG_WRITE, command, NULL, err);
  bson_destroy(command);
  return ok;
}

void mig_lease_end_session(mig_db *db, const mig_lease_state *of) {
  mig_error ignored;
  if (of->has_session) mig_db_kill_session(db, of->session, &ignored);
}

static bool read_session(const bson_t *doc, uint8_t id[static MIG_SESSION_BYTES]) {
  bson_iter_t it;
  bson_subtype_t subtype;
  uint32_t size = 0;
  const uint8_t *data = NULL;
  if (!mig_bson_find(doc, "session", &it) || !BSON_ITER_HOLDS_BINARY(&it)) return false;
  bson_iter_binary(&it, &subtype, &size, &data);
  if (size != MIG_SESSION_BYTES) return false;
  memcpy(id, data, size);
  return true;
}

void mig_lease_state_read(const bson_t *doc, int64_t now, mig_lease_state *out) {
  const char *by = "", *host = "", *reason = "", *machine = "";
  int64_t started = 0;
  memset(out, 0, sizeof *out);
  mig_bson_bool(doc, "locked", &out->locked);
  mig_bson_str(doc, "lockedBy", &by);
  mig_bson_str(doc, "host", &host);
  mig_bson_str(doc, "reason", &reason);
  mig_bson_str(doc, "machine", &machine);
  mig_bson_int(doc, "pid", &out->pid);
  mig_bson_int(doc, "pidStarted", &started);
  mig_bson_int(doc, "fence", &out->fence);
  mig_bson_date(doc, "lockedAt", &out->locked_unix_ms);
  bool dated = mig_bson_date(doc, "expiresAt", &out->expires_unix_ms);
  snprintf(out->by, sizeof out->by, "%s", by);
  snprintf(out->host, sizeof out->host, "%s", host);
  snprintf(out->reason, sizeof out->reason, "%s", reason);
  out->has_session = read_session(doc, out->session);
  out->expired = out->locked && dated && out->expires_unix_ms < now;
  out->holder_dead = out->locked && mig_host_dead(machine, out->pid, started);
}

/* The document as it is; initialised in any case. */
static bool find(mig_db *db, bson_t *doc, bool *found, mig_lease_state *out, mig_error *err) {
  bson_t *find =
      BCON_NEW("find", BCON_UTF8(MIG_LOCKS), "filter", "{", "_id", BCON_UTF8(LEASE_ID), "}", "limit", BCON_INT32(1));
  int64_t now = 0;
  *found = false;
  memset(out, 0, sizeof *out);
  bool ok = mig_db_first(db, find, doc, found, err) && mig_db_server_now(db, &now, err);
  if (ok && *found) mig_lease_state_read(doc, now, out);
  bson_destroy(find);
  return ok;
}

bool mig_lease_look(mig_db *db, mig_lease_state *out, mig_error *err) {
  bson_t doc;
  bool found;
  bool ok = find(db, &doc, &found, out, err);
  bson_destroy(&doc);
  return ok;
}

/* The field as it stands in the document, whatever it is: untrusted, and perhaps broken or missing. */
static void append_same(bson_t *filter, const bson_t *doc, const char *field) {
  bson_iter_t it;
  bson_t is;
  BSON_APPEND_DOCUMENT_BEGIN(filter, field, &is);
  bool there = bson_iter_init_find(&it, doc, field);
  if (there && !BSON_ITER_HOLDS_UNDEFINED(&it)) /* no server compares with that */
    bson_append_iter(&is, "$eq", -1, &it);
  else
    BSON_APPEND_BOOL(&is, "$exists", there);
  bson_append_document_end(filter, &is);
}

static bool taken_meanwhile(const mig_lease_state *seen, const mig_lease_state *now, mig_error *err) {
  mig_fail(err, MIG_E_LEASE, "the lease has changed hands meanwhile");
  mig_why(err, "it is no longer that of %s, process %lld, token %lld; now: %s, process %lld, token %lld", seen->host,
          (long long)seen->pid, (long long)seen->fence, now->locked ? now->host : "nobody's", (long long)now->pid,
          (long long)now->fence);
  return mig_hint(err, "nothing was done; look at `mig lock-status` again");
}

bool mig_lease_force_unlock(mig_db *db, const mig_lease_state *seen, mig_error *err) {
  int64_t fence = 0, matched = 0;
  mig_lease_state is;
  bson_t doc;
  bool found = false;
  bool ok = find(db, &doc, &found, &is, err);
  if (ok && found && (is.locked != seen->locked || is.fence != seen->fence || strcmp(is.by, seen->by) != 0))
    ok = taken_meanwhile(seen, &is, err);
  if (ok && is.locked) mig_lease_end_session(db, &is);
  if (ok && found && (ok = mig_lease_next_fence(db, &fence, err))) {
    bson_t *filter = BCON_NEW("_id", BCON_UTF8(LEASE_ID));
    append_same(filter, &doc, "lockedBy");
    append_same(filter, &doc, "fence");
    bson_t *update = BCON_NEW("$set", "{", "locked", BCON_BOOL(false), "fence", BCON_INT64(fence), "}", "$unset", "{",
                              "expiresAt", BCON_BOOL(true), "lockedBy", BCON_BOOL(true), "}");
    const mig_update what = {.collection = MIG_LOCKS, .query = filter, .change = update, .outside = true};
    ok = mig_db_update(db, &what, &matched, err);
    bson_destroy(update);
    bson_destroy(filter);
  }
  bson_destroy(&doc);
  if (!ok || !found || matched) return ok;
  return mig_lease_look(db, &is, err) && (!is.locked || taken_meanwhile(seen, &is, err));
}
