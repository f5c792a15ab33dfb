#include "backup/restore_stage.h"

#include <stdio.h>
#include <string.h>

#include "backup/restore_load.h"

#define STAGE_PREFIX_CHARS 32

static void stage_prefix(const mig_restore *r, char prefix[static STAGE_PREFIX_CHARS]) {
  snprintf(prefix, STAGE_PREFIX_CHARS, "migstage_%.8s_", mig_archive_contents(r->archive)->digest);
}

/* By the place in the archive, so that it is found again whatever is restored with it. */
void mig_stage_name(const mig_restore *r, const mig_restore_item *item, char name[static MIG_STAGE_CHARS]) {
  stage_prefix(r, name);
  const size_t used = strlen(name);
  snprintf(name + used, MIG_STAGE_CHARS - used, "%zu",
           (size_t)(item->entry - mig_archive_contents(r->archive)->collections));
}

/* A stage that was begun is worth a look where it takes some time to make. */
static bool may_go_on(const mig_restore *r, const mig_restore_item *item) {
  return r->round == 0 && item->bring == MIG_BRING_SWAP && !item->entry->natural_order && item->entry->chunk_count > 1;
}

static bool is_needed(const mig_restore *r, const char *stage) {
  char name[MIG_STAGE_CHARS];
  for (size_t i = 0; i < r->count; i++) {
    mig_stage_name(r, &r->items[i], name);
    if (may_go_on(r, &r->items[i]) && strcmp(name, stage) == 0) return true;
  }
  return false;
}

bool mig_restore_drop_stages(mig_restore *r, mig_error *err) {
  char prefix[STAGE_PREFIX_CHARS];
  char *name = NULL;
  bool ok = true;
  stage_prefix(r, prefix);
  while (ok && (ok = mig_restore_next_left(r, prefix, is_needed, &name, err)) && name) {
    ok = mig_checkpoint(r->w, err) && mig_restore_drop(r, name, err);
    mig_free(name);
  }
  return ok;
}

/* Pre-images come by collMod at the end: nobody wants those of a restore. So do validators on a server that drops the
 * one that create is given; elsewhere only create makes the options exactly as they were (collMod writes down the level
 * and the action even if nobody named them). */
static bool create(mig_restore *r, const mig_restore_item *item, const char *stage, mig_error *err) {
  static const char *const images[] = {"recordPreImages", "changeStreamPreAndPostImages", NULL};
  static const char *const later[] = {
      "recordPreImages", "changeStreamPreAndPostImages", "validator", "validationLevel", "validationAction", NULL};
  bson_t command = BSON_INITIALIZER, options, reply;
  mig_options_of(item->entry->info, &options);
  const bool can_modify = r->w->caps->has[MIG_CAP_COLLMOD] != MIG_NO;
  const bool keeps = mig_caps_has(r->w->caps, MIG_CAP_CREATE_VALIDATOR);
  bson_t *first = mig_options_to_send(&options, !can_modify ? NULL : keeps ? images : later);
  BSON_APPEND_UTF8(&command, "create", stage);
  bool ok = first && bson_concat(&command, first) ? mig_checkpoint(r->w, err) : mig_no_memory(err, "the options");
  if (ok) {
    ok = mig_db_command(r->w->db, MIG_WRITE, &command, &reply, err);
    bson_destroy(&reply);
  }
  bson_destroy(first);
  bson_destroy(&command);
  return ok || mig_fail_at(err, "a collection with the options of %s", item->target);
}

typedef struct loading {
  mig_restore *r;
  mig_restore_item *item;
  const char *stage;
} loading;

/* Old documents need not satisfy the validator, and not every user may bypass it. */
static bool relax(void *arg, mig_error *err) {
  const loading *l = arg;
  bson_t options;
  mig_options_of(l->item->entry->info, &options);
  return !mig_options_has_validator(&options) || mig_validator_off(l->r->w, l->stage, err) ||
         mig_refused(err, &l->item->refused);
}

/* Documents one batch after another, each by itself once the server has refused one. */
static bool load_carefully(mig_archive_cursor *archived, mig_writer *writer, mig_error *err) {
  bson_t doc;
  mig_archive_next next = MIG_ARCHIVE_ERROR;
  bool ok = true;
  while (ok && (next = mig_archive_cursor_next(archived, &doc, err)) == MIG_ARCHIVE_DOC)
    ok = mig_writer_insert(writer, &doc, err);
  return ok && next == MIG_ARCHIVE_END;
}

