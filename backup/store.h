/*
 * store.h - the folder where snapshots live
 *
 *     open --> new_id, paths --> [archive written] --> publish        list / find        close
 *
 * A file ending in .mig.tar is complete; one ending in .partial never is. Mode of the folder 0700, of files 0600.
 * Ownership: what arrives through an out-parameter is the caller's.   Errors: MIG_E_STORE with the path;
 * MIG_E_USAGE for an id that cannot be one, or that fits several snapshots.
 * Trust: ids given by users are checked (no '/', no "..") before they become file names; links are not followed.
 */
#ifndef MIG_BACKUP_STORE_H
#define MIG_BACKUP_STORE_H

#include "backup/crypt.h"
#include "base/fs.h"

#define MIG_STORE_SUFFIX  ".mig.tar"
#define MIG_STORE_PARTIAL ".mig.tar.partial"

typedef struct mig_store mig_store;

typedef struct mig_store_item {
  char *id, *path;
  uint64_t bytes;
  int64_t created_unix_ms; /* from the id; of a file with another name, its time of modification */
} mig_store_item;

bool mig_store_open(const char *folder, bool create, mig_store **out, mig_error *err);
void mig_store_close(mig_store *s);
/* From now on new archives are encrypted with this key (copied; NULL: in the clear again). */
bool mig_store_use_key(mig_store *s, const mig_key *key, mig_error *err);
const mig_key *mig_store_key(const mig_store *s); /* NULL: none */
const char *mig_store_folder(const mig_store *s);
/* "20261121T071500Z-<migration>-<6 hex>"; label is cut and reduced to [A-Za-z0-9_.-]. Free with mig_free. */
bool mig_store_new_id(const char *label, char **id, mig_error *err);
/* Paths of the unfinished and the finished file of an id; free both with mig_free. */
bool mig_store_paths(const mig_store *s, const char *id, char **partial, char **final, mig_error *err);
bool mig_store_list(const mig_store *s, mig_store_item **items, size_t *count, mig_error *err); /* oldest first */
void mig_store_items_free(mig_store_item *items, size_t count);
/* id_or_path: a path if it has a '/' or names an existing file, else an id or a unique beginning of one. Free with
 * mig_free. */
bool mig_store_find(const mig_store *s, const char *id_or_path, char **path, mig_error *err);
/* Removes a finished snapshot for good. Fine when it is gone already; the folder is synced. */
bool mig_store_remove(const mig_store *s, const mig_store_item *item, mig_error *err);
/* Removes the .partial files that no live writer holds (their writers were killed). */
bool mig_store_sweep(const mig_store *s, mig_error *err);
/* Fails with MIG_E_STORE and a hint when fewer than need_bytes are free there. */
bool mig_store_space(const mig_store *s, uint64_t need_bytes, mig_error *err);

#endif
