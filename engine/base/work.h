/*
 * work.h - what every piece of work on the data gets: connection, capabilities, checkpoint, counters
 *
 * Call mig_checkpoint() before every batch that writes, and about once a second when only reading: it fails when the
 * lease is lost or a signal came, and then nothing more may be written.
 */
#ifndef MIG_BASE_WORK_H
#define MIG_BASE_WORK_H

#include "base/caps.h"

typedef struct mig_counts {
  int64_t documents_read, documents_written;
  int64_t bytes_read, bytes_written; /* uncompressed BSON */
} mig_counts;

typedef struct mig_work {
  mig_db *db;
  const mig_caps *caps;
  const mig_observer *observer;
  bool (*checkpoint)(void *arg, mig_error *err); /* NULL: nothing to check */
  void *checkpoint_arg;
  mig_counts counts;
  uint32_t batch_documents;            /* 0: 1000 */
  unsigned jobs;                       /* threads, and connections of their own, that may be used; see mig_jobs */
  const struct mig_services *services; /* what modules may ask of the layers above; NULL: nothing */
} mig_work;

bool mig_checkpoint(mig_work *w, mig_error *err);
/* Until something can be read (POLLIN: or it has ended) or written (POLLOUT: up to PIPE_BUF bytes do not block), with
 * the checkpoint: a pipe may stall for ever. */
bool mig_wait_fd(mig_work *w, int fd, short events, mig_error *err);
/* createIndexes, however long it takes: when the socket's time is over and the server is at work on it all the same, it
 * is waited for with the checkpoint, a day at most. reply as for mig_db_command. */
bool mig_create_indexes(mig_work *w, const bson_t *command, bson_t *reply, mig_error *err);
uint32_t mig_batch_documents(const mig_work *w);
/* For a find that reads much of a collection: appends a batchSize of some batch_bytes. The server's own 16 MiB would
 * take three times as much memory here, and leave the server waiting while they are worked on. Figures may be
 * estimates. */
#define MIG_BATCH_BYTES       (2 << 20)
#define MIG_BATCH_BYTES_RANGE (1 << 19) /* where several connections read */
void mig_append_batch_size(bson_t *command, int64_t documents, int64_t raw_bytes, int64_t batch_bytes);

#endif
