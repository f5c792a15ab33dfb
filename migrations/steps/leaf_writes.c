#include "migrations/steps/leaf_writes.h"

#include <string.h>

#include "migrations/steps/common.h"
#include "migrations/steps/leaf.h"
#include "migrations/writes.h"

#define MAX_PATH_SIZE 256

bool mig_leaf_path_ok(const mig_step *step, const char *argument, const char *path, mig_error *err) {
  if (strlen(path) >= MAX_PATH_SIZE) return mig_step_refuse(err, argument, "this path is longer than 255 bytes");
  for (const char *part = path; part; part = strchr(part, '.')) {
    if (*part == '.') part++;
    size_t size = strcspn(part, ".");
    if (strspn(part, "0123456789") < size) continue;
    mig_step_refuse(err, argument, "step \"%s\": \"%.100s\" holds an array position", step->def->name, path);
    return mig_hint(err, "use the step transform for single elements of an array");
  }
  return true;
}

typedef struct run {
  const mig_leaf_writes *what;
  mig_writes *out;
  bson_t *set, *same; /* of the document at hand */
} run;

static bool look(void *arg, const char *path, const bson_iter_t *value, mig_error *err) {
  run *r = arg;
  bson_t condition;
  uint32_t before = bson_count_keys(r->set);
  if (!r->what->fn(r->what->arg, value, r->set, path, err)) return false;
  if (bson_count_keys(r->set) == before) return true;
  BSON_APPEND_DOCUMENT_BEGIN(r->same, path, &condition);
  bson_append_iter(&condition, "$eq", 3, value);
  bson_append_document_end(r->same, &condition);
  return true;
}

static bool change(void *arg, const bson_t *doc, mig_error *err) {
  run *r = arg;
  bson_iter_t id;
  bool ok = true;
  if (!bson_iter_init_find(&id, doc, "_id")) return true;
  bson_reinit(r->set);
  bson_reinit(r->same);
  bson_append_iter(r->same, "_id", 3, &id);
  for (const char *const *path = r->what->paths; ok && *path; path++) ok = mig_leaves(doc, *path, look, r, err);
  if (!ok) {
    char *shown = mig_bson_value_json(&id, 60);
    mig_fail_at(err, "_id %s", shown ? shown : "?");
    mig_free(shown);
    return false;
  }
  if (bson_empty(r->set)) return true;
  bson_t update = BSON_INITIALIZER;
  BSON_APPEND_DOCUMENT(&update, "$set", r->set);
  ok = mig_writes_add(r->out, r->same, &update, err);
  bson_destroy(&update);
  return ok;
}

static bool batch(void *arg, mig_work *w, const bson_t *ids, uint32_t count, mig_error *err) {
  run *r = arg;
  const mig_step *step = r->what->step;
  const char *collection = mig_step_str(step, "collection");
  bson_t fields = BSON_INITIALIZER;
  (void)count;
  for (const char *const *path = r->what->paths; *path; path++) BSON_APPEND_INT32(&fields, *path, 1);
  bool ok = mig_writes_new(w, step->def->name, collection, MIG_WRITES_UPDATE, &r->out, err) &&
            mig_batch_read(w, collection, ids, &fields, change, r, err) && mig_writes_send(r->out, err);
  mig_writes_free(r->out);
  r->out = NULL;
  bson_destroy(&fields);
  return ok;
}

bool mig_leaf_writes_run(const mig_leaf_writes *what, mig_work *w, mig_error *err) {
  run r = {.what = what, .set = bson_new(), .same = bson_new()};
  mig_batch all = mig_step_batch(what->step, what->filter);
  bool ok = mig_batch_each(w, &all, batch, &r, err);
  bson_destroy(r.set);
  bson_destroy(r.same);
  return ok;
}
