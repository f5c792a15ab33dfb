/*
 * list.h - what a bucket holds, page by page
 *
 *     mig_s3_pages(s, &listing, err)      element() is called at the end of each XML element of each page
 *
 * Parameters are given in the order of their names, as signatures want them. One with `next` is a marker: left out on
 * the first page, afterwards the text of the answer's element of that name.
 * Trust: the server says whether there is more; one that names the same place twice, or none, is not believed, nor one
 * that never ends.
 */
#ifndef MIG_BACKUP_S3_LIST_H
#define MIG_BACKUP_S3_LIST_H

#include "backup/s3/client.h"
#include "backup/s3/reply.h"

#define MIG_S3_PARAMS 8
#define MIG_S3_PAGES  2000u /* of a thousand keys each, as they are asked for */

typedef struct mig_s3_param {
  const char *name, *value, *next;
} mig_s3_param;

typedef struct mig_s3_listing {
  const char *what;                   /* for errors */
  const char *key;                    /* of the request; NULL: the bucket */
  mig_s3_param params[MIG_S3_PARAMS]; /* ended by one without a name */
  mig_s3_element_fn element;
  void *arg;
  bool (*tolerated)(const mig_s3_answer *a); /* may be NULL: a refusal that only means an empty list */
  int64_t date_unix_ms;                      /* out: the server's clock */
  bool url_encoded;                          /* out, known to element(): keys of this page are percent-encoded */
} mig_s3_listing;

bool mig_s3_pages(mig_s3 *s, mig_s3_listing *l, mig_error *err);

/* Names are others': *id (free with mig_free) is NULL for a key of this page that is not <prefix><id>.mig.tar to the
 * letter. Decodes the key in its place. */
bool mig_s3_listed_id(const mig_s3_listing *l, const char *prefix, char *key, char **id, mig_error *err);

/* markers: by index of the parameter, NULL or "" where it is left out; itself NULL where there are none. Free with
 * mig_free; NULL when memory is short. */
char *mig_s3_query(const mig_s3_param *params, char *const *markers);

#endif
