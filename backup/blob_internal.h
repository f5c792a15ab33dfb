/*
 * blob_internal.h - what a kind of blob, sink or store has to bring; for those who make one, not for users
 *
 * Each kind begins its own struct with the base; open and create functions fill base.kind at once, so that free works
 * on what is half made.
 */
#ifndef MIG_BACKUP_BLOB_INTERNAL_H
#define MIG_BACKUP_BLOB_INTERNAL_H

#include "backup/blob.h"
#include "backup/sink.h"
#include "backup/store.h"

typedef struct mig_blob_kind {
  bool (*read)(const mig_blob *b, const char *member, uint64_t offset, void *data, size_t size, mig_error *err);
  bool (*look)(const mig_blob *b, mig_blob_state *now, mig_error *err);
  void (*close)(mig_blob *b); /* and frees it, but for what the base owns */
} mig_blob_kind;

struct mig_blob {
  const mig_blob_kind *kind;
  char *path;
  uint64_t bytes;
  bool far;
};

typedef struct mig_sink_kind {
  bool (*write)(mig_sink *s, const void *data, size_t size, mig_error *err);
  bool (*patch)(mig_sink *s, uint64_t offset, const void *data, size_t size, mig_error *err);
  bool (*settle)(mig_sink *s, mig_error *err);
  const char *(*path)(const mig_sink *s);
  bool (*publish)(mig_sink *s, const char *id, char **path, mig_error *err);
  void (*free)(mig_sink *s);
} mig_sink_kind;

struct mig_sink {
  const mig_sink_kind *kind;
};

typedef struct mig_store_kind {
  bool (*create)(mig_store *s, const char *id, mig_sink **out, mig_error *err);
  bool (*list)(const mig_store *s, mig_store_item **items, size_t *count, mig_error *err); /* in any order */
  bool (*remove)(const mig_store *s, const char *path, mig_error *err);
  bool (*sweep)(const mig_store *s, mig_error *err);
  bool (*room)(const mig_store *s, bool *known, uint64_t *bytes, mig_error *err);
  void (*close)(mig_store *s); /* and frees it, but for what the base owns */
} mig_store_kind;

struct mig_store {
  const mig_store_kind *kind;
  char *name;
  const char *spool_folder;
  mig_key *key; /* the base's own, as the name is, and the next */
  mig_sign_key *sign_key;
};

/* Whether the name of a file is that of a finished snapshot; *id (free with mig_free) is what stands in front. */
bool mig_store_name_is_snapshot(const char *name, char **id, mig_error *err);
/* The id's time, or else the file's. */
int64_t mig_store_time(const char *id, int64_t modified_unix_ms);
bool mig_store_check_id(const char *id, mig_error *err);

#endif
