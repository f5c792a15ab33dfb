#include <string.h>

#include "backup/restore_parts.h"
#include "base/crash.h"

static bool run(mig_work *w, bson_t *command, mig_error *err) {
  bson_t reply;
  const bool ok = mig_db_command(w->db, MIG_WRITE, command, &reply, err);
  bson_destroy(&reply);
  return ok;
}

static bool set_validator(mig_work *w, const char *collection, const bson_t *options, const char *otherwise,
                          mig_error *err) {
  static const uint8_t empty[] = {5, 0, 0, 0, 0};
  bson_t command = BSON_INITIALIZER, validator;
  const char *level = otherwise, *action = "error";
  if (!options || !mig_bson_doc(options, "validator", &validator)) bson_init_static(&validator, empty, sizeof empty);
  if (options) mig_bson_str(options, "validationLevel", &level);
  if (options) mig_bson_str(options, "validationAction", &action);
  BSON_APPEND_UTF8(&command, "collMod", collection);
  BSON_APPEND_DOCUMENT(&command, "validator", &validator);
  BSON_APPEND_UTF8(&command, "validationLevel", level);
  BSON_APPEND_UTF8(&command, "validationAction", action);
  const bool ok = run(w, &command, err);
  bson_destroy(&command);
  return ok;
}

/* The two ways to ask for pre-images exclude each other: what is to be off goes first. */
static bool set_images(mig_work *w, const char *collection, const char *option, bool enabled, mig_error *err) {
  bson_t command = BSON_INITIALIZER, value;
  BSON_APPEND_UTF8(&command, "collMod", collection);
  if (strcmp(option, "recordPreImages") == 0)
    BSON_APPEND_BOOL(&command, option, enabled);
  else {
    BSON_APPEND_DOCUMENT_BEGIN(&command, option, &value);
    BSON_APPEND_BOOL(&value, "enabled", enabled);
    bson_append_document_end(&command, &value);
  }
  const bool ok = run(w, &command, err);
  bson_destroy(&command);
  return ok;
}

static bool bring_images(mig_work *w, const char *collection, const bson_t *recorded, const bson_t *live,
                         mig_error *err) {
  static const char *const options[] = {"recordPreImages", "changeStreamPreAndPostImages"};
  static const char *const paths[] = {"recordPreImages", "changeStreamPreAndPostImages.enabled"};
  for (int pass = 0; pass < 2; pass++) {
    for (size_t i = 0; i < 2; i++) {
      bool want = false, has = false;
      mig_bson_bool(recorded, paths[i], &want);
      mig_bson_bool(live, paths[i], &has);
      if (want != has && want == (pass == 1) && !set_images(w, collection, options[i], want, err)) return false;
    }
  }
  return true;
}

bool mig_options_bring(mig_work *w, const char *collection, const bson_t *recorded, const bson_t *live,
                       mig_error *err) {
  if (!mig_checkpoint(w, err)) return false;
  if (!mig_options_validator_same(recorded, live) && !set_validator(w, collection, recorded, "strict", err))
    return false;
  const bool ok = mig_options_images_same(recorded, live) || bring_images(w, collection, recorded, live, err);
  if (ok) mig_crash_point(MIG_CRASH_RESTORE_OPTIONS);
  return ok;
}

static bool read_options(mig_restore *r, const char *name, bson_t *info, bson_t *view, bool *there, mig_error *err) {
  const bool ok = mig_db_collection_info(r->w->db, name, info, there, err);
  mig_options_of(info, view);
  return ok;
}

static bool only_levels_differ(const bson_t *recorded, const bson_t *live) {
  return mig_options_only_levels(recorded, live) && mig_options_images_same(recorded, live);
}

/* A restore must not fail for ever over what this server does not keep, or this user may not set. */
static void leave_levels(mig_restore *r, mig_restore_item *item, const char *why) {
  item->levels_stay = true;
  mig_say(r->w->observer, MIG_WARNING,
          "%s.%s: validationLevel and validationAction, without a validator, are not as they were: %s",
          mig_db_name(r->w->db), item->target, why);
}

