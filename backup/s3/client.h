/*
 * client.h - requests to one bucket, signed by libcurl (AWS Signature 4), and tried again while that may help
 *
 *     mig_s3_open --> { fill a request --> mig_s3_call --> answer.status }* --> mig_s3_close
 *
 * call() is false when no usable answer came: no connection, a time-out, or 5xx again and again. Otherwise status is
 * the server's (2xx to 4xx) and the caller decides; mig_s3_refused makes an error of one that it cannot use.
 * Every body is summed, and the sum signed: a server refuses a body that was changed on its way.
 * Redirects are not followed. Secrets: in memory of this struct and of libcurl only; errors hold the URL s3://..., the
 * host, the status and the server's error code, never its text (which may repeat what was sent).
 * Threads: any number may call with one client.   Time: connecting 10 s; MIG_S3_TIMEOUT without a byte.
 */
#ifndef MIG_BACKUP_S3_CLIENT_H
#define MIG_BACKUP_S3_CLIENT_H

#include "backup/s3/place.h"

#define MIG_S3_TEXT_BYTES (8u << 20) /* the longest list that is taken */
#define MIG_S3_ETAG       200

typedef struct mig_s3 mig_s3;

typedef struct mig_s3_request {
  const char *what;                 /* for errors: "cannot read" */
  const char *method, *key, *query; /* key NULL: the bucket itself; query: sorted and encoded, may be NULL */
  const void *body;                 /* may be NULL */
  size_t body_bytes;
  const char *if_match, *if_none_match; /* NULL: without */
  uint64_t from, to;                    /* to != 0: Range, both ends included */
  bool slow;                            /* the server may be at work for long before it answers */
  bool once;                            /* not tried again: for tidying up */
} mig_s3_request;

typedef struct mig_s3_answer {
  int status;
  mig_buf body; /* of any status; free with mig_buf_free; at most body.maximum, or else call() fails */
  char etag[MIG_S3_ETAG];
  char code[64];   /* of an error: letters and digits */
  bool has_length; /* of the whole object: Content-Range, or Content-Length without one */
  uint64_t length;
  int64_t date_unix_ms; /* the server's clock; 0: it told none */
  int tries;            /* more than 1: an earlier one may have taken effect */
} mig_s3_answer;

bool mig_s3_open(const char *url, mig_s3 **out, mig_error *err);
void mig_s3_close(mig_s3 *s);
const char *mig_s3_bucket(const mig_s3 *s);
const char *mig_s3_key(const mig_s3 *s); /* what the URL names; "" or a prefix without a slash behind, or an object */

/* *out is filled as far as it goes, also on failure; its body's maximum is the caller's to set before. */
bool mig_s3_call(mig_s3 *s, const mig_s3_request *r, mig_s3_answer *out, mig_error *err);
void mig_s3_answer_clear(mig_s3_answer *a); /* keeps the maximum */
/* Always false. */
bool mig_s3_refused(const mig_s3 *s, const mig_s3_request *r, const mig_s3_answer *a, mig_error *err);

#endif
