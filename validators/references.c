/*
 * Every reference resolves. The server joins the two collections; only what finds nothing comes here. References inside
 * arrays count one by one; a missing or null one refers to nothing and is fine (notNull is the guard for that).
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/names.h"
#include "validators/query.h"

#define MAX_FIELD 1000
#define FOUND     "__mig_found"

/* "customers._id" at its first dot, or {"collection": "shop.customers", "field": "_id"}. */
static bool read_target(const bson_t *args, char collection[static MIG_GUARD_COLLECTION],
                        char field[static MAX_FIELD + 1]) {
  const char *text = NULL, *name = NULL;
  bson_t both;
  if (mig_bson_str(args, "to", &text)) {
    const char *dot = strchr(text, '.');
    if (!dot || dot - text >= MIG_GUARD_COLLECTION || strlen(dot + 1) > MAX_FIELD) return false;
    snprintf(collection, MIG_GUARD_COLLECTION, "%.*s", (int)(dot - text), text);
    snprintf(field, MAX_FIELD + 1, "%s", dot + 1);
    return true;
  }
  if (!mig_bson_doc(args, "to", &both) || bson_count_keys(&both) != 2 || !mig_bson_str(&both, "collection", &name) ||
      !mig_bson_str(&both, "field", &text) || strlen(name) >= MIG_GUARD_COLLECTION || strlen(text) > MAX_FIELD)
    return false;
  snprintf(collection, MIG_GUARD_COLLECTION, "%s", name);
  snprintf(field, MAX_FIELD + 1, "%s", text);
  return true;
}

static bool field_ok(const char *field) {
  for (const char *part = field;; part = strchr(part, '.') + 1) {
    if (*part == 0 || *part == '.' || *part == '$') return false;
    if (!strchr(part, '.')) return true;
  }
}

static bool check(const bson_t *args, mig_error *err) {
  char collection[MIG_GUARD_COLLECTION] = "", field[MAX_FIELD + 1] = "";
  const char *own = "";
  mig_error bad;
  mig_bson_str(args, "field", &own);
  if (strlen(own) > MAX_FIELD) return mig_guard_bad(err, "field", "a field path of more than %d bytes", MAX_FIELD);
  if (read_target(args, collection, field) && mig_name_collection_ok(NULL, collection, &bad) && field_ok(field))
    return true;
  mig_guard_bad(err, "to", "\"to\" names the field that is referred to: \"customers._id\"");
  return mig_hint(err, "a collection with a dot in its name: {\"collection\": \"shop.customers\", \"field\": \"_id\"}");
}

static void stage(bson_t *pipeline, bson_t *what) {
  char buffer[16];
  const char *key;
  bson_uint32_to_string(bson_count_keys(pipeline), &key, buffer, sizeof buffer);
  BSON_APPEND_DOCUMENT(pipeline, key, what);
  bson_destroy(what);
}

/* Each part of the path may be an array: one row for each element. What is missing falls out. */
static void unwind(bson_t *pipeline, const char *field) {
  for (size_t at = strcspn(field, ".");; at += 1 + strcspn(field + at + 1, ".")) {
    char path[MAX_FIELD + 2];
    snprintf(path, sizeof path, "$%.*s", (int)at, field);
    stage(pipeline, BCON_NEW("$unwind", BCON_UTF8(path)));
    if (!field[at]) return;
  }
}

/* {field: what}, put together by hand: a field may have any name. */
static bson_t *about(const char *op, const char *field, const bson_t *what) {
  bson_t *out = bson_new(), inner;
  BSON_APPEND_DOCUMENT_BEGIN(out, op, &inner);
  if (what)
    BSON_APPEND_DOCUMENT(&inner, field, what);
  else
    BSON_APPEND_INT32(&inner, field, 1);
  bson_append_document_end(out, &inner);
  return out;
}

static bson_t *joining(const bson_t *args) {
  char to[MIG_GUARD_COLLECTION] = "", to_field[MAX_FIELD + 1] = "", value[MAX_FIELD + 2];
  const char *collection = "", *field = "";
  bson_t filter, pipeline = BSON_INITIALIZER, *command = bson_new(), child, *some = BCON_NEW("$ne", BCON_NULL);
  mig_bson_str(args, "collection", &collection);
  mig_bson_str(args, "field", &field);
  mig_guard_filter(args, &filter);
  read_target(args, to, to_field);
  snprintf(value, sizeof value, "$%s", field);
  stage(&pipeline, BCON_NEW("$match", BCON_DOCUMENT(&filter)));
  stage(&pipeline, about("$project", field, NULL));
  unwind(&pipeline, field);
  stage(&pipeline, about("$match", field, some));
  stage(&pipeline, BCON_NEW("$lookup", "{", "from", BCON_UTF8(to), "localField", BCON_UTF8(field), "foreignField",
                            BCON_UTF8(to_field), "as", FOUND, "}"));
  stage(&pipeline, BCON_NEW("$match", "{", FOUND, "{", "$size", BCON_INT32(0), "}", "}"));
  stage(&pipeline,
        BCON_NEW("$group", "{", "_id", BCON_UTF8("$_id"), "value", "{", "$first", BCON_UTF8(value), "}", "}"));
  BSON_APPEND_UTF8(command, "aggregate", collection);
  BSON_APPEND_ARRAY(command, "pipeline", &pipeline);
  BSON_APPEND_DOCUMENT_BEGIN(command, "cursor", &child);
  bson_append_document_end(command, &child);
  BSON_APPEND_BOOL(command, "allowDiskUse", true);
  bson_destroy(some);
  bson_destroy(&pipeline);
  return command;
}

