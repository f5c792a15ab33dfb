#include "run/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "base/user.h"
#include "run/attempt.h"
#include "run/emergency.h"
#include "validators/guard.h"

static bool copy_settings(const mig_settings *in, mig_settings *out, mig_error *err) {
  *out = *in;
  mig_user user = {0};
  if (!in->by) mig_user_look(&user);
  const char *by = in->by ? in->by : user.name[0] ? user.name : "unknown";
  out->uri = NULL; /* the connection holds it; nobody else needs it */
  out->database = NULL;
  out->migrations = mig_strdup(in->migrations ? in->migrations : "migrations");
  out->store = mig_strdup(in->store ? in->store : "snapshots");
  out->by = mig_strdup(by);
  out->log_file = mig_strdup(in->log_file);
  out->key_file = mig_strdup(in->key_file);
  out->passphrase_file = mig_strdup(in->passphrase_file);
  out->sign_key_file = mig_strdup(in->sign_key_file);
  if ((in->log_file && !out->log_file) || (in->key_file && !out->key_file) ||
      (in->passphrase_file && !out->passphrase_file) || (in->sign_key_file && !out->sign_key_file))
    return mig_no_memory(err, "settings");
  if (in->key_file && in->passphrase_file)
    return mig_fail(err, MIG_E_USAGE, "either a key file or a passphrase, not both");
  if (out->txn_max_documents <= 0) out->txn_max_documents = 10000;
  return (out->migrations && out->store && out->by) || mig_no_memory(err, "settings");
}

static bool refuse_metadata(const char *pair, const char *why, mig_error *err) {
  mig_fail(err, MIG_E_USAGE, "\"%.80s\" cannot be metadata", pair);
  mig_why(err, "%s", why);
  return mig_hint(err, "metadata is KEY=VALUE, such as ticket=OPS-17");
}

static bool read_metadata(mig_engine *e, mig_error *err) {
  const char *const *pairs = e->settings.metadata;
  e->settings.metadata = NULL; /* the caller's; ours is the document */
  e->metadata = bson_new();
  for (; pairs && *pairs; pairs++) {
    const char *equals = strchr(*pairs, '=');
    size_t size = equals ? (size_t)(equals - *pairs) : 0;
    char key[101];
    if (size == 0 || size >= sizeof key) return refuse_metadata(*pairs, "there is no key in front of a \"=\"", err);
    memcpy(key, *pairs, size);
    key[size] = 0;
    if (key[0] == '$' || strchr(key, '.'))
      return refuse_metadata(*pairs, "a key has no \"$\" in front and no \".\"", err);
    if (bson_has_field(e->metadata, key)) return refuse_metadata(*pairs, "this key is given twice", err);
    if (!bson_utf8_validate(*pairs, strlen(*pairs), false)) return refuse_metadata(key, "it is not UTF-8", err);
    BSON_APPEND_UTF8(e->metadata, key, equals + 1);
  }
  return true;
}

bson_t *mig_engine_metadata(const mig_engine *e, const mig_migration *m) {
  bson_t *out = bson_new();
  bson_iter_t it;
  if (m && bson_iter_init(&it, m->metadata))
    while (bson_iter_next(&it))
      if (!bson_has_field(e->metadata, bson_iter_key(&it))) bson_append_iter(out, bson_iter_key(&it), -1, &it);
  bson_concat(out, e->metadata);
  return out;
}

bool mig_stop_asked(const mig_settings *settings) {
  return settings->stop && __atomic_load_n(settings->stop, __ATOMIC_RELAXED);
}

static bool checkpoint(void *arg, mig_error *err) {
  mig_engine *e = arg;
  if (mig_stop_asked(&e->settings) && !e->undoing) {
    mig_fail(err, MIG_E_INTERRUPTED, "interrupted by a signal");
    return mig_why(err, "what was begun is undone");
  }
  return !e->lease || mig_lease_check(e->lease, err);
}

/* Retryable writes only where they are really applied once: that is known after the first look. */
static bool reconnect_if_retryable(mig_engine *e, mig_error *err) {
  if (!mig_caps_has(&e->caps, MIG_CAP_RETRYABLE_WRITES)) return true;
  const bool yes = true;
  mig_db *db = NULL;
  if (!mig_db_again(e->db, &yes, &db, err)) return false;
  mig_db_close(e->db);
  e->db = e->work.db = db;
  return true;
}

