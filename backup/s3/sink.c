/*
 * A new object: parts are sent as they fill, each summed, the sum signed and so checked by the server. There is no
 * object until the upload is completed; completing it is the publication, atomic, and never over another object
 * (If-None-Match). It can be read from then on, not before: that is why it is read back under its final name, and
 * removed if that fails.
 */
#include <stdio.h>
#include <string.h>

#include "backup/s3/list.h"
#include "backup/s3/upload.h"

#define PARTS_MAX 10000u
#define MIB       ((size_t)1 << 20)

typedef struct s3_sink {
  mig_sink base;
  mig_s3 *s3;
  char *key, *url;
  char upload_id[MIG_S3_UPLOAD_ID];
  mig_buf rest; /* not sent yet: always the last bytes, so that they can be patched */
  uint64_t sent;
  mig_buf parts; /* the XML that completes the upload */
  unsigned part_count;
  bool uploading, completed, published;
} s3_sink;

/* 8 GiB by parts of 8 MiB, 47 by 16, the rest by 64: some 430 GiB in 10000 parts, and little memory for most. */
static size_t part_bytes(unsigned number) {
  return number <= 1000 ? 8 * MIB : number <= 4000 ? 16 * MIB : 64 * MIB;
}

/* It is sent back inside XML. */
static bool etag_ok(const char *etag) {
  return *etag && strcspn(etag, "<>&") == strlen(etag);
}

static bool send_part(s3_sink *s, size_t size, mig_error *err) {
  char digits[12];
  const unsigned number = s->part_count + 1;
  if (number > PARTS_MAX) {
    mig_fail(err, MIG_E_STORE, "cannot write %s: it gets too large for one upload", s->url);
    return mig_hint(err, "take snapshots of fewer collections at a time, or into a folder");
  }
  snprintf(digits, sizeof digits, "%u", number);
  const mig_s3_param params[] = {{"partNumber", digits, NULL}, {"uploadId", s->upload_id, NULL}, {0}};
  char *query = mig_s3_query(params, NULL);
  if (!query) return mig_no_memory(err, "S3");
  const mig_s3_request r = {
      .what = "cannot write", .method = "PUT", .key = s->key, .query = query, .body = s->rest.data, .body_bytes = size};
  mig_s3_answer a = {.body = MIG_BUF(MIG_S3_TEXT_BYTES)};
  bool ok = mig_s3_call(s->s3, &r, &a, err);
  if (ok && (a.status != 200 || !etag_ok(a.etag))) ok = mig_s3_refused(s->s3, &r, &a, err);
  ok = ok && mig_buf_printf(&s->parts, err, "<Part><PartNumber>%u</PartNumber><ETag>%s</ETag></Part>", number, a.etag);
  if (ok) {
    s->part_count = number;
    s->sent += size;
    s->rest.size -= size;
    memmove(s->rest.data, s->rest.data + size, s->rest.size);
  }
  mig_buf_free(&a.body);
  mig_free(query);
  return ok;
}

static bool s3_write(mig_sink *sink, const void *data, size_t size, mig_error *err) {
  s3_sink *s = (s3_sink *)sink;
  const uint8_t *from = data;
  while (size) {
    const size_t part = part_bytes(s->part_count + 1), room = part + MIG_SINK_PATCH_BYTES - s->rest.size;
    const size_t n = size < room ? size : room;
    if (!mig_buf_add(&s->rest, from, n, err)) return false;
    from += n;
    size -= n;
    if (n == room && !send_part(s, part, err)) return false;
  }
  return true;
}

static bool s3_patch(mig_sink *sink, uint64_t offset, const void *data, size_t size, mig_error *err) {
  s3_sink *s = (s3_sink *)sink;
  if (offset < s->sent || offset - s->sent > s->rest.size || size > s->rest.size - (offset - s->sent))
    return mig_fail(err, MIG_E_FAILED, "%s: what is to be patched was sent already", s->url);
  memcpy(s->rest.data + (offset - s->sent), data, size);
  return true;
}

/* Whether the object is there, and as long as what was sent; what it holds is seen when it is read back. */
static bool is_there(s3_sink *s, bool *there, mig_error *err) {
  const mig_s3_request r = {.what = "cannot look at", .method = "HEAD", .key = s->key};
  mig_s3_answer a = {.body = MIG_BUF(MIG_S3_TEXT_BYTES)};
  const bool ok = mig_s3_call(s->s3, &r, &a, err);
  *there = ok && a.status == 200 && (s->sent == 0 || (a.has_length && a.length == s->sent));
  mig_buf_free(&a.body);
  return ok;
}

