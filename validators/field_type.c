#include <stdio.h>
#include <string.h>

#include "base/names.h"
#include "validators/values.h"

#define MAX_TYPES 22

static const char *const types[] = {"double",     "string", "object", "array",  "binData",   "undefined",
                                    "objectId",   "bool",   "date",   "null",   "regex",     "dbPointer",
                                    "javascript", "symbol", "int",    "long",   "timestamp", "javascriptWithScope",
                                    "decimal",    "minKey", "maxKey", "number", NULL};

typedef struct wanted {
  const char *name[MAX_TYPES];
  size_t count;
  const char *unknown; /* the first that is no type; NULL when all are */
} wanted;

static void add(wanted *w, const bson_iter_t *it) {
  const char *name = BSON_ITER_HOLDS_UTF8(it) ? bson_iter_utf8(it, NULL) : "", *const *t = types;
  while (*t && strcmp(*t, name) != 0) t++;
  if (!*t && !w->unknown) w->unknown = name;
  if (*t && w->count < MAX_TYPES) w->name[w->count++] = *t;
}

/* The argument "type": one name or a list of them. */
static wanted read_types(const bson_t *args) {
  wanted w = {.count = 0};
  bson_t list;
  bson_iter_t it;
  if (mig_bson_arr(args, "type", &list) && bson_iter_init(&it, &list))
    while (bson_iter_next(&it)) add(&w, &it);
  else if (mig_bson_find(args, "type", &it))
    add(&w, &it);
  return w;
}

static bool check(const bson_t *args, mig_error *err) {
  const char *field = "";
  const wanted w = read_types(args);
  mig_bson_str(args, "field", &field);
  if (!w.unknown && w.count) return mig_values_path_ok(field, err);
  const char *near = w.unknown ? mig_name_nearest(w.unknown, types) : NULL;
  mig_guard_bad(err, "type", "\"%.40s\" is not a type%s%s%s", w.unknown ? w.unknown : "",
                near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
  return mig_hint(err, "types as $type knows them: string int long double decimal number bool date objectId array "
                       "object binData null ...; or a list of them");
}

static bool has(const wanted *w, const char *name) {
  for (size_t i = 0; i < w->count; i++)
    if (strcmp(w->name[i], name) == 0) return true;
  return false;
}

/* {$exists: true, $not: {$type: [names]}} */
static bson_t *of_another_type(const wanted *w) {
  bson_t *out = bson_new(), not, list;
  BSON_APPEND_BOOL(out, "$exists", true);
  BSON_APPEND_DOCUMENT_BEGIN(out, "$not", &not );
  if (w->count == 1) {
    BSON_APPEND_UTF8(&not, "$type", w->name[0]);
  } else {
    BSON_APPEND_ARRAY_BEGIN(&not, "$type", &list);
    for (size_t i = 0; i < w->count; i++) {
      char buffer[16];
      const char *key;
      bson_uint32_to_string((uint32_t)i, &key, buffer, sizeof buffer);
      BSON_APPEND_UTF8(&list, key, w->name[i]);
    }
    bson_append_array_end(&not, &list);
  }
  bson_append_document_end(out, &not );
  return out;
}

static void refuse(const wanted *w, const char *collection, const char *field, mig_guard_result *out) {
  char names[300] = "";
  for (size_t i = 0; i < w->count; i++) {
    size_t used = strlen(names);
    snprintf(names + used, sizeof names - used, "%s%s", i ? " or " : "", w->name[i]);
  }
  mig_guard_refuse(out, "in %lld %s of %s the field %s is not of type %s", (long long)out->offenders,
                   out->offenders == 1 ? "document" : "documents", collection, field, names);
}

static bool run(const mig_guard_env *env, const bson_t *args, mig_guard_result *out, mig_error *err) {
  const char *collection = "", *field = "";
  const wanted w = read_types(args);
  bson_t filter, *other = of_another_type(&w), *array = BCON_NEW("$type", "array");
  const bson_t *const wrong[] = {other, array};
  mig_bson_str(args, "collection", &collection);
  mig_bson_str(args, "field", &field);
  mig_guard_filter(args, &filter);
  /* $type looks into an array: ["a"] would pass for a string */
  bson_t *bad = mig_values_filter(field, wrong, has(&w, "array") ? 1 : 2), *both = mig_guard_and(&filter, bad);
  bool ok = mig_guard_offenders(env, collection, both, out, err);
  if (ok && !out->ids) ok = mig_guard_warn_if_missing(env, collection, err);
  if (ok && out->ids) refuse(&w, collection, field, out);
  bson_destroy(both);
  bson_destroy(bad);
  bson_destroy(array);
  bson_destroy(other);
  return ok;
}

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "whose documents are looked at; a missing one has none"},
    {"field", MIG_ARG_FIELD, true, "of that type wherever it is there; through an array: in each element of it"},
    {"type", MIG_ARG_ANY, true, "\"string\", \"int\", \"number\", \"date\", \"objectId\" ..., or a list of them"},
    {"filter", MIG_ARG_DOCUMENT, false, "looks only at the documents that match"},
    {0},
};

const mig_guard_def mig_guard_field_type = {
    .name = "fieldType",
    .help = "the field is of that type in every document that has it; null is a type of its own",
    .args = args,
    .check = check,
    .run = run,
    .example =
        "{\"fieldType\": {\"collection\": \"orders\", \"field\": \"items.price\", \"type\": [\"decimal\", \"int\"]}}",
};
