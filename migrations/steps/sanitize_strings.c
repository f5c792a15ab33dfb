/*
 * Puts the texts in some fields in order, also those inside arrays. What each becomes is computed here, so that the
 * result does not depend on the server; a text is replaced only if it is still the one that was read.
 */
#include <string.h>

#include "base/names.h"
#include "migrations/steps/common.h"
#include "migrations/steps/leaf_writes.h"
#include "migrations/text.h"

#define MAX_FIELDS     64
#define MAX_OPERATIONS 16

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "collection to change"},
    {"fields", MIG_ARG_FIELDS, true, "whose texts are changed, also inside arrays; other values stay as they are"},
    {"operations", MIG_ARG_ANY, true,
     "in this order: \"trim\", \"collapse\", \"lower\", \"upper\", \"stripControl\", \"nfc\""},
    {"filter", MIG_ARG_DOCUMENT, false, "only documents that match"},
    {0},
};

typedef struct plan {
  const char *paths[MAX_FIELDS + 1]; /* NULL-terminated */
  mig_text_op ops[MAX_OPERATIONS];
  size_t op_count;
  mig_buf text;
} plan;

static void read_plan(const mig_step *step, plan *out) {
  bson_t list;
  bson_iter_t it;
  size_t n = 0;
  *out = (plan){.text = MIG_BUF(MIG_TEXT_MAX)};
  mig_step_doc(step, "fields", &list);
  if (bson_iter_init(&it, &list))
    while (bson_iter_next(&it) && n < MAX_FIELDS) out->paths[n++] = bson_iter_utf8(&it, NULL);
  mig_step_doc(step, "operations", &list);
  if (bson_iter_init(&it, &list))
    while (bson_iter_next(&it) && out->op_count < MAX_OPERATIONS)
      out->op_count += mig_text_op_find(bson_iter_utf8(&it, NULL), &out->ops[out->op_count]);
}

static bool check_operations(const mig_step *step, mig_error *err) {
  static const char hint[] = "operations: trim, collapse, lower, upper, stripControl, nfc";
  bson_t list;
  bson_iter_t it;
  mig_text_op op;
  if (!mig_bson_arr(step->args, "operations", &list) || bson_empty(&list) || bson_count_keys(&list) > MAX_OPERATIONS ||
      !bson_iter_init(&it, &list)) {
    mig_step_refuse(err, "operations", "\"operations\" is a list of 1 to %d operations", MAX_OPERATIONS);
    return mig_hint(err, "%s", hint);
  }
  while (bson_iter_next(&it)) {
    const char *known[MIG_TEXT_OPS + 1] = {NULL}, *name = BSON_ITER_HOLDS_UTF8(&it) ? bson_iter_utf8(&it, NULL) : "";
    char path[40];
    if (mig_text_op_find(name, &op)) continue;
    for (unsigned i = 0; i < MIG_TEXT_OPS; i++) known[i] = mig_text_op_name((mig_text_op)i);
    const char *near = mig_name_nearest(name, known);
    bson_snprintf(path, sizeof path, "operations.%s", bson_iter_key(&it));
    mig_step_refuse(err, path, "unknown operation \"%.40s\"%s%s%s", name, near ? "; did you mean \"" : "",
                    near ? near : "", near ? "\"?" : "");
    return mig_hint(err, "%s", hint);
  }
  return true;
}

static bool check(const mig_step *step, mig_error *err) {
  plan p;
  bson_t fields;
  mig_step_doc(step, "fields", &fields);
  if (bson_count_keys(&fields) > MAX_FIELDS) return mig_step_refuse(err, "fields", "at most %d fields", MAX_FIELDS);
  if (!check_operations(step, err)) return false;
  read_plan(step, &p);
  for (size_t i = 0; p.paths[i]; i++) {
    if (mig_fields_overlap(p.paths[i], "_id")) return mig_step_refuse(err, "fields", "_id cannot be changed");
    if (!mig_leaf_path_ok(step, "fields", p.paths[i], err)) return false;
    for (size_t k = 0; k < i; k++)
      if (mig_fields_overlap(p.paths[k], p.paths[i]))
        return mig_step_refuse(err, "fields", "\"%.100s\" and \"%.100s\" overlap", p.paths[k], p.paths[i]);
  }
  return true;
}

