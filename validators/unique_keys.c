#include "validators/unique_keys.h"

#include <stdio.h>
#include <string.h>

#define MAX_PATH 1024 /* longer field paths are refused by the guard's check */

/* A pipeline under construction. */
typedef struct stages {
  bson_t pipeline;
  uint32_t count;
  uint32_t unwound; /* __mig_a0, __mig_a1 ...: the place in the array that a row came from, null where there was none */
} stages;

static void add_stage(stages *s, const char *op, const bson_t *argument) {
  char buffer[16];
  const char *key;
  bson_t stage;
  bson_uint32_to_string(s->count++, &key, buffer, sizeof buffer);
  BSON_APPEND_DOCUMENT_BEGIN(&s->pipeline, key, &stage);
  BSON_APPEND_DOCUMENT(&stage, op, argument);
  bson_append_document_end(&s->pipeline, &stage);
}

static void add_limit(stages *s, int32_t n) {
  char buffer[16];
  const char *key;
  bson_t stage;
  bson_uint32_to_string(s->count++, &key, buffer, sizeof buffer);
  BSON_APPEND_DOCUMENT_BEGIN(&s->pipeline, key, &stage);
  BSON_APPEND_INT32(&stage, "$limit", n);
  bson_append_document_end(&s->pipeline, &stage);
}

static const char *numbered(const char *prefix, size_t n, char text[static 32]) {
  snprintf(text, 32, "%s%zu", prefix, n);
  return text;
}

/* "$" and the first `depth` parts of the path; false when it has fewer. */
static bool path_at(const char *field, int depth, char text[static MAX_PATH + 2]) {
  const char *end = mig_bson_path_end(field, depth);
  if (!end) return false;
  snprintf(text, MAX_PATH + 2, "$%.*s", (int)(end - field), field);
  return true;
}

static bool is_whole(const char *field, const char *dollar_path) {
  return strcmp(field, dollar_path + 1) == 0;
}

static void match_sparse(stages *s, const mig_unique_keys *what) {
  bson_t match = BSON_INITIALIZER, any, one, exists;
  char key[32];
  BSON_APPEND_ARRAY_BEGIN(&match, "$or", &any);
  for (size_t i = 0; i < what->fields; i++) {
    BSON_APPEND_DOCUMENT_BEGIN(&any, numbered("", i, key), &one);
    BSON_APPEND_DOCUMENT_BEGIN(&one, what->field[i], &exists);
    BSON_APPEND_BOOL(&exists, "$exists", true);
    bson_append_document_end(&one, &exists);
    bson_append_document_end(&any, &one);
  }
  bson_append_array_end(&match, &any);
  add_stage(s, "$match", &match);
  bson_destroy(&match);
}

/* Only what the key needs, by top-level names: "a" and "a.b" together would collide. _id is kept apart, as unwinding
 * could change it. */
static void project_fields(stages *s, const mig_unique_keys *what) {
  bson_t project = BSON_INITIALIZER;
  BSON_APPEND_INT32(&project, "_id", 1);
  BSON_APPEND_UTF8(&project, "__mig_id", "$_id");
  for (size_t i = 0; i < what->fields; i++) {
    char path[MAX_PATH + 2];
    if (path_at(what->field[i], 1, path) && !bson_has_field(&project, path + 1))
      BSON_APPEND_INT32(&project, path + 1, 1);
  }
  add_stage(s, "$project", &project);
  bson_destroy(&project);
}

/* Whether the field is an empty array must be asked before it is unwound into nothing. */
static void mark_empty(stages *s, const mig_unique_keys *what, int depth) {
  bson_t add = BSON_INITIALIZER, expression, both, empty;
  for (size_t i = 0; i < what->fields; i++) {
    char path[MAX_PATH + 2], name[32];
    if (!path_at(what->field[i], depth, path) || !is_whole(what->field[i], path)) continue;
    BSON_APPEND_DOCUMENT_BEGIN(&add, numbered("__mig_e", i, name), &expression);
    BSON_APPEND_ARRAY_BEGIN(&expression, "$eq", &both);
    BSON_APPEND_UTF8(&both, "0", path);
    BSON_APPEND_ARRAY_BEGIN(&both, "1", &empty);
    bson_append_array_end(&both, &empty);
    bson_append_array_end(&expression, &both);
    bson_append_document_end(&add, &expression);
  }
  if (!bson_empty(&add)) add_stage(s, "$addFields", &add);
  bson_destroy(&add);
}

