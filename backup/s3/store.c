/* The store that is a prefix of a bucket: what is listed there is complete (sink.c). */
#include <stdlib.h>
#include <string.h>

#include "backup/s3/list.h"
#include "backup/s3/upload.h"
#include "backup/sign.h"

typedef struct s3_store {
  mig_store base;
  mig_s3 *s3;
  char *prefix; /* "" or with a slash behind */
} s3_store;

typedef struct found {
  const s3_store *s;
  const mig_s3_listing *page;
  mig_store_item *items;
  size_t count;
  char *key; /* of the object being read */
  uint64_t bytes;
  int64_t modified_unix_ms;
} found;

char *mig_s3_key_of(const mig_s3 *s, const char *name) {
  const char *key = mig_s3_key(s);
  return mig_strdup_printf("%s%s%s", key, *key ? "/" : "", name);
}

static bool add(found *f, char *id, mig_error *err) {
  mig_store_item *grown = mig_realloc(f->items, (f->count + 1) * sizeof *grown);
  char *path = mig_strdup_printf("s3://%s/%s", mig_s3_bucket(f->s->s3), f->key);
  if (grown) f->items = grown;
  if (!grown || !path) {
    mig_free(path);
    mig_free(id);
    return mig_no_memory(err, "store");
  }
  f->items[f->count++] = (mig_store_item){id, path, f->bytes, mig_store_time(id, f->modified_unix_ms)};
  return true;
}

static bool end_of_object(found *f, mig_error *err) {
  char *id = NULL;
  const bool ok = !f->key || (mig_s3_listed_id(f->page, f->s->prefix, f->key, &id, err) && (!id || add(f, id, err)));
  mig_free(f->key);
  f->key = NULL;
  f->bytes = 0;
  f->modified_unix_ms = 0;
  return ok;
}

static bool on_element(void *arg, unsigned depth, const char *name, const char *text, mig_error *err) {
  found *f = arg;
  if (depth == 1 && strcmp(name, "Contents") == 0) return end_of_object(f, err);
  if (depth != 2) return true;
  if (strcmp(name, "Size") == 0) mig_s3_number(text, &f->bytes);
  if (strcmp(name, "LastModified") == 0) mig_s3_time(text, &f->modified_unix_ms);
  if (strcmp(name, "Key") != 0 || f->key) return true;
  return (f->key = mig_strdup(text)) || mig_no_memory(err, "store");
}

static bool list(const s3_store *s, const char *page, found *f, mig_error *err) {
  mig_s3_listing l = {.what = "cannot list the snapshot store",
                      .params = {{"continuation-token", NULL, "NextContinuationToken"},
                                 {"delimiter", "/", NULL},
                                 {"encoding-type", "url", NULL},
                                 {"list-type", "2", NULL},
                                 {"max-keys", page, NULL},
                                 {"prefix", s->prefix, NULL}},
                      .element = on_element,
                      .arg = f};
  f->s = s;
  f->page = &l;
  const bool ok = mig_s3_pages(s->s3, &l, err);
  mig_free(f->key);
  f->key = NULL;
  return ok;
}

static bool s3_list(const mig_store *store, mig_store_item **items, size_t *count, mig_error *err) {
  found f = {0};
  const bool ok = list((const s3_store *)store, "1000", &f, err);
  *items = f.items;
  *count = f.count;
  return ok;
}

static bool s3_create(mig_store *store, const char *id, mig_sink **out, mig_error *err) {
  *out = NULL;
  return mig_store_check_id(id, err) && mig_s3_sink_new(store->name, id, out, err);
}

static bool remove_key(const s3_store *s, const char *key, mig_error *err) {
  const mig_s3_request r = {.what = "cannot remove", .method = "DELETE", .key = key};
  mig_s3_answer a = {.body = MIG_BUF(MIG_S3_TEXT_BYTES)};
  const bool ok = mig_s3_call(s->s3, &r, &a, err) &&
                  (a.status < 300 || strcmp(a.code, "NoSuchKey") == 0 || mig_s3_refused(s->s3, &r, &a, err));
  mig_buf_free(&a.body);
  return ok;
}

/* The signature first, as in a folder. */
static bool s3_remove(const mig_store *store, const char *path, mig_error *err) {
  const s3_store *s = (const s3_store *)store;
  mig_s3_place place = {0};
  if (!mig_s3_place_parse(path, &place, err)) return false;
  char *signature = mig_strdup_printf("%s" MIG_SIGN_SUFFIX, place.key);
  bool ok = signature || mig_no_memory(err, "path");
  if (ok && strcmp(place.bucket, mig_s3_bucket(s->s3)) != 0)
    ok = mig_fail(err, MIG_E_USAGE, "%s is not in the snapshot store %s", path, store->name);
  ok = ok && remove_key(s, signature, err) && remove_key(s, place.key, err);
  mig_free(signature);
  mig_s3_place_clear(&place);
  return ok;
}

static bool s3_sweep(const mig_store *store, mig_error *err) {
  return mig_s3_sweep(((const s3_store *)store)->s3, err);
}

/* A bucket tells no room. */
static bool s3_room(const mig_store *store, bool *known, uint64_t *bytes, mig_error *err) {
  (void)store;
  (void)err;
  *known = false;
  *bytes = 0;
  return true;
}

static void s3_close(mig_store *store) {
  s3_store *s = (s3_store *)store;
  mig_s3_close(s->s3);
  mig_free(s->prefix);
  mig_free(s);
}

static const mig_store_kind s3_kind = {s3_create, s3_list, s3_remove, s3_sweep, s3_room, s3_close};

bool mig_s3_store_open(const char *url, mig_store **out, mig_error *err) {
  *out = NULL;
  s3_store *s = mig_alloc(sizeof *s);
  if (!s) return mig_no_memory(err, "store");
  s->base.kind = &s3_kind;
  bool ok = mig_s3_open(url, &s->s3, err);
  if (ok) {
    const char *key = mig_s3_key(s->s3);
    const char *temp = getenv("TMPDIR");
    s->prefix = mig_s3_key_of(s->s3, "");
    s->base.name = mig_strdup_printf("s3://%s%s%s", mig_s3_bucket(s->s3), *key ? "/" : "", key);
    s->base.spool_folder = temp && *temp ? temp : "/tmp";
    ok = (s->prefix && s->base.name) || mig_no_memory(err, "store");
  }
  if (ok)
    *out = &s->base;
  else
    mig_store_close(&s->base);
  return ok;
}
