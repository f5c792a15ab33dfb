/*
 * snapshot.h - a restorable copy of the collections a migration may touch
 *
 *     mig_snapshot_take(...) --> an archive in the store
 *
 * The promise: once take() returns true the archive survives a power cut and has been read back and hashed.
 * Consistency: one cluster time for all collections where the server has it, else each collection for itself;
 * the manifest says which was reached, and for the latter which collections were written to meanwhile.
 * Errors: false fills *err (namespace or path, cause, hint); nothing with a final name is left behind.
 * A view is saved by its definition. Time series data, and anything else that can't be carried, is refused by name.
 */
#ifndef MIG_BACKUP_SNAPSHOT_H
#define MIG_BACKUP_SNAPSHOT_H

#include "backup/archive_write.h"
#include "base/work.h"

typedef struct mig_snapshot_want {
  const char *collection;
  mig_holds holds; /* DOCUMENTS or METADATA; a collection that does not exist is recorded as ABSENT either way */
} mig_snapshot_want;

typedef struct mig_snapshot_options {
  mig_store *store;
  const char *label;                 /* in the id: the migration's name, or "manual" */
  const char *reason;                /* "before up of 0001_x", "manual", "safety" */
  const char *migration, *direction; /* NULL when taken by hand */
  bool whole_database;               /* every collection but migrationlocks and migrationevents; no wants then */
  const mig_snapshot_want *wants;    /* none, and not the whole: an archive of nothing, for a run that only reads */
  size_t want_count;
  mig_archive_options archive;
} mig_snapshot_options;

typedef struct mig_snapshot_info {
  char *id, *path;
  char sha256[MIG_SHA256_HEX]; /* of the file */
  char digest[MIG_SHA256_HEX]; /* of the content */
  uint64_t bytes, raw_bytes, documents;
  char consistency[16];
  bool stored_left; /* the database stores functions (system.js), which a snapshot of the whole does not hold */
  bson_t *written;  /* names of collections that were written to while they were read; NULL: nobody looked */
} mig_snapshot_info;

bool mig_snapshot_take(mig_work *w, const mig_snapshot_options *options, mig_snapshot_info *out, mig_error *err);
void mig_snapshot_info_clear(mig_snapshot_info *info);
/* What a finished manifest tells: sizes, digest, consistency. */
void mig_snapshot_describe(const mig_manifest *m, mig_snapshot_info *out);

/* A warning: the functions stored in this database are not in the snapshot. */
void mig_snapshot_say_stored(const mig_observer *observer, const char *database);

/* Estimated raw bytes and documents of the wanted collections, by their metadata. */
bool mig_snapshot_estimate(mig_work *w, const mig_snapshot_want *wants, size_t count, int64_t *documents,
                           int64_t *raw_bytes, mig_error *err);

#endif
