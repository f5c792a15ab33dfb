/*
 * No document is so large that it could not grow any more: a server refuses one of more than 16 MiB, in the middle of
 * the work. The server tells the sizes ($bsonSize, 4.4+); where it cannot, the documents are read.
 */
#include "base/clock.h"
#include "validators/query.h"
#include "validators/size.h"

#define LARGEST        (UINT64_C(16) << 20)
#define LEAVES_ONE_MIB (UINT64_C(15) << 20)

static uint64_t limit_of(const bson_t *args) {
  uint64_t max = LEAVES_ONE_MIB;
  if (bson_has_field(args, "max")) mig_size_of(args, "max", &max);
  return max;
}

static bool check(const bson_t *args, mig_error *err) {
  uint64_t max = 0;
  if (!bson_has_field(args, "max")) return true;
  if (!mig_size_of(args, "max", &max)) {
    mig_guard_bad(err, "max", "\"max\" is not a size");
    return mig_hint(err, "a number of bytes, or a string such as \"15 MiB\"");
  }
  if (max > 0 && max < LARGEST) return true;
  mig_guard_bad(err, "max", "\"max\" must be less than 16 MiB: no server stores a larger document");
  return mig_hint(err, "16 MiB less what the steps add to a document");
}

/* Outside a transaction, which a refused command would abort. */
static bool server_tells(const mig_guard_env *env, const char *collection) {
  bson_t reply, *command = BCON_NEW("aggregate", BCON_UTF8(collection), "pipeline", "[", "{", "$limit", BCON_INT32(1),
                                    "}", "{", "$project", "{", "size", "{", "$bsonSize", BCON_UTF8("$$ROOT"), "}", "}",
                                    "}", "]", "cursor", "{", "}");
  mig_error ignored;
  bool ok = mig_db_command_outside(env->work->db, MIG_READ, command, &reply, &ignored);
  bson_destroy(&reply);
  bson_destroy(command);
  return ok;
}

static bool by_server(const mig_guard_env *env, const char *collection, const bson_t *filter, uint64_t max,
                      mig_guard_result *out, mig_error *err) {
  bson_t *large = BCON_NEW("$expr", "{", "$gt", "[", "{", "$bsonSize", BCON_UTF8("$$ROOT"), "}",
                           BCON_INT64((int64_t)max), "]", "}"),
         *both = mig_guard_and(filter, large);
  bool ok = mig_guard_offenders(env, collection, both, out, err);
  bson_destroy(both);
  bson_destroy(large);
  return ok;
}

static void keep(mig_guard_result *out, const bson_t *doc) {
  char buffer[16];
  const char *key;
  bson_iter_t id;
  if (!out->ids) out->ids = bson_new();
  bson_uint32_to_string(bson_count_keys(out->ids), &key, buffer, sizeof buffer);
  if (bson_iter_init_find(&id, doc, "_id")) bson_append_iter(out->ids, key, -1, &id);
}

static bool by_reading(const mig_guard_env *env, const char *collection, const bson_t *filter, uint64_t max,
                       mig_guard_result *out, mig_error *err) {
  mig_cursor *c = NULL;
  const bson_t *doc = NULL;
  mig_next next;
  int64_t checked_ms = mig_now_monotonic_ms();
  bson_t *find = BCON_NEW("find", BCON_UTF8(collection), "filter", BCON_DOCUMENT(filter));
  bool ok = mig_db_query(env->work->db, find, &c, err);
  bson_destroy(find);
  if (!ok) return false;
  out->offenders = 0;
  while ((next = mig_cursor_next(c, &doc, err)) == MIG_NEXT_DOC) {
    if (doc->len > max && out->offenders++ < MIG_OFFENDERS) keep(out, doc);
    if (mig_now_monotonic_ms() - checked_ms < 1000) continue;
    checked_ms = mig_now_monotonic_ms();
    if (!mig_checkpoint(env->work, err)) next = MIG_NEXT_ERROR;
    if (next == MIG_NEXT_ERROR) break;
  }
  mig_cursor_close(c);
  return next != MIG_NEXT_ERROR;
}

static bool run(const mig_guard_env *env, const bson_t *args, mig_guard_result *out, mig_error *err) {
  const char *collection = "";
  bson_t filter;
  char limit[32];
  uint64_t max = limit_of(args);
  mig_bson_str(args, "collection", &collection);
  mig_guard_filter(args, &filter);
  bool ok = server_tells(env, collection) ? by_server(env, collection, &filter, max, out, err)
                                          : by_reading(env, collection, &filter, max, out, err);
  if (ok && !out->ids) return mig_guard_warn_if_missing(env, collection, err);
  if (!ok) return false;
  mig_size_text(max, limit, sizeof limit);
  mig_guard_hint(out, "make them smaller, or move a part of each to a document of its own");
  return mig_guard_refuse(out, "%lld %s of %s %s larger than %s", (long long)out->offenders,
                          out->offenders == 1 ? "document" : "documents", collection,
                          out->offenders == 1 ? "is" : "are", limit);
}

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "whose documents are looked at; a missing one has none"},
    {"max", MIG_ARG_ANY, false, "bytes, or a string such as \"12 MiB\"; default 15 MiB, which leaves 1 MiB to grow by"},
    {"filter", MIG_ARG_DOCUMENT, false, "looks only at the documents that match"},
    {0},
};

const mig_guard_def mig_guard_document_size = {
    .name = "documentSize",
    .help = "no document is larger than max, so that none grows past the 16 MiB that servers allow",
    .args = args,
    .check = check,
    .run = run,
    .example = "{\"documentSize\": {\"collection\": \"articles\", \"max\": \"12 MiB\"}}",
};
