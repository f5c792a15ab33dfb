#include "validators/query.h"

static bool run(const mig_guard_env *env, const bson_t *args, mig_guard_result *out, mig_error *err) {
  const char *collection = "", *field = "";
  bson_t filter, *has = NULL, *both = NULL;
  mig_bson_str(args, "collection", &collection);
  mig_bson_str(args, "field", &field);
  mig_guard_filter(args, &filter);
  has = mig_guard_condition(field, "$exists", true);
  both = mig_guard_and(&filter, has);
  bool ok = mig_guard_offenders(env, collection, both, out, err);
  if (ok && out->ids) {
    mig_guard_hint(out, "choose another field, or remove %s from these documents first", field);
    ok = mig_guard_refuse(out, "%lld %s of %s%s the field %s already", (long long)out->offenders,
                          out->offenders == 1 ? "document" : "documents", collection,
                          out->offenders == 1 ? " has" : " have", field);
  }
  bson_destroy(both);
  bson_destroy(has);
  return ok;
}

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "where to look"},
    {"field", MIG_ARG_FIELD, true, "dotted path that must be free; a field that is null is not free"},
    {"filter", MIG_ARG_DOCUMENT, false, "looks only at the documents that match"},
    {0},
};

const mig_guard_def mig_guard_field_absent = {
    .name = "fieldAbsent",
    .help = "no document has the field, not even as null; holds for an empty or missing collection",
    .args = args,
    .run = run,
    .example = "{\"fieldAbsent\": {\"collection\": \"users\", \"field\": \"email\"}}",
};
