/* The server itself checks its documents against a $jsonSchema; one that cannot, or only seems to, is found out first.
 */
#include "validators/query.h"

#define NO_SUCH "__mig_no_document_has_this"

static bson_t *negated(const bson_t *condition) {
  return BCON_NEW("$nor", "[", BCON_DOCUMENT(condition), "]");
}

/* Outside a transaction, which a refused command would abort. *found: a document matches. */
static bool try_one(const mig_guard_env *env, const char *collection, const bson_t *filter, bool *found,
                    mig_error *err) {
  bson_t reply, batch,
      *find = BCON_NEW("find", BCON_UTF8(collection), "filter", BCON_DOCUMENT(filter), "projection", "{", "_id",
                       BCON_INT32(1), "}", "limit", BCON_INT32(1), "singleBatch", BCON_BOOL(true));
  bool ok = mig_db_command_outside(env->work->db, MIG_READ, find, &reply, err);
  *found = ok && mig_bson_arr(&reply, "cursor.firstBatch", &batch) && !bson_empty(&batch);
  bson_destroy(&reply);
  bson_destroy(find);
  return ok;
}

static bool refuse(const mig_guard_env *env, const char *why, mig_error *err) {
  mig_fail(err, MIG_E_UNSUPPORTED, "%s: this server cannot check documents against a $jsonSchema",
           mig_db_label(env->work->db));
  mig_why(err, "%s", why);
  return mig_hint(err, "use the guards notNull, fieldType and matches instead");
}

/* A rule that no document can obey: a server that knows $jsonSchema finds none of them, and with $nor all. */
static bool honest(const mig_guard_env *env, const char *collection, mig_error *err) {
  mig_error local = {0};
  bool obeys = false, disobeys = false, any = false;
  bson_t everything = BSON_INITIALIZER, *rule = BCON_NEW("$jsonSchema", "{", "required", "[", NO_SUCH, "]", "}"),
         *broken = negated(rule);
  bool ok = try_one(env, collection, rule, &obeys, &local) && try_one(env, collection, broken, &disobeys, &local) &&
            try_one(env, collection, &everything, &any, &local);
  bson_destroy(broken);
  bson_destroy(rule);
  bson_destroy(&everything);
  if (!ok && local.code == MIG_E_SERVER) return refuse(env, local.why, err);
  if (!ok && err) *err = local;
  return ok && ((!obeys && disobeys == any) || refuse(env, "it accepts it, but does not do it", err));
}

static bool run(const mig_guard_env *env, const bson_t *args, mig_guard_result *out, mig_error *err) {
  const char *collection = "";
  bson_t filter, schema;
  mig_bson_str(args, "collection", &collection);
  mig_guard_filter(args, &filter);
  if (!mig_bson_doc(args, "schema", &schema)) return mig_fail(err, MIG_E_FAILED, "there is no schema");
  if (!honest(env, collection, err)) return false;
  bson_t *rule = BCON_NEW("$jsonSchema", BCON_DOCUMENT(&schema)), *broken = negated(rule),
         *both = mig_guard_and(&filter, broken);
  bool ok = mig_guard_offenders(env, collection, both, out, err);
  if (ok && !out->ids) ok = mig_guard_warn_if_missing(env, collection, err);
  if (ok && out->ids)
    mig_guard_refuse(out, "%lld %s of %s %s not obey the schema", (long long)out->offenders,
                     out->offenders == 1 ? "document" : "documents", collection, out->offenders == 1 ? "does" : "do");
  bson_destroy(both);
  bson_destroy(broken);
  bson_destroy(rule);
  return ok;
}

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "whose documents are looked at; a missing one has none"},
    {"schema", MIG_ARG_DOCUMENT, true, "as under $jsonSchema: {\"required\": [...], \"properties\": {...}}"},
    {"filter", MIG_ARG_DOCUMENT, false, "looks only at the documents that match"},
    {0},
};

const mig_guard_def mig_guard_schema = {
    .name = "schema",
    .help = "every document obeys the $jsonSchema; a server that cannot check that is an error",
    .args = args,
    .run = run,
    .example = "{\"schema\": {\"collection\": \"users\", \"schema\": {\"required\": [\"email\"],\n"
               "  \"properties\": {\"email\": {\"bsonType\": \"string\", \"pattern\": \"@\"}}}}}",
};