/* Before anything is planned: a build that lacks the library says so at once. */
static bool available(const plan *p, mig_error *err) {
  for (size_t i = 0; i < p->op_count; i++)
    if (!mig_text_op_available(p->ops[i], err)) return mig_fail_at(err, "step sanitizeStrings");
  return true;
}

/* {$or: [{name: {$type: "string"}}, ...]}, which finds texts in arrays, too */
static bson_t *holding_text(const mig_step *step, const plan *p) {
  bson_t filter, any = BSON_INITIALIZER, list;
  char buffer[16];
  const char *key;
  mig_step_doc(step, "filter", &filter);
  BSON_APPEND_ARRAY_BEGIN(&any, "$or", &list);
  for (uint32_t i = 0; p->paths[i]; i++) {
    bson_t *one = mig_filter_type(p->paths[i], true, "string");
    bson_uint32_to_string(i, &key, buffer, sizeof buffer);
    BSON_APPEND_DOCUMENT(&list, key, one);
    bson_destroy(one);
  }
  bson_append_array_end(&any, &list);
  bson_t *both = mig_filter_and(&any, &filter);
  bson_destroy(&any);
  return both;
}

static bool estimate(const mig_step *step, mig_work *w, int64_t *documents, mig_error *err) {
  plan p;
  read_plan(step, &p);
  if (!available(&p, err)) return false;
  bson_t *filter = holding_text(step, &p);
  bool ok = mig_step_count(step, w, filter, documents, err);
  bson_destroy(filter);
  return ok;
}

static bool sanitized(void *arg, const bson_iter_t *value, bson_t *out, const char *key, mig_error *err) {
  plan *p = arg;
  uint32_t size = 0;
  if (!BSON_ITER_HOLDS_UTF8(value)) return true;
  const char *text = bson_iter_utf8(value, &size);
  if (!mig_text_sanitize(p->ops, p->op_count, text, size, &p->text, err)) return mig_fail_at(err, "field %s", key);
  if (p->text.size == size && (size == 0 || memcmp(p->text.data, text, size) == 0)) return true;
  return bson_append_utf8(out, key, -1, mig_buf_text(&p->text), (int)p->text.size) ||
         mig_no_memory(err, "sanitizeStrings");
}

static bool run(const mig_step *step, mig_work *w, mig_error *err) {
  plan p;
  mig_error local = {0};
  read_plan(step, &p);
  if (!available(&p, err)) return false;
  bson_t *filter = holding_text(step, &p);
  const mig_leaf_writes what = {step, p.paths, filter, sanitized, &p};
  bool ok = mig_leaf_writes_run(&what, w, &local);
  bson_destroy(filter);
  mig_buf_free(&p.text);
  if (!ok && local.server_code == MIG_SERVER_DUPLICATE_KEY)
    mig_hint(&local, "texts that were different become equal, and an index is unique: see to these documents first");
  if (!ok && err) *err = local;
  return ok;
}

const mig_step_def mig_step_sanitize_strings = {
    .name = "sanitizeStrings",
    .help = "trims texts, collapses blanks, changes case, strips control characters, normalizes (Unicode NFC)",
    .args = args,
    .destroys = true,
    .transactional = true,
    .check = check,
    .touch = MIG_TOUCH_DOCUMENTS,
    .guards = mig_guards_collection_exists,
    .estimate = estimate,
    .run = run,
    .example = "{\"sanitizeStrings\": {\"collection\": \"users\", \"fields\": [\"email\", \"names.first\"],\n"
               "  \"operations\": [\"nfc\", \"stripControl\", \"trim\", \"collapse\"]}}",
};
