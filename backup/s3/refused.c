/* What a refusal means, and what to do: one table of S3's error codes. */
#include <string.h>

#include "backup/s3/client.h"

typedef struct meaning {
  const char *code;
  int status; /* where there is no code: HEAD has no body */
  const char *hint;
} meaning;

static const char credentials[] = "see to AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN";
static const char region[] = "set AWS_REGION to the bucket's region";
static const char bucket[] = "make the bucket first, or check --store and AWS_ENDPOINT_URL";

static const meaning meanings[] = {
    {"NoSuchBucket", 0, bucket},
    {"NoSuchKey", 0, "`mig snapshot list` shows what is there"},
    {"InvalidAccessKeyId", 0, credentials},
    {"SignatureDoesNotMatch", 0, credentials},
    {"InvalidToken", 0, credentials},
    {"ExpiredToken", 0, "get new credentials: AWS_SESSION_TOKEN is too old"},
    {"RequestTimeTooSkewed", 0, "set this machine's clock"},
    {"AuthorizationHeaderMalformed", 0, region},
    {"PermanentRedirect", 0, region},
    {"InvalidBucketName", 0, bucket},
    {"AccessDenied", 0,
     "these credentials need s3:ListBucket, GetObject, PutObject, DeleteObject, AbortMultipartUpload"},
    {NULL, 301, region},
    {NULL, 403, credentials},
    {NULL, 404, "`mig snapshot list` shows what is there; check --store and AWS_ENDPOINT_URL"},
};

static const char *hint_for(const mig_s3_answer *a) {
  const size_t n = sizeof meanings / sizeof meanings[0];
  for (size_t i = 0; i < n; i++)
    if (meanings[i].code ? strcmp(meanings[i].code, a->code) == 0 : meanings[i].status == a->status && !a->code[0])
      return meanings[i].hint;
  return "look the code up in the documentation of that S3 server";
}

bool mig_s3_refused(const mig_s3 *s, const mig_s3_request *r, const mig_s3_answer *a, mig_error *err) {
  const char *key = r->key ? r->key : mig_s3_key(s);
  mig_fail(err, MIG_E_STORE, "%s s3://%s%s%s", r->what, mig_s3_bucket(s), *key ? "/" : "", key);
  if (a->status >= 200 && a->status < 300)
    mig_why(err, "the server's answer is none that S3 gives");
  else
    mig_why(err, "the server refused it: %d%s%s", a->status, a->code[0] ? " " : "", a->code);
  return mig_hint(err, "%s", hint_for(a));
}
