#include "base/removal.h"
#include "validators/query.h"

static bool run(const mig_guard_env *env, const bson_t *args, mig_guard_result *out, mig_error *err) {
  const char *collection = "";
  bool ttl = false;
  mig_removal removal;
  mig_bson_str(args, "collection", &collection);
  mig_bson_bool(args, "ttl", &ttl);
  if (!mig_removal_of(env->work->db, collection, &removal, err)) return false;
  if (removal == MIG_REMOVAL_CAPPED) {
    mig_guard_hint(out, "use a collection that is not capped: what is pushed out is in no other place any more");
    return mig_guard_refuse(out, "%s is capped: to make room the server removes its oldest documents", collection);
  }
  if (removal == MIG_REMOVAL_TTL && !ttl) {
    mig_guard_hint(out, "drop the TTL index by a step dropIndex before; create it again when you know what it removes");
    return mig_guard_refuse(out, "%s has a TTL index: the server removes its old documents", collection);
  }
  return true;
}

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "where documents are to stay"},
    {"ttl", MIG_ARG_BOOL, false, "true: a TTL index is all right"},
    {0},
};

const mig_guard_def mig_guard_keeps_documents = {
    .name = "keepsDocuments",
    .help =
        "the server removes no documents of the collection by itself: it is not capped and has no TTL index; holds for "
        "a missing collection",
    .args = args,
    .run = run,
    .example = "{\"keepsDocuments\": {\"collection\": \"orders_archive\"}}",
};