/* An index is being built, or the collection is locked: the next round may find it otherwise. */
static bool is_busy(const mig_error *e) {
  static const int32_t codes[] = {24, 112, 117, MIG_SERVER_BUILDS_INDEX};
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
    if (e->server_code == codes[i]) return true;
  return false;
}

static bool bring(mig_restore *r, mig_restore_item *item, const char *name, const bson_t *recorded, const bson_t *live,
                  mig_error *err) {
  bool ok = false;
  do ok = mig_options_bring(r->w, name, recorded, live, err);
  while (!ok && mig_restore_try_again(r->w, item, err));
  return ok;
}

static bool bring_levels(mig_restore *r, mig_restore_item *item, const char *name, const bson_t *recorded,
                         const bson_t *live, mig_error *err) {
  bson_t info, now;
  bool there = false;
  mig_error local = {0};
  if (!bring(r, item, name, recorded, live, &local)) {
    const bool refused =
        mig_refused(&local, NULL) || (local.code == MIG_E_SERVER && local.server_code == MIG_SERVER_UNAUTHORIZED);
    if (refused && !(is_busy(&local) && r->round + 1 < MIG_RESTORE_ROUNDS))
      leave_levels(r, item, local.why[0] ? local.why : local.what);
    if (!refused && err) *err = local;
    return refused;
  }
  const bool ok = read_options(r, name, &info, &now, &there, err);
  if (ok && there && only_levels_differ(recorded, &now)) leave_levels(r, item, "the server does not keep them");
  bson_destroy(&info);
  return ok;
}

bool mig_restore_bring_options(mig_restore *r, mig_restore_item *item, const char *name, mig_error *err) {
  bson_t info, live, recorded;
  bool there = false;
  bool ok = read_options(r, name, &info, &live, &there, err);
  mig_options_of(item->entry->info, &recorded);
  if (ok && there)
    ok = only_levels_differ(&recorded, &live)
             ? item->levels_stay || bring_levels(r, item, name, &recorded, &live, err)
             : bring(r, item, name, &recorded, &live, err) || mig_refused(err, &item->refused);
  bson_destroy(&info);
  return ok;
}

bool mig_validator_off(mig_work *w, const char *collection, mig_error *err) {
  return set_validator(w, collection, NULL, "off", err);
}

bool mig_restore_drop(mig_restore *r, const char *collection, mig_error *err) {
  bson_t command = BSON_INITIALIZER;
  BSON_APPEND_UTF8(&command, "drop", collection);
  const bool ok = run(r->w, &command, err) || (err && err->server_code == MIG_SERVER_NO_NAMESPACE);
  bson_destroy(&command);
  if (ok) mig_crash_point(MIG_CRASH_RESTORE_DROPPED);
  return ok;
}

bool mig_restore_next_left(mig_restore *r, const char *prefix, bool (*stays)(const mig_restore *, const char *),
                           char **name, mig_error *err) {
  mig_cursor *c = NULL;
  const bson_t *doc = NULL;
  const char *found = NULL;
  mig_next next = MIG_NEXT_ERROR;
  *name = NULL;
  if (!mig_db_collections(r->w->db, NULL, &c, err)) return false;
  bool ok = true;
  while (ok && !*name && (next = mig_cursor_next(c, &doc, err)) == MIG_NEXT_DOC)
    if (mig_bson_str(doc, "name", &found) && strncmp(found, prefix, strlen(prefix)) == 0 && !(stays && stays(r, found)))
      ok = (*name = mig_strdup(found)) || mig_no_memory(err, "name of a collection");
  mig_cursor_close(c);
  return ok && next != MIG_NEXT_ERROR;
}

bool mig_restore_view(mig_restore *r, mig_restore_item *item, mig_error *err) {
  bson_t command = BSON_INITIALIZER, options;
  mig_options_of(item->entry->info, &options);
  bson_t *sent = mig_options_to_send(&options, NULL);
  BSON_APPEND_UTF8(&command, "create", item->target);
  bool ok = (sent && bson_concat(&command, sent)) || mig_no_memory(err, "a view's definition");
  ok = ok && run(r->w, &command, err);
  bson_destroy(sent);
  bson_destroy(&command);
  return ok;
}
