#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "validators/query.h"
#include "validators/unique_keys.h"

#define MAX_FIELD 1000

static size_t fields_of(const bson_t *args, const char *field[static MIG_UNIQUE_FIELDS]) {
  bson_t list;
  bson_iter_t it;
  size_t n = 0;
  if (!mig_bson_arr(args, "fields", &list) || !bson_iter_init(&it, &list)) return 0;
  while (bson_iter_next(&it)) {
    if (n < MIG_UNIQUE_FIELDS && BSON_ITER_HOLDS_UTF8(&it)) field[n] = bson_iter_utf8(&it, NULL);
    n++;
  }
  return n;
}

/* "items.0.sku": in an index such a part may be a place in an array, in an aggregation never. */
static bool has_number(const char *field) {
  for (const char *dot = strchr(field, '.'); dot; dot = strchr(dot + 1, '.')) {
    size_t size = strcspn(dot + 1, "."), digits = strspn(dot + 1, "0123456789");
    if (size && digits == size) return true;
  }
  return false;
}

static bool check(const bson_t *args, mig_error *err) {
  const char *field[MIG_UNIQUE_FIELDS] = {NULL};
  size_t n = fields_of(args, field);
  if (n == 0 || n > MIG_UNIQUE_FIELDS)
    return mig_guard_bad(err, "fields", "an index has 1 to %d fields, not %zu", MIG_UNIQUE_FIELDS, n);
  for (size_t i = 0; i < n; i++) {
    if (strlen(field[i]) > MAX_FIELD)
      return mig_guard_bad(err, "fields", "a field path of more than %d bytes", MAX_FIELD);
    if (has_number(field[i]))
      return mig_guard_bad(err, "fields",
                           "\"%.100s\": a number in a path may mean a place in an array, which cannot be looked at",
                           field[i]);
    for (size_t j = 0; j < i; j++)
      if (strcmp(field[i], field[j]) == 0)
        return mig_guard_bad(err, "fields", "\"%.100s\" stands there twice", field[i]);
  }
  return true;
}

/* One field's value: v0 of the group's _id, or [] if it was an empty array. */
static void append_value(bson_t *doc, const char *name, const bson_t *group, size_t i) {
  char path[32];
  bson_iter_t it;
  bson_t empty = BSON_INITIALIZER;
  bool is_empty = false;
  snprintf(path, sizeof path, "_id.e%zu", i);
  mig_bson_bool(group, path, &is_empty);
  snprintf(path, sizeof path, "_id.v%zu", i);
  if (is_empty)
    BSON_APPEND_ARRAY(doc, name, &empty);
  else if (mig_bson_find(group, path, &it))
    bson_append_iter(doc, name, -1, &it);
  else
    BSON_APPEND_NULL(doc, name);
  bson_destroy(&empty);
}

/* ", "x@y" (_id 1 and 7)" */
static void show(const mig_unique_keys *what, const bson_t *group, mig_guard_result *out, char *text, size_t size) {
  static const char *const ends[] = {"first", "last"};
  bson_t values = BSON_INITIALIZER;
  bson_iter_t it;
  char json[80] = "", id[2][48] = {"?", "?"};
  for (size_t i = 0; i < what->fields; i++) append_value(&values, what->field[i], group, i);
  if (what->fields > 1)
    mig_guard_json(&values, json, sizeof json);
  else if (bson_iter_init(&it, &values) && bson_iter_next(&it))
    mig_guard_value(&it, json, sizeof json);
  if (!out->ids) out->ids = bson_new();
  for (int i = 0; i < 2; i++) {
    char key[16];
    uint32_t n = bson_count_keys(out->ids);
    if (!bson_iter_init_find(&it, group, ends[i])) continue;
    mig_guard_value(&it, id[i], sizeof id[i]);
    snprintf(key, sizeof key, "%u", n);
    if (n < MIG_OFFENDERS) bson_append_iter(out->ids, key, -1, &it);
  }
  size_t used = strlen(text);
  snprintf(text + used, size - used, "%s %s (_id %s and %s)", used ? "," : "", json, id[0], id[1]);
  bson_destroy(&values);
}

