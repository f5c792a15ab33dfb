/* Taking, refreshing, checking and giving back; what others see of it is in lease_look.c. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "run/host.h"
#include "run/lease_internal.h"

#define LOOK_EVERY_MS 1000 /* in a transaction */
#define GIVE_BACK_MS  8000 /* over a broken connection */

struct mig_lease {
  mig_db *db, *refresh_db;
  char owner[MIG_UUID_TEXT];
  int64_t fence, ttl_ms, looked_ms;
  atomic_llong deadline_ms; /* on our monotonic clock, counted from before the request was sent */
  atomic_bool lost;
  pthread_t thread;
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  bool stop, threaded, taken_over;
  bool named; /* a session of ours */
};

/* {"_id": "mig", lockedBy, fence, locked: true}: the lease as long as it is ours. */
static bson_t *ours(const mig_lease *l) {
  return BCON_NEW("_id", BCON_UTF8(LEASE_ID), "lockedBy", BCON_UTF8(l->owner), "fence", BCON_INT64(l->fence), "locked",
                  BCON_BOOL(true));
}

/* Changes the lease where it is ours; *matched is 0 where it is not any more. outside: not in the open transaction. */
static bool update_ours(const mig_lease *l, mig_db *db, bool outside, const bson_t *change, int64_t *matched,
                        mig_error *err) {
  bson_t *query = ours(l);
  const mig_update update = {.collection = MIG_LOCKS, .query = query, .change = change, .outside = outside};
  const bool ok = mig_db_update(db, &update, matched, err);
  bson_destroy(query);
  return ok;
}

static bool held(const mig_lease_state *s, mig_error *err) {
  char since[MIG_TIME_TEXT], until[MIG_TIME_TEXT];
  mig_time_iso(s->locked_unix_ms, since);
  mig_time_iso(s->expires_unix_ms, until);
  mig_fail(err, MIG_E_LEASE, "another runner holds the lease: %s, process %lld (%s)", s->host, (long long)s->pid,
           s->reason);
  mig_why(err, "held since %s, until %s unless it is refreshed; token %lld, id %s", since, until, (long long)s->fence,
          s->by);
  return mig_hint(err, "wait for it; if that runner is surely gone: mig force-unlock --confirm, then mig recover");
}

/* One atomic update: only a free, expired or dead lease matches; a held one makes the upsert collide on _id. */
static bool try_take(mig_lease *l, const char *reason, const mig_lease_state *dead, int64_t now, bool *collided,
                     mig_error *err) {
  mig_host self;
  mig_host_self(&self);
  bson_t free_ones = BSON_INITIALIZER, each, less;
  bson_t *query = NULL;
  BSON_APPEND_DOCUMENT_BEGIN(&free_ones, "0", &each);
  BSON_APPEND_BOOL(&each, "locked", false);
  bson_append_document_end(&free_ones, &each);
  BSON_APPEND_DOCUMENT_BEGIN(&free_ones, "1", &each);
  BSON_APPEND_DOCUMENT_BEGIN(&each, "expiresAt", &less);
  BSON_APPEND_DATE_TIME(&less, "$lt", now);
  bson_append_document_end(&each, &less);
  bson_append_document_end(&free_ones, &each);
  if (dead->holder_dead) {
    BSON_APPEND_DOCUMENT_BEGIN(&free_ones, "2", &each);
    BSON_APPEND_UTF8(&each, "lockedBy", dead->by);
    BSON_APPEND_INT64(&each, "fence", dead->fence);
    bson_append_document_end(&free_ones, &each);
  }
  query = BCON_NEW("_id", BCON_UTF8(LEASE_ID), "fence", "{", "$lt", BCON_INT64(l->fence), "}", "$or",
                   BCON_ARRAY(&free_ones));
  bson_t *command =
      BCON_NEW("update", BCON_UTF8(MIG_LOCKS), "updates", "[", "{", "q", BCON_DOCUMENT(query), "u", "{", "$set", "{",
               "locked", BCON_BOOL(true), "lockedBy", BCON_UTF8(l->owner), "host", BCON_UTF8(self.name), "machine",
               BCON_UTF8(self.machine), "pid", BCON_INT64(self.pid), "pidStarted", BCON_INT64(self.started), "reason",
               BCON_UTF8(reason), "fence", BCON_INT64(l->fence), "lockedAt", BCON_DATE_TIME(now), "expiresAt",
               BCON_DATE_TIME(now + l->ttl_ms), "updatedAt", BCON_DATE_TIME(now), "}", "$setOnInsert", "{", "createdAt",
               BCON_DATE_TIME(now), "}", "}", "upsert", BCON_BOOL(true), "}", "]");
  int64_t before = mig_now_monotonic_ms();
  bool ok = mig_db_command_outside(l->db, MIG_WRITE, command, NULL, err);
  *collided = !ok && err && err->server_code == MIG_SERVER_DUPLICATE_KEY;
  atomic_store(&l->deadline_ms, before + l->ttl_ms);
  bson_destroy(command);
  bson_destroy(query);
  bson_destroy(&free_ones);
  return ok;
}