bool mig_settings_key(const mig_settings *s, mig_key **out, mig_error *err) {
  *out = NULL;
  if (s->key_file) return mig_key_from_file(s->key_file, out, err);
  return !s->passphrase_file || mig_key_from_passphrase_file(s->passphrase_file, out, err);
}

bool mig_engine_key(mig_engine *e, mig_error *err) {
  return e->key || mig_settings_key(&e->settings, &e->key, err);
}

bool mig_engine_sign_key(mig_engine *e, mig_error *err) {
  return e->sign_key || !e->settings.sign_key_file ||
         mig_sign_key_from_file(e->settings.sign_key_file, &e->sign_key, err);
}

bool mig_engine_keys(mig_engine *e, mig_error *err) {
  return mig_engine_key(e, err) && mig_engine_sign_key(e, err);
}

bool mig_engine_use_key(mig_engine *e, const mig_key *key, mig_error *err) {
  mig_key_free(e->key);
  e->key = mig_key_copy(key);
  return !key || e->key || mig_no_memory(err, "key");
}

bool mig_open(const mig_settings *settings, mig_engine **out, mig_error *err) {
  *out = NULL;
  mig_engine *e = mig_alloc(sizeof *e);
  if (!e) return mig_no_memory(err, "engine");
  const mig_db_options options = {.uri = settings->uri,
                                  .database = settings->database,
                                  .connect_timeout_ms = settings->patience_ms,
                                  .selection_timeout_ms = settings->patience_ms,
                                  .socket_timeout_ms = settings->patience_ms};
  bool ok = copy_settings(settings, &e->settings, err) && read_metadata(e, err) && mig_watch_open(e, err) &&
            mig_db_open(&options, &e->db, err) && mig_caps_probe(e->db, MIG_PROBE_READ, &e->caps, err) &&
            reconnect_if_retryable(e, err);
  if (!ok) {
    mig_close(e);
    return false;
  }
  mig_engine_services(e, &e->services);
  e->work = (mig_work){.db = e->db,
                       .caps = &e->caps,
                       .observer = &e->watch.observer,
                       .checkpoint = checkpoint,
                       .checkpoint_arg = e,
                       .jobs = settings->jobs,
                       .services = &e->services};
  *out = e;
  return true;
}

void mig_close(mig_engine *e) {
  if (!e) return;
  mig_engine_unlock(e);
  mig_watch_close(e);
  mig_folder_free(e->folder);
  mig_store_close(e->store);
  mig_key_free(e->key);
  mig_sign_key_free(e->sign_key);
  mig_db_close(e->db);
  if (e->metadata) bson_destroy(e->metadata);
  mig_free((char *)(uintptr_t)e->settings.migrations);
  mig_free((char *)(uintptr_t)e->settings.store);
  mig_free((char *)(uintptr_t)e->settings.by);
  mig_free((char *)(uintptr_t)e->settings.log_file);
  mig_free((char *)(uintptr_t)e->settings.key_file);
  mig_free((char *)(uintptr_t)e->settings.passphrase_file);
  mig_free((char *)(uintptr_t)e->settings.sign_key_file);
  mig_free(e);
}

const mig_observer *mig_engine_observer(const mig_engine *e) {
  return &e->watch.observer;
}

bool mig_engine_folder(mig_engine *e, mig_error *err) {
  return e->folder || mig_folder_load(e->settings.migrations, mig_guard_check_syntax, &e->folder, err);
}

void mig_engine_forget_folder(mig_engine *e) {
  mig_folder_free(e->folder);
  e->folder = NULL;
}

bool mig_engine_store(mig_engine *e, mig_error *err) {
  if (e->store) return true;
  if (!mig_engine_keys(e, err)) return false; /* nothing is written in the clear because its key is not there */
  return mig_store_open(e->settings.store, true, &e->store, err) && mig_store_use_key(e->store, e->key, err) &&
         mig_store_use_sign_key(e->store, e->sign_key, err) && mig_store_sweep(e->store, err);
}

/* A ledger that came from elsewhere (a snapshot restored into a new database) has tokens that this database has not
 * reached: no write of ours would match its entries. */
static bool pass_ledger(mig_engine *e, const mig_lease_options *options, mig_error *err) {
  int64_t last = 0;
  if (!mig_ledger_last_fence(e->db, &last, err)) return false;
  if (last <= mig_lease_fence(e->lease)) return true;
  bool ok = mig_lease_raise_fence(e->db, last, err);
  mig_engine_unlock(e);
  return ok && mig_lease_take(e->db, options, &e->lease, err);
}