static bool complete(s3_sink *s, const mig_s3_request *r, mig_error *err) {
  char text[MIG_S3_ETAG];
  bool there = false;
  mig_s3_answer a = {.body = MIG_BUF(MIG_S3_TEXT_BYTES)};
  bool ok = mig_s3_call(s->s3, r, &a, err);
  const int status = ok ? a.status : 0;
  const bool again = a.tries > 1;
  if (ok && status == 200 && mig_s3_xml_text(&a.body, "CompleteMultipartUploadResult", "ETag", text, sizeof text)) {
    s->completed = true;
  } else if (ok && again && (status == 404 || status == 412)) {
    /* the first try may have done it, its answer was lost: then the object is not removed should reading it fail */
    ok = is_there(s, &there, err) && (there || mig_s3_refused(s->s3, r, &a, err));
  } else if (ok) {
    mig_s3_error_code(&a.body, a.code); /* 200 with an error in it: it took long, and failed then */
    ok = mig_s3_refused(s->s3, r, &a, err);
  }
  if (ok) s->uploading = false;
  mig_buf_free(&a.body);
  return ok;
}

static bool s3_settle(mig_sink *sink, mig_error *err) {
  s3_sink *s = (s3_sink *)sink;
  if (s->rest.size && !send_part(s, s->rest.size, err)) return false;
  mig_buf_free(&s->rest);
  const mig_s3_param params[] = {{"uploadId", s->upload_id, NULL}, {0}};
  char *query = mig_s3_query(params, NULL);
  mig_buf body = MIG_BUF(s->parts.maximum + 200);
  bool ok = query ? mig_buf_printf(&body, err,
                                   "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">%s"
                                   "</CompleteMultipartUpload>",
                                   mig_buf_text(&s->parts))
                  : mig_no_memory(err, "S3");
  const mig_s3_request r = {.what = "cannot complete",
                            .method = "POST",
                            .key = s->key,
                            .query = query,
                            .body = body.data,
                            .body_bytes = body.size,
                            .if_none_match = "*",
                            .slow = true};
  ok = ok && complete(s, &r, err);
  mig_buf_free(&body);
  mig_free(query);
  return ok;
}

static const char *s3_path(const mig_sink *sink) {
  return ((const s3_sink *)sink)->url;
}

/* It has its name since it was completed, and keeps it: a bucket cannot rename. */
static bool s3_publish(mig_sink *sink, const char *id, char **path, mig_error *err) {
  s3_sink *s = (s3_sink *)sink;
  (void)id;
  if (!(*path = mig_strdup(s->url))) return mig_no_memory(err, "path");
  return s->published = true;
}

static void take_back(s3_sink *s) {
  const mig_s3_request r = {.what = "cannot remove", .method = "DELETE", .key = s->key};
  mig_s3_answer a = {.body = MIG_BUF(MIG_S3_TEXT_BYTES)};
  if (s->completed && !s->published) (void)mig_s3_call(s->s3, &r, &a, NULL);
  if (s->uploading) (void)mig_s3_upload_abort(s->s3, s->key, s->upload_id, NULL);
  mig_buf_free(&a.body);
}

static void s3_free(mig_sink *sink) {
  s3_sink *s = (s3_sink *)sink;
  take_back(s);
  mig_s3_close(s->s3);
  mig_buf_free(&s->rest);
  mig_buf_free(&s->parts);
  mig_free(s->key);
  mig_free(s->url);
  mig_free(s);
}

static const mig_sink_kind s3_kind = {s3_write, s3_patch, s3_settle, s3_path, s3_publish, s3_free};

static bool begin(s3_sink *s, mig_error *err) {
  bool there = false;
  if (!is_there(s, &there, err)) return false;
  if (there) return mig_fail(err, MIG_E_STORE, "cannot make %s: there is one of that name", s->url);
  const mig_s3_request r = {.what = "cannot write", .method = "POST", .key = s->key, .query = "uploads="};
  mig_s3_answer a = {.body = MIG_BUF(MIG_S3_TEXT_BYTES)};
  bool ok = mig_s3_call(s->s3, &r, &a, err);
  if (ok && (a.status != 200 ||
             !mig_s3_xml_text(&a.body, "InitiateMultipartUploadResult", "UploadId", s->upload_id, sizeof s->upload_id)))
    ok = mig_s3_refused(s->s3, &r, &a, err);
  s->uploading = ok;
  mig_buf_free(&a.body);
  return ok;
}

bool mig_s3_sink_new(const char *store_url, const char *id, mig_sink **out, mig_error *err) {
  *out = NULL;
  s3_sink *s = mig_alloc(sizeof *s);
  if (!s) return mig_no_memory(err, "archive");
  s->base.kind = &s3_kind;
  s->rest = MIG_BUF(64 * MIB + MIG_SINK_PATCH_BYTES);
  s->parts = MIG_BUF(PARTS_MAX * (MIG_S3_ETAG + 80u));
  char *name = mig_strdup_printf("%s" MIG_STORE_SUFFIX, id);
  bool ok = name ? mig_s3_open(store_url, &s->s3, err) : mig_no_memory(err, "path");
  if (ok) {
    s->key = mig_s3_key_of(s->s3, name);
    if (s->key) s->url = mig_strdup_printf("s3://%s/%s", mig_s3_bucket(s->s3), s->key);
    ok = s->url ? begin(s, err) : mig_no_memory(err, "path");
  }
  mig_free(name);
  if (ok)
    *out = &s->base;
  else
    mig_sink_free(&s->base);
  return ok;
}
