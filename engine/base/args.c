#include "base/args.h"

#include <stdio.h>
#include <string.h>

#include "base/names.h"

#define MAX_ARGS 32

typedef struct check {
  const char *kind, *owner, *path;
  const mig_arg *arg;
  mig_error *err;
} check;

static const char *const type_names[] = {
    [MIG_ARG_STRING] = "text that is not empty",
    [MIG_ARG_COLLECTION] = "a collection name",
    [MIG_ARG_FIELD] = "a field path such as \"address.city\"",
    [MIG_ARG_FIELDS] = "a list of one or more field paths",
    [MIG_ARG_BOOL] = "true or false",
    [MIG_ARG_INT] = "a whole number from 0",
    [MIG_ARG_DOCUMENT] = "a document",
    [MIG_ARG_DOCUMENTS] = "a list of one or more documents",
    [MIG_ARG_PIPELINE] = "a pipeline: a list of one or more stages such as {\"$set\": {...}}",
    [MIG_ARG_UPDATE] = "an update: a document of operators such as {\"$set\": {...}}, or a pipeline",
    [MIG_ARG_KEY] = "an index key such as {\"email\": 1}",
    [MIG_ARG_COLLECTIONS] = "a list of one or more collection names",
    [MIG_ARG_ANY] = "a value",
};

const char *mig_arg_type_name(mig_arg_type type) {
  return (unsigned)type < sizeof type_names / sizeof *type_names ? type_names[type] : "a value";
}

/* `why` may be NULL. */
static bool refuse(const check *c, const bson_iter_t *it, const char *why) {
  char *shown = mig_bson_value_json(it, 60);
  mig_fail(c->err, MIG_E_INPUT, "argument \"%s\" of %s \"%s\" must be %s, not %s", c->arg->name, c->kind, c->owner,
           mig_arg_type_name(c->arg->type), shown ? shown : "this");
  mig_free(shown);
  if (why) mig_why(c->err, "%s", why);
  mig_hint(c->err, "%s: %s", c->arg->name, c->arg->help ? c->arg->help : mig_arg_type_name(c->arg->type));
  return mig_at_path(c->err, c->path, c->arg->name);
}

static const char *text_of(const bson_iter_t *it) {
  if (!BSON_ITER_HOLDS_UTF8(it)) return NULL;
  uint32_t size = 0;
  const char *text = bson_iter_utf8(it, &size);
  return size && strlen(text) == size ? text : NULL; /* a zero byte inside would cut the name short */
}

static bool check_collection(const check *c, const bson_iter_t *it) {
  const char *name = text_of(it);
  mig_error bad;
  if (!name) return refuse(c, it, NULL);
  if (!mig_name_collection_ok(NULL, name, &bad)) return refuse(c, it, bad.why);
  if (mig_name_reserved(name))
    return refuse(c, it, "this collection is the server's or mig's own: no migration may touch it");
  return true;
}

static bool check_field(const check *c, const bson_iter_t *it) {
  const char *path = text_of(it);
  if (!path) return refuse(c, it, NULL);
  for (const char *part = path;; part = strchr(part, '.') + 1) {
    if (*part == '.' || *part == 0) return refuse(c, it, "a part of the path is empty");
    if (*part == '$') return refuse(c, it, "a part of the path begins with $");
    if (!strchr(part, '.')) return true;
  }
}

static bool check_key(const check *c, const bson_iter_t *it) {
  bson_t key;
  bson_iter_t field;
  if (!BSON_ITER_HOLDS_DOCUMENT(it) || !mig_bson_iter_doc(it, &key) || !bson_iter_init(&field, &key))
    return refuse(c, it, NULL);
  if (bson_empty(&key)) return refuse(c, it, "it is empty");
  while (bson_iter_next(&field)) {
    if (!*bson_iter_key(&field)) return refuse(c, it, "a field name is empty");
    bool number = BSON_ITER_HOLDS_INT32(&field) || BSON_ITER_HOLDS_INT64(&field) || BSON_ITER_HOLDS_DOUBLE(&field);
    bool zero = number && bson_iter_as_int64(&field) == 0;
    if (zero || (!number && !text_of(&field)))
      return refuse(c, it,
                    "each field takes 1 (ascending), -1 (descending) or a kind such as \"text\" or \"2dsphere\"");
  }
  return true;
}

static bool check_stage(const check *c, const bson_iter_t *it, const bson_iter_t *whole) {
  bson_t stage;
  bson_iter_t first;
  bool ok = BSON_ITER_HOLDS_DOCUMENT(it) && mig_bson_iter_doc(it, &stage) && bson_iter_init(&first, &stage) &&
            bson_iter_next(&first) && bson_iter_key(&first)[0] == '$' && !bson_iter_next(&first);
  return ok || refuse(c, whole, "each stage is a document with one key that begins with $");
}

static bool check_operators(const check *c, const bson_iter_t *it) {
  bson_t update;
  bson_iter_t field;
  if (!mig_bson_iter_doc(it, &update) || !bson_iter_init(&field, &update)) return refuse(c, it, NULL);
  if (bson_empty(&update)) return refuse(c, it, "it is empty");
  while (bson_iter_next(&field))
    if (bson_iter_key(&field)[0] != '$')
      return refuse(c, it, "whole documents are not replaced: put the fields under \"$set\"");
  return true;
}

