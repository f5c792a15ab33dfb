/*
 * ledger.h - migrationlogs (one document per migration: its state and the journal of a run) and migrationevents
 *
 *     prepare --> load ... begin --> phase* --> applied | failed | ...
 *
 * The journal is the `run` part of a migration's document. Each write is majority-acknowledged and conditioned on the
 * run's id and the lease's token: a runner whose migration was taken over by another matches nothing, gets MIG_E_LEASE
 * and must stop. Shapes: design, section 4, and docs/ledger.md.
 * Trust: documents come from a server and are read with care; one that makes no sense is an error naming it.
 */
#ifndef MIG_RUN_LEDGER_H
#define MIG_RUN_LEDGER_H

#include "base/work.h"
#include "migrations/migration.h"

typedef enum mig_status {
  MIG_STATUS_PENDING,
  MIG_STATUS_RUNNING,
  MIG_STATUS_APPLIED,
  MIG_STATUS_FAILED,
  MIG_STATUS_REVERTED
} mig_status;
const char *mig_status_name(mig_status s);

/* The phases a run goes through, in order; kept as text in run.phase. */
typedef enum mig_phase {
  MIG_PHASE_GUARDS,    /* nothing was written */
  MIG_PHASE_SNAPSHOT,  /* the snapshot is being taken; nothing was written */
  MIG_PHASE_STEPS,     /* the snapshot is complete; steps may have written (or a transaction is open) */
  MIG_PHASE_RESTORING, /* the data is being put back */
  MIG_PHASE_DONE
} mig_phase;
const char *mig_phase_name(mig_phase p);

typedef enum mig_direction { MIG_UP, MIG_DOWN } mig_direction;
const char *mig_direction_name(mig_direction d);

typedef struct mig_snapshot_ref { /* NULLs when there is none */
  char *id, *path, *sha256;
  int64_t bytes;
} mig_snapshot_ref;

typedef struct mig_entry {
  char *name, *version, *checksum, *description, *error, *applied_by, *reverted_by;
  mig_status status;
  bool reversible, restored;
  int64_t applied_unix_ms, reverted_unix_ms, updated_unix_ms, duration_ms, batch;
  struct {
    char *id, *host;
    mig_phase phase;
    mig_direction direction;
    mig_status was;   /* the status before this run, to go back to */
    bool transaction; /* the steps run in a transaction */
    int64_t fence, pid, started_unix_ms;
    mig_snapshot_ref snapshot; /* this run's: never that of an earlier one */
  } run;
  mig_snapshot_ref
      snapshot; /* from before the last `up`, or the last `down` that succeeded: what takes the status back */
} mig_entry;

typedef struct mig_ledger {
  mig_entry *items;
  size_t count;
  bool by_bytes; /* the names ascend as strcmp sees it: they can be searched */
} mig_ledger;

/* Makes the collections and indexes that are missing. */
bool mig_ledger_prepare(mig_db *db, mig_error *err);
bool mig_ledger_load(mig_db *db, mig_ledger **out, mig_error *err); /* in name order */
void mig_ledger_free(mig_ledger *l);
int64_t mig_ledger_next_batch(const mig_ledger *l);
const mig_entry *mig_ledger_find(const mig_ledger *l, const char *name);
/* The largest token of any entry; 0 when there is none. */
bool mig_ledger_last_fence(mig_db *db, int64_t *fence, mig_error *err);
/* One entry, read with majority read concern where the server has it. *out NULL when there is none. */
bool mig_ledger_read(mig_db *db, const char *name, mig_entry **out, mig_error *err);
/* The entry in a document of the ledger: untrusted, anybody may have written to it. */
bool mig_entry_read(const bson_t *doc, mig_entry **out, mig_error *err);
void mig_entry_free(mig_entry *e);

/* What identifies a run in every write. */
typedef struct mig_run_key {
  const char *name; /* of the migration */
  char id[37];
  int64_t fence;
} mig_run_key;

typedef struct mig_begin {
  const mig_migration *migration;
  mig_direction direction;
  mig_status was;
  bool transaction;
  const char *by;
  const bson_t *metadata; /* recorded by `up`; NULL leaves what stands there */
} mig_begin;

/* The fields that come from the file: version, description, author, kind, reversible. */
void mig_ledger_describe(bson_t *set, const mig_migration *m);

bool mig_ledger_begin(mig_db *db, const mig_run_key *key, const mig_begin *begin, mig_error *err);
/* set: fields to change besides run.phase and updatedAt; NULL for none. */
bool mig_ledger_phase(mig_db *db, const mig_run_key *key, mig_phase phase, const bson_t *set, mig_error *err);
/* The end of a run, in the transaction if one is open: status, run.phase "done" and `set`. Outside one it is written
 * again, for some seconds, when nobody can say whether it took effect, and the entry is asked. */
bool mig_ledger_end(mig_db *db, const mig_run_key *key, mig_status status, const bson_t *set, mig_error *err);
/* A good end: only while the journal says that the steps run. One that reaches the server late, when the data is being
 * put back, matches nothing. MIG_E_UNFINISHED: nobody could say, for more than a minute, whether it took effect. */
bool mig_ledger_done(mig_db *db, const mig_run_key *key, mig_status status, const bson_t *set, mig_error *err);
/* Takes over a run that another runner left behind, whatever its token, if it still is unfinished with that id.
 * Conflicts with (and so waits for) a transaction that is still writing it. *taken false: it is finished after all. */
bool mig_ledger_take_over(mig_db *db, const mig_entry *unfinished, int64_t fence, bool *taken, mig_error *err);
/* From now on it is this handle's user who writes for the run that was taken over; once what others had sent for it was
 * waited for, and before anything is put back. */
bool mig_ledger_write_as(mig_db *db, const mig_run_key *key, mig_error *err);
/* Appends to the array `list` who has written for the runs that are not finished: see mig_db_writer. */
bool mig_ledger_writers(mig_db *db, bson_t *list, mig_error *err);
/* Sets fields of an entry by hand (mark, restore), upserting it. */
bool mig_ledger_set(mig_db *db, const char *name, int64_t fence, const bson_t *set, mig_error *err);

/* Appends to migrationevents. The document is complete but for _id. */
bool mig_events_add(mig_db *db, const bson_t *event, mig_error *err);

#endif
