/*
 * ttl.h - has the server a reason to remove this document by itself?
 *
 * A TTL index removes a document once a date in its field is older than expireAfterSeconds. A document that a restore
 * has put back and that had expired meanwhile is removed again within a minute: that is no failure of the restore.
 * In doubt it has none: a partial index, one of several fields.
 * Trust: indexes and documents are untrusted; what cannot be read has not expired.
 */
#ifndef MIG_BACKUP_TTL_H
#define MIG_BACKUP_TTL_H

#include "base/bsonx.h"

/* indexes: array document of specs. True when one of them is a TTL index by which doc is due at now_unix_ms. */
bool mig_ttl_expired(const bson_t *indexes, const bson_t *doc, int64_t now_unix_ms);

#endif