static bool refresh(mig_lease *l, mig_error *err) {
  int64_t now = 0, matched = 0, before = mig_now_monotonic_ms();
  if (!mig_db_server_now(l->refresh_db, &now, err)) return false;
  bson_t *later =
      BCON_NEW("$set", "{", "expiresAt", BCON_DATE_TIME(now + l->ttl_ms), "updatedAt", BCON_DATE_TIME(now), "}");
  const bool ok = update_ours(l, l->refresh_db, true, later, &matched, err);
  bson_destroy(later);
  if (ok && matched == 0)
    atomic_store(&l->lost, true);
  else if (ok)
    atomic_store(&l->deadline_ms, before + l->ttl_ms);
  return ok;
}

static void *refresh_loop(void *arg) {
  mig_lease *l = arg;
  pthread_mutex_lock(&l->mutex);
  int64_t wait_ms = l->ttl_ms / 6;
  while (!l->stop && !atomic_load(&l->lost)) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until); /* somebody may set the date meanwhile */
    int64_t at = (int64_t)until.tv_sec * 1000 + until.tv_nsec / 1000000 + wait_ms;
    until.tv_sec = (time_t)(at / 1000);
    until.tv_nsec = (long)(at % 1000) * 1000000;
    pthread_cond_timedwait(&l->wake, &l->mutex, &until);
    if (l->stop) break;
    pthread_mutex_unlock(&l->mutex);
    mig_error ignored;
    bool ok = refresh(l, &ignored); /* a failure is tried again sooner; the deadline stands */
    pthread_mutex_lock(&l->mutex);
    wait_ms = ok ? l->ttl_ms / 6 : l->ttl_ms / 60 + 10;
  }
  pthread_mutex_unlock(&l->mutex);
  return NULL;
}

/* After a lost answer the lease may be ours all the same, and held for everybody else. Asked by a write: what it finds
 * has reached the majority with it. */
static bool has_landed(mig_lease *l) {
  int64_t matched = 0;
  mig_error ignored;
  bson_t *touched = BCON_NEW("$set", "{", "updatedAt", BCON_DATE_TIME(mig_now_unix_ms()), "}");
  const bool ok = update_ours(l, l->db, true, touched, &matched, &ignored);
  bson_destroy(touched);
  return ok && matched == 1;
}

/* A lease that cannot be given back runs out by itself, after half an hour: some seconds are worth waiting for a
 * primary, or for a connection. A server that does not answer at all has cost its time-out already. */
static void give_back(mig_lease *l) {
  bson_t *given =
      BCON_NEW("$set", "{", "locked", BCON_BOOL(false), "updatedAt", BCON_DATE_TIME(mig_now_unix_ms()), "}");
  bson_t gone;
  BSON_APPEND_DOCUMENT_BEGIN(given, "$unset", &gone);
  BSON_APPEND_BOOL(&gone, "expiresAt", true);
  if (l->named) BSON_APPEND_BOOL(&gone, "session", true); /* else that of the holder whom we did not succeed stays */
  bson_append_document_end(given, &gone);
  const int64_t begin = mig_now_monotonic_ms();
  for (int attempt = 0; attempt < 6; attempt++) {
    int64_t matched = 0;
    mig_error local = {0};
    if (update_ours(l, l->db, true, given, &matched, &local) || !mig_db_passing(&local)) break;
    if (local.network && mig_now_monotonic_ms() - begin > GIVE_BACK_MS) break;
    mig_sleep_ms(250 << attempt);
  }
  bson_destroy(given);
}

static bool take(mig_lease *l, const char *reason, mig_error *err) {
  mig_error local = {0};
  for (int attempt = 0; attempt < 5; attempt++) {
    mig_lease_state state;
    bool collided = false;
    int64_t now = 0;
    if (!mig_lease_look(l->db, &state, err)) return false;
    if (state.locked && !state.expired && !state.holder_dead) return held(&state, err);
    mig_lease_end_session(l->db, &state); /* one that was given back may still name that of a runner before it */
    if (!mig_lease_next_fence(l->db, &l->fence, err) || !mig_db_server_now(l->db, &now, err)) return false;
    l->taken_over = state.locked;
    if (try_take(l, reason, &state, now, &collided, &local)) return true;
    if (!collided && mig_db_passing(&local) && has_landed(l)) return true;
    if (!collided) break;
    mig_sleep_ms(20 << attempt); /* somebody was quicker; perhaps it is gone again already */
  }
  mig_lease_state state;
  if (local.server_code != MIG_SERVER_DUPLICATE_KEY) give_back(l); /* nobody knows: this process may live on for long */
  if (local.server_code == MIG_SERVER_DUPLICATE_KEY && mig_lease_look(l->db, &state, err)) return held(&state, err);
  if (err) *err = local;
  return mig_fail_at(err, "cannot take the lease");
}

