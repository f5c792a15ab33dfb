/*
 * store.h - the place where snapshots live: a folder (store_folder.h) or a bucket (s3.h)
 *
 *     open --> new_id --> create --> [sink.h: written, read back, published]        list / find / remove        close
 *
 * What is in the list is complete. Nobody outside of backup/ knows what kind of place it is: snapshots go by their
 * paths, which mig_blob_open opens.
 * Ownership: what arrives through an out-parameter is the caller's.   Errors: MIG_E_STORE with the path;
 * MIG_E_USAGE for an id that cannot be one, or that fits several snapshots.
 * Trust: ids given by users are checked (no '/', no "..") before they become file names; links are not followed.
 */
#ifndef MIG_BACKUP_STORE_H
#define MIG_BACKUP_STORE_H

#include "backup/crypt.h"
#include "backup/sign_key.h"
#include "backup/sink.h"
#include "base/fs.h"

#define MIG_STORE_SUFFIX ".mig.tar"

typedef struct mig_store mig_store;

typedef struct mig_store_item {
  char *id, *path;
  uint64_t bytes;
  int64_t created_unix_ms; /* from the id; of a file with another name, its time of modification */
} mig_store_item;

/* create: it is made where it is missing, and its paths hold from anywhere. */
bool mig_store_open(const char *place, bool create, mig_store **out, mig_error *err);
void mig_store_close(mig_store *s);
/* From now on new archives are encrypted with this key (copied; NULL: in the clear again). */
bool mig_store_use_key(mig_store *s, const mig_key *key, mig_error *err);
const mig_key *mig_store_key(const mig_store *s); /* NULL: none */
/* From now on new archives are signed with this one (copied; NULL: they are not). */
bool mig_store_use_sign_key(mig_store *s, const mig_sign_key *key, mig_error *err);
const mig_sign_key *mig_store_sign_key(const mig_store *s); /* NULL: none */
bool mig_store_exists(const char *place);                   /* false: there is nothing to open without `create` */
const char *mig_store_name(const mig_store *s);
const char *mig_store_spool_folder(const mig_store *s); /* for large temporary files */
/* "20261121T071500Z-<migration>-<6 hex>"; label is cut and reduced to [A-Za-z0-9_.-]. Free with mig_free. */
bool mig_store_new_id(const char *label, char **id, mig_error *err);
/* A new snapshot of that id. */
bool mig_store_create(mig_store *s, const char *id, mig_sink **out, mig_error *err);
bool mig_store_list(const mig_store *s, mig_store_item **items, size_t *count, mig_error *err); /* oldest first */
void mig_store_items_free(mig_store_item *items, size_t count);
/* id_or_path: a path if it has a '/' or names an existing file, else an id or a unique beginning of one. Free with
 * mig_free. */
bool mig_store_find(const mig_store *s, const char *id_or_path, char **path, mig_error *err);
/* Whether the file's name is an id, and of another snapshot than the one in it: somebody has put it there. */
bool mig_store_names_another(const char *path, const char *id);
/* The same path as it holds from any folder; NULL when memory is short. */
char *mig_store_absolute(const char *path);
/* Removes a finished snapshot for good: that is durable on return. Fine when it is gone already. */
bool mig_store_remove(const mig_store *s, const char *path, mig_error *err);
/* Removes what killed writers left. */
bool mig_store_sweep(const mig_store *s, mig_error *err);
/* Fails with MIG_E_STORE and a hint when fewer than need_bytes are free there. */
bool mig_store_space(const mig_store *s, uint64_t need_bytes, mig_error *err);
const char *mig_store_folder_of(const char *place); /* the place, if that is a folder; else NULL */
/* Whether the place can be used, and the bytes free there, where that can be known. It need not exist yet. */
bool mig_store_room(const char *place, bool *known, uint64_t *bytes, mig_error *err);

#endif
