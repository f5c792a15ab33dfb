/*
 * store_receive.h - a snapshot archive that comes by a pipe, verified whole before anybody may use it
 *
 *     mig_store_receive(store, work, fd, keep, &received, err)   -->  a file of the store
 *
 * It is written as a new file of the store (sink.h), made durable, and verified to the last byte. keep: then it is
 * published, by the id in its manifest, or by a new one where that is taken. Otherwise free() removes it.
 * Errors: MIG_E_ARCHIVE when what came is no whole archive, MIG_E_STORE, or the checkpoint's; nothing is left behind
 * then.
 */
#ifndef MIG_BACKUP_STORE_RECEIVE_H
#define MIG_BACKUP_STORE_RECEIVE_H

#include "backup/store.h"
#include "base/work.h"

typedef struct mig_received mig_received;

bool mig_store_receive(mig_store *s, mig_work *w, int fd, bool keep, mig_received **out, mig_error *err);
const char *mig_received_path(const mig_received *r);
void mig_received_free(mig_received *r); /* removes it unless it was kept */

/* The bytes of a file of the store to a pipe. */
bool mig_store_send(mig_work *w, const char *path, int fd, mig_error *err);

#endif
