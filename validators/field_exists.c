#include <stdio.h>
#include <string.h>

#include "base/names.h"
#include "validators/query.h"

#define LOOKED_AT 20 /* documents whose fields are compared with the one that no document has */

/* The document in which the last part of the path would be: "a.b.c" is looked for in "a.b". */
static bool siblings_of(const bson_t *doc, const char *field, size_t parent_size, bson_t *view) {
  char *parent = NULL;
  bool ok = true;
  if (parent_size == 0) return bson_init_static(view, bson_get_data(doc), doc->len);
  parent = mig_strdup(field);
  if (parent) parent[parent_size] = 0;
  ok = parent && mig_bson_doc(doc, parent, view);
  mig_free(parent);
  return ok;
}

/* The nearest name in the first documents. Without memory there is none, which is no reason to fail. */
static bool nearest_field(const mig_guard_env *env, const char *collection, const bson_t *filter, const char *field,
                          char **near, mig_error *err) {
  mig_cursor *c = NULL;
  const bson_t *doc = NULL;
  const char *last = strrchr(field, '.');
  const char *leaf = last ? last + 1 : field;
  bson_t command = BSON_INITIALIZER, view;
  bson_iter_t it;
  BSON_APPEND_UTF8(&command, "find", collection);
  BSON_APPEND_DOCUMENT(&command, "filter", filter);
  BSON_APPEND_INT32(&command, "limit", LOOKED_AT);
  bool ok = mig_db_query(env->work->db, &command, &c, err);
  mig_next next = ok ? MIG_NEXT_DOC : MIG_NEXT_ERROR;
  while (ok && (next = mig_cursor_next(c, &doc, err)) == MIG_NEXT_DOC) {
    if (!siblings_of(doc, field, last ? (size_t)(last - field) : 0, &view) || !bson_iter_init(&it, &view)) continue;
    while (bson_iter_next(&it)) {
      const char *candidates[] = {bson_iter_key(&it), *near, NULL};
      if (mig_name_nearest(leaf, candidates) != candidates[0]) continue;
      mig_free(*near);
      *near = mig_strdup(candidates[0]);
    }
  }
  mig_cursor_close(c);
  bson_destroy(&command);
  return next != MIG_NEXT_ERROR;
}

static bool refuse(const mig_guard_env *env, const bson_t *args, const bson_t *filter, mig_guard_result *out,
                   mig_error *err) {
  const char *collection = "", *field = "";
  char *near = NULL, text[300] = "";
  mig_bson_str(args, "collection", &collection);
  mig_bson_str(args, "field", &field);
  if (!nearest_field(env, collection, filter, field, &near, err)) {
    mig_free(near);
    return false;
  }
  const char *dot = strrchr(field, '.');
  if (near) snprintf(text, sizeof text, "; did you mean %.*s%s?", dot ? (int)(dot + 1 - field) : 0, field, near);
  mig_free(near);
  mig_guard_hint(out, "check the spelling; field names are case-sensitive");
  return mig_guard_refuse(out, "no document of %s has the field %s (%lld %s%s)%s", collection, field,
                          (long long)out->offenders, out->offenders == 1 ? "document" : "documents",
                          bson_empty(filter) ? "" : " match the filter", text);
}

static bool run(const mig_guard_env *env, const bson_t *args, mig_guard_result *out, mig_error *err) {
  const char *collection = "", *field = "";
  bson_t filter, *has = NULL, *both = NULL, *lacks = NULL, *missing = NULL;
  bool found = false;
  mig_bson_str(args, "collection", &collection);
  mig_bson_str(args, "field", &field);
  mig_guard_filter(args, &filter);
  has = mig_guard_condition(field, "$exists", true);
  both = mig_guard_and(&filter, has);
  lacks = mig_guard_condition(field, "$exists", false);
  missing = mig_guard_and(&filter, lacks);
  bool ok = mig_guard_any(env, collection, both, &found, err);
  if (ok && !found) {
    ok = mig_guard_offenders(env, collection, missing, out, err);
    if (ok && out->ids)
      ok = refuse(env, args, &filter, out, err);
    else if (ok)
      ok = mig_guard_warn_if_missing(env, collection, err);
  }
  bson_destroy(missing);
  bson_destroy(lacks);
  bson_destroy(both);
  bson_destroy(has);
  return ok;
}

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "where to look"},
    {"field", MIG_ARG_FIELD, true, "dotted path of the field, of any type, null included"},
    {"filter", MIG_ARG_DOCUMENT, false, "looks only at the documents that match"},
    {0},
};

const mig_guard_def mig_guard_field_exists = {
    .name = "fieldExists",
    .help = "at least one document has the field; also holds when there is no (matching) document at all",
    .args = args,
    .run = run,
    .example = "{\"fieldExists\": {\"collection\": \"users\", \"field\": \"address.city\"}}",
};
