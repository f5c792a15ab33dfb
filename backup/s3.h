/*
 * s3.h - the store that is a bucket: s3://BUCKET/PREFIX, whose objects PREFIX/<id>.mig.tar are complete snapshots
 *
 * What a folder gets by rename, a bucket gets by completing a multipart upload: before that there is no object. It is
 * read back and summed after it, and removed again when that fails (docs/s3.md). Endpoint, region and credentials come
 * from the AWS variables of the environment and go nowhere else.
 * Errors: MIG_E_USAGE for a URL or a setting, MIG_E_STORE with the URL, the server's error code and a hint.
 * Trust: what the server says is untrusted; names in the bucket that are no ids are passed over.
 * A build without libcurl and expat (backup/no_s3) refuses: MIG_E_UNSUPPORTED.
 */
#ifndef MIG_BACKUP_S3_H
#define MIG_BACKUP_S3_H

#include "backup/blob_internal.h"

bool mig_s3_is_url(const char *place); /* begins with s3:// */
bool mig_s3_store_open(const char *url, mig_store **out, mig_error *err);
bool mig_s3_blob_open(const char *url, mig_blob **out, mig_error *err);
bool mig_s3_put(const char *url, const void *data, size_t size, mig_error *err);
bool mig_s3_get(const char *url, size_t max_bytes, bool *there, mig_buf *out, mig_error *err);

#endif
