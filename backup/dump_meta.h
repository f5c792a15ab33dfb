/*
 * dump_meta.h - a collection's metadata.json in a mongodump folder: options, indexes, UUID, name, type
 *
 * Written in canonical Extended JSON, as mongodump does. Read by json_source.h, which refuses what libbson would
 * misread. What is read becomes what a server would list: info is like its listCollections entry, indexes like
 * listIndexes. Trust: none. Errors: MIG_E_INPUT with file, line and column; MIG_E_UNSUPPORTED for what JSON cannot
 * carry.
 */
#ifndef MIG_BACKUP_DUMP_META_H
#define MIG_BACKUP_DUMP_META_H

#include "backup/manifest.h"

typedef struct mig_dump_meta {
  char *collection;       /* NULL when it does not say */
  char *type;             /* "collection", "view", "timeseries" */
  bool without_documents; /* an export of ours, of a snapshot that holds only metadata */
  bson_t *info, *indexes;
} mig_dump_meta;

bool mig_dump_meta_write(const mig_collection_entry *c, mig_buf *json, mig_error *err);
/* Empties json; NULL: there is no metadata (no options, only the index on _id). collection: the name as far as it is
 * known; NULL: what the text says. path is for messages. */
bool mig_dump_meta_read(const char *path, const char *collection, mig_buf *json, mig_dump_meta *out, mig_error *err);
void mig_dump_meta_clear(mig_dump_meta *m);

#endif
