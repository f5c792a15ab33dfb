/*
 * chunk_line.h - documents become chunks: packed by several threads, written by another, in order
 *
 *     open --> { document* --> end(collection) }* --> free
 *
 * write() gets each chunk in order, on a thread that is not the caller's; what it uses must be left alone until end(),
 * which waits for the last chunk. The threads are started with the first full chunk: a small archive needs none, its
 * chunks are packed and written by the caller.
 * Errors: those of packing and of write(), perhaps a few documents later than what caused them.
 */
#ifndef MIG_BACKUP_CHUNK_LINE_H
#define MIG_BACKUP_CHUNK_LINE_H

#include "backup/chunk.h"

typedef struct mig_chunk_line mig_chunk_line;

typedef struct mig_chunk_line_options {
  uint32_t chunk_bytes; /* a chunk that the next document would take past this is full */
  int level;
  unsigned jobs;
  size_t budget_bytes;
  const mig_crypt *crypt; /* borrowed; NULL: chunks are in the clear */
  /* The member's name of the collection's chunk `number`, from 0; on the caller's thread. *member is taken over. */
  bool (*name)(void *arg, size_t number, char **member, mig_error *err);
  bool (*write)(void *arg, mig_packed *chunk, mig_error *err); /* may take chunk->info over (zeroing it) */
  void *arg;
} mig_chunk_line_options;

bool mig_chunk_line_open(const mig_chunk_line_options *options, mig_chunk_line **out, mig_error *err);
bool mig_chunk_line_document(mig_chunk_line *l, const uint8_t *bson, size_t size, mig_error *err);
bool mig_chunk_line_end(mig_chunk_line *l, mig_error *err); /* all is written */
void mig_chunk_line_free(mig_chunk_line *l);

#endif
