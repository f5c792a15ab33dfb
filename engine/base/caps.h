/*
 * caps.h - what this server really does: tried, never believed, never derived from its version
 *
 *     mig_caps_probe(db, MIG_PROBE_TRY, &caps, err);   if (mig_caps_has(&caps, MIG_CAP_TRANSACTIONS)) ...
 *
 * MIG_PROBE_READ only looks (a dry run writes nothing): what only a write could show stays MIG_UNKNOWN,
 * unless an earlier probe's result is kept in migrationlocks for the same server, version and topology.
 * MIG_PROBE_TRY uses scratch collections "migprobe_*", dropped again; the caller holds the lease.
 * A feature that the server accepts without doing is MIG_NO.
 */
#ifndef MIG_BASE_CAPS_H
#define MIG_BASE_CAPS_H

#include "base/db.h"

typedef enum mig_cap {
  MIG_CAP_REPLICA_SET, /* or sharded: not a standalone */
  MIG_CAP_TRANSACTIONS,
  MIG_CAP_RETRYABLE_WRITES,
  MIG_CAP_SNAPSHOT_READS, /* find at one atClusterTime for several collections */
  MIG_CAP_UPDATE_PIPELINE,
  MIG_CAP_REPLACE_PIPELINE, /* $replaceWith in one keeps a single _id (DocumentDB 1.0 stores two) */
  MIG_CAP_ID_RANGES,        /* find with min and max */
  MIG_CAP_COLLMOD,
  MIG_CAP_CREATE_VALIDATOR, /* create keeps the validator it is given */
  MIG_CAP_VALIDATOR,        /* and documents are checked */
  MIG_CAP_VIEWS,
  MIG_CAP_COLLATION,
  MIG_CAP_RENAME_DROP_TARGET,
  MIG_CAP_EXACT_MATCH,   /* $jsonSchema compares a whole document without the collection's collation */
  MIG_CAP_DOCUMENT_SIZE, /* $bsonSize of a whole document */
  MIG_CAP_COUNT
} mig_cap;

typedef enum mig_tri { MIG_UNKNOWN = 0, MIG_NO, MIG_YES } mig_tri;

typedef struct mig_caps {
  mig_tri has[MIG_CAP_COUNT];
  char version[64];  /* buildInfo's, for people and manifests; nothing decides on it */
  char product[32];  /* "MongoDB", "FerretDB", ... as far as it tells */
  char topology[64]; /* "standalone", "replica set rs0", "sharded" */
} mig_caps;

/* READ: look only. TRY: use what is kept, try what is unknown, keep it. AGAIN: try everything (mig doctor). */
typedef enum mig_probe { MIG_PROBE_READ, MIG_PROBE_TRY, MIG_PROBE_AGAIN } mig_probe;

bool mig_caps_probe(mig_db *db, mig_probe how, mig_caps *out, mig_error *err);
bool mig_caps_has(const mig_caps *caps, mig_cap cap); /* MIG_YES only */
const char *mig_cap_name(mig_cap cap);                /* "transactions": stable, for doctor and --json */
const char *mig_tri_name(mig_tri t);                  /* "yes", "no", "unknown" */

#endif
