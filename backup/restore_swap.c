#include <stdio.h>
#include <string.h>

#include "backup/restore_load.h"
#include "backup/restore_parts.h"
#include "base/crash.h"

#define STAGE_PREFIX_CHARS 32
#define NAMESPACE_EXISTS   48

static void stage_prefix(const mig_restore *r, char prefix[static STAGE_PREFIX_CHARS]) {
  snprintf(prefix, STAGE_PREFIX_CHARS, "migstage_%.8s_", mig_archive_contents(r->archive)->digest);
}

static bool next_stage(mig_restore *r, const char *prefix, char **name, mig_error *err) {
  mig_cursor *c = NULL;
  const bson_t *doc = NULL;
  const char *found = NULL;
  mig_next next = MIG_NEXT_ERROR;
  *name = NULL;
  if (!mig_db_collections(r->w->db, NULL, &c, err)) return false;
  while (!*name && (next = mig_cursor_next(c, &doc, err)) == MIG_NEXT_DOC)
    if (mig_bson_str(doc, "name", &found) && strncmp(found, prefix, strlen(prefix)) == 0) *name = mig_strdup(found);
  mig_cursor_close(c);
  return next != MIG_NEXT_ERROR;
}

bool mig_restore_drop_stages(mig_restore *r, mig_error *err) {
  char prefix[STAGE_PREFIX_CHARS];
  char *name = NULL;
  bool ok = true;
  stage_prefix(r, prefix);
  while (ok && (ok = next_stage(r, prefix, &name, err)) && name) {
    ok = mig_checkpoint(r->w, err) && mig_restore_drop(r, name, err);
    mig_free(name);
  }
  return ok;
}

/* Pre-images come by collMod at the end: nobody wants those of a restore. So do validators on a server that drops the
 * one that create is given; elsewhere only create makes the options exactly as they were (collMod writes down the level
 * and the action even if nobody named them). */
