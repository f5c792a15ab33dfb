/*
 * dump_sort.h - where the documents of a dump stand, put into the order in which an archive takes them
 *
 *     new --> add* --> sorted --> next* --> free
 *
 * Documents are not kept: only collection, _id, and where the document is. They come back by collection, in it by _id
 * (doc_order.h), or in the order of add() where the collection is natural. Bounded memory: what does not fit is written
 * to an unnamed file in `folder` as sorted runs, which are merged; a dump that stands in order already costs no
 * sorting. Errors: MIG_E_STORE for that file.   Trust: documents are checked by the caller (mig_bson_valid).
 */
#ifndef MIG_BACKUP_DUMP_SORT_H
#define MIG_BACKUP_DUMP_SORT_H

#include "base/bsonx.h"

typedef struct mig_dump_sort mig_dump_sort;

typedef struct mig_dump_place {
  uint32_t collection; /* the caller's number */
  uint32_t bytes;
  uint64_t offset; /* of the document in its file */
} mig_dump_place;

/* memory_bytes 0: 16 MiB. */
bool mig_dump_sort_new(const char *folder, size_t memory_bytes, mig_dump_sort **out, mig_error *err);
bool mig_dump_sort_add(mig_dump_sort *s, const mig_dump_place *place, bool natural, const bson_t *doc, mig_error *err);
bool mig_dump_sort_sorted(mig_dump_sort *s, mig_error *err);
/* *more false at the end. */
bool mig_dump_sort_next(mig_dump_sort *s, mig_dump_place *place, bool *more, mig_error *err);
void mig_dump_sort_free(mig_dump_sort *s);

/* An unnamed file for reading and writing in this folder: gone when it is closed, or when we are killed. */
bool mig_dump_temp(const char *folder, int *fd, mig_error *err);

#endif
