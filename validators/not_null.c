#include "validators/values.h"

static bool check(const bson_t *args, mig_error *err) {
  const char *field = "";
  mig_bson_str(args, "field", &field);
  return mig_values_path_ok(field, err);
}

static bool run(const mig_guard_env *env, const bson_t *args, mig_guard_result *out, mig_error *err) {
  const char *collection = "", *field = "";
  bson_t filter, *null = BCON_NEW("$eq", BCON_NULL);
  const bson_t *const wrong[] = {null};
  mig_bson_str(args, "collection", &collection);
  mig_bson_str(args, "field", &field);
  mig_guard_filter(args, &filter);
  bson_t *lacks = mig_values_filter(field, wrong, 1), *both = mig_guard_and(&filter, lacks);
  bool ok = mig_guard_offenders(env, collection, both, out, err);
  if (ok && !out->ids) ok = mig_guard_warn_if_missing(env, collection, err);
  if (ok && out->ids)
    mig_guard_refuse(out, "in %lld %s of %s the field %s is null or missing", (long long)out->offenders,
                     out->offenders == 1 ? "document" : "documents", collection, field);
  bson_destroy(both);
  bson_destroy(lacks);
  bson_destroy(null);
  return ok;
}

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "whose documents are looked at; a missing one has none"},
    {"field", MIG_ARG_FIELD, true, "that each has; through an array: each element of it"},
    {"filter", MIG_ARG_DOCUMENT, false, "looks only at the documents that match"},
    {0},
};

const mig_guard_def mig_guard_not_null = {
    .name = "notNull",
    .help = "every document has the field, and it is not null",
    .args = args,
    .check = check,
    .run = run,
    .example = "{\"notNull\": {\"collection\": \"users\", \"field\": \"email\", \"filter\": {\"deleted\": false}}}",
};
