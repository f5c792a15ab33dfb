/*
 * Changes each document by an update pipeline. Where the server has none, the documents are computed by an aggregation
 * with the same stages and written back, each only if it is still what was read. So too for stages that replace the
 * whole document: DocumentDB 1.0 leaves documents with two _id fields behind when an update pipeline does that.
 */
#include <string.h>

#include "base/names.h"
#include "migrations/steps/common.h"
#include "migrations/writes.h"

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "collection to change"},
    {"pipeline", MIG_ARG_PIPELINE, true, "stages $set, $unset, $addFields, $project, $replaceRoot, $replaceWith"},
    {"filter", MIG_ARG_DOCUMENT, false, "only documents that match"},
    {0},
};

static const char *const stages[] = {"$set", "$unset", "$addFields", "$project", "$replaceRoot", "$replaceWith", NULL};

static bool unknown_stage(const char *path, const char *name, mig_error *err) {
  const char *near = mig_name_nearest(name, stages);
  if (near)
    mig_step_refuse(err, path, "the stage \"%.60s\" cannot change documents one by one; did you mean \"%s\"?", name,
                    near);
  else
    mig_step_refuse(err, path, "the stage \"%.60s\" cannot change documents one by one", name);
  return mig_hint(err, "stages of transform: $set, $unset, $addFields, $project, $replaceRoot, $replaceWith");
}

/* Only what can be seen; an _id that is computed by $replaceWith is compared when it runs. */
static bool sets_id(const char *stage, const bson_iter_t *at) {
  bson_t fields;
  bson_iter_t it;
  bool list = BSON_ITER_HOLDS_ARRAY(at), sets = strcmp(stage, "$set") == 0 || strcmp(stage, "$addFields") == 0;
  if (!sets && strcmp(stage, "$unset") != 0) return false;
  if (BSON_ITER_HOLDS_UTF8(at)) return mig_fields_overlap(bson_iter_utf8(at, NULL), "_id");
  if (!(list || BSON_ITER_HOLDS_DOCUMENT(at)) || !mig_bson_iter_doc(at, &fields) || !bson_iter_init(&it, &fields))
    return false;
  while (bson_iter_next(&it)) {
    const char *field = !list ? bson_iter_key(&it) : BSON_ITER_HOLDS_UTF8(&it) ? bson_iter_utf8(&it, NULL) : "";
    if (mig_fields_overlap(field, "_id")) return true;
  }
  return false;
}

static bool check(const mig_step *step, mig_error *err) {
  bson_t pipeline, stage;
  bson_iter_t it, first;
  mig_step_doc(step, "pipeline", &pipeline);
  if (!bson_iter_init(&it, &pipeline)) return true;
  while (bson_iter_next(&it)) {
    if (!mig_bson_iter_doc(&it, &stage) || !bson_iter_init(&first, &stage) || !bson_iter_next(&first)) continue;
    const char *name = bson_iter_key(&first), *const *known = stages;
    char path[200];
    bson_snprintf(path, sizeof path, "pipeline.%s.%s", bson_iter_key(&it), name);
    while (*known && strcmp(*known, name) != 0) known++;
    if (!*known) return unknown_stage(path, name, err);
    if (!sets_id(name, &first)) continue;
    mig_step_refuse(err, path, "step \"transform\" cannot change _id");
    return mig_hint(err, "insert the documents under their new _id and delete the old ones");
  }
  return true;
}

static bool replaces_root(const bson_t *pipeline) {
  bson_t stage;
  bson_iter_t it;
  if (!bson_iter_init(&it, pipeline)) return false;
  while (bson_iter_next(&it))
    if (mig_bson_iter_doc(&it, &stage) &&
        (bson_has_field(&stage, "$replaceRoot") || bson_has_field(&stage, "$replaceWith")))
      return true;
  return false;
}

/* {$unset: "a"} or {$unset: ["a", "b"]} as {$project: {a: 0, b: 0}} */
static void append_unset(bson_t *stage, const bson_iter_t *what) {
  bson_t project, list;
  bson_iter_t it;
  BSON_APPEND_DOCUMENT_BEGIN(stage, "$project", &project);
  if (BSON_ITER_HOLDS_UTF8(what))
    BSON_APPEND_INT32(&project, bson_iter_utf8(what, NULL), 0);
  else if (BSON_ITER_HOLDS_ARRAY(what) && mig_bson_iter_doc(what, &list) && bson_iter_init(&it, &list))
    while (bson_iter_next(&it))
      if (BSON_ITER_HOLDS_UTF8(&it)) BSON_APPEND_INT32(&project, bson_iter_utf8(&it, NULL), 0);
  bson_append_document_end(stage, &project);
}

