/*
 * Copies the documents of one collection into another, through a pipeline if one is given. The source stays. By _id it
 * can be repeated: what is in the target already and equal is left, what is there and differs is an error.
 * The stages are those that work on each document by itself, as the documents come in batches.
 */
#include <string.h>

#include "base/names.h"
#include "migrations/steps/common.h"
#include "migrations/steps/copier.h"

static const mig_arg args[] = {
    {"from", MIG_ARG_COLLECTION, true, "collection that is read; it stays as it is"},
    {"to", MIG_ARG_COLLECTION, true, "collection that gets the documents; created if missing"},
    {"pipeline", MIG_ARG_PIPELINE, false, "what becomes of each document: $set, $unset, $project, $unwind, $match ..."},
    {"filter", MIG_ARG_DOCUMENT, false, "only documents that match"},
    {0},
};

static const char *const stages[] = {"$set",   "$unset",  "$addFields", "$project", "$replaceRoot", "$replaceWith",
                                     "$match", "$unwind", "$redact",    "$lookup",  "$graphLookup", NULL};

static bool check(const mig_step *step, mig_error *err) {
  bson_t pipeline, stage;
  bson_iter_t it, first;
  if (strcmp(mig_step_str(step, "from"), mig_step_str(step, "to")) == 0) {
    mig_step_refuse(err, "to", "source and target are the same collection");
    return mig_hint(err, "the step transform changes documents where they are");
  }
  mig_step_doc(step, "pipeline", &pipeline);
  if (!bson_iter_init(&it, &pipeline)) return true;
  while (bson_iter_next(&it)) {
    const char *const *known = stages;
    char path[200];
    if (!mig_bson_iter_doc(&it, &stage) || !bson_iter_init(&first, &stage) || !bson_iter_next(&first)) continue;
    const char *name = bson_iter_key(&first);
    while (*known && strcmp(*known, name) != 0) known++;
    if (*known) continue;
    const char *near = mig_name_nearest(name, stages);
    bson_snprintf(path, sizeof path, "pipeline.%s.%s", bson_iter_key(&it), name);
    mig_step_refuse(err, path, "the stage \"%.60s\" does not work on each document by itself%s%s%s", name,
                    near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    mig_why(err, "documents come in batches, so that any number can be copied and the work can go on after a stop");
    return mig_hint(err, "stages: $set $unset $addFields $project $replaceRoot $replaceWith $match $unwind $redact "
                         "$lookup $graphLookup; for others the step command with aggregate and $merge");
  }
  return true;
}

static bool touches(const mig_step *step, mig_touch_fn fn, void *arg, mig_error *err) {
  return fn(arg, mig_step_str(step, "from"), MIG_TOUCH_READ, err) &&
         fn(arg, mig_step_str(step, "to"), MIG_TOUCH_DOCUMENTS, err);
}

static bool guards(const mig_step *step, bson_t *array, mig_error *err) {
  bson_t target = BSON_INITIALIZER;
  (void)err;
  BSON_APPEND_UTF8(&target, "collection", mig_step_str(step, "to"));
  BSON_APPEND_BOOL(&target, "ttl", true); /* the source stays, and it is the rule of the target */
  mig_guard_append(array, "keepsDocuments", &target);
  mig_guard_on_collection(array, "collectionExists", mig_step_str(step, "from"));
  bson_destroy(&target);
  return true;
}

static bool estimate(const mig_step *step, mig_work *w, int64_t *documents, mig_error *err) {
  bson_t filter;
  mig_step_doc(step, "filter", &filter);
  return mig_db_count(w->db, mig_step_str(step, "from"), &filter, documents, err);
}

/* {aggregate: from, pipeline: [{$match: ids}, {$sort: {_id: 1}}, stages ...], cursor: {}} */
static bson_t *aggregation(const mig_step *step, const bson_t *ids) {
  bson_t *command = bson_new(), list, stage, child, pipeline;
  bson_iter_t it;
  uint32_t index = 2;
  BSON_APPEND_UTF8(command, "aggregate", mig_step_str(step, "from"));
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
  if (bson_iter_init(&it, &pipeline)) {
    while (bson_iter_next(&it)) {
      char buffer[16];
      const char *key;
      bson_uint32_to_string(index++, &key, buffer, sizeof buffer);
      bson_append_iter(&list, key, -1, &it);
    }
  }
  bson_append_array_end(command, &list);
  BSON_APPEND_DOCUMENT_BEGIN(command, "cursor", &child);
  bson_append_document_end(command, &child);
  return command;
}

typedef struct migration {
  const mig_step *step;
  mig_copier *copier;
} migration;

static bool copy_batch(void *arg, mig_work *w, const bson_t *ids, uint32_t count, mig_error *err) {
  migration *m = arg;
  mig_cursor *cursor = NULL;
  const bson_t *doc = NULL;
  mig_next next = MIG_NEXT_ERROR;
  bson_t *command = aggregation(m->step, ids);
  (void)count;
  bool ok = mig_db_query(w->db, command, &cursor, err);
  while (ok && (next = mig_cursor_next(cursor, &doc, err)) == MIG_NEXT_DOC) {
    w->counts.bytes_read += doc->len;
    ok = mig_copier_add(m->copier, doc, err);
  }
  mig_cursor_close(cursor);
  bson_destroy(command);
  return ok && next == MIG_NEXT_END && mig_copier_flush(m->copier, err);
}

static bool run(const mig_step *step, mig_work *w, mig_error *err) {
  mig_error local = {0};
  bson_t filter;
  migration m = {step, NULL};
  mig_step_doc(step, "filter", &filter);
  const mig_batch batch = {"migrateCollection", mig_step_str(step, "from"), &filter};
  bool ok = mig_copier_new(w, "migrateCollection", mig_step_str(step, "to"), NULL, NULL, &m.copier, &local) &&
            mig_batch_each(w, &batch, copy_batch, &m, &local);
  if (ok && mig_copier_kept(m.copier))
    mig_say(w->observer, MIG_INFO, "migrateCollection %s: %lld documents were in %s already, with the same content",
            mig_step_str(step, "from"), (long long)mig_copier_kept(m.copier), mig_step_str(step, "to"));
  mig_copier_free(m.copier);
  if (!ok) mig_step_hint_creates(&local);
  if (!ok && err) *err = local;
  return ok;
}

const mig_step_def mig_step_migrate_collection = {
    .name = "migrateCollection",
    .help = "copies documents into another collection, through a pipeline; can be repeated",
    .args = args,
    .transactional = true,
    .check = check,
    .touches = touches,
    .guards = guards,
    .estimate = estimate,
    .run = run,
    .example = "{\"migrateCollection\": {\"from\": \"users\", \"to\": \"profiles\",\n"
               "  \"pipeline\": [{\"$project\": {\"name\": 1, \"photo\": 1}}]}}",
};
