/*
 * doc_id.h - a document's _id as exact bytes, as a filter, and, for the common types, in the server's order
 *
 *     mig_doc_id id; mig_doc_id_of(&doc, &id);   if (mig_doc_id_same(&id, &other)) ...
 *
 * Two ids are the same when type and bytes are: 1 and 1.0 are two ids here, though one for the server.
 * Ownership: an id points into its document and lives as long as that.      Trust: documents are untrusted.
 */
#ifndef MIG_BACKUP_DOC_ID_H
#define MIG_BACKUP_DOC_ID_H

#include "base/bsonx.h"

typedef struct mig_doc_id {
  const uint8_t *data; /* the element: type byte, "_id", value; NULL when the document has no _id */
  size_t size;
  bson_iter_t value; /* on the element */
} mig_doc_id;

/* The first top-level _id; an empty id when there is none. */
void mig_doc_id_of(const bson_t *doc, mig_doc_id *out);
bool mig_doc_id_same(const mig_doc_id *a, const mig_doc_id *b);
uint64_t mig_doc_id_hash(const mig_doc_id *id);
/* <0, 0, >0 as a server without collation sorts them. false: not known here (decimals, documents, NaN ...). */
bool mig_doc_id_order(const mig_doc_id *a, const mig_doc_id *b, int *out);

/* Appends the document's _id under `key`; false when there is none or it does not fit. */
bool mig_doc_id_append(bson_t *to, const char *key, const bson_t *doc);
/* {"_id": {"$eq": <id>}}. The same errors. */
bool mig_doc_id_filter(bson_t *filter, const bson_t *doc);
/* The _id as short JSON for messages; free with mig_free. NULL when memory is short. */
char *mig_doc_id_json(const bson_t *doc);

#endif