/* One row for each element. $unwind lets through what is not an array. */
static void unwind(stages *s, const char *path) {
  bson_t argument = BSON_INITIALIZER;
  char name[32];
  BSON_APPEND_UTF8(&argument, "path", path);
  BSON_APPEND_UTF8(&argument, "includeArrayIndex", numbered("__mig_a", s->unwound, name));
  s->unwound++;
  BSON_APPEND_BOOL(&argument, "preserveNullAndEmptyArrays", true);
  add_stage(s, "$unwind", &argument);
  bson_destroy(&argument);
}

/* From the outer parts of the paths inwards; a part that two fields share is unwound once, for both. */
static void unwind_all(stages *s, const mig_unique_keys *what) {
  bool any = true;
  for (int depth = 1; any; depth++) {
    any = false;
    mark_empty(s, what, depth);
    for (size_t i = 0; i < what->fields; i++) {
      char path[MAX_PATH + 2], other[MAX_PATH + 2];
      bool again = false;
      if (!path_at(what->field[i], depth, path)) continue;
      any = true;
      for (size_t j = 0; j < i && !again; j++)
        again = path_at(what->field[j], depth, other) && strcmp(path, other) == 0;
      if (!again) unwind(s, path);
    }
  }
}

static void append_key(bson_t *group, const mig_unique_keys *what) {
  bson_t id, value, both;
  BSON_APPEND_DOCUMENT_BEGIN(group, "_id", &id);
  for (size_t i = 0; i < what->fields; i++) {
    char path[MAX_PATH + 2], name[32], flag[32];
    snprintf(path, sizeof path, "$%s", what->field[i]);
    BSON_APPEND_DOCUMENT_BEGIN(&id, numbered("v", i, name), &value);
    BSON_APPEND_ARRAY_BEGIN(&value, "$ifNull", &both);
    BSON_APPEND_UTF8(&both, "0", path);
    BSON_APPEND_NULL(&both, "1");
    bson_append_array_end(&value, &both);
    bson_append_document_end(&id, &value);
    BSON_APPEND_UTF8(&id, numbered("e", i, name), numbered("$__mig_e", i, flag));
  }
  bson_append_document_end(group, &id);
}

/* {$sum: {$cond: [no part of the path was an array, 1, 0]}}: such a document has exactly one row. */
static void append_whole(bson_t *group, const stages *s) {
  bson_t sum, cond, three, conditions, list, one, eq, if_null, both;
  char name[32], key[32];
  BSON_APPEND_DOCUMENT_BEGIN(group, "whole", &sum);
  BSON_APPEND_DOCUMENT_BEGIN(&sum, "$sum", &cond);
  BSON_APPEND_ARRAY_BEGIN(&cond, "$cond", &three);
  BSON_APPEND_DOCUMENT_BEGIN(&three, "0", &conditions);
  BSON_APPEND_ARRAY_BEGIN(&conditions, "$and", &list);
  for (uint32_t i = 0; i < s->unwound; i++) {
    BSON_APPEND_DOCUMENT_BEGIN(&list, numbered("", i, key), &one);
    BSON_APPEND_ARRAY_BEGIN(&one, "$eq", &eq);
    BSON_APPEND_DOCUMENT_BEGIN(&eq, "0", &if_null);
    BSON_APPEND_ARRAY_BEGIN(&if_null, "$ifNull", &both);
    BSON_APPEND_UTF8(&both, "0", numbered("$__mig_a", i, name));
    BSON_APPEND_INT32(&both, "1", -1);
    bson_append_array_end(&if_null, &both);
    bson_append_document_end(&eq, &if_null);
    BSON_APPEND_INT32(&eq, "1", -1);
    bson_append_array_end(&one, &eq);
    bson_append_document_end(&list, &one);
  }
  bson_append_array_end(&conditions, &list);
  bson_append_document_end(&three, &conditions);
  BSON_APPEND_INT32(&three, "1", 1);
  BSON_APPEND_INT32(&three, "2", 0);
  bson_append_array_end(&cond, &three);
  bson_append_document_end(&sum, &cond);
  bson_append_document_end(group, &sum);
}

