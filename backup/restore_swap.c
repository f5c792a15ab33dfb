#include <stdio.h>
#include <string.h>

#include "backup/restore_parts.h"
#include "backup/restore_stage.h"
#include "base/crash.h"

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
  if (err->server_code == MIG_SERVER_NAMESPACE_EXISTS) return !r->options->beside && mig_restore_drop(r, stage, err);
  /* some servers do not rename to every name they have */
  mig_say(r->w->observer, MIG_INFO, "%s: %s; it is built in its place", err->what, err->why);
  return mig_stage_build(r, item, name, err) && mig_restore_drop(r, stage, err);
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

/* The next run goes on with it, and with a lost lease nothing more may be written. */
static bool leaves_stage(const mig_error *err) {
  return mig_db_passing(err) || err->code == MIG_E_INTERRUPTED || err->code == MIG_E_LEASE;
}

bool mig_restore_swap(mig_restore *r, mig_restore_item *item, mig_error *err) {
  char stage[MIG_STAGE_CHARS];
  bool done = false, indexed = false;
  mig_stage_name(r, item, stage);
  bool ok = mig_stage_make(r, item, stage, &indexed, err) && mig_stage_check(r, item, stage, indexed, err) &&
            mig_checkpoint(r->w, err);
  if (ok) mig_crash_point(MIG_CRASH_RESTORE_STAGED);
  ok = ok && replace(r, item, stage, &done, err);
  if (ok && done)
    r->report->removed += item->documents.extra;
  else {
    mig_error ignored; /* a stage that stays is found by the next run */
    if (ok || !leaves_stage(err)) mig_restore_drop(r, stage, &ignored);
  }
  return ok;
}