/* fast: by several connections. *refused: that did not work, and the collection is to be made anew. */
static bool load_by(mig_restore *r, mig_restore_item *item, const char *stage, bool fast, bool *refused,
                    mig_error *err) {
  loading l = {r, item, stage};
  char what[300];
  snprintf(what, sizeof what, "restore %s.%s", mig_db_name(r->w->db), item->target);
  const mig_writer_options options = {.collection = stage,
                                      .relax = relax,
                                      .relax_arg = &l,
                                      .refused = &item->refused,
                                      .what = what,
                                      .total = item->entry->documents};
  mig_archive_cursor *archived = NULL;
  mig_writer *writer = NULL;
  int64_t ignored = 0, written = 0;
  bool ok = mig_writer_open(r->w, &options, &writer, err) &&
            mig_archive_documents(r->archive, item->entry, 0, &archived, err);
  const mig_load loads = {.w = r->w,
                          .collection = stage,
                          .what = what,
                          .total = item->entry->documents,
                          .jobs = r->w->jobs,
                          .later = writer};
  if (ok) ok = fast ? mig_load_run(&loads, archived, &written, refused, err) : load_carefully(archived, writer, err);
  ok = ok && mig_writer_flush(writer, err);
  if (writer) mig_writer_counts(writer, &written, &ignored);
  if (!*refused) r->report->written += written;
  mig_writer_free(writer);
  mig_archive_cursor_close(archived);
  return ok;
}

static bool load(mig_restore *r, mig_restore_item *item, const char *stage, mig_error *err) {
  const bool fast = !item->entry->natural_order && item->entry->chunk_count > 1;
  bool refused = false;
  if (load_by(r, item, stage, fast, &refused, err)) return true;
  if (!refused) return false;
  refused = false;
  return mig_checkpoint(r->w, err) && mig_restore_drop(r, stage, err) && create(r, item, stage, err) &&
         load_by(r, item, stage, false, &refused, err);
}

/* Documents and options. */
static bool fill(mig_restore *r, mig_restore_item *item, const char *name, mig_error *err) {
  return create(r, item, name, err) && load(r, item, name, err) && mig_restore_bring_options(r, item, name, err);
}

bool mig_stage_build(mig_restore *r, mig_restore_item *item, const char *name, mig_error *err) {
  return fill(r, item, name, err) &&
         (r->options->no_indexes || mig_indexes_create(r->w, name, item->entry->indexes, &item->refused, err));
}

/* Can documents be brought into what an interrupted restore has left, so that it becomes what would be made anew? */
static bool fits(const mig_restore *r, const mig_restore_item *left) {
  return left->live && !left->live_is_view && !left->fixed_differ && !left->documents.unsettled &&
         left->documents.same > 0 && (!left->validator_differs || r->w->caps->has[MIG_CAP_COLLMOD] != MIG_NO);
}

/* The stage of a restore that was interrupted: it is compared with the archive like any other collection, and only what
 * is missing or not the same is written. *ready false: there is none that would do, or the server refused documents. */
static bool go_on(mig_restore *r, mig_restore_item *item, const char *stage, bool *ready, mig_error *err) {
  mig_restore_options options = *r->options;
  mig_restore_report report = {0};
  mig_restore here = *r;
  mig_restore_item left = {.entry = item->entry, .target = stage, .is_stage = true};
  *ready = false;
  if (!may_go_on(r, item)) return true;
  options.listener = NULL;
  here.options = &options;
  here.report = &report;
  here.displaced = NULL; /* nobody else's documents are in it */
  bool ok = mig_restore_diff(&here, &left, stage, NULL, err);
  if (ok && fits(r, &left)) {
    mig_say(r->w->observer, MIG_INFO, "%s.%s: %lld documents that an interrupted restore had loaded are there already",
            mig_db_name(r->w->db), item->target, (long long)left.documents.same);
    ok = *ready = mig_restore_delta(&here, &left, err);
    ok = ok || mig_refused(err, NULL); /* it is made anew */
    if (*ready) item->refused = left.refused;
    if (*ready) item->levels_stay = left.levels_stay;
    if (*ready) r->report->written += report.written;
  }
  mig_restore_item_forget(&left);
  return ok;
}

bool mig_stage_make(mig_restore *r, mig_restore_item *item, const char *stage, bool *indexed, mig_error *err) {
  return mig_checkpoint(r->w, err) && go_on(r, item, stage, indexed, err) &&
         (*indexed || (mig_checkpoint(r->w, err) && mig_restore_drop(r, stage, err) && fill(r, item, stage, err)));
}
