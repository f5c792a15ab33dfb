#include "backup/s3/list.h"

#include <string.h>

#include "backup/blob_internal.h"

typedef struct page {
  mig_s3_listing *l;
  bool more;
  char *next[MIG_S3_PARAMS];
} page;

char *mig_s3_query(const mig_s3_param *params, char *const *markers) {
  mig_buf b = MIG_BUF(16u << 10);
  bool ok = true;
  for (size_t i = 0; ok && params[i].name; i++) {
    const char *value = params[i].next ? markers[i] : params[i].value;
    if (params[i].next && (!value || !*value)) continue;
    ok = mig_buf_printf(&b, NULL, "%s%s=", b.size ? "&" : "", params[i].name) && mig_s3_encode(&b, value, false, NULL);
  }
  char *out = ok ? mig_strdup(mig_buf_text(&b)) : NULL;
  mig_buf_free(&b);
  return out;
}

static bool on_element(void *arg, unsigned depth, const char *name, const char *text, mig_error *err) {
  page *p = arg;
  const mig_s3_param *params = p->l->params;
  if (depth == 1 && strcmp(name, "IsTruncated") == 0) p->more = strcmp(text, "true") == 0;
  for (size_t i = 0; depth == 1 && params[i].name; i++) {
    if (!params[i].next || strcmp(name, params[i].next) != 0) continue;
    mig_free(p->next[i]);
    if (!(p->next[i] = mig_strdup(text))) return mig_no_memory(err, "S3");
  }
  return p->l->element(p->l->arg, depth, name, text, err);
}

/* Keys were asked for percent-encoded, so that one with a control character cannot spoil the page; then the marker that
 * is a key is so as well. */
static bool decode_markers(const page *p) {
  for (size_t i = 0; p->l->url_encoded && p->l->params[i].name; i++)
    if (p->next[i] && strcmp(p->l->params[i].name, "key-marker") == 0 && !mig_s3_decode(p->next[i])) return false;
  return true;
}

static bool same(char *const *a, char *const *b) {
  for (size_t i = 0; i < MIG_S3_PARAMS; i++)
    if (strcmp(a[i] ? a[i] : "", b[i] ? b[i] : "") != 0) return false;
  return true;
}

/* A page that says there is more must say where: without a marker the next page would be the first one again. */
static bool leads_on(const page *p, char *const *markers) {
  bool any = false;
  for (size_t i = 0; i < MIG_S3_PARAMS; i++) any = any || (p->next[i] && *p->next[i]);
  return any && !same(p->next, markers);
}

static bool one_page(mig_s3 *s, page *p, char *const *markers, mig_error *err) {
  mig_s3_listing *l = p->l;
  mig_s3_answer a = {.body = MIG_BUF(MIG_S3_TEXT_BYTES)};
  char encoding[16];
  char *query = mig_s3_query(l->params, markers);
  const mig_s3_request r = {.what = l->what, .method = "GET", .key = l->key, .query = query};
  p->more = false;
  bool ok = query ? mig_s3_call(s, &r, &a, err) : mig_no_memory(err, "S3");
  if (ok && a.status == 200) {
    /* it was asked for, but not every server does it; and it may stand behind the keys */
    l->url_encoded =
        mig_s3_xml_text(&a.body, "", "EncodingType", encoding, sizeof encoding) && strcmp(encoding, "url") == 0;
    ok = mig_s3_xml(&a.body, on_element, p, err) || mig_fail_at(err, "%s s3://%s", l->what, mig_s3_bucket(s));
    if (ok && (!decode_markers(p) || (p->more && !leads_on(p, markers)))) ok = mig_s3_refused(s, &r, &a, err);
  } else if (ok && !(l->tolerated && l->tolerated(&a))) {
    ok = mig_s3_refused(s, &r, &a, err);
  }
  l->date_unix_ms = a.date_unix_ms;
  mig_free(query);
  mig_buf_free(&a.body);
  return ok;
}

bool mig_s3_pages(mig_s3 *s, mig_s3_listing *l, mig_error *err) {
  char *markers[MIG_S3_PARAMS] = {0};
  page p = {.l = l};
  bool ok = true;
  size_t pages = 0;
  do {
    if (pages++ == MIG_S3_PAGES) {
      mig_fail(err, MIG_E_STORE, "%s s3://%s", l->what, mig_s3_bucket(s));
      mig_why(err, "the list has more than %u pages", MIG_S3_PAGES);
      ok = mig_hint(err, "give the snapshots a prefix of their own");
      break;
    }
    for (size_t i = 0; i < MIG_S3_PARAMS; i++) {
      mig_free(markers[i]);
      markers[i] = p.next[i];
      p.next[i] = NULL;
    }
    ok = one_page(s, &p, markers, err);
  } while (ok && p.more);
  for (size_t i = 0; i < MIG_S3_PARAMS; i++) {
    mig_free(markers[i]);
    mig_free(p.next[i]);
  }
  return ok;
}

bool mig_s3_listed_id(const mig_s3_listing *l, const char *prefix, char *key, char **id, mig_error *err) {
  const size_t size = strlen(prefix);
  *id = NULL;
  return (l->url_encoded && !mig_s3_decode(key)) || strncmp(key, prefix, size) != 0 ||
         mig_store_name_is_snapshot(key + size, id, err);
}