static void show(const bson_t *row, mig_guard_result *out, char *text, size_t size) {
  bson_iter_t id, value;
  char shown[2][60] = {"?", "?"}, key[16];
  if (!out->ids) out->ids = bson_new();
  if (!bson_iter_init_find(&id, row, "_id")) return;
  snprintf(key, sizeof key, "%u", bson_count_keys(out->ids));
  bson_append_iter(out->ids, key, -1, &id);
  mig_guard_value(&id, shown[0], sizeof shown[0]);
  if (bson_iter_init_find(&value, row, "value")) mig_guard_value(&value, shown[1], sizeof shown[1]);
  size_t used = strlen(text);
  snprintf(text + used, size - used, "%s %s (in _id %s)", used ? "," : "", shown[1], shown[0]);
}

/* Counts the documents as they come; only the first few are kept. */
static bool look(const mig_guard_env *env, const bson_t *command, mig_guard_result *out, char *text, size_t size,
                 mig_error *err) {
  mig_cursor *c = NULL;
  const bson_t *row = NULL;
  mig_next next;
  int64_t checked_ms = mig_now_monotonic_ms();
  if (!mig_db_query(env->work->db, command, &c, err)) return false;
  out->offenders = 0;
  while ((next = mig_cursor_next(c, &row, err)) == MIG_NEXT_DOC) {
    if (out->offenders++ < MIG_OFFENDERS) show(row, out, text, size);
    if (mig_now_monotonic_ms() - checked_ms < 1000) continue;
    checked_ms = mig_now_monotonic_ms();
    if (!mig_checkpoint(env->work, err)) next = MIG_NEXT_ERROR;
    if (next == MIG_NEXT_ERROR) break;
  }
  mig_cursor_close(c);
  return next != MIG_NEXT_ERROR;
}

static bool run(const mig_guard_env *env, const bson_t *args, mig_guard_result *out, mig_error *err) {
  char to[MIG_GUARD_COLLECTION] = "", to_field[MAX_FIELD + 1] = "", text[600] = "";
  const char *collection = "", *field = "";
  mig_bson_str(args, "collection", &collection);
  mig_bson_str(args, "field", &field);
  read_target(args, to, to_field);
  bson_t *command = joining(args);
  bool ok = look(env, command, out, text, sizeof text, err);
  if (ok && out->offenders == 0) ok = mig_guard_warn_if_missing(env, collection, err);
  if (ok && out->offenders > 0) {
    out->query = command;
    command = NULL;
    ok = mig_guard_warn_if_missing(env, to, err);
    mig_guard_hint(out, "remove or correct these references first, or insert what they refer to");
    mig_guard_refuse(out, "in %lld %s of %s the field %s refers to nothing in %s.%s:%s%s", (long long)out->offenders,
                     out->offenders == 1 ? "document" : "documents", collection, field, to, to_field, text,
                     out->offenders > MIG_OFFENDERS ? ", ..." : "");
  }
  if (command) bson_destroy(command);
  return ok;
}

static bool also_reads(const bson_t *args, char collection[static MIG_GUARD_COLLECTION]) {
  char field[MAX_FIELD + 1];
  return read_target(args, collection, field);
}

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "whose documents refer; a missing one has none"},
    {"field", MIG_ARG_FIELD, true, "that holds the reference, or an array of them; missing and null are fine"},
    {"to", MIG_ARG_ANY, true, "what it refers to: \"customers._id\"; an index there makes it fast"},
    {"filter", MIG_ARG_DOCUMENT, false, "looks only at the documents that match"},
    {0},
};

const mig_guard_def mig_guard_references = {
    .name = "references",
    .help = "every reference is to a document that is there",
    .args = args,
    .check = check,
    .run = run,
    .also_reads = also_reads,
    .example = "{\"references\": {\"collection\": \"orders\", \"field\": \"customer\", \"to\": \"customers._id\"}}",
};
