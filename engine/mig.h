/*
 * mig.h - libmig: change a MongoDB database safely. Read this first.
 *
 *     mig_settings s = {.uri = "mongodb://127.0.0.1/app", .migrations = "migrations", .store = "snapshots"};
 *     mig_engine *m = NULL;
 *     mig_error err;
 *     if (!mig_open(&s, &m, &err) || !mig_up(m, &(mig_up_options){0}, on_result, arg, &err)) report(&err);
 *     mig_close(m);
 *
 * The promise: after any run, and after any crash at any instruction, each migration is either applied and recorded, or
 * not applied, its collections byte for byte as before, and recorded, once mig_recover() (or the next mig_up()) has
 * run. Errors: false fills *err (code, what, why, hint); out-parameters are then NULL. mig_code_exit() gives the exit
 * code. Ownership: what comes through `out` is yours to free; what a callback gets is borrowed for the call. Threads:
 * one engine, one thread. A lease is refreshed by a thread of its own. Units: *_ms milliseconds, *_unix_ms UTC, *_bytes
 * uncompressed BSON unless it says otherwise. Nothing here prints, exits, or keeps a connection string where it could
 * be read out again.
 */
#ifndef MIG_H
#define MIG_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- errors -------------------------------------------------------------------------------------------------- */

/* The number behind each is the exit code of `mig` (a contract). */
typedef enum mig_code {
  MIG_OK = 0,
  MIG_E_FAILED,       /* 1: failed, nothing was changed */
  MIG_E_USAGE,        /* 2: wrong arguments or configuration */
  MIG_E_INPUT,        /* 2: a migration file that cannot be used */
  MIG_E_GUARD,        /* 1: a guard refused, nothing was changed */
  MIG_E_SERVER,       /* 1: the server refused a command */
  MIG_E_NETWORK,      /* 1: no answer; whether the command took effect is not known */
  MIG_E_STORE,        /* 1: the snapshot store or a local file failed */
  MIG_E_ARCHIVE,      /* 1: a snapshot archive is damaged, altered or of an unknown format */
  MIG_E_UNSUPPORTED,  /* 1: this server or build cannot do that */
  MIG_E_NO_MEMORY,    /* 1 */
  MIG_E_RESTORED,     /* 3: failed, and the data was restored */
  MIG_E_NOT_RESTORED, /* 4: failed, and the data could not be restored: act now */
  MIG_E_LEASE,        /* 5: another runner holds the lease, or ours was lost */
  MIG_E_CHECK,        /* 6: a check found problems */
  MIG_E_UNFINISHED,   /* 7: an interrupted run waits for mig_recover() */
  MIG_E_INTERRUPTED,  /* 130: a signal, and all is clean */
  MIG_CODE_COUNT
} mig_code;

typedef struct mig_error {
  mig_code code;
  int32_t server_code; /* the server's own number, 0 if none (11000 duplicate key, 251 no such transaction ...) */
  bool transient;      /* label TransientTransactionError: the whole transaction may be tried again */
  bool unknown_commit; /* label UnknownTransactionCommitResult */
  bool network;        /* no (whole) reply arrived */
  char what[512];      /* what happened, with the namespace or path */
  char why[1024];      /* the cause; may be empty */
  char hint[512];      /* what to do next; may be empty */
  char json_path[256]; /* for errors in a migration file: "up.0.addField.value" */
} mig_error;

int mig_code_exit(mig_code code);         /* the process's exit code */
const char *mig_code_name(mig_code code); /* "guard", "lease", ...: the stable name used in --json */

/* ---- what goes on ---------------------------------------------------------------------------------------------- */

typedef enum mig_level { MIG_DEBUG, MIG_INFO, MIG_WARNING } mig_level;

/* Both callbacks may be NULL. They are called from the thread that runs the work. */
typedef struct mig_observer {
  void *arg;
  void (*message)(void *arg, mig_level level, const char *text);
  /* what: "snapshot app.users", "addField users"; total 0 when it is not known. Called often: throttle when showing. */
  void (*progress)(void *arg, const char *what, uint64_t done, uint64_t total);
} mig_observer;

/* ---- the engine ------------------------------------------------------------------------------------------------ */

typedef struct mig_settings {
  const char *uri;             /* connection string */
  const char *database;        /* NULL: the one in the URI */
  const char *migrations;      /* folder of migration files */
  const char *store;           /* folder of snapshots; made when needed */
  const char *by;              /* who: recorded in the ledger; NULL: the user's name */
  const char *const *metadata; /* "key=value", NULL-terminated: recorded beside the file's own; may be NULL */
  const char *key_file;        /* new snapshots are encrypted with it, encrypted ones read; NULL: none */
  const char *passphrase_file; /* the same by a passphrase, the file's first line; not both */
  const char *sign_key_file;   /* private key (Ed25519, PEM): new snapshots are signed with it; NULL: they are not */
  int64_t lease_ttl_ms;        /* 0: 30 minutes */
  int64_t txn_max_documents;   /* 0: 10000; more than that and `auto` runs without a transaction */
  unsigned jobs;               /* threads and connections of snapshots and restores; 0: one a processor, at most 4 */
  bool no_snapshot;            /* allows migrations that say "snapshot": "off" to run without one */
  const volatile sig_atomic_t *stop; /* becomes non-zero when the run shall stop and undo; may be NULL */
  const char *log_file;              /* execution log: a JSON object a line; NULL: none */
  int64_t log_max_bytes;             /* then it is rotated; 0: 10 MiB */
  int32_t patience_ms;               /* how long to wait for a connection or an answer, for looking only; 0: long */
  mig_observer observer;
} mig_settings;

