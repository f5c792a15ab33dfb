/*
 * window.h - one side's documents that wait for their partner: a queue in order of arrival with a look-up by _id
 *
 *     mig_window_add --> mig_window_find --> mig_window_remove ... mig_window_clear
 *
 * Documents are copied in. Memory is counted in bytes; the caller keeps it bounded.
 */
#ifndef MIG_BACKUP_WINDOW_H
#define MIG_BACKUP_WINDOW_H

#include "backup/doc_id.h"

typedef struct mig_waiting {
  struct mig_waiting *before, *after; /* in the queue */
  struct mig_waiting *chain;          /* in the bucket */
  uint64_t hash;
  uint64_t place; /* its number in the stream */
  size_t size;
  uint8_t data[];
} mig_waiting;

typedef struct mig_window {
  mig_waiting *first, *last;
  mig_waiting **buckets; /* made with the first document */
  size_t bytes;
} mig_window;

bool mig_window_add(mig_window *w, const bson_t *doc, uint64_t place, mig_error *err);
mig_waiting *mig_window_find(const mig_window *w, const bson_t *doc); /* by _id bytes; NULL when none waits */
void mig_window_remove(mig_window *w, mig_waiting *entry);
void mig_window_clear(mig_window *w);
bool mig_waiting_doc(const mig_waiting *entry, bson_t *view);

#endif
