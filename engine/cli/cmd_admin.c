/* lock-status, force-unlock, doctor. */
#include "cli/commands.h"

#include "base/fs.h"
#include "run/report.h"

static void json_lease(mig_cli *cli, const mig_lease_state *s) {
  bson_t line = BSON_INITIALIZER;
  mig_report_lease(&line, s);
  cli_json(cli, &line);
  bson_destroy(&line);
}

bool cmd_lock_status(mig_cli *cli, mig_error *err) {
  mig_engine *e = NULL;
  mig_lease_state s;
  char since[32], until[32];
  bool ok = mig_cli_open(cli, &e, err) && mig_lease_look(e->db, &s, err);
  if (ok) {
    cli_local_time(s.locked_unix_ms, since);
    cli_local_time(s.expires_unix_ms, until);
    json_lease(cli, &s);
    if (!s.locked)
      cli_print(cli, "free\n");
    else
      cli_print(cli, "held by %s, process %lld (%s)\n  since %s UTC, until %s UTC unless refreshed; token %lld\n",
                s.host, (long long)s.pid, s.reason, since, until, (long long)s.fence);
    if (s.locked && s.expired) cli_print(cli, "  it has run out: anyone may take it\n");
    if (s.locked && s.holder_dead) cli_print(cli, "  its process is gone: the next run takes it over\n");
  }
  mig_close(e);
  return ok;
}

bool cmd_force_unlock(mig_cli *cli, mig_error *err) {
  mig_engine *e = NULL;
  mig_lease_state was;
  if (!cli->opt[OPT_CONFIRM]) {
    mig_fail(err, MIG_E_USAGE, "force-unlock takes the lease away from whoever holds it");
    mig_why(err, "a runner that is still at work will stop before its next write and leave its migration unfinished");
    return mig_hint(
        err, "look at `mig lock-status`; if the holder is surely gone: mig force-unlock --confirm, then mig recover");
  }
  bool ok = mig_cli_open(cli, &e, err) && mig_lease_look(e->db, &was, err) && mig_lease_force_unlock(e->db, &was, err);
  cli->changed = ok;
  if (ok) json_lease(cli, &was);
  if (ok && !was.locked)
    cli_print(cli, "it was free\n");
  else if (ok)
    cli_print(cli, "taken from %s, process %lld; now run `mig recover`\n", was.host, (long long)was.pid);
  mig_close(e);
  return ok;
}

static void line_of(mig_cli *cli, const char *what, const char *state, const char *note) {
  bson_t *line = BCON_NEW("check", BCON_UTF8(what), "state", BCON_UTF8(state), "note", BCON_UTF8(note));
  cli_json(cli, line);
  bson_destroy(line);
  cli_print(cli, "%-18s %-8s %s\n", what, state, note);
}

static void check_store(mig_cli *cli, int *bad) {
  uint64_t free_bytes = 0;
  bool known = false;
  mig_error err = {0};
  char text[40];
  if (!mig_store_room(cli->store, &known, &free_bytes, &err)) {
    line_of(cli, "store", "bad", err.why);
    (*bad)++;
    return;
  }
  cli_bytes((int64_t)free_bytes, text);
  char note[300];
  snprintf(note, sizeof note, "%.200s, %s free", cli->store, known ? text : "not known how much is");
  line_of(cli, "store", "ok", note);
}

static void check_files(mig_cli *cli, mig_engine *e, int *bad) {
  mig_error err = {0};
  char note[80];
  if (!mig_engine_folder(e, &err)) {
    line_of(cli, "migrations", "bad", err.what);
    (*bad)++;
    return;
  }
  snprintf(note, sizeof note, "%zu in %.60s", e->folder->count, e->folder->path);
  line_of(cli, "migrations", "ok", note);
}

static void check_key(mig_cli *cli, mig_engine *e, int *bad) {
  mig_error err = {0};
  if (!mig_engine_key(e, &err)) {
    line_of(cli, "encryption", "bad", err.what);
    (*bad)++;
  } else {
    line_of(cli, "encryption", e->key ? "ok" : "no",
            e->key ? "new snapshots are encrypted" : "new snapshots are in the clear");
  }
}

static void check_sign_key(mig_cli *cli, mig_engine *e, int *bad) {
  mig_error err = {0};
  if (!mig_engine_sign_key(e, &err)) {
    line_of(cli, "signatures", "bad", err.what);
    (*bad)++;
  } else {
    line_of(cli, "signatures", e->sign_key ? "ok" : "no",
            e->sign_key ? "new snapshots are signed" : "new snapshots are not signed");
  }
}

/* Tries everything anew: a kept table may be from before an upgrade or a change of rights. */
static bool check_server(mig_cli *cli, mig_engine *e, mig_error *err) {
  char note[240];
  if (!mig_engine_lock(e, "doctor", err) || !mig_caps_probe(e->db, MIG_PROBE_AGAIN, &e->caps, err)) return false;
  snprintf(note, sizeof note, "%s %s, %s", e->caps.product, e->caps.version, e->caps.topology);
  line_of(cli, "server", "ok", note);
  for (int i = 0; i < MIG_CAP_COUNT; i++) line_of(cli, mig_cap_name((mig_cap)i), mig_tri_name(e->caps.has[i]), "");
  return true;
}

bool cmd_doctor(mig_cli *cli, mig_error *err) {
  mig_engine *e = NULL;
  int bad = 0;
  bool ok = mig_cli_open(cli, &e, err);
  if (ok) line_of(cli, "connection", "ok", mig_db_label(e->db));
  ok = ok && check_server(cli, e, err);
  if (ok) {
    check_store(cli, &bad);
    check_key(cli, e, &bad);
    check_sign_key(cli, e, &bad);
    check_files(cli, e, &bad);
  }
  mig_close(e);
  if (ok && bad) {
    mig_fail(err, MIG_E_CHECK, "%d of the checks failed", bad);
    return mig_hint(err, "they are marked bad above");
  }
  return ok;
}
