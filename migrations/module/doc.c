/* Documents for modules: made from text with values put in their places, and read by path. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json_source.h"
#include "migrations/module/host.h"

#define PLACE "\xEE\x80\x80mig" /* a key that stands where a value belongs; a private-use character no file has */

#define MAX_TEXT ((size_t)16 << 20)

bool mig_host_view(mig_doc doc, bson_t *view) {
  return doc.data && doc.size >= 5 && bson_init_static(view, doc.data, doc.size);
}

mig_doc mig_host_keep(mig_ctx *ctx, bson_t *doc) {
  mig_kept *k = doc ? mig_alloc(sizeof *k) : NULL;
  if (!k) {
    bson_destroy(doc);
    mig_ctx_fail(ctx, "out of memory");
    return (mig_doc){NULL, 0};
  }
  *k = (mig_kept){ctx->kept, doc};
  ctx->kept = k;
  return (mig_doc){bson_get_data(doc), doc->len};
}

void mig_host_release(mig_ctx *ctx, const mig_kept *mark) {
  while (ctx->kept && ctx->kept != mark) {
    mig_kept *k = ctx->kept;
    ctx->kept = k->older;
    bson_destroy(k->doc);
    mig_free(k);
  }
}

/* The text as JSON, each %x as {"PLACE": n}; the values, in their order, as fields of `values`. */
typedef struct maker {
  mig_ctx *ctx;
  mig_buf text;
  bson_t *values; /* {"0": ..., "1": ...} */
  uint32_t count;
  bool ok;
} maker;

static void put(maker *m, const char *text, size_t size) {
  m->ok = m->ok && mig_buf_add(&m->text, text, size, NULL);
}

static void append_view(maker *m, const char *key, mig_doc doc, bool array) {
  bson_t view;
  if (!mig_host_view(doc, &view))
    m->ok = mig_ctx_fail(m->ctx, "mig_ctx_doc: value %u is no document", m->count);
  else if (array)
    BSON_APPEND_ARRAY(m->values, key, &view);
  else
    BSON_APPEND_DOCUMENT(m->values, key, &view);
}

static void append_found(maker *m, const char *key, mig_doc doc, const char *path) {
  bson_t view;
  bson_iter_t it;
  if (!mig_host_view(doc, &view) || !mig_bson_find(&view, path, &it))
    m->ok = mig_ctx_fail(m->ctx, "mig_ctx_doc: value %u: there is no \"%s\"", m->count, path);
  else
    bson_append_iter(m->values, key, -1, &it);
}

static void append_text(maker *m, const char *key, const char *text) {
  if (!text)
    BSON_APPEND_NULL(m->values, key);
  else if (!bson_utf8_validate(text, strlen(text), false))
    m->ok = mig_ctx_fail(m->ctx, "mig_ctx_doc: value %u is not UTF-8", m->count);
  else
    BSON_APPEND_UTF8(m->values, key, text);
}

typedef struct arguments { /* a va_list that functions can share */
  va_list ap;
} arguments;

static void put_value(maker *m, char kind, arguments *args) {
  char key[16], place[48];
  snprintf(key, sizeof key, "%u", m->count);
  switch (kind) {
  case 's':
    append_text(m, key, va_arg(args->ap, const char *));
    break;
  case 'i':
    BSON_APPEND_INT32(m->values, key, va_arg(args->ap, int));
    break;
  case 'l':
    BSON_APPEND_INT64(m->values, key, va_arg(args->ap, int64_t));
    break;
  case 'f':
    BSON_APPEND_DOUBLE(m->values, key, va_arg(args->ap, double));
    break;
  case 'b':
    BSON_APPEND_BOOL(m->values, key, va_arg(args->ap, int) != 0);
    break;
  case 't':
    BSON_APPEND_DATE_TIME(m->values, key, va_arg(args->ap, int64_t));
    break;
  case 'd':
    append_view(m, key, va_arg(args->ap, mig_doc), false);
    break;
  case 'a':
    append_view(m, key, va_arg(args->ap, mig_doc), true);
    break;
  case 'v': {
    mig_doc doc = va_arg(args->ap, mig_doc);
    append_found(m, key, doc, va_arg(args->ap, const char *));
    break;
  }
  default:
    m->ok = mig_ctx_fail(m->ctx, "mig_ctx_doc: %%%c is not one of %%s %%i %%l %%f %%b %%t %%d %%a %%v", kind);
  }
  int n = snprintf(place, sizeof place, "{\"" PLACE "\":%u}", m->count++);
  put(m, place, (size_t)n);
}

/* Walks the format: 'single' quotes become double ones; outside of strings, % takes a value. args NULL: there is none.
 */
static void read_format(maker *m, const char *format, arguments *args) {
  char quote = 0;
  for (const char *p = format; m->ok && *p; p++) {
    if (quote && *p == '\\' && p[1]) {
      if (p[1] == '\'')
        put(m, "'", 1);
      else
        put(m, p, 2);
      p++;
    } else if (quote && *p == quote) {
      quote = 0;
      put(m, "\"", 1);
    } else if (quote && *p == '"') {
      put(m, "\\\"", 2);
    } else if (!quote && (*p == '\'' || *p == '"')) {
      quote = *p;
      put(m, "\"", 1);
    } else if (!quote && *p == '%' && p[1]) {
      if (args)
        put_value(m, *++p, args);
      else
        m->ok = mig_ctx_fail(m->ctx, "there is no value to take the place of %%%c in %.300s", p[1], format);
    } else {
      put(m, p, 1);
    }
  }
}

