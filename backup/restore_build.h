/*
 * restore_build.h - the missing indexes of a collection are built while the caller does something else with it
 *
 *     start --> (read the collection) --> wait --> free
 *
 * A thread builds them on a connection of its own, as mig_indexes_create does. The checkpoint stays with the caller:
 * wait() calls it about once a second, and free() ends what still goes on: the server is told to stop (its session is
 * killed), and then it is waited for, so that no index comes after it. A server that does not stop finishes the index
 * it is at.
 * Ownership: work, name and specs are borrowed until free().      Threads: all calls from one; the work is used there.
 */
#ifndef MIG_BACKUP_RESTORE_BUILD_H
#define MIG_BACKUP_RESTORE_BUILD_H

#include "backup/restore_parts.h"

typedef struct mig_index_build mig_index_build;

/* *out NULL and true: the server gives no further connection, nothing was begun. */
bool mig_index_build_start(mig_work *w, const char *collection, const bson_t *recorded, mig_index_build **out,
                           mig_error *err);
/* Until they are all built or refused; the first refusal goes to *refused, as from mig_indexes_create. Once. */
bool mig_index_build_wait(mig_index_build *b, mig_error *refused, mig_error *err);
void mig_index_build_free(mig_index_build *b);

#endif
