/*
 * options.h - every option of every command, in one table
 */
#ifndef MIG_CLI_OPTIONS_H
#define MIG_CLI_OPTIONS_H

/* id, name, what it takes (NULL: a flag), help. The first ones are general. */
#define MIG_OPTIONS(X)                                                                                                 \
  X(URI, "uri", "URI", "connection string (MIG_URI); one with a password only by MIG_URI or mig.json")                 \
  X(DB, "db", "NAME", "database (MIG_DB); default: the one in the connection string")                                  \
  X(DIR, "dir", "FOLDER", "migrations (MIG_DIR); default: migrations")                                                 \
  X(STORE, "store", "FOLDER", "snapshots (MIG_STORE), also s3://BUCKET/PREFIX; default: snapshots")                    \
  X(BY, "by", "WHO", "recorded in the ledger (MIG_BY); default: your user name")                                       \
  X(CONFIG, "config", "FILE", "settings (MIG_CONFIG); default: mig.json")                                              \
  X(LOG_FILE, "log-file", "FILE", "JSON log of runs (MIG_LOG_FILE), or none; default: migration-execution.log")        \
  X(METRICS_FILE, "metrics-file", "FILE", "Prometheus textfile, written after the command (MIG_METRICS_FILE)")         \
  X(JSON, "json", NULL, "one JSON object a line on stdout, the last with \"exit\"")                                    \
  X(QUIET, "quiet", NULL, "no progress and no notes on stderr")                                                        \
  X(VERBOSE, "verbose", NULL, "more notes on stderr")                                                                  \
  X(HELP, "help", NULL, "what a command does and takes")                                                               \
  X(KEY_FILE, "key-file", "FILE", "encrypts new snapshots and reads encrypted ones (MIG_KEY_FILE)")                    \
  X(PASSPHRASE_FILE, "passphrase-file", "FILE", "the same by the passphrase in its first line (MIG_PASSPHRASE_FILE)")  \
  X(PASSPHRASE, "passphrase", NULL, "the same by a passphrase, asked for on the terminal")                             \
  X(SIGN_KEY, "sign-key", "FILE", "signs new snapshots with this private key, Ed25519 in PEM (MIG_SIGN_KEY_FILE)")     \
  X(VERSION, "version", NULL, "the version")                                                                           \
  X(TO, "to", "NAME", "up to (down: back to) this migration or version")                                               \
  X(STEPS, "steps", "N", "at most N migrations")                                                                       \
  X(BATCH, "batch", NULL, "all that the newest `mig up` applied")                                                      \
  X(ALL, "all", NULL, "all of them")                                                                                   \
  X(DRY_RUN, "dry-run", NULL, "plan and check only; nothing is written")                                               \
  X(CONTINUE, "continue-on-error", NULL, "after a clean failure go on with the next migration")                        \
  X(NO_SNAPSHOT, "no-snapshot", NULL, "allow migrations that say \"snapshot\": \"off\"")                               \
  X(TXN_MAX, "txn-max-documents", "N", "more documents than that: no transaction (default 10000)")                     \
  X(LEASE_MINUTES, "lease-minutes", "N", "how long the lease is held without a refresh (default 30)")                  \
  X(JOBS, "jobs", "N", "threads and connections for snapshots and restores (MIG_JOBS), at most 16")                    \
  X(EXIT_CODE, "exit-code", NULL, "exit 6 when something is pending or wrong")                                         \
  X(STATUS, "status", "OUTCOME", "only events with this outcome")                                                      \
  X(DIRECTION, "direction", "up|down|restore", "only events of this direction")                                        \
  X(SINCE, "since", "DATE|AGE", "only events since then: 2026-01-15, 2026-01-15T10:30Z, 12h, 7d")                      \
  X(LIMIT, "limit", "N", "so many a page (default 20)")                                                                \
  X(PAGE, "page", "N", "which page (default 1)")                                                                       \
  X(TEMPLATE, "template", "NAME", "what the new file starts from")                                                     \
  X(ONLY, "only", "COLLECTION", "just this collection; may be repeated")                                               \
  X(STRATEGY, "strategy", "delta|swap", "write what differs, or load beside and rename")                               \
  X(NO_SAFETY, "no-safety-snapshot", NULL, "do not copy the present state before a restore")                           \
  X(YES, "yes", NULL, "do not ask")                                                                                    \
  X(APPLIED, "applied", NULL, "record it as applied")                                                                  \
  X(PENDING, "pending", NULL, "record it as pending")                                                                  \
  X(WHY, "why", "TEXT", "the reason, for the ledger and the history")                                                  \
  X(WAIT, "wait", "SECONDS", "wait so long at most for another runner (default 600)")                                  \
  X(META, "meta", "KEY=VALUE", "recorded with the run in ledger and history; may be repeated")                         \
  X(CONFIRM, "confirm", NULL, "yes, take the lease away from its holder")                                              \
  X(KEEP_LAST, "keep-last", "N", "keep the newest N snapshots")                                                        \
  X(KEEP_DAILY, "keep-daily", "N", "keep the newest of each of the last N days that have one")                         \
  X(KEEP_WEEKLY, "keep-weekly", "N", "the same by weeks, from Monday")                                                 \
  X(KEEP_MONTHLY, "keep-monthly", "N", "the same by months")                                                           \
  X(KEEP_WITHIN, "keep-within", "TIME", "keep what is less than that older than the newest, as 1y5m7d2h")              \
  X(FORCE, "force", NULL, "prune: also what is needed, if named; restore, mark: a run that recover cannot settle")     \
  X(AS, "as", "DB.COLL=DB.COLL", "put this collection beside the original, under a new name; may be repeated")         \
  X(REPLACE, "replace", NULL, "with --as: also where a collection of that name is there")                              \
  X(NO_INDEXES, "no-indexes", NULL, "leave indexes as they are, build none")                                           \
  X(SIGNER, "signer", "FILE", "it must be signed by the holder of this public key (Ed25519, PEM)")                     \
  X(DOCUMENTS, "documents", NULL, "show each document that differs, in both forms")                                    \
  X(STRICT, "strict", NULL, "warnings count, too")                                                                     \
  X(GITHUB, "github", NULL, "as annotations of GitHub Actions")                                                        \
  X(LISTEN, "listen", "HOST:PORT", "where to serve (default 127.0.0.1:8737); elsewhere tokens and TLS are needed")     \
  X(TOKENS, "tokens", "FILE", "bearer tokens: a line each, read or write, the token, a name; mode 600")                \
  X(TLS_CERT, "tls-cert", "FILE", "certificate (PEM), with those that signed it")                                      \
  X(TLS_KEY, "tls-key", "FILE", "its private key (PEM); mode 600")                                                     \
  X(RATE_LIMIT, "rate-limit", "N", "requests a second from one address (default 50)")                                  \
  X(WORKFLOW, "workflow", NULL, "also write a GitHub Actions workflow")

typedef enum mig_option {
#define MIG_OPTION_ID(id, name, takes, help) OPT_##id,
  MIG_OPTIONS(MIG_OPTION_ID)
#undef MIG_OPTION_ID
      OPT_COUNT
} mig_option;

_Static_assert(OPT_COUNT <= 64, "the options of a command are bits of one number");

#define OPT_GENERAL_LAST OPT_VERSION
#define OPT_BIT(id)      (1ull << OPT_##id)

typedef struct mig_option_row {
  const char *name, *takes, *help;
} mig_option_row;

extern const mig_option_row mig_option_table[];

#endif
