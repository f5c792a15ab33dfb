/*
 * place.h - where in S3: the bucket and key that a URL names, and the endpoint that the environment names
 *
 *     mig_s3_place_parse("s3://bucket/prefix", &place, err)      mig_s3_account_read(&account, err)
 *
 * Environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; AWS_REGION or AWS_DEFAULT_REGION
 * (us-east-1); AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL (Amazon's of the region); AWS_CA_BUNDLE; MIG_S3_TIMEOUT.
 * Secrets: no error here repeats what may hold one; clear() wipes them.
 */
#ifndef MIG_BACKUP_S3_PLACE_H
#define MIG_BACKUP_S3_PLACE_H

#include "base/mem.h"

typedef struct mig_s3_place {
  char *bucket;
  char *key; /* "" or without a slash at either end */
} mig_s3_place;

/* MIG_E_USAGE where it is not s3://BUCKET/KEY; a key has no empty, "." or ".." part and none of ? # % \ in it. */
bool mig_s3_place_parse(const char *url, mig_s3_place *out, mig_error *err);
void mig_s3_place_clear(mig_s3_place *p);

typedef struct mig_s3_account {
  char *access_key, *secret_key, *token; /* token may be NULL */
  char *region, *endpoint;               /* endpoint: NULL is Amazon's; else scheme://host[:port], no slash behind */
  char *ca_file;                         /* may be NULL */
  long timeout_s;                        /* without a byte */
} mig_s3_account;

bool mig_s3_account_read(mig_s3_account *out, mig_error *err);
void mig_s3_account_clear(mig_s3_account *a);

/* The URL of a key (may be "") with a query (NULL: none), percent-encoded as signatures want it. Free with mig_free;
 * NULL when memory is short. */
char *mig_s3_address(const mig_s3_account *a, const char *bucket, const char *key, const char *query);
/* Adds `text` percent-encoded; slashes stay where keep_slash. */
bool mig_s3_encode(mig_buf *to, const char *text, bool keep_slash, mig_error *err);

#endif
