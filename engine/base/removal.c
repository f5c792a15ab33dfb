#include "base/removal.h"

static bool any_expires(const bson_t *indexes) {
  bson_iter_t it;
  bson_t index;
  if (!bson_iter_init(&it, indexes)) return false;
  while (bson_iter_next(&it))
    if (mig_bson_iter_doc(&it, &index) && bson_has_field(&index, "expireAfterSeconds")) return true;
  return false;
}

bool mig_removal_of(mig_db *db, const char *collection, mig_removal *out, mig_error *err) {
  bson_t info, indexes;
  bson_iter_t it;
  bool found = false, capped = false;
  *out = MIG_REMOVAL_NONE;
  bool ok = mig_db_collection_info(db, collection, &info, &found, err);
  if (ok && found) {
    mig_bson_bool(&info, "options.capped", &capped);
    if (capped)
      *out = MIG_REMOVAL_CAPPED;
    else if (mig_bson_find(&info, "options.expireAfterSeconds", &it)) /* clustered: by the date that is its _id */
      *out = MIG_REMOVAL_TTL;
  }
  bson_destroy(&info);
  if (!ok || !found || *out != MIG_REMOVAL_NONE) return ok;
  ok = mig_db_indexes(db, collection, &indexes, err);
  if (ok && any_expires(&indexes)) *out = MIG_REMOVAL_TTL;
  bson_destroy(&indexes);
  return ok;
}
