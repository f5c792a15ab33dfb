/*
 * Moves old documents into another collection. A batch is copied, read back and compared, and only then removed from
 * where it was, each document under the condition that it is still what was copied: at no moment is one in neither
 * place, and one that is changed meanwhile stays (and is an error).
 */
#include <string.h>

#include "migrations/age.h"
#include "migrations/steps/common.h"
#include "migrations/steps/copier.h"
#include "migrations/writes.h"

static const mig_arg args[] = {
    {"from", MIG_ARG_COLLECTION, true, "collection that gets smaller"},
    {"to", MIG_ARG_COLLECTION, true, "collection that gets the documents; created if missing"},
    {"field", MIG_ARG_FIELD, true, "field with the date; documents without a date there stay"},
    {"olderThan", MIG_ARG_ANY, true,
     "a date (\"2024-01-01\", {\"$date\": ...}) or an age (\"90 days\", \"12 h\", \"6 months\")"},
    {"filter", MIG_ARG_DOCUMENT, false, "only documents that match"},
    {0},
};

static bool check(const mig_step *step, mig_error *err) {
  bson_iter_t it;
  int64_t at = 0;
  if (strcmp(mig_step_str(step, "from"), mig_step_str(step, "to")) == 0)
    return mig_step_refuse(err, "to", "source and archive are the same collection");
  if (!mig_bson_find(step->args, "olderThan", &it) || mig_age_before(&it, 4000000000000, &at)) return true;
  char *shown = mig_bson_value_json(&it, 60);
  mig_step_refuse(err, "olderThan", "%s is neither a date nor an age", shown ? shown : "this");
  mig_free(shown);
  return mig_hint(err, "\"2024-01-01\", {\"$date\": \"2024-01-01T00:00:00Z\"}, \"90 days\", \"12 h\", \"30 min\", "
                       "\"2 weeks\", \"6 months\", \"1 year\"");
}

static bool touches(const mig_step *step, mig_touch_fn fn, void *arg, mig_error *err) {
  return fn(arg, mig_step_str(step, "from"), MIG_TOUCH_DOCUMENTS, err) &&
         fn(arg, mig_step_str(step, "to"), MIG_TOUCH_DOCUMENTS, err);
}

static bool guards(const mig_step *step, bson_t *array, mig_error *err) {
  (void)err;
  mig_guard_on_collection(array, "keepsDocuments", mig_step_str(step, "to"));
  mig_guard_on_collection(array, "collectionExists", mig_step_str(step, "from"));
  return true;
}

/* {field: {$lt: date}} compares only with dates; an array of them is no date. Ages count by the server's clock. */
static bool old_ones(const mig_step *step, mig_work *w, bson_t **out, mig_error *err) {
  const char *field = mig_step_str(step, "field");
  bson_t filter, older = BSON_INITIALIZER, condition;
  bson_iter_t it;
  int64_t now = 0, before = 0;
  *out = NULL;
  if (!mig_bson_find(step->args, "olderThan", &it)) return mig_fail(err, MIG_E_FAILED, "archiveDocuments: no date");
  if (mig_age_is_relative(&it) && !mig_db_server_now(w->db, &now, err)) return false;
  if (!mig_age_before(&it, now, &before))
    return mig_fail(err, MIG_E_FAILED, "archiveDocuments: this age is before the calendar begins");
  mig_step_doc(step, "filter", &filter);
  BSON_APPEND_DOCUMENT_BEGIN(&older, field, &condition);
  BSON_APPEND_DATE_TIME(&condition, "$lt", before);
  bson_append_document_end(&older, &condition);
  bson_t *no_array = mig_filter_type(field, false, "array");
  *out = mig_filter_all((const bson_t *[]){&older, no_array, &filter, NULL});
  bson_destroy(no_array);
  bson_destroy(&older);
  return true;
}

static bool estimate(const mig_step *step, mig_work *w, int64_t *documents, mig_error *err) {
  bson_t *filter = NULL;
  bool ok = old_ones(step, w, &filter, err) && mig_db_count(w->db, mig_step_str(step, "from"), filter, documents, err);
  if (filter) bson_destroy(filter);
  *documents *= ok ? 2 : 0; /* each is written and removed */
  return ok;
}

typedef struct archiving {
  const mig_step *step;
  mig_work *w;
  mig_copier *copier;
  int64_t moved;
} archiving;

/* They are in the archive, byte for byte: now they may go. */
static bool remove_copied(void *arg, bson_t *const *documents, size_t count, mig_error *err) {
  archiving *a = arg;
  mig_writes *out = NULL;
  bool ok = mig_writes_new(a->w, "archiveDocuments", mig_step_str(a->step, "from"), MIG_WRITES_DELETE, &out, err);
  for (size_t i = 0; ok && i < count; i++) {
    bson_t q = BSON_INITIALIZER;
    bson_iter_t id;
    ok = bson_iter_init_find(&id, documents[i], "_id") && bson_append_iter(&q, "_id", 3, &id) &&
         mig_writes_unchanged(out, &q, documents[i], err) && mig_writes_delete(out, &q, 1, err);
    bson_destroy(&q);
  }
  ok = ok && mig_writes_send(out, err);
  mig_writes_free(out);
  a->moved += (int64_t)count;
  return ok;
}

static bool copy_one(void *arg, const bson_t *doc, mig_error *err) {
  archiving *a = arg;
  return mig_copier_add(a->copier, doc, err);
}

static bool move_batch(void *arg, mig_work *w, const bson_t *ids, uint32_t count, mig_error *err) {
  archiving *a = arg;
  (void)count;
  return mig_batch_read(w, mig_step_str(a->step, "from"), ids, NULL, copy_one, a, err) &&
         mig_copier_flush(a->copier, err);
}

static bool run(const mig_step *step, mig_work *w, mig_error *err) {
  mig_error local = {0};
  bson_t *filter = NULL;
  archiving a = {.step = step, .w = w};
  bool ok = old_ones(step, w, &filter, &local);
  const mig_batch batch = {"archiveDocuments", mig_step_str(step, "from"), filter};
  ok = ok && mig_copier_new(w, "archiveDocuments", mig_step_str(step, "to"), remove_copied, &a, &a.copier, &local) &&
       mig_batch_each(w, &batch, move_batch, &a, &local);
  if (ok)
    mig_say(w->observer, MIG_INFO, "archiveDocuments: %lld documents moved from %s to %s", (long long)a.moved,
            mig_step_str(step, "from"), mig_step_str(step, "to"));
  mig_copier_free(a.copier);
  if (filter) bson_destroy(filter);
  if (!ok) mig_step_hint_creates(&local);
  if (!ok && err) *err = local;
  return ok;
}

const mig_step_def mig_step_archive_documents = {
    .name = "archiveDocuments",
    .help = "moves documents older than a date or an age into another collection",
    .args = args,
    .destroys = true,
    .transactional = true,
    .check = check,
    .touches = touches,
    .guards = guards,
    .estimate = estimate,
    .run = run,
    .example = "{\"archiveDocuments\": {\"from\": \"orders\", \"to\": \"orders_archive\",\n"
               "  \"field\": \"createdAt\", \"olderThan\": \"2 years\", \"filter\": {\"status\": \"closed\"}}}",
};