/* A list of at least one element, each of which passes. */
static bool check_list(const check *c, const bson_iter_t *it, mig_arg_type each) {
  bson_t list;
  bson_iter_t item;
  if (!BSON_ITER_HOLDS_ARRAY(it) || !mig_bson_iter_doc(it, &list) || !bson_iter_init(&item, &list))
    return refuse(c, it, NULL);
  if (bson_empty(&list)) return refuse(c, it, "the list is empty");
  while (bson_iter_next(&item)) {
    bool ok = each == MIG_ARG_FIELD        ? check_field(c, &item)
              : each == MIG_ARG_COLLECTION ? check_collection(c, &item)
              : each == MIG_ARG_PIPELINE
                  ? check_stage(c, &item, it)
                  : BSON_ITER_HOLDS_DOCUMENT(&item) || refuse(c, &item, "each element of the list must be a document");
    if (!ok) return false;
  }
  return true;
}

static bool whole_number(const bson_iter_t *it) {
  bson_t one = BSON_INITIALIZER;
  int64_t n = -1;
  bson_append_iter(&one, "n", 1, it);
  bool ok = mig_bson_int(&one, "n", &n) && n >= 0;
  bson_destroy(&one);
  return ok;
}

static bool check_value(const check *c, const bson_iter_t *it) {
  switch (c->arg->type) {
  case MIG_ARG_STRING:
    return text_of(it) || refuse(c, it, NULL);
  case MIG_ARG_COLLECTION:
    return check_collection(c, it);
  case MIG_ARG_FIELD:
    return check_field(c, it);
  case MIG_ARG_FIELDS:
    return check_list(c, it, MIG_ARG_FIELD);
  case MIG_ARG_BOOL:
    return BSON_ITER_HOLDS_BOOL(it) || refuse(c, it, NULL);
  case MIG_ARG_INT:
    return whole_number(it) || refuse(c, it, NULL);
  case MIG_ARG_DOCUMENT:
    return BSON_ITER_HOLDS_DOCUMENT(it) || refuse(c, it, NULL);
  case MIG_ARG_DOCUMENTS:
    return check_list(c, it, MIG_ARG_DOCUMENT);
  case MIG_ARG_PIPELINE:
    return check_list(c, it, MIG_ARG_PIPELINE);
  case MIG_ARG_UPDATE:
    if (BSON_ITER_HOLDS_ARRAY(it)) return check_list(c, it, MIG_ARG_PIPELINE);
    return BSON_ITER_HOLDS_DOCUMENT(it) ? check_operators(c, it) : refuse(c, it, NULL);
  case MIG_ARG_KEY:
    return check_key(c, it);
  case MIG_ARG_COLLECTIONS:
    return check_list(c, it, MIG_ARG_COLLECTION);
  case MIG_ARG_ANY:
    return true;
  }
  return refuse(c, it, NULL);
}

/* "collection, field, value, filter (optional)" */
static void hint_arguments(mig_error *err, const char *owner, const mig_arg *args) {
  char list[400];
  size_t used = 0;
  list[0] = 0;
  for (const mig_arg *a = args; a->name && used < sizeof list - 1; a++)
    used += (size_t)snprintf(list + used, sizeof list - used, "%s%s%s", a == args ? "" : ", ", a->name,
                             a->required ? "" : " (optional)");
  mig_hint(err, "arguments of %s: %s", owner, *list ? list : "none");
}

static bool unknown(const check *c, const mig_arg *args, const char *key) {
  const char *names[MAX_ARGS + 1] = {NULL};
  for (size_t i = 0; i < MAX_ARGS && args[i].name; i++) names[i] = args[i].name;
  const char *near = mig_name_nearest(key, names);
  if (near)
    mig_fail(c->err, MIG_E_INPUT, "unknown argument \"%.100s\" of %s \"%s\"; did you mean \"%s\"?", key, c->kind,
             c->owner, near);
  else
    mig_fail(c->err, MIG_E_INPUT, "unknown argument \"%.100s\" of %s \"%s\"", key, c->kind, c->owner);
  hint_arguments(c->err, c->owner, args);
  return mig_at_path(c->err, c->path, key);
}

bool mig_args_check(const char *kind, const char *owner, const mig_arg *args, const bson_t *given,
                    const char *json_path, mig_error *err) {
  check c = {kind, owner, json_path ? json_path : "", NULL, err};
  bson_iter_t it;
  if (!bson_iter_init(&it, given))
    return mig_fail(err, MIG_E_INPUT, "the arguments of %s \"%s\" are not BSON", kind, owner);
  while (bson_iter_next(&it)) {
    const char *key = bson_iter_key(&it);
    for (c.arg = args; c.arg->name && strcmp(c.arg->name, key) != 0;) c.arg++;
    if (!c.arg->name) return unknown(&c, args, key);
    if (!check_value(&c, &it)) return false;
  }
  for (c.arg = args; c.arg->name; c.arg++) {
    if (!c.arg->required || bson_has_field(given, c.arg->name)) continue;
    mig_fail(err, MIG_E_INPUT, "%s \"%s\" lacks the argument \"%s\"", kind, owner, c.arg->name);
    mig_why(err, "it is required: %s", c.arg->help ? c.arg->help : mig_arg_type_name(c.arg->type));
    hint_arguments(err, owner, args);
    return mig_at_path(err, c.path, "");
  }
  return true;
}
