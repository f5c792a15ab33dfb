/* Putting the snapshot back after a failure; also what recovery does. */
#include <string.h>

#include "backup/restore.h"
#include "base/clock.h"
#include "run/attempt.h"

#define TRIES 6

/* Verified: what is compared with the ledger's sum are the bytes that the restore will read. */
static bool open_right_archive(mig_engine *e, const char *path, const char *sha256, mig_archive **out, mig_error *err) {
  char now[MIG_SHA256_HEX];
  if (!mig_archive_open_with(path, e->key, out, err)) return false;
  mig_archive_jobs(*out, e->work.jobs);
  bool ok =
      mig_archive_verify(*out, mig_engine_observer(e), err) && (!sha256 || mig_archive_sha256(*out, now, NULL, err));
  if (ok && sha256 && strcmp(now, sha256) != 0) {
    mig_fail(err, MIG_E_ARCHIVE, "%s is not the snapshot that was taken for this run", path);
    ok = mig_why(err, "its SHA-256 is %.12s..., the ledger says %.12s...", now, sha256);
  }
  if (!ok) {
    mig_archive_free(*out);
    *out = NULL;
  }
  return ok;
}

bool mig_undo_run(mig_engine *e, const char *path, const char *sha256, const char *reason, char **displaced_path,
                  int64_t *displaced_documents, bool *identical, mig_error *err) {
  mig_archive *archive = NULL;
  bool ok = false;
  e->undoing = true;
  if (!open_right_archive(e, path, sha256, &archive, err) || !mig_engine_store(e, err)) goto done;
  for (int attempt = 0; attempt < TRIES && !ok; attempt++) {
    mig_restore_report report = {0};
    mig_error local = {0};
    const mig_restore_options options = {.displaced_store = e->store, .displaced_reason = reason};
    if (attempt) mig_sleep_ms(250 << attempt);
    /* nothing that an earlier attempt sent may be done behind the next one */
    ok = (attempt == 0 || mig_orphans_end(e, &local)) && mig_restore_run(&e->work, archive, &options, &report, &local);
    if (report.displaced_path) {
      mig_free(*displaced_path);
      *displaced_path = mig_strdup(report.displaced_path);
      *displaced_documents += report.displaced_documents;
    }
    if (ok) *identical = report.identical && attempt == 0;
    mig_restore_report_clear(&report);
    if (ok) break;
    if (err) *err = local;
    /* a server that is restarting or has no primary comes back; a lost lease or a damaged archive does not */
    if (!mig_db_passing(&local)) break;
    if (attempt + 1 < TRIES)
      mig_say(mig_engine_observer(e), MIG_WARNING, "restore: %s: %s; trying again", local.what, local.why);
  }
done:
  mig_archive_free(archive);
  e->undoing = false;
  return ok;
}
