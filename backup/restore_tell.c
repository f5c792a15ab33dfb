/* Tells the listener of a restore or a diff how options and indexes differ. */
#include "backup/restore_parts.h"

/* Later rounds meet the same differences again. */
const mig_diff_listener *mig_restore_listener(const mig_restore *r) {
  return r->round == 0 ? r->options->listener : NULL;
}

/* Indexes that stand on one side only, or are not the same. */
static bool tell_indexes(const mig_diff_listener *l, const mig_restore_item *item, const bson_t *from, const bson_t *to,
                         bool from_archive, mig_error *err) {
  bson_iter_t it;
  bson_t spec, other;
  const char *name = NULL;
  if (!from || !bson_iter_init(&it, from)) return true;
  while (bson_iter_next(&it)) {
    if (!mig_bson_iter_doc(&it, &spec) || !mig_index_name(&spec, &name) || mig_index_is_own(&spec)) continue;
    const bool there = to && mig_index_find(to, name, &other);
    if (there && (!from_archive || mig_index_in(to, &spec))) continue; /* a changed one is told once */
    const bson_t *counterpart = there ? &other : NULL;
    if (!l->index(l->arg, item->target, name, from_archive ? &spec : counterpart, from_archive ? counterpart : &spec,
                  err))
      return false;
  }
  return true;
}

bool mig_restore_tell_metadata(const mig_restore *r, const mig_restore_item *item, mig_error *err) {
  const mig_diff_listener *l = mig_restore_listener(r);
  bson_t recorded, live;
  if (!l) return true;
  if (l->options && (item->fixed_differ || item->validator_differs || item->images_differ)) {
    mig_options_of(item->entry->info, &recorded);
    mig_options_of(item->live_info, &live);
    if (!l->options(l->arg, item->target, &recorded, &live, err)) return false;
  }
  return !l->index || item->indexes_differ == 0 ||
         (tell_indexes(l, item, item->entry->indexes, item->live_indexes, true, err) &&
          tell_indexes(l, item, item->live_indexes, item->entry->indexes, false, err));
}