static bool create(mig_restore *r, const mig_restore_item *item, const char *stage, mig_error *err) {
  static const char *const never[] = {"uuid", "writeConcern", "autoIndexId", NULL};
  static const char *const later[] = {"uuid",
                                      "writeConcern",
                                      "autoIndexId",
                                      "recordPreImages",
                                      "changeStreamPreAndPostImages",
                                      "validator",
                                      "validationLevel",
                                      "validationAction",
                                      NULL};
  static const char *const images[] = {
      "uuid", "writeConcern", "autoIndexId", "recordPreImages", "changeStreamPreAndPostImages", NULL};
  bson_t command = BSON_INITIALIZER, options, reply;
  mig_options_of(item->entry->info, &options);
  const bool can_modify = r->w->caps->has[MIG_CAP_COLLMOD] != MIG_NO;
  const bool keeps = mig_caps_has(r->w->caps, MIG_CAP_CREATE_VALIDATOR);
  bson_t *first = mig_bson_without(&options, !can_modify ? never : keeps ? images : later);
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

static bool bring_options(mig_restore *r, mig_restore_item *item, const char *stage, mig_error *err) {
  bson_t info, live, recorded;
  bool there = false;
  bool ok = mig_db_collection_info(r->w->db, stage, &info, &there, err);
  if (ok) {
    mig_options_of(&info, &live);
    mig_options_of(item->entry->info, &recorded);
    ok = mig_options_bring(r->w, stage, &recorded, &live, err) || mig_refused(err, &item->refused);
  }
  bson_destroy(&info);
  return ok;
}

/* The same comparison as for the collection itself: only an exact copy may take its place. */
static bool check_stage(mig_restore *r, const mig_restore_item *item, const char *stage, mig_error *err) {
  mig_restore_item copy = {
      .entry = item->entry, .target = item->target, .is_view = item->is_view, .refused = item->refused};
  mig_restore judge = *r;
  judge.round = MIG_RESTORE_ROUNDS; /* doubt is settled by look-ups */
  bool ok = mig_restore_diff(&judge, &copy, stage, NULL, err);
  if (ok && mig_restore_item_differs(&copy)) {
    ok = mig_restore_item_fail(r, &copy, "in a new collection; the old one was left alone", err);
    mig_hint(err, "this server cannot hold the collection exactly; restore it on the kind of server it was taken from");
  }
  mig_restore_item_forget(&copy);
  return ok;
}

/* A whole collection under this name, from the archive. */
static bool build(mig_restore *r, mig_restore_item *item, const char *name, mig_error *err) {
  return create(r, item, name, err) && load(r, item, name, err) && bring_options(r, item, name, err) &&
         (r->options->no_indexes || mig_indexes_create(r->w, name, item->entry->indexes, &item->refused, err));
}

bool mig_restore_rename(mig_restore *r, const char *stage, const char *name, bool drop_target, mig_error *err) {
  const char *database = mig_db_name(r->w->db);
  bson_t command = BSON_INITIALIZER, reply;
  char *from = mig_strdup_printf("%s.%s", database, stage), *to = mig_strdup_printf("%s.%s", database, name);
  bool ok = (from && to) || mig_no_memory(err, "a name");
  if (ok) {
    BSON_APPEND_UTF8(&command, "renameCollection", from);
    BSON_APPEND_UTF8(&command, "to", to);
    BSON_APPEND_BOOL(&command, "dropTarget", drop_target);
    ok = mig_db_admin(r->w->db, &command, &reply, err);
    bson_destroy(&reply);
    if (!ok && mig_refused(err, NULL)) { /* some servers take it only on the database itself */
      ok = mig_db_command(r->w->db, MIG_WRITE, &command, &reply, NULL);
      bson_destroy(&reply);
    }
  }
  bson_destroy(&command);
  mig_free(from);
  mig_free(to);
  return ok;
}

/* Only to save a look: where it is not told, it is not used. */
static bool stage_uuid(mig_restore *r, const char *stage, uint8_t uuid[static MIG_UUID_BYTES]) {
  bson_t info;
  bool there = false;
  mig_error ignored;
  const bool has =
      mig_db_collection_info(r->w->db, stage, &info, &there, &ignored) && there && mig_restore_uuid(&info, uuid);
  bson_destroy(&info);
  return has;
}

/* The staging collection has shown that this server can hold an exact copy; now it takes the place that is free. Killed
 * before, the collection is missing: run again, it is made from the archive. */
static bool take_place(mig_restore *r, mig_restore_item *item, const char *stage, bool drop_target, mig_error *err) {
  const char *name = item->target;
  item->placed = false;
  const bool has_uuid = stage_uuid(r, stage, item->placed_uuid);
  if (mig_restore_rename(r, stage, name, drop_target, err)) {
    item->placed = has_uuid;
    mig_crash_point(MIG_CRASH_RESTORE_RENAMED);
    return true;
  }
  if (!mig_refused(err, NULL)) return false;
  /* others made the collection meanwhile: the next round looks at theirs */
  if (err->server_code == NAMESPACE_EXISTS) return mig_restore_drop(r, stage, err);
  /* some servers do not rename to every name they have */
  mig_say(r->w->observer, MIG_INFO, "%s: %s; it is built in its place", err->what, err->why);
  return build(r, item, name, err) && mig_restore_drop(r, stage, err);
}

/* Where nothing that goes is to be kept, one command does it: then the collection is never missing. */
static bool replace(mig_restore *r, mig_restore_item *item, const char *stage, bool *done, mig_error *err) {
  const bool at_once =
      !r->displaced && item->live && !item->live_is_view && r->w->caps->has[MIG_CAP_RENAME_DROP_TARGET] == MIG_YES;
  *done = true;
  if (at_once) return take_place(r, item, stage, true, err);
  if (!mig_restore_take_away(r, item, done, err)) return false;
  if (!*done) return true;
  return take_place(r, item, stage, false, err) && mig_restore_settle_aside(r, item, err);
}

bool mig_restore_swap(mig_restore *r, mig_restore_item *item, mig_error *err) {
  char stage[STAGE_PREFIX_CHARS + 24];
  bool done = false;
  stage_prefix(r, stage);
  const size_t used = strlen(stage);
  snprintf(stage + used, sizeof stage - used, "%zu", (size_t)(item - r->items));
  bool ok = mig_checkpoint(r->w, err) && mig_restore_drop(r, stage, err) && build(r, item, stage, err) &&
            check_stage(r, item, stage, err) && mig_checkpoint(r->w, err);
  if (ok) mig_crash_point(MIG_CRASH_RESTORE_STAGED);
  ok = ok && replace(r, item, stage, &done, err);
  if (ok && done)
    r->report->removed += item->documents.extra;
  else {
    mig_error ignored; /* a stage that stays is dropped by the next run */
    if (ok || !err->network) mig_restore_drop(r, stage, &ignored);
  }
  return ok;
}
