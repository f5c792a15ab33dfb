/*
 * The last things before a stage may take its place: its indexes, and the comparison of all that it is. A server builds
 * an index in one thread, so the documents of a large stage are read back meanwhile.
 */
#include "backup/restore_build.h"
#include "backup/restore_stage.h"

typedef struct check {
  mig_restore judge;
  mig_restore_item copy; /* the item, with the stage in the place of the live collection */
  const char *stage;
} check;

/* The same comparison as for the collection itself: only an exact copy may take its place. */
static bool compare(check *c, mig_error *err) {
  return mig_restore_diff(&c->judge, &c->copy, c->stage, NULL, err);
}

static bool compare_without_indexes(check *c, mig_error *err) {
  const mig_restore_options *all = c->judge.options;
  mig_restore_options options = *all;
  options.no_indexes = true;
  c->judge.options = &options;
  const bool ok = compare(c, err);
  c->judge.options = all;
  return ok;
}

static bool compare_indexes(check *c, mig_error *err) {
  bson_t live;
  const bool ok = mig_db_indexes_marked(c->judge.w->db, c->stage, &live, err);
  bson_destroy(c->copy.live_indexes);
  c->copy.live_indexes = bson_copy(&live);
  c->copy.indexes_differ = mig_indexes_differing(&live, c->copy.entry->indexes);
  bson_destroy(&live);
  return ok;
}

/* Only "the same" is believed of what was read while the server was building: else it is read once more. */
static bool compare_meanwhile(check *c, mig_index_build *build, mig_error *err) {
  const bool ok = compare_without_indexes(c, err);
  const bool again = ok ? !mig_compare_identical(&c->copy.documents) : mig_refused(err, NULL);
  if (!ok && !again) return false;
  return mig_index_build_wait(build, &c->copy.refused, err) && (again ? compare(c, err) : compare_indexes(c, err));
}

/* A stage that is small is done before a thread and a connection are there. */
static bool worth_it(const mig_restore *r, const mig_collection_entry *entry) {
  return r->w->jobs != 1 && entry->chunk_count > 1 && mig_indexes_differing(NULL, entry->indexes) > 0;
}

static bool build_and_compare(check *c, mig_error *err) {
  mig_work *w = c->judge.w;
  const bson_t *wanted = c->copy.entry->indexes;
  mig_index_build *build = NULL;
  if (worth_it(&c->judge, c->copy.entry) && !mig_index_build_start(w, c->stage, wanted, &build, err)) return false;
  const bool ok = build ? compare_meanwhile(c, build, err)
                        : mig_indexes_create(w, c->stage, wanted, &c->copy.refused, err) && compare(c, err);
  mig_index_build_free(build);
  return ok;
}

bool mig_stage_check(mig_restore *r, mig_restore_item *item, const char *stage, bool indexed, mig_error *err) {
  check c = {.judge = *r, .stage = stage};
  c.copy = (mig_restore_item){.entry = item->entry,
                              .target = item->target,
                              .is_view = item->is_view,
                              .levels_stay = item->levels_stay,
                              .refused = item->refused};
  c.judge.round = MIG_RESTORE_ROUNDS; /* doubt is settled by look-ups */
  bool ok = indexed || r->options->no_indexes ? compare(&c, err) : build_and_compare(&c, err);
  item->refused = c.copy.refused;
  if (ok && mig_restore_item_differs(&c.copy)) {
    ok = mig_restore_item_fail(r, &c.copy, "in a new collection; the old one was left alone", err);
    mig_hint(err, "this server cannot hold the collection exactly; restore it on the kind of server it was taken from");
  }
  mig_restore_item_forget(&c.copy);
  return ok;
}