typedef struct mig_engine mig_engine;

bool mig_open(const mig_settings *settings, mig_engine **out, mig_error *err); /* connects; strings are copied */
void mig_close(mig_engine *m);

/* ---- runs ------------------------------------------------------------------------------------------------------ */

typedef struct mig_result {
  const char *name, *version;
  const char *direction; /* "up" or "down" */
  const char *outcome; /* "applied", "reverted", "failed" (nothing was changed), "restored", "notRestored", "unknown" */
  const char *transaction;     /* "used", "not-supported", "too-large" or "off" */
  const char *why_transaction; /* one sentence */
  int64_t started_unix_ms, duration_ms;
  int64_t validate_ms, snapshot_ms, run_ms, verify_ms, commit_ms, restore_ms;
  int64_t documents_read, documents_written, bytes_read, bytes_written;
  const char *snapshot_id, *snapshot_path; /* NULL when none was taken */
  int64_t snapshot_bytes;                  /* of the archive */
  const char *displaced_path; /* archive of what others wrote and a restore overwrote; NULL when there is none */
  int64_t displaced_documents;
  const mig_error *error; /* NULL when all is well */
} mig_result;

/* What a dry run tells of each migration. */
typedef struct mig_forecast {
  const char *name, *version, *direction;
  const char *transaction, *why_transaction;
  const char *const *collections; /* NULL-terminated: what it writes */
  size_t step_count, guard_count;
  int64_t documents;                          /* it would write, estimated */
  int64_t snapshot_documents, snapshot_bytes; /* estimated, uncompressed */
  size_t refusals;                            /* guards that refuse now */
  const char *const *reasons;                 /* one sentence per refusal */
  bool destroys;
} mig_forecast;

typedef struct mig_listener {
  void *arg;
  void (*result)(void *arg, const mig_result *result);
  void (*forecast)(void *arg, const mig_forecast *forecast);
} mig_listener;

typedef struct mig_up_options {
  const char *to;         /* up to and including this name or version */
  const char *only;       /* just this one */
  int64_t steps;          /* at most so many; 0: all */
  bool continue_on_error; /* go on with the next one after a clean failure */
  bool dry_run;           /* plan and guards only; nothing is written, not even a ledger */
} mig_up_options;

typedef struct mig_down_options {
  const char *only; /* just this one */
  const char *to;   /* everything applied after this name or version */
  int64_t steps;    /* so many, newest first; 0 with nothing else: 1 */
  bool batch;       /* all that the newest mig_up() applied */
  bool all;
  bool dry_run;
} mig_down_options;

/* MIG_OK also when there was nothing to do. *ran (may be NULL) counts migrations applied or reverted. */
bool mig_up(mig_engine *m, const mig_up_options *options, const mig_listener *listener, int64_t *ran, mig_error *err);
bool mig_down(mig_engine *m, const mig_down_options *options, const mig_listener *listener, int64_t *ran,
              mig_error *err);
/* Down, and up again in the old order, under one lease. A migration that fails on the way up stays reverted. */
bool mig_redo(mig_engine *m, const mig_down_options *options, const mig_listener *listener, int64_t *ran,
              mig_error *err);
/* Finishes or undoes what an interrupted run left. *settled (may be NULL) counts the runs. */
bool mig_recover(mig_engine *m, const mig_listener *listener, int64_t *settled, mig_error *err);

/* ---- when a program starts --------------------------------------------------------------------------------------- */

typedef struct mig_start_options {
  int64_t wait_ms; /* how long at most to wait for another runner; 0: 10 minutes */
} mig_start_options;

typedef struct mig_start_report {
  bool asked;      /* MIGRATE_ON_START is on */
  bool waited;     /* another runner was at work */
  bool failed;     /* it failed, and the program may go on all the same; error says why */
  int64_t applied; /* by this process */
  mig_error error;
} mig_start_report;

/* For the first lines of a program. Does nothing unless the variable MIGRATE_ON_START is true (true, yes, on, 1). Of
 * many processes that start at once one migrates; the others wait for it and go on. False: the program must not start.
 * A failure is one only if MIGRATE_ON_START_FAIL_HARD is true, or if the data could not be restored, a run is
 * unfinished, another runner still holds the lease, no server answers, or a signal came; any other stands in *out (may
 * be NULL), and the result is true. */
bool mig_run_on_start(const mig_settings *settings, const mig_start_options *options, const mig_listener *listener,
                      mig_start_report *out, mig_error *err);

#ifdef __cplusplus
}
#endif

#include "mig_module.h" /* migrations written in C */

#endif