/* {$replaceRoot: {newRoot: X}}, where X without _id keeps the one it had, as in an update. $mergeObjects alone would
 * make an empty document of a null. */
static void append_replace(bson_t *stage, const bson_iter_t *what) {
  bson_t replace, root, let, vars, in;
  BSON_APPEND_DOCUMENT_BEGIN(stage, "$replaceRoot", &replace);
  BSON_APPEND_DOCUMENT_BEGIN(&replace, "newRoot", &root);
  BSON_APPEND_DOCUMENT_BEGIN(&root, "$let", &let);
  BSON_APPEND_DOCUMENT_BEGIN(&let, "vars", &vars);
  bson_append_iter(&vars, "migRoot", -1, what);
  bson_append_document_end(&let, &vars);
  bson_t *keep = BCON_NEW("$cond", "[", "{", "$eq", "[", "{", "$type", BCON_UTF8("$$migRoot"), "}", BCON_UTF8("object"),
                          "]", "}", "{", "$mergeObjects", "[", "{", "_id", BCON_UTF8("$_id"), "}",
                          BCON_UTF8("$$migRoot"), "]", "}", BCON_UTF8("$$migRoot"), "]");
  BSON_APPEND_DOCUMENT_BEGIN(&let, "in", &in);
  bson_concat(&in, keep);
  bson_append_document_end(&let, &in);
  bson_destroy(keep);
  bson_append_document_end(&root, &let);
  bson_append_document_end(&replace, &root);
  bson_append_document_end(stage, &replace);
}

/* A server without update pipelines does not know $set, $unset and $replaceWith by these names either. */
static void append_stage(bson_t *pipeline, uint32_t index, const bson_iter_t *stage_at) {
  bson_t stage, out;
  bson_iter_t first, root;
  char buffer[16];
  const char *key;
  if (!mig_bson_iter_doc(stage_at, &stage) || !bson_iter_init(&first, &stage) || !bson_iter_next(&first)) return;
  const char *name = bson_iter_key(&first);
  bson_uint32_to_string(index, &key, buffer, sizeof buffer);
  BSON_APPEND_DOCUMENT_BEGIN(pipeline, key, &out);
  if (strcmp(name, "$set") == 0)
    bson_append_iter(&out, "$addFields", -1, &first);
  else if (strcmp(name, "$unset") == 0)
    append_unset(&out, &first);
  else if (strcmp(name, "$replaceWith") == 0)
    append_replace(&out, &first);
  else if (mig_bson_find(&stage, "$replaceRoot.newRoot", &root))
    append_replace(&out, &root);
  else
    bson_append_iter(&out, name, -1, &first);
  bson_append_document_end(pipeline, &out);
}

/* {aggregate: ..., pipeline: [{$match: ids}, {$sort: {_id: 1}}, stages ...], cursor: {}}; without stages: as they are.
 */
static bson_t *aggregation(const mig_step *step, const bson_t *ids, bool with_stages) {
  bson_t *command = bson_new(), list, stage, child, pipeline;
  bson_iter_t it;
  uint32_t index = 2;
  BSON_APPEND_UTF8(command, "aggregate", mig_step_str(step, "collection"));
  BSON_APPEND_ARRAY_BEGIN(command, "pipeline", &list);
  BSON_APPEND_DOCUMENT_BEGIN(&list, "0", &stage);
  BSON_APPEND_DOCUMENT(&stage, "$match", ids);
  bson_append_document_end(&list, &stage);
  BSON_APPEND_DOCUMENT_BEGIN(&list, "1", &stage);
  BSON_APPEND_DOCUMENT_BEGIN(&stage, "$sort", &child);
  BSON_APPEND_INT32(&child, "_id", 1);
  bson_append_document_end(&stage, &child);
  bson_append_document_end(&list, &stage);
  mig_step_doc(step, "pipeline", &pipeline);
  if (with_stages && bson_iter_init(&it, &pipeline))
    while (bson_iter_next(&it)) append_stage(&list, index++, &it);
  bson_append_array_end(command, &list);
  BSON_APPEND_DOCUMENT_BEGIN(command, "cursor", &child);
  bson_append_document_end(command, &child);
  return command;
}

