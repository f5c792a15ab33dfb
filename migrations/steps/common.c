#include "migrations/steps/common.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/crash.h"
#include "migrations/module/services.h"

const char *const mig_writes_field[] = {"field", NULL};

const char *mig_step_str(const mig_step *step, const char *name) {
  const char *text = "";
  mig_bson_str(step->args, name, &text);
  return text;
}

bool mig_step_flag(const mig_step *step, const char *name) {
  bool flag = false;
  mig_bson_bool(step->args, name, &flag);
  return flag;
}

void mig_step_doc(const mig_step *step, const char *name, bson_t *view) {
  static const uint8_t empty[] = {5, 0, 0, 0, 0};
  if (!mig_bson_doc(step->args, name, view) && !mig_bson_arr(step->args, name, view))
    (void)!bson_init_static(view, empty, sizeof empty);
}

mig_batch mig_step_batch(const mig_step *step, const bson_t *filter) {
  return (mig_batch){step->def->name, mig_step_str(step, "collection"), filter};
}

bool mig_step_refuse(mig_error *err, const char *path, const char *fmt, ...) {
  char text[400];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  mig_fail(err, MIG_E_INPUT, "%s", text);
  if (err) snprintf(err->json_path, sizeof err->json_path, "%s", path);
  return false;
}

bool mig_step_not_id(const mig_step *step, const char *name, mig_error *err) {
  if (!mig_fields_overlap(mig_step_str(step, name), "_id")) return true;
  mig_step_refuse(err, name, "step \"%s\" cannot change _id", step->def->name);
  mig_why(err, "servers keep _id as it is; documents would have to be inserted anew");
  return mig_hint(err, "choose another field");
}

bool mig_step_two_fields(const mig_step *step, mig_error *err) {
  const char *from = mig_step_str(step, "from"), *to = mig_step_str(step, "to");
  if (!mig_fields_overlap(from, to)) return true;
  mig_step_refuse(err, "to", "step \"%s\": \"%s\" and \"%s\" overlap", step->def->name, from, to);
  return mig_hint(err, "go through a third field, or use the step transform");
}

bool mig_step_storable(const bson_iter_t *value, const char *path, mig_error *err) {
  bson_t doc;
  bson_iter_t it;
  if (!(BSON_ITER_HOLDS_DOCUMENT(value) || BSON_ITER_HOLDS_ARRAY(value)) || !mig_bson_iter_doc(value, &doc) ||
      !bson_iter_init(&it, &doc))
    return true;
  while (bson_iter_next(&it)) {
    const char *key = bson_iter_key(&it);
    char below[256];
    snprintf(below, sizeof below, "%s.%s", path, key);
    if (key[0] == '$' && strcmp(key, "$ref") != 0 && strcmp(key, "$id") != 0 && strcmp(key, "$db") != 0) {
      mig_step_refuse(err, below, "a field of a stored document cannot be called \"%.100s\"", key);
      if (strcmp(key, "$regex") == 0 || strcmp(key, "$options") == 0)
        return mig_hint(
            err, "a regular expression is stored as {\"$regularExpression\": {\"pattern\": ..., \"options\": ...}}");
      return mig_hint(err,
                      "a name that begins with $ is an operator; values that are computed need the step transform");
    }
    if (!mig_step_storable(&it, below, err)) return false;
  }
  return true;
}

void mig_guard_append(bson_t *array, const char *guard, const bson_t *args) {
  bson_t one = BSON_INITIALIZER;
  char buffer[16];
  const char *key;
  bson_uint32_to_string(bson_count_keys(array), &key, buffer, sizeof buffer);
  BSON_APPEND_DOCUMENT(&one, guard, args);
  BSON_APPEND_DOCUMENT(array, key, &one);
  bson_destroy(&one);
}

void mig_guard_on_collection(bson_t *array, const char *guard, const char *collection) {
  bson_t args = BSON_INITIALIZER;
  BSON_APPEND_UTF8(&args, "collection", collection);
  mig_guard_append(array, guard, &args);
  bson_destroy(&args);
}

void mig_guard_on_field(bson_t *array, const char *guard, const mig_step *step, const char *field) {
  bson_t args = BSON_INITIALIZER, filter;
  mig_step_doc(step, "filter", &filter);
  BSON_APPEND_UTF8(&args, "collection", mig_step_str(step, "collection"));
  BSON_APPEND_UTF8(&args, "field", field);
  if (!bson_empty(&filter)) BSON_APPEND_DOCUMENT(&args, "filter", &filter);
  mig_guard_append(array, guard, &args);
  bson_destroy(&args);
}

bool mig_guards_collection_exists(const mig_step *step, bson_t *array, mig_error *err) {
  (void)err;
  mig_guard_on_collection(array, "collectionExists", mig_step_str(step, "collection"));
  return true;
}

bool mig_step_count(const mig_step *step, mig_work *w, const bson_t *filter, int64_t *documents, mig_error *err) {
  return mig_db_count(w->db, mig_step_str(step, "collection"), filter, documents, err);
}

bool mig_estimate_filter(const mig_step *step, mig_work *w, int64_t *documents, mig_error *err) {
  bson_t filter;
  mig_step_doc(step, "filter", &filter);
  return mig_step_count(step, w, &filter, documents, err);
}

void mig_step_hint_creates(mig_error *err) {
  if (err->server_code == MIG_SERVER_NOT_IN_TRANSACTION)
    mig_hint(err, "create the collection in an earlier migration, or set \"transaction\" to \"off\"");
}

bool mig_step_send(mig_work *w, mig_access access, const bson_t *command, bson_t *reply, mig_error *err) {
  bson_iter_t first;
  if (bson_iter_init(&first, command) && bson_iter_next(&first) && strcmp(bson_iter_key(&first), "createIndexes") == 0)
    return mig_create_indexes(w, command, reply, err);
  return mig_db_command(w->db, access, command, reply, err);
}

bool mig_step_run_command(mig_work *w, const bson_t *command, mig_error *err) {
  bson_t reply;
  if (!mig_checkpoint(w, err)) return false;
  const bool ok = mig_step_send(w, MIG_WRITE, command, &reply, err);
  bson_destroy(&reply);
  if (ok) mig_crash_point(MIG_CRASH_STEP_BATCH);
  return ok;
}

bool mig_step_all_changed(const mig_step *step, const mig_work *w, const mig_batch_result *result, mig_error *err) {
  if (result->changed == result->matched) return true;
  mig_fail(err, MIG_E_FAILED, "%s %s.%s: %lld of %lld documents could not be changed", step->def->name,
           mig_db_name(w->db), mig_step_str(step, "collection"), (long long)(result->matched - result->changed),
           (long long)result->matched);
  mig_why(err, "the field lies inside an array there: the server's operators do not reach it");
  return mig_hint(err, "use the step update with \"$[]\" in the path, or transform");
}

bool mig_step_put_aside(mig_work *w, const char *collection, bool *gone, mig_error *err) {
  const mig_services *s = w->services;
  *gone = false;
  return !s || !s->put_aside || s->put_aside(s->arg, collection, gone, err);
}

bool mig_step_settle_aside(mig_work *w, const char *collection, mig_error *err) {
  return w->services->settle_aside(w->services->arg, collection, err);
}
