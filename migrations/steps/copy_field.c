/*
 * Copies a value on the server, by an update pipeline, where there are such; otherwise by reading and writing.
 * A pipeline's $set would replace a part of the path that is no document and go into arrays, and "$a.b" means
 * something else where a is an array: documents with such paths are refused before anything is written.
 */
#include <string.h>

#include "migrations/steps/common.h"
#include "migrations/steps/leaf_writes.h"
#include "migrations/writes.h"

#define MAX_PATH_SIZE 256

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "collection to change"},
    {"from", MIG_ARG_FIELD, true, "field to copy"},
    {"to", MIG_ARG_FIELD, true, "field that gets the value"},
    {"filter", MIG_ARG_DOCUMENT, false, "only documents that match"},
    {0},
};

static const char *const writes[] = {"to", NULL};

static bool check(const mig_step *step, mig_error *err) {
  return mig_step_not_id(step, "to", err) && mig_step_two_fields(step, err) &&
         mig_leaf_path_ok(step, "from", mig_step_str(step, "from"), err) &&
         mig_leaf_path_ok(step, "to", mig_step_str(step, "to"), err);
}

static bool guards(const mig_step *step, bson_t *array, mig_error *err) {
  mig_guards_collection_exists(step, array, err);
  mig_guard_on_field(array, "fieldExists", step, mig_step_str(step, "from"));
  mig_guard_on_field(array, "fieldAbsent", step, mig_step_str(step, "to"));
  return true;
}

/* The part of the path is missing, or a document: {$or: [{a: {$exists: false}}, {$and: [object, not array]}]}. */
static bson_t *plain_part(const char *part) {
  bson_t *absent = mig_filter_exists(part, false), *object = mig_filter_type(part, true, "object"),
         *no_array = mig_filter_type(part, false, "array"), *document = mig_filter_and(object, no_array);
  bson_t *either = BCON_NEW("$or", "[", BCON_DOCUMENT(absent), BCON_DOCUMENT(document), "]");
  bson_destroy(document);
  bson_destroy(no_array);
  bson_destroy(object);
  bson_destroy(absent);
  return either;
}

static void add_plain_parts(bson_t *list, uint32_t *count, const char *path) {
  for (const char *dot = strchr(path, '.'); dot; dot = strchr(dot + 1, '.')) {
    char buffer[16], part[MAX_PATH_SIZE] = "";
    const char *key;
    memcpy(part, path, (size_t)(dot - path)); /* check() has seen to the length */
    bson_uint32_to_string((*count)++, &key, buffer, sizeof buffer);
    bson_t *one = plain_part(part);
    BSON_APPEND_DOCUMENT(list, key, one);
    bson_destroy(one);
  }
}

/* {$and: [...]}: both paths are plain; empty when neither has a dot. */
static bson_t *plain_paths(const mig_step *step) {
  bson_t *all = bson_new(), list;
  uint32_t count = 0;
  BSON_APPEND_ARRAY_BEGIN(all, "$and", &list);
  add_plain_parts(&list, &count, mig_step_str(step, "from"));
  add_plain_parts(&list, &count, mig_step_str(step, "to"));
  bson_append_array_end(all, &list);
  if (count == 0) bson_reinit(all);
  return all;
}

/* Documents to copy in, as far as `condition` holds. */
static bson_t *holding(const mig_step *step, const bson_t *condition) {
  bson_t filter;
  mig_step_doc(step, "filter", &filter);
  bson_t *from = mig_filter_exists(mig_step_str(step, "from"), true);
  bson_t *to = mig_filter_exists(mig_step_str(step, "to"), false);
  bson_t *all = mig_filter_all((const bson_t *[]){from, to, condition, &filter, NULL});
  bson_destroy(to);
  bson_destroy(from);
  return all;
}

static bson_t *copyable(const mig_step *step) {
  bson_t *plain = plain_paths(step), *all = holding(step, plain);
  bson_destroy(plain);
  return all;
}

static bool estimate(const mig_step *step, mig_work *w, int64_t *documents, mig_error *err) {
  bson_t *filter = copyable(step);
  bool ok = mig_step_count(step, w, filter, documents, err);
  bson_destroy(filter);
  return ok;
}

static bool paths_are_plain(const mig_step *step, mig_work *w, mig_error *err) {
  bson_t *plain = plain_paths(step), *not_plain = BCON_NEW("$nor", "[", BCON_DOCUMENT(plain), "]");
  bson_t *filter = holding(step, not_plain);
  int64_t n = 0;
  bool ok = bson_empty(plain) || mig_step_count(step, w, filter, &n, err);
  bson_destroy(filter);
  bson_destroy(not_plain);
  bson_destroy(plain);
  if (!ok || n == 0) return ok;
  mig_fail(err, MIG_E_FAILED, "copyField %s.%s: in %lld documents a part of the path %s or %s is not a document",
           mig_db_name(w->db), mig_step_str(step, "collection"), (long long)n, mig_step_str(step, "from"),
           mig_step_str(step, "to"));
  mig_why(err, "copying would overwrite that part, or go into an array");
  return mig_hint(err, "exclude these documents by \"filter\", or use the step transform");
}