static bool replace(mig_writes *out, mig_work *w, const bson_t *before, const bson_t *after, mig_error *err) {
  bson_iter_t id;
  w->counts.bytes_read += before->len;
  if (mig_bson_same(before, after) || !bson_iter_init_find(&id, before, "_id")) return true;
  bson_t q = BSON_INITIALIZER;
  bson_append_iter(&q, "_id", 3, &id);
  bool ok = mig_writes_unchanged(out, &q, before, err) && mig_writes_add(out, &q, after, err);
  bson_destroy(&q);
  w->counts.bytes_written += after->len;
  return ok;
}

/* Both cursors side by side, so that memory does not depend on how large the documents are. */
static bool pair_up(const mig_step *step, mig_work *w, mig_cursor *before, mig_cursor *after, mig_writes *out,
                    mig_error *err) {
  const bson_t *old = NULL, *new = NULL;
  for (;;) {
    mig_next a = mig_cursor_next(before, &old, err);
    if (a == MIG_NEXT_ERROR) return false;
    mig_next b = mig_cursor_next(after, &new, err);
    if (b == MIG_NEXT_ERROR) return false;
    if (a == MIG_NEXT_END && b == MIG_NEXT_END) return true;
    if (a == MIG_NEXT_END || b == MIG_NEXT_END || !mig_bson_same_id(old, new)) {
      mig_fail(err, MIG_E_FAILED, "transform %s.%s: documents before and after do not belong together",
               mig_db_name(w->db), mig_step_str(step, "collection"));
      mig_why(err, "the pipeline changes or removes _id, or somebody else wrote meanwhile");
      return mig_hint(err, "keep _id in the pipeline; stop the writers");
    }
    if (!replace(out, w, old, new, err)) return false;
  }
}

static bool transform_batch(void *arg, mig_work *w, const bson_t *ids, uint32_t count, mig_error *err) {
  const mig_step *step = arg;
  (void)count;
  mig_cursor *before = NULL, *after = NULL;
  mig_writes *out = NULL;
  bson_t *read = aggregation(step, ids, false), *compute = aggregation(step, ids, true);
  bool ok = mig_writes_new(w, "transform", mig_step_str(step, "collection"), MIG_WRITES_UPDATE, &out, err) &&
            mig_db_query(w->db, read, &before, err) && mig_db_query(w->db, compute, &after, err) &&
            pair_up(step, w, before, after, out, err) && mig_writes_send(out, err);
  mig_cursor_close(after);
  mig_cursor_close(before);
  mig_writes_free(out);
  bson_destroy(compute);
  bson_destroy(read);
  return ok;
}

static bool run(const mig_step *step, mig_work *w, mig_error *err) {
  bson_t filter, pipeline;
  mig_step_doc(step, "filter", &filter);
  mig_step_doc(step, "pipeline", &pipeline);
  mig_batch batch = mig_step_batch(step, &filter);
  mig_cap needs = replaces_root(&pipeline) ? MIG_CAP_REPLACE_PIPELINE : MIG_CAP_UPDATE_PIPELINE;
  if (mig_caps_has(w->caps, needs)) return mig_batch_update(w, &batch, &pipeline, true, NULL, err);
  return mig_batch_each(w, &batch, transform_batch, (void *)(uintptr_t)step, err);
}

const mig_step_def mig_step_transform = {
    .name = "transform",
    .help = "changes each document by a pipeline",
    .args = args,
    .destroys = true,
    .transactional = true,
    .check = check,
    .touch = MIG_TOUCH_DOCUMENTS,
    .guards = mig_guards_collection_exists,
    .estimate = mig_estimate_filter,
    .run = run,
    .example = "{\"transform\": {\"collection\": \"orders\", \"filter\": {\"total\": {\"$exists\": false}},\n"
               "  \"pipeline\": [{\"$set\": {\"total\": {\"$multiply\": [\"$price\", \"$quantity\"]}}}]}}",
};
