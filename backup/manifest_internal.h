/*
 * manifest_internal.h - what the parts of the archive code share about the manifest; not for other layers
 *
 * Members of an archive, in file order: the header, per collection its chunks and its metadata, then the manifest
 * itself (which is not in its own list):
 *
 *     mig_member_walk walk = {0};   while (mig_member_next(m, &walk, &member)) ...
 */
#ifndef MIG_BACKUP_MANIFEST_INTERNAL_H
#define MIG_BACKUP_MANIFEST_INTERNAL_H

#include "backup/manifest.h"

/* manifest.json ends with "archiveSha256":"<64 digits>"}\n : where the digits stand, counted from the end. */
#define MIG_MANIFEST_TAIL_BYTES (64u + 3u)
#define MIG_METADATA_MAX_BYTES  (128u << 20)
#define MIG_FEATURE_ENCRYPTION  "encryption"
#define MIG_HEADER_MAX_BYTES    (64u << 10)

typedef struct mig_member {
  const char *name;
  uint64_t offset, bytes;
  const char *sha256;                     /* of the member's content */
  const mig_collection_entry *collection; /* NULL: the header */
  const mig_chunk *chunk;                 /* NULL: the header or metadata */
} mig_member;

typedef struct mig_member_walk {
  size_t collection, chunk;
  bool after_header;
} mig_member_walk;

bool mig_member_next(const mig_manifest *m, mig_member_walk *walk, mig_member *out);

/* Names of members, from decoded names; free with mig_free. NULL when memory is short. */
char *mig_member_of_chunk(const mig_manifest *m, const char *collection, size_t number);
char *mig_member_of_metadata(const char *database, const char *collection);

/* Every rule of the format document that concerns the model alone. */
bool mig_manifest_check(const mig_manifest *m, mig_error *err);
bool mig_manifest_check_totals(const mig_manifest *m, mig_error *err); /* sums and digest */

/* manifest.json up to its own sums: what the HMAC of an encrypted archive is over. */
bool mig_manifest_body(const mig_manifest *m, mig_buf *json, mig_error *err);
/* The content of mig-snapshot.json, and of a collection's metadata.json: both follow from the manifest. */
bool mig_manifest_header(const mig_manifest *m, mig_buf *json, mig_error *err);
bool mig_metadata_write(const mig_manifest *m, const mig_collection_entry *c, mig_buf *json, mig_error *err);
/* Whether metadata.json carries exactly this collection's info and indexes. */
bool mig_metadata_check(const mig_collection_entry *c, const uint8_t *json, size_t size, mig_error *err);

/* {"_id": ...} of a document, its bytes unchanged; {} if there is none. NULL when the document is not valid. */
bson_t *mig_bson_id(const uint8_t *document, size_t size);

#endif