static bool copy_on_server(const mig_step *step, mig_work *w, const mig_batch *batch, mig_error *err) {
  mig_batch_result result;
  char *from = mig_strdup_printf("$%s", mig_step_str(step, "from"));
  if (!from) return mig_no_memory(err, "copyField");
  bson_t *update = bson_new(), stage, set;
  BSON_APPEND_DOCUMENT_BEGIN(update, "0", &stage);
  BSON_APPEND_DOCUMENT_BEGIN(&stage, "$set", &set);
  BSON_APPEND_UTF8(&set, mig_step_str(step, "to"), from);
  bson_append_document_end(&stage, &set);
  bson_append_document_end(update, &stage);
  bool ok = mig_batch_update(w, batch, update, true, &result, err) && mig_step_all_changed(step, w, &result, err);
  bson_destroy(update);
  mig_free(from);
  return ok;
}

typedef struct copying {
  const mig_step *step;
  const bson_t *filter;
  mig_writes *out;
} copying;

/* One document: the value goes in only if it is still the one that was read. */
static bool add_statement(void *arg, const bson_t *doc, mig_error *err) {
  const copying *c = arg;
  const char *from = mig_step_str(c->step, "from");
  bson_iter_t id, value;
  if (!bson_iter_init_find(&id, doc, "_id") || !mig_bson_find(doc, from, &value)) return true; /* gone meanwhile */
  bson_t same = BSON_INITIALIZER, equal, update = BSON_INITIALIZER, set;
  bson_append_iter(&same, "_id", 3, &id);
  BSON_APPEND_DOCUMENT_BEGIN(&same, from, &equal);
  bson_append_iter(&equal, "$eq", 3, &value);
  bson_append_document_end(&same, &equal);
  bson_t *q = mig_filter_and(&same, c->filter);
  BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &set);
  bson_append_iter(&set, mig_step_str(c->step, "to"), -1, &value);
  bson_append_document_end(&update, &set);
  bool ok = mig_writes_add(c->out, q, &update, err);
  bson_destroy(&update);
  bson_destroy(q);
  bson_destroy(&same);
  return ok;
}

static bool copy_batch(void *arg, mig_work *w, const bson_t *ids, uint32_t count, mig_error *err) {
  copying *c = arg;
  const char *collection = mig_step_str(c->step, "collection");
  (void)count;
  bson_t fields = BSON_INITIALIZER;
  BSON_APPEND_INT32(&fields, mig_step_str(c->step, "from"), 1);
  bool ok = mig_writes_new(w, c->step->def->name, collection, MIG_WRITES_UPDATE, &c->out, err) &&
            mig_batch_read(w, collection, ids, &fields, add_statement, c, err) && mig_writes_send(c->out, err);
  mig_writes_free(c->out);
  c->out = NULL;
  bson_destroy(&fields);
  return ok;
}

static bool run(const mig_step *step, mig_work *w, mig_error *err) {
  bson_t *filter = copyable(step);
  mig_batch batch = mig_step_batch(step, filter);
  copying c = {step, filter, NULL};
  bool ok = paths_are_plain(step, w, err);
  if (ok && mig_caps_has(w->caps, MIG_CAP_UPDATE_PIPELINE))
    ok = copy_on_server(step, w, &batch, err);
  else if (ok)
    ok = mig_batch_each(w, &batch, copy_batch, &c, err);
  bson_destroy(filter);
  return ok;
}

static bool inverse(const mig_step *step, bson_t *out) {
  bson_t own;
  BSON_APPEND_DOCUMENT_BEGIN(out, "removeField", &own);
  BSON_APPEND_UTF8(&own, "collection", mig_step_str(step, "collection"));
  BSON_APPEND_UTF8(&own, "field", mig_step_str(step, "to"));
  bson_append_document_end(out, &own);
  return true;
}

const mig_step_def mig_step_copy_field = {
    .name = "copyField",
    .help = "copies a field to a new one",
    .args = args,
    .transactional = true,
    .check = check,
    .touch = MIG_TOUCH_DOCUMENTS,
    .writes = writes,
    .guards = guards,
    .estimate = estimate,
    .run = run,
    .inverse = inverse,
    .example = "{\"copyField\": {\"collection\": \"users\", \"from\": \"email\", \"to\": \"contact.email\"}}",
};
