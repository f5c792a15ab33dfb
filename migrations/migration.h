/*
 * migration.h - one migration file, loaded and checked; and a folder of them in order
 *
 *     mig_folder_load("migrations", guard_check, &folder, err)  -->  folder->items[i]  -->  mig_folder_free(folder)
 *
 * Declarative files are JSON (Extended JSON v2, comments allowed). Errors: MIG_E_INPUT, `what` starts with
 * "file:line:column: "; an unknown key, step, guard, argument or type is an error and names the nearest known one.
 * C modules are *.c, compiled on first use, and *.so: module/module.h.
 * Names: YYYY-MM-DDTHH-MM-SS_name, 0001_name, 20250122001-name. Order is numeric-aware. Files that end otherwise, and
 * those that start with '.', are not migrations. Folders `pending/` and `completed/` are read as one.
 * Trust: files are untrusted; at most 64 MiB each.
 */
#ifndef MIG_MIGRATIONS_MIGRATION_H
#define MIG_MIGRATIONS_MIGRATION_H

#include "base/hash.h"
#include "migrations/step.h"

typedef enum mig_txn_mode { MIG_TXN_AUTO, MIG_TXN_REQUIRED, MIG_TXN_OFF } mig_txn_mode;
typedef enum mig_snapshot_mode { MIG_SNAPSHOT_AUTO, MIG_SNAPSHOT_ALWAYS, MIG_SNAPSHOT_OFF } mig_snapshot_mode;

typedef struct mig_steps {
  mig_step *items;
  size_t count;
} mig_steps;

typedef struct mig_migration {
  const char *kind;           /* "declarative" or "module" */
  char *name;                 /* file name without its ending: the ledger's key */
  char *version;              /* "version" in the file, else the number in front of the name */
  char *order;                /* the number or time in front of the name */
  char *description, *author; /* may be NULL */
  char *path;
  char checksum[MIG_SHA256_HEX];
  mig_txn_mode transaction;
  mig_snapshot_mode snapshot;
  bool reversible; /* has "down" */
  mig_steps up, down;
  bson_t *guards, *verify; /* arrays of {"guard": {...}}, checked; empty when not given */
  bson_t *metadata;        /* may be empty */
} mig_migration;

/* Checks one {"name": {...}} guard document at json_path; given by the layer above, which knows the guards. */
typedef bool (*mig_guard_check)(const bson_t *guard, const char *json_path, mig_error *err);

bool mig_migration_load(const char *path, mig_guard_check check, mig_migration **out, mig_error *err);
/* The same of a declarative migration from text that is not yet in the file `path`. Takes over *text in any case; an
 * empty one means the file. */
bool mig_migration_parse(const char *path, mig_buf *text, mig_guard_check check, mig_migration **out, mig_error *err);
void mig_migration_free(mig_migration *m);

typedef struct mig_folder {
  char *path;
  mig_migration **items; /* in order */
  size_t count;
} mig_folder;

/* Calls fn with the path of every file in the folder that is or would be a migration, without reading it. */
typedef bool (*mig_folder_fn)(void *arg, const char *path, mig_error *err);
bool mig_folder_each(const char *path, mig_folder_fn fn, void *arg, mig_error *err);

bool mig_folder_load(const char *path, mig_guard_check check, mig_folder **out, mig_error *err);
const mig_migration *mig_folder_find(const mig_folder *f, const char *name); /* by name, file name, or unique version */
void mig_folder_free(mig_folder *f);

/* Numeric-aware comparison: "9_x" before "0010_y". */
int mig_name_order(const char *a, const char *b);

#endif
