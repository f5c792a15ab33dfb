/* The second and third line of an error whose layer has said all in the first. */
#include "base/error.h"

static const struct {
  const char *why, *hint;
} fallback[MIG_CODE_COUNT] = {
    [MIG_E_USAGE] = {"the command line or the settings cannot be used like that", "`mig help` tells what it takes"},
    [MIG_E_INPUT] = {"a migration file cannot be used as it is, and so none is run",
                     "correct it; `mig list` reads them all, `mig validate` checks them"},
    [MIG_E_GUARD] = {"a condition of the migration does not hold", NULL},
    [MIG_E_SERVER] = {"the server refused it", "`mig doctor` tells what this server does"},
    [MIG_E_NETWORK] = {"the server did not answer", "`mig status` tells where things stand"},
    [MIG_E_STORE] = {"the snapshot store or a file cannot be used", "look at the path; --store, --dir name others"},
    [MIG_E_ARCHIVE] = {"the snapshot is damaged, was altered, or is none", "use another copy of the snapshot"},
    [MIG_E_UNSUPPORTED] = {"it cannot be done here", "`mig doctor` tells what this server does"},
    [MIG_E_NO_MEMORY] = {"the system gave no more memory", NULL},
    [MIG_E_NOT_RESTORED] = {"some of the data may be as the run left it", "mig recover"},
    [MIG_E_LEASE] = {"only one runner may work on a database at a time", "`mig lock-status` tells who it is"},
    [MIG_E_CHECK] = {"files, ledger and database do not agree", "`mig status` shows each migration"},
    [MIG_E_UNFINISHED] = {"a run was interrupted and is not yet settled", "mig recover"},
    [MIG_E_INTERRUPTED] = {"a signal came", "run the command again to go on"},
};

const char *mig_error_why(const mig_error *err) {
  const char *why = (unsigned)err->code < MIG_CODE_COUNT ? fallback[err->code].why : NULL;
  return err->why[0] ? err->why : why ? why : "no reason is known";
}

const char *mig_error_hint(const mig_error *err) {
  const char *hint = (unsigned)err->code < MIG_CODE_COUNT ? fallback[err->code].hint : NULL;
  return err->hint[0] ? err->hint : hint ? hint : "`mig help` and docs/troubleshooting.md may help";
}
