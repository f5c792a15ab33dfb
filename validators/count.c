#include <stdio.h>

#include "validators/query.h"

typedef struct bounds {
  int64_t min, max;
  bool has_min, has_max, equals;
} bounds;

static bounds bounds_of(const bson_t *args) {
  bounds b = {.min = 0, .max = INT64_MAX};
  b.has_min = mig_bson_int(args, "min", &b.min);
  b.has_max = mig_bson_int(args, "max", &b.max);
  b.equals = mig_bson_int(args, "equals", &b.min);
  if (b.equals) b.max = b.min;
  return b;
}

static bool check(const bson_t *args, mig_error *err) {
  bounds b = bounds_of(args);
  if (b.equals && (b.has_min || b.has_max))
    return mig_guard_bad(err, "equals", "give \"equals\", or \"min\" and \"max\", not both");
  if (!b.equals && !b.has_min && !b.has_max)
    return mig_guard_bad(err, NULL, "give \"equals\", \"min\" or \"max\": how many documents there should be");
  if (b.min > b.max)
    return mig_guard_bad(err, "min", "\"min\" (%lld) is more than \"max\" (%lld)", (long long)b.min, (long long)b.max);
  return true;
}

static void expected(const bounds *b, char *text, size_t size) {
  if (b->equals)
    snprintf(text, size, "exactly %lld", (long long)b->min);
  else if (b->has_min && b->has_max)
    snprintf(text, size, "%lld to %lld", (long long)b->min, (long long)b->max);
  else if (b->has_min)
    snprintf(text, size, "at least %lld", (long long)b->min);
  else
    snprintf(text, size, "at most %lld", (long long)b->max);
}

static bool run(const mig_guard_env *env, const bson_t *args, mig_guard_result *out, mig_error *err) {
  const char *collection = "";
  char wanted[64], json[300], there[700] = "";
  bson_t filter;
  bool found = true;
  int64_t n = 0;
  bounds b = bounds_of(args);
  mig_bson_str(args, "collection", &collection);
  mig_guard_filter(args, &filter);
  if (!mig_db_count(env->work->db, collection, &filter, &n, err)) return false;
  if (n >= b.min && n <= b.max) return n ? true : mig_guard_warn_if_missing(env, collection, err);
  if (n > b.max && !mig_guard_offenders(env, collection, &filter, out, err)) return false;
  if (n == 0 && !mig_guard_collection_found(env, collection, &found, err)) return false;
  if (!found && !mig_guard_not_there(env, collection, there, sizeof there, err)) return false;
  if (!out->query) out->query = bson_copy(&filter);
  expected(&b, wanted, sizeof wanted);
  mig_guard_json(&filter, json, sizeof json);
  return mig_guard_refuse(out, "%s has %lld %s%s%s, expected %s%s%s%s", collection, (long long)n,
                          n == 1 ? "document" : "documents", bson_empty(&filter) ? "" : " that match ",
                          bson_empty(&filter) ? "" : json, wanted, found ? "" : " (", there, found ? "" : ")");
}

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "whose documents are counted; a missing one counts 0"},
    {"filter", MIG_ARG_DOCUMENT, false, "counts only the documents that match ($where and $near cannot be counted)"},
    {"equals", MIG_ARG_INT, false, "exactly so many; instead of min and max"},
    {"min", MIG_ARG_INT, false, "at least so many"},
    {"max", MIG_ARG_INT, false, "at most so many"},
    {0},
};

const mig_guard_def mig_guard_count = {
    .name = "count",
    .help = "the number of documents that match is as given, by equals, min, max, or min and max",
    .args = args,
    .check = check,
    .run = run,
    .example = "{\"count\": {\"collection\": \"users\", \"filter\": {\"role\": \"admin\"}, \"min\": 1}}",
};
