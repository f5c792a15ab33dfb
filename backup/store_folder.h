/*
 * store_folder.h - the store that is a folder: <id>.mig.tar are complete, <id>.mig.tar.partial never are
 *
 * A writer holds a lock on its .partial from the moment it is made until it has its final name; a .partial that nobody
 * holds is nobody's. Mode of the folder 0700, of files 0600. Links are not followed.
 */
#ifndef MIG_BACKUP_STORE_FOLDER_H
#define MIG_BACKUP_STORE_FOLDER_H

#include "backup/blob_internal.h"

#define MIG_STORE_PARTIAL MIG_STORE_SUFFIX ".partial"

bool mig_store_folder_open(const char *folder, bool create, mig_store **out, mig_error *err);
/* Paths of the unfinished and the finished file of an id; free both with mig_free. */
bool mig_store_paths(const mig_store *s, const char *id, char **partial, char **final, mig_error *err);
bool mig_store_folder_create(mig_store *s, const char *id, mig_sink **out, mig_error *err);
bool mig_store_folder_sweep(const mig_store *s, mig_error *err);
bool mig_store_folder_remove(const mig_store *s, const char *path, mig_error *err);

#endif
