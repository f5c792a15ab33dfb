#include "run/history.h"

#include "base/names.h"

static bson_t *filter_of(const mig_history_query *q) {
  bson_t *filter = bson_new(), child;
  if (q->migration)
    BCON_APPEND(filter, "$or", "[", "{", "name", BCON_UTF8(q->migration), "}", "{", "version", BCON_UTF8(q->migration),
                "}", "]");
  if (q->outcome) BSON_APPEND_UTF8(filter, "outcome", q->outcome);
  if (q->direction) BSON_APPEND_UTF8(filter, "direction", q->direction);
  if (q->by) BSON_APPEND_UTF8(filter, "by", q->by);
  if (q->since_unix_ms) {
    BSON_APPEND_DOCUMENT_BEGIN(filter, "startedAt", &child);
    BSON_APPEND_DATE_TIME(&child, "$gte", q->since_unix_ms);
    bson_append_document_end(filter, &child);
  }
  return filter;
}

bool mig_history_find(mig_db *db, const mig_history_query *q, mig_cursor **out, int64_t *total, mig_error *err) {
  int64_t limit = q->limit > 0 ? q->limit : 20, page = q->page > 0 ? q->page : 1;
  *out = NULL;
  /* int32: some servers take no long here */
  if (limit > 100000 || page > 20000) return mig_fail(err, MIG_E_USAGE, "the limit or the page is too large");
  bson_t *filter = filter_of(q);
  bson_t *find = BCON_NEW("find", BCON_UTF8(MIG_EVENTS), "filter", BCON_DOCUMENT(filter), "sort", "{", "startedAt",
                          BCON_INT32(-1), "_id", BCON_INT32(-1), "}", "skip", BCON_INT32((int32_t)((page - 1) * limit)),
                          "limit", BCON_INT32((int32_t)limit));
  bool ok = (!total || mig_db_count(db, MIG_EVENTS, filter, total, err)) && mig_db_query(db, find, out, err);
  bson_destroy(find);
  bson_destroy(filter);
  return ok;
}
