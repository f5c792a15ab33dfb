/*
 * fs.h - files and folders, with the syncs that make a rename survive a power cut
 *
 * Errors: MIG_E_STORE with the path, the cause (strerror) and where it helps a hint.
 * Trust: a path given here was chosen by the user or by us; names read from an archive never get here.
 */
#ifndef MIG_BASE_FS_H
#define MIG_BASE_FS_H

#include "base/mem.h"

struct stat;

/* Reads a whole regular file of at most max_bytes. *out is freed by the caller with mig_buf_free. */
bool mig_fs_read(const char *path, size_t max_bytes, mig_buf *out, mig_error *err);
/* The same for what only its owner may read (or root's, that a group may read, too: so a container gets its secrets). A
 * file that others can read or change is refused, MIG_E_USAGE; so is, here, one that cannot be read. The caller wipes
 * what was read with mig_fs_wipe, also after an error. */
bool mig_fs_read_secret(const char *path, size_t max_bytes, mig_buf *out, mig_error *err);
void mig_fs_wipe(mig_buf *secret); /* and frees it */
/* Writes by a temporary file beside it: written, synced, renamed over, folder synced. */
bool mig_fs_write_atomic(const char *path, const void *data, size_t size, unsigned mode, mig_error *err);
/* The second half alone: syncs `from`, renames it to `to` (refuses to replace an existing file), syncs the folder. */
bool mig_fs_publish(const char *from, const char *to, mig_error *err);
bool mig_fs_sync_file(const char *path, mig_error *err);     /* its content */
bool mig_fs_sync_folder(const char *folder, mig_error *err); /* its names */
bool mig_fs_sync_folder_of(const char *path, mig_error *err);
bool mig_fs_make_folder(const char *path, unsigned mode, mig_error *err); /* with parents; fine if it exists */
/* Another text when the file may be another, or its bytes may be others: no write leaves the time of change (ctime) as
 * it was, whatever is done to the time of modification. Not to be shown. */
void mig_fs_version(const struct stat *st, char *text, size_t size);
bool mig_fs_exists(const char *path);
bool mig_fs_is_folder(const char *path);
/* Bytes free for this user on the file system of `path` (or of its nearest existing parent). */
bool mig_fs_free_bytes(const char *path, uint64_t *out, mig_error *err);
/* Names in a folder, without . and .., sorted by strcmp. Free with mig_fs_names_free. */
bool mig_fs_list(const char *path, char ***names, size_t *count, mig_error *err);
void mig_fs_names_free(char **names, size_t count);
char *mig_fs_join(const char *folder, const char *name); /* NULL when memory is short */

#endif
