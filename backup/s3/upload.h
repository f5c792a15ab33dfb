/*
 * upload.h - multipart uploads: what store, sink and sweep share
 *
 * Aborting one that is gone already is fine.
 */
#ifndef MIG_BACKUP_S3_UPLOAD_H
#define MIG_BACKUP_S3_UPLOAD_H

#include "backup/s3.h"
#include "backup/s3/client.h"

#define MIG_S3_UPLOAD_ID 1024

bool mig_s3_upload_abort(mig_s3 *s, const char *key, const char *upload_id, mig_error *err);
/* Aborts the uploads below the prefix that have had no part for a day: their runners are dead. */
bool mig_s3_sweep(mig_s3 *s, mig_error *err);

/* The key of a name below the store's prefix. Free with mig_free. */
char *mig_s3_key_of(const mig_s3 *s, const char *name);

bool mig_s3_sink_new(const char *store_url, const char *id, mig_sink **out, mig_error *err);

#endif