/* The server may still be at work on what the holder before us had sent. Where this user may not see it, whoever puts
 * something back is refused when he comes to it. */
static bool wait_for_the_dead(mig_engine *e, mig_error *err) {
  mig_error local;
  if (!mig_lease_taken_over(e->lease) || mig_orphans_wait(e, &local) || local.code == MIG_E_UNFINISHED) return true;
  if (err) *err = local;
  return false;
}

bool mig_engine_lock(mig_engine *e, const char *reason, mig_error *err) {
  const mig_lease_options options = {.ttl_ms = e->settings.lease_ttl_ms, .reason = reason};
  if (e->lease) return true;
  bool knew = e->caps.has[MIG_CAP_RETRYABLE_WRITES] != MIG_UNKNOWN;
  if (!mig_lease_take(e->db, &options, &e->lease, err)) return false;
  mig_watch_reason(e, reason);
  mig_crash_point(MIG_CRASH_LEASE_TAKEN);
  bool ok = wait_for_the_dead(e, err) && mig_caps_probe(e->db, MIG_PROBE_TRY, &e->caps, err);
  if (ok && !knew && mig_caps_has(&e->caps, MIG_CAP_RETRYABLE_WRITES)) {
    /* the lease hangs on the connection: give it back, connect anew, take it again */
    mig_engine_unlock(e);
    ok = reconnect_if_retryable(e, err) && mig_lease_take(e->db, &options, &e->lease, err);
  }
  ok = ok && mig_ledger_prepare(e->db, err) && pass_ledger(e, &options, err);
  if (ok) mig_crash_point(MIG_CRASH_LEDGER_READY);
  if (!ok) mig_engine_unlock(e);
  return ok;
}

void mig_engine_unlock(mig_engine *e) {
  if (!e->lease) return;
  mig_crash_point(MIG_CRASH_UNLOCK_BEFORE);
  mig_lease_release(e->lease);
  e->lease = NULL;
  mig_crash_point(MIG_CRASH_UNLOCK_AFTER);
}

bool mig_engine_refuse_unfinished(mig_engine *e, bool restores, mig_error *err) {
  mig_ledger *ledger = NULL;
  const char *name = NULL;
  bool restoring = false, tried = false;
  if (!mig_ledger_load(e->db, &ledger, err)) return false;
  for (size_t i = 0; i < ledger->count && !name; i++) {
    if (ledger->items[i].status != MIG_STATUS_RUNNING) continue;
    name = ledger->items[i].name;
    tried = ledger->items[i].run.phase == MIG_PHASE_RESTORING;
  }
  bool ok = name != NULL || !restores || mig_emergency_pending(e->db, &restoring, err);
  if (ok && (name || restoring)) {
    mig_fail(err, MIG_E_UNFINISHED, "an interrupted run waits: %s", name ? name : "a restore by hand");
    mig_why(err, "its runner stopped before it was finished");
    ok = mig_hint(err, "run `mig recover` first: it finishes or undoes it%s",
                  tried ? "; if it cannot: mig restore SNAPSHOT --force --why TEXT, or mig mark (docs/recovery.md)"
                        : "");
  }
  mig_ledger_free(ledger);
  return ok;
}

/* `known`: it waited before the failure; that counts where the server cannot be asked any more. */
bool mig_engine_tell_unfinished(mig_engine *e, bool known, mig_error *err) {
  mig_error waits = {0};
  if (!err || err->code == MIG_E_LEASE || err->code == MIG_E_NOT_RESTORED || err->code == MIG_E_UNFINISHED ||
      err->code == MIG_E_INTERRUPTED)
    return false;
  if (mig_engine_refuse_unfinished(e, true, &waits)) return true;
  if (waits.code != MIG_E_UNFINISHED && !known) return false;
  mig_lease_state s = {0};
  if (waits.code != MIG_E_UNFINISHED) mig_fail(&waits, MIG_E_UNFINISHED, "an interrupted run waits");
  if (!e->lease && mig_lease_look(e->db, &s, NULL) && s.locked && !s.expired && !s.holder_dead)
    mig_fail(&waits, MIG_E_UNFINISHED, "a run has not ended: process %lld of %s holds the lease", (long long)s.pid,
             s.host);
  mig_why(&waits, "it could not be settled: %s: %s", err->what, mig_error_why(err));
  *err = waits;
  return mig_hint(err, "see to that, then run `mig recover`: until then the data is in between");
}
