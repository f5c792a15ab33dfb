/*
 * crash.h - every point where a crash may fall, in one table; test builds can die at each
 *
 *     mig_crash_point(MIG_CRASH_SNAPSHOT_CHUNK);
 *
 * In builds with MIG_CRASH_POINTS (presets dev, asan, tsan ...) the variable MIG_CRASH_AT="snapshot_member:3" kills the
 * process with SIGKILL when that point is reached for the third time, "*:17" at the seventeenth point of any name;
 * MIG_CRASH_TRACE=FILE appends a line for each point passed; MIG_FAIL_ALLOC=N makes the Nth allocation of ours fail;
 * MIG_TEST_SOCKET_MS, MIG_TEST_PATIENCE_MS and MIG_TEST_LATE_MS make waits short. In other builds a crash point is
 * nothing at all. A new point is tested by tests/faults/test_crash_matrix.py as soon as it stands in the table and is
 * reached.
 */
#ifndef MIG_BASE_CRASH_H
#define MIG_BASE_CRASH_H

#include <stdint.h>

#define MIG_CRASH_TABLE(X)                                                                                             \
  X(LEASE_TAKEN, "lease_taken", "the lease is ours, nothing else is written")                                          \
  X(PROBE_SCRATCH, "probe_scratch", "a feature was tried on scratch collections, not yet dropped")                     \
  X(LEDGER_READY, "ledger_ready", "ledger, event log and their indexes are there")                                     \
  X(JOURNAL_BEFORE, "journal_before", "about to write the next phase to the ledger")                                   \
  X(JOURNAL_AFTER, "journal_after", "the next phase stands in the ledger")                                             \
  X(SNAPSHOT_MEMBER, "snapshot_member", "a member of the archive is written")                                          \
  X(SNAPSHOT_WRITTEN, "snapshot_written", "the archive is written, not yet synced")                                    \
  X(SNAPSHOT_SYNCED, "snapshot_synced", "the archive is synced, not yet renamed")                                      \
  X(SNAPSHOT_RENAMED, "snapshot_renamed", "the archive is renamed, its folder not yet synced")                         \
  X(SNAPSHOT_PUBLISHED, "snapshot_published", "the archive has its final name")                                        \
  X(PRUNE_REMOVED, "prune_removed", "a snapshot was removed by prune")                                                 \
  X(STEP_BEGIN, "step_begin", "a step is about to run")                                                                \
  X(STEP_BATCH, "step_batch", "a batch of a step was acknowledged")                                                    \
  X(STEP_END, "step_end", "a step has run")                                                                            \
  X(COMMIT_BEFORE, "commit_before", "commitTransaction is about to be sent")                                           \
  X(COMMIT_AFTER, "commit_after", "commitTransaction was acknowledged")                                                \
  X(RECORD_BEFORE, "record_before", "the final state is about to be written to the ledger")                            \
  X(RECORD_AFTER, "record_after", "the final state stands in the ledger")                                              \
  X(RESTORE_BEGIN, "restore_begin", "the archive is verified, nothing is restored")                                    \
  X(RESTORE_DISPLACED, "restore_displaced", "what will be overwritten is saved")                                       \
  X(RESTORE_DROPPED, "restore_dropped", "a restore has dropped a collection")                                          \
  X(RESTORE_INDEXES_DROPPED, "restore_indexes_dropped", "indexes that should not be there are dropped")                \
  X(RESTORE_BATCH, "restore_batch", "a batch of a restore was acknowledged")                                           \
  X(RESTORE_STAGED, "restore_staged", "the staging collection is complete, not yet renamed")                           \
  X(RESTORE_ASIDE, "restore_aside", "the collection that is to go is renamed, not yet looked at again")                \
  X(RESTORE_RENAMED, "restore_renamed", "the staging collection has taken its place")                                  \
  X(RESTORE_INDEX, "restore_index", "an index was rebuilt")                                                            \
  X(RESTORE_OPTIONS, "restore_options", "validator and options of a collection are set")                               \
  X(RESTORE_DONE, "restore_done", "everything is back and compared, not yet recorded")                                 \
  X(UNLOCK_BEFORE, "unlock_before", "the lease is about to be released")                                               \
  X(UNLOCK_AFTER, "unlock_after", "the lease is released")

typedef enum mig_crash {
#define MIG_CRASH_ENUM(id, name, when) MIG_CRASH_##id,
  MIG_CRASH_TABLE(MIG_CRASH_ENUM)
#undef MIG_CRASH_ENUM
      MIG_CRASH_COUNT
} mig_crash;

#ifdef MIG_CRASH_POINTS
void mig_crash_point(mig_crash at);
/* A wait that a test shortens by its environment, where it would do nothing but wait. */
int64_t mig_test_ms(const char *variable, int64_t ms);
#else
#define mig_crash_point(at)       ((void)0)
#define mig_test_ms(variable, ms) (ms)
#endif

/* The table's rows, for `mig version --crash-points` in test builds and for docs/reliability.md. */
const char *mig_crash_name(mig_crash at);
const char *mig_crash_when(mig_crash at);

#endif
