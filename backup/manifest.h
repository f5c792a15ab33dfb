/*
 * manifest.h - what a snapshot holds: the model behind manifest.json, the archive's last member
 *
 *     (writer) fill --> seal --> write          (reader) parse --> find ... --> free
 *
 * Shapes and rules: docs/snapshot-format.md. Reading refuses what the rules do not allow (unknown format, sizes that do
 * not fit, names that are not the canonical encoding, chunks out of order): a manifest is untrusted. The text is
 * canonical: what parse() accepts is byte for byte what write() gives for the same model.
 * Ownership: a manifest owns everything below it; mig_manifest_free(NULL) is fine.
 * Units: *_bytes of documents are uncompressed BSON.   Errors: MIG_E_ARCHIVE; the caller adds the file's name.
 */
#ifndef MIG_BACKUP_MANIFEST_H
#define MIG_BACKUP_MANIFEST_H

#include "backup/crypt.h"
#include "base/bsonx.h"
#include "base/hash.h"

#define MIG_SNAPSHOT_FORMAT    1
#define MIG_CHUNK_MAX_BYTES    (16u << 20) /* raw BSON in a chunk, unless it holds one larger document */
#define MIG_DOCUMENT_MAX_BYTES ((16u << 20) + (16u << 10))
#define MIG_MANIFEST_MAX_BYTES (256u << 20)
#define MIG_HEADER_MEMBER      "mig-snapshot.json"
#define MIG_MANIFEST_MEMBER    "manifest.json"

typedef enum mig_holds {
  MIG_HOLDS_ABSENT,   /* the collection did not exist: restoring it means dropping what is there */
  MIG_HOLDS_METADATA, /* options and indexes only */
  MIG_HOLDS_DOCUMENTS /* everything */
} mig_holds;

/* Whether others wrote to a collection between the first and the last read of the snapshot. */
typedef enum mig_written {
  MIG_WRITTEN_UNKNOWN, /* nobody looked: all was read at one time, or it was not read from a server */
  MIG_WRITTEN_NOTHING,
  MIG_WRITTEN_SOMETHING
} mig_written;

typedef struct mig_chunk {
  char *member;    /* "<db>/<collection>/000000.bson.zst" */
  uint64_t offset; /* of the member's content in the archive file */
  uint64_t stored_bytes, raw_bytes, documents;
  char sha256[MIG_SHA256_HEX]; /* of the stored (compressed) bytes */
  char raw_sha256[MIG_SHA256_HEX];
  /* {"_id": ...} of the first and last document, byte for byte; {} if it has none. Of an encrypted chunk the manifest
   * does not tell them: {} until verify() has read it, then known in memory, and never written. */
  bson_t *first, *last;
} mig_chunk;

typedef struct mig_collection_entry {
  char *name; /* decoded */
  char *type; /* "collection", "view", "timeseries"; NULL when absent */
  mig_holds holds;
  bson_t *info;          /* the listCollections entry: name, type, options, info.uuid; NULL when absent */
  bson_t *indexes;       /* array document of exact specs; NULL when absent */
  char *metadata_member; /* NULL when absent */
  uint64_t metadata_offset, metadata_bytes;
  char metadata_sha256[MIG_SHA256_HEX];
  bool natural_order; /* capped: chunks are in insertion order, not _id order */
  mig_chunk *chunks;
  size_t chunk_count;
  uint64_t documents, raw_bytes;
  mig_written written;
  char sha256[MIG_SHA256_HEX]; /* over all documents' bytes in chunk order; "" unless it holds documents */
} mig_collection_entry;

typedef struct mig_manifest {
  char *id, *tool, *reason, *database;
  char *migration, *direction; /* NULL when taken by hand */
  int64_t created_unix_ms;
  char *server_version, *server_product, *topology;
  char *consistency;                           /* "clusterTime", "transaction" or "perCollection" */
  uint32_t cluster_seconds, cluster_increment; /* 0, 0 if none */
  mig_encryption encryption;
  bool whole_database;
  mig_collection_entry *collections;
  size_t collection_count;
  uint64_t documents, raw_bytes;
  uint64_t header_offset, header_bytes; /* of mig-snapshot.json's content */
  char header_sha256[MIG_SHA256_HEX];
  char digest[MIG_SHA256_HEX];         /* the total digest: see the format document */
  char archive_sha256[MIG_SHA256_HEX]; /* of the file with these 64 digits as '0'; "" while it is being written */
} mig_manifest;

/* Of now, by this program; the rest is the caller's to fill. NULL when memory is short. */
mig_manifest *mig_manifest_new(const char *id, const char *reason, const char *database);
bool mig_manifest_parse(const char *json, size_t size, mig_manifest **out, mig_error *err);
bool mig_manifest_write(const mig_manifest *m, mig_buf *json, mig_error *err);
/* Fills m->digest (and the totals) from the collections. */
bool mig_manifest_seal(mig_manifest *m, mig_error *err);
const mig_collection_entry *mig_manifest_find(const mig_manifest *m, const char *collection);
/* The same for what a person writes: also "<database>.<collection>". A collection of just that name comes first. */
const mig_collection_entry *mig_manifest_named(const mig_manifest *m, const char *name);
void mig_manifest_free(mig_manifest *m);

const char *mig_holds_name(mig_holds holds); /* "absent", "metadata", "documents" */

#endif
