#include "base/unchanged.h"

/* What stands twice in a condition must fit into a command, beside what the document becomes. */
#define TWICE_BYTES (4u << 20)

bool mig_unchanged_for(mig_work *w, const char *collection, mig_unchanged *out, mig_error *err) {
  *out = (mig_unchanged){.sizes = mig_caps_has(w->caps, MIG_CAP_DOCUMENT_SIZE)};
  if (mig_db_in_transaction(w->db) || !mig_caps_has(w->caps, MIG_CAP_EXACT_MATCH)) return true;
  return mig_db_has_option(w->db, collection, "options.collation", &out->text, err);
}

static bool twice(const bson_t *live, const mig_unchanged *how) {
  return how->text && live->len <= TWICE_BYTES;
}

size_t mig_unchanged_bytes(const bson_t *live, const mig_unchanged *how) {
  return (size_t)live->len * (twice(live, how) ? 2 : 1) + 256;
}

/* {$eq: [{$cmp: ["$$ROOT", {$literal: live}]}, 0]}. By $cmp: MongoDB 5.0 fails to optimize {$eq: ["$$ROOT", ...]} (code
 * 16409). */
static bool append_equal(bson_t *all, const bson_t *live) {
  bson_t one, equal, compare, sides, literal;
  return BSON_APPEND_DOCUMENT_BEGIN(all, "0", &one) && BSON_APPEND_ARRAY_BEGIN(&one, "$eq", &equal) &&
         BSON_APPEND_DOCUMENT_BEGIN(&equal, "0", &compare) && BSON_APPEND_ARRAY_BEGIN(&compare, "$cmp", &sides) &&
         BSON_APPEND_UTF8(&sides, "0", "$$ROOT") && BSON_APPEND_DOCUMENT_BEGIN(&sides, "1", &literal) &&
         BSON_APPEND_DOCUMENT(&literal, "$literal", live) && bson_append_document_end(&sides, &literal) &&
         bson_append_array_end(&compare, &sides) && bson_append_document_end(&equal, &compare) &&
         BSON_APPEND_INT32(&equal, "1", 0) && bson_append_array_end(&one, &equal) &&
         bson_append_document_end(all, &one);
}

/* {$eq: [{$bsonSize: "$$ROOT"}, size]} */
static bool append_size(bson_t *all, const bson_t *live) {
  bson_t one, equal, size;
  return BSON_APPEND_DOCUMENT_BEGIN(all, "1", &one) && BSON_APPEND_ARRAY_BEGIN(&one, "$eq", &equal) &&
         BSON_APPEND_DOCUMENT_BEGIN(&equal, "0", &size) && BSON_APPEND_UTF8(&size, "$bsonSize", "$$ROOT") &&
         bson_append_document_end(&equal, &size) && BSON_APPEND_INT64(&equal, "1", live->len) &&
         bson_append_array_end(&one, &equal) && bson_append_document_end(all, &one);
}

/* {$jsonSchema: {enum: [live]}}: "always uses simple string comparison semantics, even if the query has a non-simple
 * collation" (MongoDB's source), and so the index of _id can still be used. It does not see the order of fields. */
static bool append_exact(bson_t *filter, const bson_t *live) {
  bson_t schema, values;
  return BSON_APPEND_DOCUMENT_BEGIN(filter, "$jsonSchema", &schema) &&
         BSON_APPEND_ARRAY_BEGIN(&schema, "enum", &values) && BSON_APPEND_DOCUMENT(&values, "0", live) &&
         bson_append_array_end(&schema, &values) && bson_append_document_end(filter, &schema);
}

bool mig_unchanged_append(bson_t *filter, const bson_t *live, const mig_unchanged *how) {
  bson_t expr, all;
  return BSON_APPEND_DOCUMENT_BEGIN(filter, "$expr", &expr) && BSON_APPEND_ARRAY_BEGIN(&expr, "$and", &all) &&
         append_equal(&all, live) && (!how->sizes || append_size(&all, live)) && bson_append_array_end(&expr, &all) &&
         bson_append_document_end(filter, &expr) && (!twice(live, how) || append_exact(filter, live));
}
