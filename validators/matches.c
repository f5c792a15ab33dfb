#include <string.h>

#include "validators/query.h"

static bool check(const bson_t *args, mig_error *err) {
  const char *expect = "";
  mig_bson_str(args, "expect", &expect);
  if (strcmp(expect, "none") == 0 || strcmp(expect, "some") == 0 || strcmp(expect, "all") == 0) return true;
  return mig_guard_bad(err, "expect", "\"expect\" is \"%.60s\"; it can be \"none\", \"some\" or \"all\"", expect);
}

static bool run_some(const mig_guard_env *env, const char *collection, const bson_t *filter, mig_guard_result *out,
                     mig_error *err) {
  char json[300], text[700];
  bool found = false;
  if (!mig_guard_any(env, collection, filter, &found, err)) return false;
  if (found) return true;
  if (!mig_guard_collection_found(env, collection, &found, err)) return false;
  out->query = bson_copy(filter);
  mig_guard_json(filter, json, sizeof json);
  if (found) return mig_guard_refuse(out, "no document of %s matches %s, expected some", collection, json);
  if (!mig_guard_not_there(env, collection, text, sizeof text, err)) return false;
  return mig_guard_refuse(out, "no document matches %s, expected some: %s", json, text);
}

/* none: those that match are wrong; all: those that do not. */
static bool run_without(const mig_guard_env *env, const char *collection, const bson_t *wrong, const bson_t *filter,
                        mig_guard_result *out, mig_error *err) {
  char json[300];
  bool none = wrong == filter;
  if (!mig_guard_offenders(env, collection, wrong, out, err)) return false;
  if (!out->ids) return mig_guard_warn_if_missing(env, collection, err);
  mig_guard_json(filter, json, sizeof json);
  bool one = out->offenders == 1;
  return mig_guard_refuse(out, "%lld %s of %s %s %s, expected %s", (long long)out->offenders,
                          one ? "document" : "documents", collection,
                          none  ? one ? "matches" : "match"
                          : one ? "does not match"
                                : "do not match",
                          json, none ? "none" : "all to match");
}

static bool run(const mig_guard_env *env, const bson_t *args, mig_guard_result *out, mig_error *err) {
  const char *collection = "", *expect = "";
  bson_t filter, nor = BSON_INITIALIZER, list;
  mig_bson_str(args, "collection", &collection);
  mig_bson_str(args, "expect", &expect);
  mig_guard_filter(args, &filter);
  BSON_APPEND_ARRAY_BEGIN(&nor, "$nor", &list);
  BSON_APPEND_DOCUMENT(&list, "0", &filter);
  bson_append_array_end(&nor, &list);
  bool ok = strcmp(expect, "some") == 0
                ? run_some(env, collection, &filter, out, err)
                : run_without(env, collection, strcmp(expect, "none") == 0 ? &filter : &nor, &filter, out, err);
  bson_destroy(&nor);
  return ok;
}

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "whose documents are looked at; a missing one has none"},
    {"filter", MIG_ARG_DOCUMENT, true, "the condition ($where and $near cannot be counted)"},
    {"expect", MIG_ARG_STRING, true, "\"none\", \"some\" (at least one) or \"all\" (holds when there is no document)"},
    {0},
};

const mig_guard_def mig_guard_matches = {
    .name = "matches",
    .help = "none, some or all of the documents match the filter",
    .args = args,
    .check = check,
    .run = run,
    .example =
        "{\"matches\": {\"collection\": \"orders\", \"filter\": {\"total\": {\"$gte\": 0}}, \"expect\": \"all\"}}",
};