static bool is_any(const mig_guard_env *env, const mig_unique_keys *what, bool *any, mig_error *err) {
  bson_t *command = mig_unique_keys_any(what), doc;
  bool ok = mig_db_first(env->work->db, command, &doc, any, err);
  bson_destroy(&doc);
  bson_destroy(command);
  return ok;
}

/* Counts the groups as they come; only the first few are kept. */
static bool count_groups(const mig_guard_env *env, const mig_unique_keys *what, const bson_t *command,
                         mig_guard_result *out, char *text, size_t size, mig_error *err) {
  mig_cursor *c = NULL;
  const bson_t *group = NULL;
  mig_next next;
  int64_t checked_ms = mig_now_monotonic_ms();
  if (!mig_db_query(env->work->db, command, &c, err)) return false;
  out->offenders = 0;
  while ((next = mig_cursor_next(c, &group, err)) == MIG_NEXT_DOC) {
    if (out->offenders++ < MIG_OFFENDERS) show(what, group, out, text, size);
    if (mig_now_monotonic_ms() - checked_ms < 1000) continue;
    checked_ms = mig_now_monotonic_ms();
    if (!mig_checkpoint(env->work, err)) next = MIG_NEXT_ERROR;
    if (next == MIG_NEXT_ERROR) break;
  }
  mig_cursor_close(c);
  return next != MIG_NEXT_ERROR;
}

static void refuse(const mig_unique_keys *what, const char *text, mig_guard_result *out) {
  char names[200] = "";
  for (size_t i = 0; i < what->fields; i++) {
    size_t used = strlen(names);
    snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", what->field[i]);
  }
  bool one = out->offenders == 1;
  const char *noun = what->fields > 1 ? one ? "combination" : "combinations" : one ? "value" : "values";
  mig_guard_hint(
      out, "remove or change all but one of each first (the step removeDuplicates before this one does it)%s",
      what->sparse ? "" : "; null also stands for a missing field, which a partial or sparse index leaves out");
  mig_guard_refuse(out, "%lld %s of %s %s more than once in %s:%s%s", (long long)out->offenders, noun, names,
                   one ? "occurs" : "occur", what->collection, text, out->offenders > MIG_OFFENDERS ? ", ..." : "");
}

static bool run(const mig_guard_env *env, const bson_t *args, mig_guard_result *out, mig_error *err) {
  mig_unique_keys what = {.collection = ""};
  bson_t filter, collation;
  char text[1000] = "";
  what.fields = fields_of(args, what.field);
  mig_bson_str(args, "collection", &what.collection);
  mig_bson_bool(args, "sparse", &what.sparse);
  mig_guard_filter(args, &filter);
  what.filter = &filter;
  if (mig_bson_doc(args, "collation", &collation)) what.collation = &collation;
  bool any = false;
  if (!is_any(env, &what, &any, err)) return false;
  out->offenders = 0;
  if (!any) return true;
  bson_t *command = mig_unique_keys_command(&what);
  bool ok = count_groups(env, &what, command, out, text, sizeof text, err);
  if (ok && out->offenders > 0) {
    refuse(&what, text, out);
    out->query = command;
    command = NULL;
  }
  if (command) bson_destroy(command);
  return ok;
}

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "that will get a unique index, say"},
    {"fields", MIG_ARG_FIELDS, true, "which together must be different in every document; arrays count by element"},
    {"filter", MIG_ARG_DOCUMENT, false, "looks only at the documents that match, as a partial index does"},
    {"sparse", MIG_ARG_BOOL, false, "leaves out documents that have none of the fields, as a sparse index does"},
    {"collation", MIG_ARG_DOCUMENT, false, "compares strings as an index with this collation does"},
    {0},
};

const mig_guard_def mig_guard_no_duplicates = {
    .name = "noDuplicates",
    .help = "no value (or combination) is in two documents: a unique index could be made; missing counts as null",
    .args = args,
    .check = check,
    .run = run,
    .example = "{\"noDuplicates\": {\"collection\": \"users\", \"fields\": [\"tenant\", \"email\"]}}",
};
