#include "migrations/steps/index.h"

#include <stdio.h>
#include <string.h>

#include "base/names.h"
#include "migrations/steps/common.h"

const mig_arg mig_index_step_args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "collection that gets the index"},
    {"key", MIG_ARG_KEY, true, "fields and directions, such as {\"email\": 1}"},
    {"name", MIG_ARG_STRING, false, "its name; else it is made from the key: email_1"},
    {"options", MIG_ARG_DOCUMENT, false,
     "unique, sparse, expireAfterSeconds, partialFilterExpression, collation, hidden ..."},
    {0},
};

const char *const mig_index_step_writes[] = {NULL};

static const char *const known[] = {"unique",
                                    "sparse",
                                    "expireAfterSeconds",
                                    "partialFilterExpression",
                                    "collation",
                                    "hidden",
                                    "background",
                                    "weights",
                                    "default_language",
                                    "language_override",
                                    "textIndexVersion",
                                    "2dsphereIndexVersion",
                                    "bits",
                                    "min",
                                    "max",
                                    "wildcardProjection",
                                    "storageEngine",
                                    "v",
                                    NULL};

bool mig_index_step_check(const mig_step *step, mig_error *err) {
  bson_t options;
  bson_iter_t it;
  mig_step_doc(step, "options", &options);
  if (!bson_iter_init(&it, &options)) return true;
  while (bson_iter_next(&it)) {
    const char *name = bson_iter_key(&it), *const *k = known;
    char path[200];
    while (*k && strcmp(*k, name) != 0) k++;
    if (*k) continue;
    bson_snprintf(path, sizeof path, "options.%s", name);
    const char *near = mig_name_nearest(name, known);
    if (near)
      mig_step_refuse(err, path, "unknown index option \"%.60s\"; did you mean \"%s\"?", name, near);
    else
      mig_step_refuse(err, path, "unknown index option \"%.60s\"", name);
    if (strcmp(name, "name") == 0 || strcmp(name, "key") == 0)
      return mig_hint(err, "\"%s\" is an argument of its own, beside \"options\"", name);
    return mig_hint(
        err, "options of an index: unique, sparse, expireAfterSeconds, partialFilterExpression, collation, hidden ...");
  }
  return true;
}

bool mig_index_step_touches(const mig_step *step, mig_touch_fn fn, void *arg, mig_error *err) {
  const char *collection = mig_step_str(step, "collection");
  bson_t options;
  mig_step_doc(step, "options", &options);
  return fn(arg, collection, MIG_TOUCH_METADATA, err) &&
         (!bson_has_field(&options, "expireAfterSeconds") || fn(arg, collection, MIG_TOUCH_DOCUMENTS, err));
}

/* As servers and drivers do: email_1_age_-1 */
static bool name_of(const mig_step *step, mig_buf *out, mig_error *err) {
  bson_t key;
  bson_iter_t it;
  const char *given = mig_step_str(step, "name");
  if (*given) return mig_buf_add(out, given, strlen(given), err);
  mig_step_doc(step, "key", &key);
  bool ok = bson_iter_init(&it, &key);
  while (ok && bson_iter_next(&it)) {
    const char *between = out->size ? "_" : "";
    if (BSON_ITER_HOLDS_UTF8(&it))
      ok = mig_buf_printf(out, err, "%s%s_%s", between, bson_iter_key(&it), bson_iter_utf8(&it, NULL));
    else
      ok = mig_buf_printf(out, err, "%s%s_%lld", between, bson_iter_key(&it), (long long)bson_iter_as_int64(&it));
  }
  return ok;
}

bool mig_index_step_countable(const bson_t *key) {
  bson_iter_t it;
  if (!bson_iter_init(&it, key)) return false;
  while (bson_iter_next(&it)) {
    for (const char *part = bson_iter_key(&it);; part = strchr(part, '.') + 1) {
      size_t size = strcspn(part, ".");
      if (size == 0 || *part == '$' || strspn(part, "0123456789") >= size) return false;
      if (!strchr(part, '.')) break;
    }
  }
  return true;
}

static void append_no_duplicates(const mig_step *step, const bson_t *key, const bson_t *options, bson_t *array) {
  bson_t own = BSON_INITIALIZER, fields, view;
  bson_iter_t it;
  bool sparse = false;
  uint32_t n = 0;
  BSON_APPEND_UTF8(&own, "collection", mig_step_str(step, "collection"));
  BSON_APPEND_ARRAY_BEGIN(&own, "fields", &fields);
  if (bson_iter_init(&it, key)) {
    while (bson_iter_next(&it)) {
      char buffer[16];
      const char *index;
      bson_uint32_to_string(n++, &index, buffer, sizeof buffer);
      BSON_APPEND_UTF8(&fields, index, bson_iter_key(&it));
    }
  }
  bson_append_array_end(&own, &fields);
  if (mig_bson_doc(options, "partialFilterExpression", &view)) BSON_APPEND_DOCUMENT(&own, "filter", &view);
  if (mig_bson_bool(options, "sparse", &sparse) && sparse) BSON_APPEND_BOOL(&own, "sparse", true);
  if (mig_bson_doc(options, "collation", &view)) BSON_APPEND_DOCUMENT(&own, "collation", &view);
  mig_guard_append(array, "noDuplicates", &own);
  bson_destroy(&own);
}

