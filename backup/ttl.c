#include "backup/ttl.h"

/* The earliest date counts where the field is an array, as for the server. */
static bool earliest_date(const bson_t *doc, const char *field, int64_t *unix_ms) {
  bson_iter_t it, element;
  bson_t list;
  bool any = false;
  if (mig_bson_date(doc, field, unix_ms)) return true;
  if (!mig_bson_find(doc, field, &it) || !BSON_ITER_HOLDS_ARRAY(&it) || !mig_bson_iter_doc(&it, &list) ||
      !bson_iter_init(&element, &list))
    return false;
  while (bson_iter_next(&element)) {
    if (!BSON_ITER_HOLDS_DATE_TIME(&element)) continue;
    int64_t date = bson_iter_date_time(&element);
    if (!any || date < *unix_ms) *unix_ms = date;
    any = true;
  }
  return any;
}

/* Only what is known to be the server's doing may be forgiven. It removes no document that is not in the index, and
 * which are in a partial one only a server can say; by an index of several fields it removes none. */
static bool removes_by_date(const bson_t *index, const bson_t *key) {
  return bson_count_keys(key) == 1 && !bson_has_field(index, "partialFilterExpression");
}

static bool due(const bson_t *index, const bson_t *doc, int64_t now) {
  int64_t seconds = 0, date = 0;
  bson_t key;
  bson_iter_t field;
  if (!mig_bson_int(index, "expireAfterSeconds", &seconds) || seconds < 0 || seconds > INT32_MAX ||
      !mig_bson_doc(index, "key", &key) || !removes_by_date(index, &key) || !bson_iter_init(&field, &key) ||
      !bson_iter_next(&field))
    return false;
  if (!earliest_date(doc, bson_iter_key(&field), &date)) return false;
  return date <= now - seconds * 1000;
}

bool mig_ttl_expired(const bson_t *indexes, const bson_t *doc, int64_t now_unix_ms) {
  bson_iter_t it;
  bson_t index;
  if (!indexes || !bson_iter_init(&it, indexes)) return false;
  while (bson_iter_next(&it))
    if (mig_bson_iter_doc(&it, &index) && due(&index, doc, now_unix_ms)) return true;
  return false;
}