/* {rows: {$sum: 1}} for each key. */
static void append_rows(bson_t *group, const mig_unique_keys *what) {
  bson_t sum;
  append_key(group, what);
  BSON_APPEND_DOCUMENT_BEGIN(group, "rows", &sum);
  BSON_APPEND_INT32(&sum, "$sum", 1);
  bson_append_document_end(group, &sum);
}

/* $first and $last, not $min and $max, which leave out an _id that is null; not $push, which has no bound. */
static void group_keys(stages *s, const mig_unique_keys *what) {
  bson_t group = BSON_INITIALIZER, inner;
  append_rows(&group, what);
  append_whole(&group, s);
  BSON_APPEND_DOCUMENT_BEGIN(&group, "first", &inner);
  BSON_APPEND_UTF8(&inner, "$first", "$__mig_id");
  bson_append_document_end(&group, &inner);
  BSON_APPEND_DOCUMENT_BEGIN(&group, "last", &inner);
  BSON_APPEND_UTF8(&inner, "$last", "$__mig_id");
  bson_append_document_end(&group, &inner);
  add_stage(s, "$group", &group);
  bson_destroy(&group);
}

/* Several rows are several documents if one row is a whole document, or if their _ids differ. The _ids alone would not
 * do: a collation may take "Bob" and "bob" for one. */
static void match_repeated(stages *s) {
  bson_t match = BSON_INITIALIZER, inner, any, one, both;
  static const struct { const char *key, *op, *left; } tests[] = {{"0", "$gt", "$whole"}, {"1", "$ne", "$first"}};
  BSON_APPEND_DOCUMENT_BEGIN(&match, "rows", &inner);
  BSON_APPEND_INT32(&inner, "$gt", 1);
  bson_append_document_end(&match, &inner);
  BSON_APPEND_DOCUMENT_BEGIN(&match, "$expr", &inner);
  BSON_APPEND_ARRAY_BEGIN(&inner, "$or", &any);
  for (int i = 0; i < 2; i++) {
    BSON_APPEND_DOCUMENT_BEGIN(&any, tests[i].key, &one);
    BSON_APPEND_ARRAY_BEGIN(&one, tests[i].op, &both);
    BSON_APPEND_UTF8(&both, "0", tests[i].left);
    if (i == 0)
      BSON_APPEND_INT32(&both, "1", 0);
    else
      BSON_APPEND_UTF8(&both, "1", "$last");
    bson_append_array_end(&one, &both);
    bson_append_document_end(&any, &one);
  }
  bson_append_array_end(&inner, &any);
  bson_append_document_end(&match, &inner);
  add_stage(s, "$match", &match);
  bson_destroy(&match);
}

/* The stages before the group: a row for each value that the index would hold. */
static void begin(stages *s, const mig_unique_keys *what) {
  memset(s, 0, sizeof *s);
  bson_init(&s->pipeline);
  if (!bson_empty(what->filter)) add_stage(s, "$match", what->filter);
  if (what->sparse) match_sparse(s, what);
  project_fields(s, what);
  unwind_all(s, what);
}

static bson_t *end(stages *s, const mig_unique_keys *what) {
  bson_t *command = bson_new(), cursor;
  BSON_APPEND_UTF8(command, "aggregate", what->collection);
  BSON_APPEND_ARRAY(command, "pipeline", &s->pipeline);
  BSON_APPEND_DOCUMENT_BEGIN(command, "cursor", &cursor);
  bson_append_document_end(command, &cursor);
  BSON_APPEND_BOOL(command, "allowDiskUse", true);
  if (what->collation) BSON_APPEND_DOCUMENT(command, "collation", what->collation);
  bson_destroy(&s->pipeline);
  return command;
}

bson_t *mig_unique_keys_any(const mig_unique_keys *what) {
  stages s;
  bson_t group = BSON_INITIALIZER, *repeated = BCON_NEW("rows", "{", "$gt", BCON_INT32(1), "}");
  begin(&s, what);
  append_rows(&group, what);
  add_stage(&s, "$group", &group);
  add_stage(&s, "$match", repeated);
  add_limit(&s, 1);
  bson_destroy(&group);
  bson_destroy(repeated);
  return end(&s, what);
}

bson_t *mig_unique_keys_command(const mig_unique_keys *what) {
  stages s;
  begin(&s, what);
  group_keys(&s, what);
  match_repeated(&s);
  return end(&s, what);
}
