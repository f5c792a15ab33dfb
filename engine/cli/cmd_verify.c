/* snapshot verify: every hash, every document, and who has signed it. */
#include "cli/commands.h"

#include "backup/archive_read.h"
#include "backup/sign.h"

/* What can be said without the key: whether the file is the one that was written. Always false. */
static bool only_sums(mig_archive *a, mig_error *err) {
  mig_error key = *err;
  if (mig_archive_check_sum(a, err)) {
    *err = key;
    mig_fail_at(err, "the file's sum is right, its documents were not looked at");
  }
  return false;
}

static bool verify(mig_cli *cli, mig_archive *a, unsigned jobs, bool *whole, mig_error *err) {
  const mig_observer observer = cli_observer(cli);
  const char *signer = cli->opt[OPT_SIGNER];
  if (!cli_unlock(cli, a, err)) return only_sums(a, err);
  mig_archive_jobs(a, jobs);
  *whole = mig_archive_verify(a, &observer, err);
  return *whole && (!signer || mig_sign_check(a, signer, err));
}

typedef struct verdict {
  const char *name, *shown;
} verdict;

static const verdict GOOD = {"good", "good"}, DAMAGED = {"damaged", "DAMAGED"},
                     REFUSED = {"refused", "REFUSED"} /* whole, and of another signer or of none */,
                     UNREAD = {"unread", "UNREAD"} /* without its key, or no file */;

static void show(mig_cli *cli, const char *name, verdict v, const mig_error *why) {
  const bool good = why->code == MIG_OK;
  bson_t *line = BCON_NEW("snapshot", BCON_UTF8(name), "good", BCON_BOOL(good), "state", BCON_UTF8(v.name), "what",
                          BCON_UTF8(why->what));
  cli_json(cli, line);
  bson_destroy(line);
  cli_print(cli, "%s%-8s%s %s%s%s\n", cli_color(cli, good ? "green" : "red"), v.shown, cli_color(cli, "off"), name,
            good ? "" : ": ", why->what);
}

/* Damage first: it is what a person must know, and it decides the exit code. */
static void remember(mig_error *first, const mig_error *now) {
  if (first->code == MIG_OK || (first->code != MIG_E_ARCHIVE && now->code == MIG_E_ARCHIVE)) *first = *now;
}

bool cmd_snapshot_verify(mig_cli *cli, mig_error *err) {
  mig_error first = {0};
  unsigned jobs = 0;
  if (!mig_cli_jobs(cli, &jobs, err)) return false;
  for (int i = 0; i < cli->arg_count; i++) {
    mig_archive *a = NULL;
    mig_error local = {0};
    bool whole = false;
    const bool good = cli_open_snapshot(cli, cli->args[i], &a, &local) && verify(cli, a, jobs, &whole, &local);
    const verdict v = good ? GOOD : whole ? REFUSED : local.code == MIG_E_ARCHIVE ? DAMAGED : UNREAD;
    show(cli, cli->args[i], v, &local);
    if (!good) remember(&first, &local);
    mig_archive_free(a);
  }
  if (first.code == MIG_OK) return true;
  if (err) *err = first;
  if (err && err->code == MIG_E_ARCHIVE) {
    if (!err->hint[0]) mig_hint(err, "use another copy of the snapshot");
    err->code = MIG_E_CHECK;
  }
  return false;
}
