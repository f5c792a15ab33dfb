#include "validators/query.h"

#include <stdio.h>
#include <string.h>

#include "base/names.h"

void mig_guard_filter(const bson_t *args, bson_t *view) {
  static const uint8_t empty[] = {5, 0, 0, 0, 0};
  if (!mig_bson_doc(args, "filter", view)) (void)bson_init_static(view, empty, sizeof empty);
}

bson_t *mig_guard_and(const bson_t *a, const bson_t *b) {
  if (bson_empty(a)) return bson_copy(b);
  if (bson_empty(b)) return bson_copy(a);
  bson_t *both = bson_new(), list;
  BSON_APPEND_ARRAY_BEGIN(both, "$and", &list);
  BSON_APPEND_DOCUMENT(&list, "0", a);
  BSON_APPEND_DOCUMENT(&list, "1", b);
  bson_append_array_end(both, &list);
  return both;
}

bson_t *mig_guard_condition(const char *field, const char *op, bool value) {
  bson_t *doc = bson_new(), inner;
  BSON_APPEND_DOCUMENT_BEGIN(doc, field, &inner);
  BSON_APPEND_BOOL(&inner, op, value);
  bson_append_document_end(doc, &inner);
  return doc;
}

/* find that answers in one batch, so that no cursor stays open on the server */
static bool find_ids(const mig_guard_env *env, const char *collection, const bson_t *filter, int32_t limit,
                     mig_cursor **out, mig_error *err) {
  bson_t command = BSON_INITIALIZER, projection;
  BSON_APPEND_UTF8(&command, "find", collection);
  BSON_APPEND_DOCUMENT(&command, "filter", filter);
  BSON_APPEND_DOCUMENT_BEGIN(&command, "projection", &projection);
  BSON_APPEND_INT32(&projection, "_id", 1);
  bson_append_document_end(&command, &projection);
  BSON_APPEND_INT32(&command, "limit", limit);
  BSON_APPEND_BOOL(&command, "singleBatch", true);
  bool ok = mig_db_query(env->work->db, &command, out, err);
  bson_destroy(&command);
  return ok;
}

bool mig_guard_any(const mig_guard_env *env, const char *collection, const bson_t *filter, bool *found,
                   mig_error *err) {
  mig_cursor *c = NULL;
  const bson_t *doc = NULL;
  *found = false;
  if (!find_ids(env, collection, filter, 1, &c, err)) return false;
  mig_next next = mig_cursor_next(c, &doc, err);
  *found = next == MIG_NEXT_DOC;
  mig_cursor_close(c);
  return next != MIG_NEXT_ERROR;
}

bool mig_guard_offenders(const mig_guard_env *env, const char *collection, const bson_t *filter, mig_guard_result *out,
                         mig_error *err) {
  mig_cursor *c = NULL;
  const bson_t *doc = NULL;
  bson_t *ids = NULL;
  uint32_t n = 0;
  bson_iter_t it;
  mig_next next = MIG_NEXT_END;
  if (!find_ids(env, collection, filter, MIG_OFFENDERS, &c, err)) return false;
  while (n < MIG_OFFENDERS && (next = mig_cursor_next(c, &doc, err)) == MIG_NEXT_DOC) {
    char buffer[16];
    const char *key;
    bson_uint32_to_string(n++, &key, buffer, sizeof buffer);
    if (!ids) ids = bson_new();
    if (bson_iter_init_find(&it, doc, "_id"))
      bson_append_iter(ids, key, -1, &it);
    else
      BSON_APPEND_UNDEFINED(ids, key); /* a view may show none */
  }
  mig_cursor_close(c);
  if (next == MIG_NEXT_ERROR || (n && !mig_db_count(env->work->db, collection, filter, &out->offenders, err))) {
    if (ids) bson_destroy(ids);
    return false;
  }
  out->ids = ids;
  if (n) out->query = bson_copy(filter);
  if (n && out->offenders < (int64_t)n) out->offenders = n; /* others write meanwhile: never fewer than are shown */
  return true;
}

bool mig_guard_collection_found(const mig_guard_env *env, const char *collection, bool *found, mig_error *err) {
  bson_t all = BSON_INITIALIZER;
  bool ok = mig_db_has_collection(env->work->db, collection, found, err);
  if (ok && !*found && mig_db_in_transaction(env->work->db)) ok = mig_guard_any(env, collection, &all, found, err);
  bson_destroy(&all);
  return ok;
}

bool mig_guard_not_there(const mig_guard_env *env, const char *collection, char *text, size_t size, mig_error *err) {
  mig_cursor *c = NULL;
  const bson_t *doc = NULL;
  char *near = NULL;
  mig_next next = MIG_NEXT_ERROR;
  if (!mig_db_collections(env->work->db, NULL, &c, err)) return false;
  while ((next = mig_cursor_next(c, &doc, err)) == MIG_NEXT_DOC) {
    const char *name = NULL;
    if (!mig_bson_str(doc, "name", &name) || mig_name_reserved(name)) continue;
    const char *candidates[] = {name, near, NULL};
    if (mig_name_nearest(collection, candidates) != name) continue;
    mig_free(near);
    near = mig_strdup(name); /* without memory there is no suggestion, which is no reason to fail */
  }
  mig_cursor_close(c);
  snprintf(text, size, "there is no collection %s in %s%s%s%s", collection, mig_db_name(env->work->db),
           near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
  mig_free(near);
  return next != MIG_NEXT_ERROR;
}

bool mig_guard_warn_if_missing(const mig_guard_env *env, const char *collection, mig_error *err) {
  char text[700];
  bool found = false;
  if (!mig_guard_collection_found(env, collection, &found, err)) return false;
  if (found) return true;
  if (!mig_guard_not_there(env, collection, text, sizeof text, err)) return false;
  mig_say(env->work->observer, MIG_WARNING, "%s (the guard took it as empty)", text);
  return true;
}

void mig_guard_value(const bson_iter_t *it, char *text, size_t size) {
  char *json = mig_bson_value_json(it, size - 1);
  snprintf(text, size, "%s", json ? json : "...");
  mig_free(json);
}

void mig_guard_json(const bson_t *doc, char *text, size_t size) {
  bson_t one = BSON_INITIALIZER;
  bson_iter_t it;
  BSON_APPEND_DOCUMENT(&one, "v", doc);
  if (bson_iter_init_find(&it, &one, "v")) mig_guard_value(&it, text, size);
  bson_destroy(&one);
}
