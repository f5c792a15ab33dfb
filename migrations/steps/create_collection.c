#include <string.h>

#include "base/names.h"
#include "migrations/steps/common.h"

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "collection to create"},
    {"options", MIG_ARG_DOCUMENT, false,
     "validator, validationLevel, capped, collation, viewOn ... as the create command takes them"},
    {0},
};

static const char *const known[] = {"validator",
                                    "validationLevel",
                                    "validationAction",
                                    "capped",
                                    "size",
                                    "max",
                                    "collation",
                                    "viewOn",
                                    "pipeline",
                                    "timeseries",
                                    "expireAfterSeconds",
                                    "clusteredIndex",
                                    "changeStreamPreAndPostImages",
                                    "encryptedFields",
                                    "storageEngine",
                                    "indexOptionDefaults",
                                    NULL};

static const char *const validation[] = {"validator", "validationLevel", "validationAction", NULL};

static bool check(const mig_step *step, mig_error *err) {
  bson_t options;
  bson_iter_t it;
  mig_step_doc(step, "options", &options);
  if (!bson_iter_init(&it, &options)) return true;
  while (bson_iter_next(&it)) {
    const char *name = bson_iter_key(&it), *const *k = known;
    char path[200];
    while (*k && strcmp(*k, name) != 0) k++;
    if (*k) continue;
    bson_snprintf(path, sizeof path, "options.%s", name);
    const char *near = mig_name_nearest(name, known);
    if (near)
      mig_step_refuse(err, path, "unknown collection option \"%.60s\"; did you mean \"%s\"?", name, near);
    else
      mig_step_refuse(err, path, "unknown collection option \"%.60s\"", name);
    return mig_hint(
        err, "options of a collection: validator, validationLevel, validationAction, capped, size, max, collation ...");
  }
  return true;
}

static bool guards(const mig_step *step, bson_t *array, mig_error *err) {
  (void)err;
  mig_guard_on_collection(array, "collectionAbsent", mig_step_str(step, "collection"));
  return true;
}

/* Servers that take a validator with create and forget it, but keep one that collMod sets. */
static bool by_collmod(const mig_work *w, const bson_t *options) {
  return bson_has_field(options, "validator") && !mig_caps_has(w->caps, MIG_CAP_CREATE_VALIDATOR) &&
         mig_caps_has(w->caps, MIG_CAP_COLLMOD);
}

static bool create(const mig_step *step, mig_work *w, const bson_t *options, mig_error *err) {
  bool later = by_collmod(w, options);
  bson_t *now = later ? mig_bson_without(options, validation) : bson_copy(options);
  bson_t command = BSON_INITIALIZER;
  BSON_APPEND_UTF8(&command, "create", mig_step_str(step, "collection"));
  bson_concat(&command, now);
  bool ok = mig_step_run_command(w, &command, err);
  bson_destroy(&command);
  bson_destroy(now);
  if (!ok || !later) return ok;
  bson_t modify = BSON_INITIALIZER;
  bson_iter_t it;
  BSON_APPEND_UTF8(&modify, "collMod", mig_step_str(step, "collection"));
  for (const char *const *v = validation; *v; v++)
    if (bson_iter_init_find(&it, options, *v)) bson_append_iter(&modify, *v, -1, &it);
  ok = mig_step_run_command(w, &modify, err);
  bson_destroy(&modify);
  return ok;
}

/* "Accepted" is not "kept": look at what the server lists. */
static bool verify(const mig_step *step, mig_work *w, const bson_t *options, mig_error *err) {
  static const char *const must[] = {"validator",  "capped",         "collation", "viewOn",
                                     "timeseries", "clusteredIndex", NULL};
  const char *collection = mig_step_str(step, "collection"), *lacking = NULL;
  bson_t entry, have;
  bson_iter_t asked;
  bool found = false;
  bool ok = mig_db_collection_info(w->db, collection, &entry, &found, err);
  bool listed = ok && found && mig_bson_doc(&entry, "options", &have);
  for (const char *const *m = must; ok && found && *m && !lacking; m++) {
    if (!bson_iter_init_find(&asked, options, *m) || (BSON_ITER_HOLDS_BOOL(&asked) && !bson_iter_bool(&asked)))
      continue;
    if (!listed || !bson_has_field(&have, *m)) lacking = *m;
  }
  bson_destroy(&entry);
  if (!ok) return false;
  if (!found)
    return mig_fail(err, MIG_E_FAILED, "createCollection %s.%s: the server said yes, but it is not there",
                    mig_db_name(w->db), collection);
  if (!lacking) return true;
  mig_fail(err, MIG_E_UNSUPPORTED, "createCollection %s.%s: the server did not keep the option \"%s\"",
           mig_db_name(w->db), collection, lacking);
  mig_why(err, "it accepts this option without doing it");
  return mig_hint(err, "`mig doctor` tells what this server can do");
}

/* Not every server refuses to create what is there: documents would count as ours. */
static bool absent(const mig_step *step, mig_work *w, mig_error *err) {
  bson_t entry;
  bool found = false;
  bool ok = mig_db_collection_info(w->db, mig_step_str(step, "collection"), &entry, &found, err);
  bson_destroy(&entry);
  if (!ok || !found) return ok;
  mig_fail(err, MIG_E_FAILED, "createCollection %s.%s: there is one of that name already", mig_db_name(w->db),
           mig_step_str(step, "collection"));
  return mig_hint(err, "choose another name, or drop or rename that one first");
}

static bool run(const mig_step *step, mig_work *w, mig_error *err) {
  bson_t options;
  mig_step_doc(step, "options", &options);
  return absent(step, w, err) && create(step, w, &options, err) && verify(step, w, &options, err);
}

static bool inverse(const mig_step *step, bson_t *out) {
  bson_t own;
  BSON_APPEND_DOCUMENT_BEGIN(out, "dropCollection", &own);
  BSON_APPEND_UTF8(&own, "collection", mig_step_str(step, "collection"));
  bson_append_document_end(out, &own);
  return true;
}

const mig_step_def mig_step_create_collection = {
    .name = "createCollection",
    .help = "creates a collection or a view",
    .args = args,
    .check = check,
    .touch = MIG_TOUCH_DROP,
    .guards = guards,
    .run = run,
    .inverse = inverse,
    .example = "{\"createCollection\": {\"collection\": \"invoices\",\n"
               "  \"options\": {\"validator\": {\"$jsonSchema\": {\"required\": [\"number\"]}}}}}",
};
