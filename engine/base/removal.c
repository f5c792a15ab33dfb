#include "base/removal.h"

bool mig_removal_any_expires(const bson_t *indexes) {
  bson_iter_t it;
  bson_t index;
  if (!bson_iter_init(&it, indexes)) return false;
  while (bson_iter_next(&it))
    if (mig_bson_iter_doc(&it, &index) && bson_has_field(&index, "expireAfterSeconds")) return true;
  return false;
}

static bool look(mig_db *db, const char *collection, bool *found, bool *capped, bool *clustered, mig_error *err) {
  bson_t info;
  bson_iter_t it;
  *capped = *clustered = false;
  const bool ok = mig_db_collection_info(db, collection, &info, found, err);
  if (ok && *found) {
    mig_bson_bool(&info, "options.capped", capped);
    *clustered = mig_bson_find(&info, "options.expireAfterSeconds", &it); /* removes by the date that is its _id */
  }
  bson_destroy(&info);
  return ok;
}

bool mig_removal_capped(mig_db *db, const char *collection, bool *capped, mig_error *err) {
  bool found, clustered;
  return look(db, collection, &found, capped, &clustered, err);
}

bool mig_removal_of(mig_db *db, const char *collection, mig_removal *out, mig_error *err) {
  bson_t indexes;
  bool found = false, capped = false, clustered = false;
  *out = MIG_REMOVAL_NONE;
  if (!look(db, collection, &found, &capped, &clustered, err)) return false;
  if (capped || clustered) *out = capped ? MIG_REMOVAL_CAPPED : MIG_REMOVAL_TTL;
  if (!found || capped || clustered) return true;
  const bool ok = mig_db_indexes(db, collection, &indexes, err);
  if (ok && mig_removal_any_expires(&indexes)) *out = MIG_REMOVAL_TTL;
  bson_destroy(&indexes);
  return ok;
}