static void fill_places(const bson_t *from, const bson_t *values, bson_t *to) {
  bson_iter_t it, value;
  if (!bson_iter_init(&it, from)) return;
  while (bson_iter_next(&it)) {
    const char *key = bson_iter_key(&it);
    bson_t child, inner;
    int64_t n = 0;
    char name[16];
    if (BSON_ITER_HOLDS_DOCUMENT(&it) && mig_bson_iter_doc(&it, &child)) {
      snprintf(name, sizeof name, "%lld", mig_bson_int(&child, PLACE, &n) ? (long long)n : -1LL);
      if (bson_iter_init_find(&value, values, name)) {
        bson_append_iter(to, key, -1, &value);
        continue;
      }
      bson_append_document_begin(to, key, -1, &inner);
      fill_places(&child, values, &inner);
      bson_append_document_end(to, &inner);
    } else if (BSON_ITER_HOLDS_ARRAY(&it) && mig_bson_iter_doc(&it, &child)) {
      BSON_APPEND_ARRAY_BEGIN(to, key, &inner);
      fill_places(&child, values, &inner);
      bson_append_array_end(to, &inner);
    } else {
      bson_append_iter(to, key, -1, &it);
    }
  }
}

static mig_doc make(mig_ctx *ctx, const char *format, arguments *args) {
  maker m = {.ctx = ctx, .text = MIG_BUF(MAX_TEXT), .values = bson_new(), .ok = true};
  mig_source *source = NULL;
  mig_error err = {0};
  mig_doc out = {NULL, 0};
  read_format(&m, format, args);
  if (m.ok && mig_source_parse("mig_ctx_doc", &m.text, &source, &err)) {
    bson_t *doc = bson_new();
    fill_places(source->doc, m.values, doc);
    out = mig_host_keep(ctx, doc);
  } else if (m.ok) {
    mig_ctx_fail(ctx, "%s in %.300s", err.what, format);
  }
  mig_source_free(source);
  mig_buf_free(&m.text);
  bson_destroy(m.values);
  return out;
}

mig_doc mig_ctx_doc(mig_ctx *ctx, const char *format, ...) {
  arguments args;
  va_start(args.ap, format);
  mig_doc out = make(ctx, format, &args);
  va_end(args.ap);
  return out;
}

mig_doc mig_host_parse(mig_ctx *ctx, const char *text) {
  return make(ctx, text, NULL);
}

mig_doc mig_ctx_merge(mig_ctx *ctx, mig_doc base, mig_doc change) {
  bson_t a, b;
  bson_iter_t it, other;
  if (!mig_host_view(base, &a) || !mig_host_view(change, &b) || !bson_iter_init(&it, &a)) {
    mig_ctx_fail(ctx, "mig_ctx_merge: one of the two is no document");
    return (mig_doc){NULL, 0};
  }
  bson_t *out = bson_new();
  while (bson_iter_next(&it)) {
    bool newer = bson_iter_init_find(&other, &b, bson_iter_key(&it));
    bson_append_iter(out, NULL, 0, newer ? &other : &it);
  }
  if (bson_iter_init(&it, &b))
    while (bson_iter_next(&it))
      if (!bson_has_field(&a, bson_iter_key(&it))) bson_append_iter(out, NULL, 0, &it);
  return mig_host_keep(ctx, out);
}

bool mig_doc_has(mig_doc doc, const char *path) {
  bson_t view;
  bson_iter_t it;
  return mig_host_view(doc, &view) && mig_bson_find(&view, path, &it);
}

bool mig_doc_text(mig_doc doc, const char *path, const char **out) {
  bson_t view;
  return mig_host_view(doc, &view) && mig_bson_str(&view, path, out);
}

bool mig_doc_int(mig_doc doc, const char *path, int64_t *out) {
  bson_t view;
  return mig_host_view(doc, &view) && mig_bson_int(&view, path, out);
}

bool mig_doc_double(mig_doc doc, const char *path, double *out) {
  bson_t view;
  bson_iter_t it;
  if (!mig_host_view(doc, &view) || !mig_bson_find(&view, path, &it) || !BSON_ITER_HOLDS_NUMBER(&it) ||
      BSON_ITER_HOLDS_DECIMAL128(&it))
    return false;
  *out = bson_iter_as_double(&it);
  return true;
}

bool mig_doc_bool(mig_doc doc, const char *path, bool *out) {
  bson_t view;
  return mig_host_view(doc, &view) && mig_bson_bool(&view, path, out);
}

bool mig_doc_date(mig_doc doc, const char *path, int64_t *unix_ms) {
  bson_t view;
  return mig_host_view(doc, &view) && mig_bson_date(&view, path, unix_ms);
}

bool mig_doc_inner(mig_doc doc, const char *path, mig_doc *out) {
  bson_t view, inner;
  bson_iter_t it;
  if (!mig_host_view(doc, &view) || !mig_bson_find(&view, path, &it) || !mig_bson_iter_doc(&it, &inner)) return false;
  *out = (mig_doc){bson_get_data(&inner), inner.len};
  return true;
}

size_t mig_doc_count(mig_doc doc) {
  bson_t view;
  return mig_host_view(doc, &view) ? bson_count_keys(&view) : 0;
}