bool mig_lease_take(mig_db *db, const mig_lease_options *options, mig_lease **out, mig_error *err) {
  *out = NULL;
  mig_lease *l = mig_alloc(sizeof *l);
  if (!l) return mig_no_memory(err, "lease");
  l->db = db;
  l->ttl_ms = options->ttl_ms > 0 ? options->ttl_ms : 30 * 60 * 1000;
  pthread_condattr_t counting;
  pthread_condattr_init(&counting);
  pthread_condattr_setclock(&counting, CLOCK_MONOTONIC);
  pthread_mutex_init(&l->mutex, NULL);
  pthread_cond_init(&l->wake, &counting);
  pthread_condattr_destroy(&counting);
  bool taken = mig_uuid(l->owner, err) && take(l, options->reason ? options->reason : "", err);
  bool ok = taken && mig_db_again(db, NULL, &l->refresh_db, err);
  if (ok && pthread_create(&l->thread, NULL, refresh_loop, l) != 0)
    ok = mig_no_memory(err, "lease thread");
  else if (ok)
    l->threaded = true;
  if (!taken) {
    pthread_cond_destroy(&l->wake);
    pthread_mutex_destroy(&l->mutex);
    mig_free(l);
    return false;
  }
  if (!ok) {
    mig_lease_release(l);
    return false;
  }
  l->looked_ms = mig_now_monotonic_ms();
  *out = l;
  return true;
}

int64_t mig_lease_fence(const mig_lease *l) {
  return l->fence;
}

bool mig_lease_taken_over(const mig_lease *l) {
  return l->taken_over;
}

static bool lost(mig_lease *l, const char *why, mig_error *err) {
  atomic_store(&l->lost, true);
  mig_fail(err, MIG_E_LEASE, "the lease was lost (token %lld)", (long long)l->fence);
  mig_why(err, "%s", why);
  return mig_hint(err, "nothing more was written; the next runner or `mig recover` settles what was begun");
}

/* A batch sent just before the deadline may still run after it: keep a distance. */
static bool in_time(mig_lease *l, int64_t now) {
  return now <= atomic_load(&l->deadline_ms) - l->ttl_ms / 20;
}

bool mig_lease_seems_ours(mig_lease *l) {
  return !atomic_load(&l->lost) && in_time(l, mig_now_monotonic_ms());
}

bool mig_lease_check(mig_lease *l, mig_error *err) {
  int64_t now = mig_now_monotonic_ms();
  if (atomic_load(&l->lost)) return lost(l, "another runner took it, or it was force-unlocked", err);
  if (!in_time(l, now)) return lost(l, "it could not be refreshed in time", err);
  /* in a transaction the touch decides; outside one nothing else keeps a write of ours from following another's */
  if (mig_db_in_transaction(l->db) && now - l->looked_ms < LOOK_EVERY_MS) return true;
  bson_t *filter = ours(l);
  bson_t *find = BCON_NEW("find", BCON_UTF8(MIG_LOCKS), "filter", BCON_DOCUMENT(filter), "limit", BCON_INT32(1));
  bson_t doc, reply;
  bool found = false, ok;
  /* outside the transaction: inside, we would see our own old view */
  ok = mig_db_command_outside(l->db, MIG_READ, find, &reply, err);
  if (ok) found = mig_bson_doc(&reply, "cursor.firstBatch.0", &doc);
  bson_destroy(&reply);
  bson_destroy(find);
  bson_destroy(filter);
  if (!ok) return mig_fail_at(err, "cannot look at the lease");
  if (!found) return lost(l, "another runner took it, or it was force-unlocked", err);
  l->looked_ms = now;
  return true;
}

bool mig_lease_touch(mig_lease *l, mig_error *err) {
  int64_t matched = 0;
  bson_t *touched = BCON_NEW("$inc", "{", "touched", BCON_INT64(1), "}");
  const bool ok = update_ours(l, l->db, false, touched, &matched, err);
  bson_destroy(touched);
  if (ok && matched == 0) return lost(l, "another runner took it, or it was force-unlocked", err);
  return ok;
}

bool mig_lease_note_session(mig_lease *l, const uint8_t id[static MIG_SESSION_BYTES], mig_error *err) {
  int64_t matched = 0;
  l->named = true;
  bson_t *noted = BCON_NEW("$set", "{", "session", BCON_BIN(BSON_SUBTYPE_UUID, id, MIG_SESSION_BYTES), "}");
  const bool ok = update_ours(l, l->db, true, noted, &matched, err);
  bson_destroy(noted);
  return ok && (matched == 1 || lost(l, "another runner took it, or it was force-unlocked", err));
}

void mig_lease_release(mig_lease *l) {
  if (!l) return;
  if (l->threaded) {
    pthread_mutex_lock(&l->mutex);
    l->stop = true;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->mutex);
    pthread_join(l->thread, NULL);
  }
  give_back(l);
  mig_db_close(l->refresh_db);
  pthread_cond_destroy(&l->wake);
  pthread_mutex_destroy(&l->mutex);
  mig_free(l);
}