/* The options as the server will get them. */
static bson_t *options_of(const mig_step *step, bool unique) {
  bson_t options;
  bson_t *out = bson_new();
  mig_step_doc(step, "options", &options);
  if (unique && !bson_has_field(&options, "unique")) BSON_APPEND_BOOL(out, "unique", true);
  bson_concat(out, &options);
  return out;
}

bool mig_index_step_guards(const mig_step *step, bool unique, bson_t *array, mig_error *err) {
  bson_t key, *options = options_of(step, unique), own = BSON_INITIALIZER;
  mig_step_doc(step, "key", &key);
  mig_bson_bool(options, "unique", &unique);
  mig_guards_collection_exists(step, array, err);
  BSON_APPEND_UTF8(&own, "collection", mig_step_str(step, "collection"));
  BSON_APPEND_DOCUMENT(&own, "key", &key);
  if (*mig_step_str(step, "name")) BSON_APPEND_UTF8(&own, "name", mig_step_str(step, "name"));
  if (!bson_empty(options)) BSON_APPEND_DOCUMENT(&own, "options", options);
  mig_guard_append(array, "noIndexConflict", &own);
  bson_destroy(&own);
  if (unique && mig_index_step_countable(&key)) append_no_duplicates(step, &key, options, array);
  bson_destroy(options);
  return true;
}

static bool has_as_asked(const bson_t *index, const bson_t *options, const char **lacking) {
  static const char *const must[] = {"unique", "sparse", "expireAfterSeconds", "partialFilterExpression", "collation",
                                     "hidden", NULL};
  for (const char *const *m = must; *m; m++) {
    bson_iter_t asked, have;
    if (!bson_iter_init_find(&asked, options, *m)) continue;
    if (BSON_ITER_HOLDS_BOOL(&asked) && !bson_iter_bool(&asked)) continue;
    *lacking = *m;
    if (!bson_iter_init_find(&have, index, *m)) return false;
    if (BSON_ITER_HOLDS_BOOL(&asked) && !bson_iter_as_bool(&have)) return false;
  }
  return true;
}

/* A server that takes an option without keeping it would leave the data unprotected: look. */
static bool verify(const mig_step *step, mig_work *w, const char *name, const bson_t *options, mig_error *err) {
  bson_t indexes, index;
  bson_iter_t it;
  const char *collection = mig_step_str(step, "collection"), *lacking = NULL;
  bool found = false, as_asked = false;
  bool ok = mig_db_indexes(w->db, collection, &indexes, err);
  if (ok && bson_iter_init(&it, &indexes)) {
    while (!found && bson_iter_next(&it)) {
      const char *have = NULL;
      found = mig_bson_iter_doc(&it, &index) && mig_bson_str(&index, "name", &have) && strcmp(have, name) == 0;
      as_asked = found && has_as_asked(&index, options, &lacking);
    }
  }
  if (ok && !found)
    ok = mig_fail(err, MIG_E_UNSUPPORTED, "%s %s.%s: the server took the index %s but has none of that name",
                  step->def->name, mig_db_name(w->db), collection, name);
  else if (ok && !as_asked)
    ok = mig_fail(err, MIG_E_UNSUPPORTED, "%s %s.%s: the server did not keep the option \"%s\" of the index %s",
                  step->def->name, mig_db_name(w->db), collection, lacking, name);
  bson_destroy(&indexes);
  return ok;
}

bool mig_index_step_build(const mig_step *step, bool unique, mig_work *w, mig_error *err) {
  bson_t key, *options = options_of(step, unique), command = BSON_INITIALIZER, list, one;
  mig_buf name = MIG_BUF(4096);
  mig_step_doc(step, "key", &key);
  bool ok = name_of(step, &name, err);
  BSON_APPEND_UTF8(&command, "createIndexes", mig_step_str(step, "collection"));
  BSON_APPEND_ARRAY_BEGIN(&command, "indexes", &list);
  BSON_APPEND_DOCUMENT_BEGIN(&list, "0", &one);
  BSON_APPEND_DOCUMENT(&one, "key", &key);
  BSON_APPEND_UTF8(&one, "name", mig_buf_text(&name));
  bson_concat(&one, options);
  bson_append_document_end(&list, &one);
  bson_append_array_end(&command, &list);
  ok = ok && mig_step_run_command(w, &command, err) && verify(step, w, mig_buf_text(&name), options, err);
  bson_destroy(&command);
  bson_destroy(options);
  mig_buf_free(&name);
  return ok;
}

bool mig_index_step_inverse(const mig_step *step, bson_t *out) {
  mig_buf name = MIG_BUF(4096);
  bson_t args;
  bool ok = name_of(step, &name, NULL);
  if (ok) {
    BSON_APPEND_DOCUMENT_BEGIN(out, "dropIndex", &args);
    BSON_APPEND_UTF8(&args, "collection", mig_step_str(step, "collection"));
    BSON_APPEND_UTF8(&args, "name", mig_buf_text(&name));
    bson_append_document_end(out, &args);
  }
  mig_buf_free(&name);
  return ok;
}
