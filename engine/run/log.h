/*
 * log.h - the execution log: one JSON object a line, in a file that is rotated when it grows too large
 *
 *     mig_log_new("migration-execution.log", 0, &log, err)  -->  mig_log_write(log, fields, err) ...  -->
 * mig_log_free(log)
 *
 * Several processes may write the same file: each line is one append, and a line may be followed by those of others but
 * is never cut or lost. PATH becomes PATH.1, that PATH.2, and so on up to MIG_LOG_KEEP. The file is made with the first
 * line (mode 0640). What is no regular file (a pipe, /dev/stderr) is written to and never rotated.
 * Errors: MIG_E_STORE with the path; nothing that is run may fail for them.
 * Threads: one log, one thread.
 */
#ifndef MIG_RUN_LOG_H
#define MIG_RUN_LOG_H

#include "base/bsonx.h"

#define MIG_LOG_KEEP 5

typedef struct mig_log mig_log;

bool mig_log_new(const char *path, int64_t max_bytes, mig_log **out, mig_error *err); /* 0: 10 MiB */
/* Writes {"time": now, ...fields}; dates at the top level as ISO 8601 text. */
bool mig_log_write(mig_log *log, const bson_t *fields, mig_error *err);
void mig_log_free(mig_log *log);

#endif
