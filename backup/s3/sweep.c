/*
 * What dead runners left: uploads that were never completed. A bucket has no locks, so that only time can tell: one
 * that has got no part for a day, by the server's clock, has nobody any more.
 */
#include <string.h>

#include "backup/s3/list.h"
#include "backup/s3/upload.h"

#define DEAD_MS (24 * 3600 * 1000LL)

typedef struct upload {
  char *key, *id;
  int64_t last_unix_ms; /* begun, or its newest part */
  bool listed;          /* its parts were told */
} upload;

typedef struct sweeping {
  const char *prefix;
  const mig_s3_listing *page;
  upload *all;
  size_t count;
  upload next; /* being read */
  bool next_ok;
} sweeping;

static void clear(upload *u) {
  mig_free(u->key);
  mig_free(u->id);
  *u = (upload){0};
}

/* <Upload><Key/><UploadId/><Initiated/></Upload>; only what is named as a snapshot below our prefix is ours. */
static bool end_of_upload(sweeping *w, mig_error *err) {
  char *id = NULL;
  upload u = w->next;
  const bool whole = w->next_ok && u.key && u.id;
  w->next = (upload){0};
  w->next_ok = true;
  bool ok = !whole || mig_s3_listed_id(w->page, w->prefix, u.key, &id, err);
  if (ok && id) {
    upload *grown = mig_realloc(w->all, (w->count + 1) * sizeof *grown);
    if ((ok = grown || mig_no_memory(err, "S3"))) {
      w->all = grown;
      w->all[w->count++] = u;
      u = (upload){0};
    }
  }
  mig_free(id);
  clear(&u);
  return ok;
}

static bool on_upload(void *arg, unsigned depth, const char *name, const char *text, mig_error *err) {
  sweeping *w = arg;
  if (depth == 1 && strcmp(name, "Upload") == 0) return end_of_upload(w, err);
  if (depth != 2) return true;
  char **to = strcmp(name, "Key") == 0 ? &w->next.key : strcmp(name, "UploadId") == 0 ? &w->next.id : NULL;
  if (strcmp(name, "Initiated") == 0 && !mig_s3_time(text, &w->next.last_unix_ms)) w->next_ok = false;
  if (!to || *to) return true;
  return (*to = mig_strdup(text)) || mig_no_memory(err, "S3");
}

static bool on_part(void *arg, unsigned depth, const char *name, const char *text, mig_error *err) {
  upload *u = arg;
  int64_t at = 0;
  (void)err;
  u->listed = true;
  if (depth == 2 && strcmp(name, "LastModified") == 0 && mig_s3_time(text, &at) && at > u->last_unix_ms)
    u->last_unix_ms = at;
  return true;
}

/* Rights that these credentials lack, or a server that has no such list: nothing is swept then. */
static bool is_no_list(const mig_s3_answer *a) {
  return strcmp(a->code, "AccessDenied") == 0 || strcmp(a->code, "NotImplemented") == 0 ||
         strcmp(a->code, "MethodNotAllowed") == 0;
}

static bool is_gone(const mig_s3_answer *a) {
  return a->status == 404 || is_no_list(a);
}

/* Its parts are only asked for when it was begun long ago; where they are not told, it may well be at work. */
static bool sweep_one(mig_s3 *s, upload *u, int64_t now_unix_ms, mig_error *err) {
  if (now_unix_ms - u->last_unix_ms < DEAD_MS) return true;
  mig_s3_listing parts = {.what = "cannot look at an upload of",
                          .key = u->key,
                          .params = {{"max-parts", "1000", NULL},
                                     {"part-number-marker", NULL, "NextPartNumberMarker"},
                                     {"uploadId", u->id, NULL}},
                          .element = on_part,
                          .arg = u,
                          .tolerated = is_gone};
  if (!mig_s3_pages(s, &parts, err)) return false;
  return !u->listed || now_unix_ms - u->last_unix_ms < DEAD_MS || mig_s3_upload_abort(s, u->key, u->id, err);
}

bool mig_s3_upload_abort(mig_s3 *s, const char *key, const char *upload_id, mig_error *err) {
  const mig_s3_param params[] = {{"uploadId", upload_id, NULL}, {0}};
  char *query = mig_s3_query(params, NULL);
  const mig_s3_request r = {
      .what = "cannot end the upload of", .method = "DELETE", .key = key, .query = query, .once = true};
  mig_s3_answer a = {.body = MIG_BUF(MIG_S3_TEXT_BYTES)};
  bool ok = query ? mig_s3_call(s, &r, &a, err) : mig_no_memory(err, "S3");
  if (ok && a.status >= 300 && !is_gone(&a)) ok = mig_s3_refused(s, &r, &a, err);
  mig_buf_free(&a.body);
  mig_free(query);
  return ok;
}

bool mig_s3_sweep(mig_s3 *s, mig_error *err) {
  char *prefix = mig_s3_key_of(s, "");
  sweeping w = {.prefix = prefix, .next_ok = true};
  if (!prefix) return mig_no_memory(err, "S3");
  mig_s3_listing uploads = {.what = "cannot use the snapshot store",
                            .params = {{"delimiter", "/", NULL},
                                       {"encoding-type", "url", NULL},
                                       {"key-marker", NULL, "NextKeyMarker"},
                                       {"max-uploads", "1000", NULL},
                                       {"prefix", prefix, NULL},
                                       {"upload-id-marker", NULL, "NextUploadIdMarker"},
                                       {"uploads", "", NULL}},
                            .element = on_upload,
                            .arg = &w,
                            .tolerated = is_no_list};
  w.page = &uploads;
  bool ok = mig_s3_pages(s, &uploads, err);
  for (size_t i = 0; ok && uploads.date_unix_ms && i < w.count; i++)
    ok = sweep_one(s, &w.all[i], uploads.date_unix_ms, err);
  for (size_t i = 0; i < w.count; i++) clear(&w.all[i]);
  clear(&w.next);
  mig_free(w.all);
  mig_free(prefix);
  return ok;
}
