/* mig_run_on_start: one of many migrates, the others wait for it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "run/engine.h"

#define WAIT_MS ((int64_t)10 * 60 * 1000)
#define POLL_MS 500

static bool read_switch(const char *name, bool *out, mig_error *err) {
  static const char *const yes[] = {"true", "yes", "on", "1", NULL}, *const no[] = {"false", "no", "off",
                                                                                    "0",     "",   NULL};
  const char *text = getenv(name);
  *out = false;
  for (size_t i = 0; text && yes[i]; i++)
    if (strcasecmp(text, yes[i]) == 0) return *out = true;
  for (size_t i = 0; text && no[i]; i++)
    if (strcasecmp(text, no[i]) == 0) return true;
  if (!text) return true;
  mig_fail(err, MIG_E_USAGE, "the variable %s says \"%.40s\"", name, text);
  return mig_hint(err, "true or false");
}

/* Sleeps in pieces until nobody holds the lease any more, the time is over, or a signal came. */
static bool wait_for_lease(mig_engine *e, int64_t until_ms, const mig_error *held, mig_error *err) {
  char hex[3] = "7f";
  for (;;) {
    mig_lease_state s;
    if (mig_stop_asked(&e->settings)) return mig_fail(err, MIG_E_INTERRUPTED, "interrupted while waiting");
    if (!mig_lease_look(e->db, &s, err)) return false;
    if (!s.locked || s.expired || s.holder_dead) return true;
    if (mig_now_monotonic_ms() >= until_ms) {
      if (err) *err = *held;
      return mig_fail_at(err, "waited in vain");
    }
    mig_random_hex(1, hex, NULL);
    mig_sleep_ms(POLL_MS + (hex[0] % 16) * 16); /* many wait: not all in step */
  }
}

/* What another runner has tried while we waited is not tried again by each of us. */
static bool refuse_what_failed(mig_engine *e, int64_t since_unix_ms, mig_error *err) {
  mig_ledger *ledger = NULL;
  if (!mig_engine_folder(e, err) || !mig_ledger_load(e->db, &ledger, err)) return false;
  bool ok = true;
  for (size_t i = 0; ok && i < ledger->count; i++) {
    const mig_entry *x = &ledger->items[i];
    const mig_migration *m = mig_folder_find(e->folder, x->name);
    bool same = m && x->checksum && strcmp(m->checksum, x->checksum) == 0;
    if (x->status != MIG_STATUS_FAILED || !same || x->updated_unix_ms < since_unix_ms) continue;
    ok = mig_fail(err, x->restored ? MIG_E_RESTORED : MIG_E_FAILED, "%s has failed in another process", x->name);
    mig_why(err, "%s", x->error ? x->error : "");
    mig_hint(err, "correct the migration; `mig history` tells of the attempt");
  }
  mig_ledger_free(ledger);
  return ok;
}

static bool migrate(mig_engine *e, int64_t wait_ms, const mig_listener *listener, mig_start_report *r, mig_error *err) {
  const mig_up_options options = {0};
  int64_t until = mig_now_monotonic_ms() + wait_ms, since = 0;
  if (!mig_db_server_now(e->db, &since, err)) return false;
  for (;;) {
    mig_error local = {0};
    int64_t ran = 0;
    bool ok = mig_up(e, &options, listener, &ran, &local);
    r->applied += ran;
    if (ok) return true;
    if (local.code != MIG_E_LEASE) {
      if (err) *err = local;
      return false;
    }
    if (!r->waited) mig_say(mig_engine_observer(e), MIG_INFO, "%s; waiting for it", local.what);
    r->waited = true;
    if (!wait_for_lease(e, until, &local, err) || !refuse_what_failed(e, since, err)) return false;
  }
}

static bool waits(mig_engine *e) {
  mig_error why = {0};
  return !mig_engine_refuse_unfinished(e, true, &why) && why.code == MIG_E_UNFINISHED;
}

/* Whatever kept us from migrating (a file, a key, the log): an interrupted run that waits counts for more. *hard: the
 * program must not run on data that nobody has put in order, that another runner is in the middle of, or of which the
 * server does not say that it is neither: what it would write there may be undone with the rest. */
static bool open_and_migrate(const mig_settings *settings, int64_t wait_ms, const mig_listener *listener,
                             mig_start_report *r, bool *hard) {
  mig_engine *e = NULL;
  bool ok = mig_open(settings, &e, &r->error);
  const bool opened = ok, known = ok && waits(e);
  ok = ok && migrate(e, wait_ms, listener, r, &r->error);
  if (!opened && r->error.code != MIG_E_NETWORK) {
    const mig_settings bare = {.uri = settings->uri,
                               .database = settings->database,
                               .patience_ms = settings->patience_ms,
                               .stop = settings->stop};
    mig_open(&bare, &e, NULL);
  }
  *hard = !ok && !(e && mig_engine_tell_unfinished(e, known, &r->error));
  mig_close(e);
  return ok;
}

bool mig_run_on_start(const mig_settings *settings, const mig_start_options *options, const mig_listener *listener,
                      mig_start_report *out, mig_error *err) {
  mig_start_report own, *r = out ? out : &own;
  bool hard = false, must = false;
  memset(r, 0, sizeof *r);
  if (!read_switch("MIGRATE_ON_START", &r->asked, err) || !read_switch("MIGRATE_ON_START_FAIL_HARD", &hard, err))
    return false;
  if (!r->asked) return true;
  int64_t wait_ms = options && options->wait_ms > 0 ? options->wait_ms : WAIT_MS;
  if (open_and_migrate(settings, wait_ms, listener, r, &must)) return true;
  r->failed = true;
  if (!hard && !must) return true;
  if (err) *err = r->error;
  return false;
}
