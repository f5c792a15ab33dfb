#include <string.h>

#include "backup/restore_parts.h"
#include "base/crash.h"

/* One that is still being built counts: it may become what is wanted. */
static bool wanted(const bson_t *spec, const bson_t *recorded, bool unique_too) {
  static const char *const mark[] = {MIG_INDEX_BUILD, NULL};
  bson_t *built = mig_bson_without(spec, mark);
  const bool is = !built || (mig_index_in(recorded, built) && !(unique_too && mig_index_is_unique(built)));
  bson_destroy(built);
  return is;
}

static int64_t not_in(const bson_t *these, const bson_t *those) {
  bson_iter_t it;
  bson_t spec;
  int64_t count = 0;
  if (!these || !bson_iter_init(&it, these)) return 0;
  while (bson_iter_next(&it))
    if (mig_bson_iter_doc(&it, &spec) && !mig_index_is_own(&spec) && !mig_index_in(those, &spec)) count++;
  return count;
}

int64_t mig_indexes_differing(const bson_t *live, const bson_t *recorded) {
  bson_iter_t it;
  bson_t spec, other;
  const char *name = NULL;
  int64_t count = not_in(recorded, live); /* to be created or rebuilt */
  if (!live || !bson_iter_init(&it, live)) return count;
  while (bson_iter_next(&it)) /* to be dropped */
    if (mig_bson_iter_doc(&it, &spec) && !mig_index_is_own(&spec) && mig_index_name(&spec, &name) &&
        !mig_index_find(recorded, name, &other))
      count++;
  return count;
}

static bool drop_one(mig_work *w, const char *collection, const bson_t *spec, bool again, mig_error *err) {
  const char *name = NULL;
  if (!mig_index_name(spec, &name))
    return mig_fail(err, MIG_E_SERVER, "%s.%s has an index without a name", mig_db_name(w->db), collection);
  char *json = again ? NULL : mig_bson_json(spec);
  if (!again)
    mig_say(w->observer, MIG_INFO, "restore %s.%s: drops the index %s", mig_db_name(w->db), collection,
            json ? json : name);
  mig_free(json);
  bson_t command = BSON_INITIALIZER, reply;
  BSON_APPEND_UTF8(&command, "dropIndexes", collection);
  BSON_APPEND_UTF8(&command, "index", name);
  const bool ok = mig_db_command(w->db, MIG_WRITE, &command, &reply, err);
  bson_destroy(&reply);
  bson_destroy(&command);
  return ok || mig_fail_at(err, "index %s", name);
}

/* That it is not there is believed when it is no longer listed. */
static bool may_go_yet(const mig_error *err) {
  return err->code == MIG_E_SERVER &&
         (err->server_code == MIG_SERVER_BUILDS_INDEX || err->server_code == MIG_SERVER_NO_INDEX);
}

/* *left: was there something to be tried again, and is there; then *err says why. The others are gone. */
static bool drop_listed(mig_work *w, const mig_restore_item *item, const bson_t *live, bool unique_too, bool *left,
                        mig_error *err) {
  const bool again = *left;
  bson_iter_t it;
  bson_t spec;
  mig_error last;
  *left = false;
  if (!live || !bson_iter_init(&it, live)) return true;
  while (bson_iter_next(&it)) {
    if (!mig_bson_iter_doc(&it, &spec) || mig_index_is_own(&spec) || wanted(&spec, item->entry->indexes, unique_too))
      continue;
    if (!mig_checkpoint(w, err)) return false;
    if (drop_one(w, item->target, &spec, again, err)) continue;
    if (!may_go_yet(err)) return false;
    *left = true;
    last = *err;
  }
  if (*left) *err = last;
  return true;
}

bool mig_indexes_drop(mig_work *w, mig_restore_item *item, const bson_t *live, bool unique_too, mig_error *err) {
  bool left = false;
  bool ok = drop_listed(w, item, live, unique_too, &left, err);
  for (bool first = true; ok && left; first = false) { /* once more at once: the last drop may have ended the build */
    bson_t now;
    if (!first && !mig_restore_wait_build(w, item, err)) return mig_refused(err, &item->refused);
    ok = mig_db_indexes_marked(w->db, item->target, &now, err) && drop_listed(w, item, &now, unique_too, &left, err);
    bson_destroy(&now);
  }
  return ok;
}

/* A text index is listed with the key {_fts: "text", _ftsx: 1}. MongoDB takes that back, but others make a different
 * index of it, so it is sent as it was first given: each field of "weights" as "text". */
static void append_key(bson_t *spec, const bson_t *listed) {
  bson_iter_t it, field;
  bson_t key, out, weights;
  if (!mig_bson_doc(listed, "key", &key) || !bson_iter_init(&it, &key)) return;
  BSON_APPEND_DOCUMENT_BEGIN(spec, "key", &out);
  while (bson_iter_next(&it)) {
    if (strcmp(bson_iter_key(&it), "_ftsx") == 0) continue;
    if (strcmp(bson_iter_key(&it), "_fts") != 0)
      bson_append_iter(&out, NULL, 0, &it);
    else if (mig_bson_doc(listed, "weights", &weights) && bson_iter_init(&field, &weights))
      while (bson_iter_next(&field)) BSON_APPEND_UTF8(&out, bson_iter_key(&field), "text");
  }
  bson_append_document_end(spec, &out);
}

/* Servers do not list a simple collation, and give an index without one that of its collection. */
static void append_simple(bson_t *spec) {
  bson_t collation;
  if (bson_has_field(spec, "collation")) return;
  BSON_APPEND_DOCUMENT_BEGIN(spec, "collation", &collation);
  BSON_APPEND_UTF8(&collation, "locale", "simple");
  bson_append_document_end(spec, &collation);
}

static bson_t *spec_to_send(const bson_t *listed, bool collated) {
  static const char *const skip[] = {"ns", NULL}, *const skip_key[] = {"ns", "key", NULL};
  bson_iter_t it;
  bson_t key;
  const bool text = mig_bson_doc(listed, "key", &key) && bson_iter_init_find(&it, &key, "_fts") &&
                    bson_iter_init_find(&it, listed, "weights");
  bson_t *spec = mig_bson_without(listed, text ? skip_key : skip);
  if (spec && text) append_key(spec, listed);
  if (spec && collated) append_simple(spec);
  return spec;
}

static bool is_collated(mig_work *w, const char *collection, bool *collated, mig_error *err) {
  *collated = false;
  if (!mig_caps_has(w->caps, MIG_CAP_COLLATION)) return true; /* it may list one, and refuse another */
  return mig_db_has_option(w->db, collection, "options.collation", collated, err);
}

/* An array of what is recorded and not there, as it is sent. */
static bool missing_of(mig_work *w, const char *collection, const bson_t *recorded, bson_t *out, uint32_t *count,
                       mig_error *err) {
  bson_iter_t it;
  bson_t live, spec;
  char buffer[16];
  const char *key = NULL;
  bool collated = false;
  bson_init(out);
  *count = 0;
  bool ok = mig_db_indexes_marked(w->db, collection, &live, err);
  if (ok && mig_indexes_differing(&live, recorded)) ok = is_collated(w, collection, &collated, err);
  if (ok && recorded && bson_iter_init(&it, recorded)) {
    while (ok && bson_iter_next(&it)) {
      if (!mig_bson_iter_doc(&it, &spec) || mig_index_is_own(&spec) || mig_index_in(&live, &spec)) continue;
      bson_t *sent = spec_to_send(&spec, collated);
      bson_uint32_to_string((*count)++, &key, buffer, sizeof buffer);
      ok = (sent && BSON_APPEND_DOCUMENT(out, key, sent)) || mig_no_memory(err, "an index");
      bson_destroy(sent);
    }
  }
  bson_destroy(&live);
  return ok;
}

static bool send(mig_work *w, const char *collection, const bson_t *specs, mig_error *err) {
  bson_t command = BSON_INITIALIZER, reply;
  if (!mig_checkpoint(w, err)) return false;
  BSON_APPEND_UTF8(&command, "createIndexes", collection);
  BSON_APPEND_ARRAY(&command, "indexes", specs);
  const bool ok = mig_create_indexes(w, &command, &reply, err);
  bson_destroy(&reply);
  bson_destroy(&command);
  return ok;
}

static bool create_one(mig_work *w, const char *collection, const bson_t *spec, mig_error *err) {
  bson_t alone = BSON_INITIALIZER;
  const char *name = "?";
  mig_index_name(spec, &name);
  BSON_APPEND_DOCUMENT(&alone, "0", spec);
  const bool ok = send(w, collection, &alone, err);
  bson_destroy(&alone);
  if (!ok) return mig_fail_at(err, "index %s", name);
  mig_crash_point(MIG_CRASH_RESTORE_INDEX);
  return true;
}

static bool create_each(mig_work *w, const char *collection, const bson_t *specs, mig_error *refused, mig_error *err) {
  bson_iter_t it;
  bson_t spec;
  if (!bson_iter_init(&it, specs)) return true;
  while (bson_iter_next(&it))
    if (mig_bson_iter_doc(&it, &spec) && !create_one(w, collection, &spec, err) && !mig_refused(err, refused))
      return false;
  return true;
}

/* All by one command, for which a server reads the documents once; each by itself when it does not take them all. */
bool mig_indexes_create(mig_work *w, const char *collection, const bson_t *recorded, mig_error *refused,
                        mig_error *err) {
  bson_t specs;
  uint32_t count = 0;
  bool ok = missing_of(w, collection, recorded, &specs, &count, err);
  if (ok && count > 1) {
    if (send(w, collection, &specs, err)) {
      mig_crash_point(MIG_CRASH_RESTORE_INDEX);
      count = 0;
    } else if ((ok = mig_refused(err, NULL))) {
      bson_destroy(&specs);
      ok = missing_of(w, collection, recorded, &specs, &count, err);
    }
  }
  ok = ok && (count == 0 || create_each(w, collection, &specs, refused, err));
  bson_destroy(&specs);
  return ok;
}

bool mig_refused(const mig_error *err, mig_error *keep_first) {
  /* not allowed, not authenticated, no majority: another way of writing won't help, nor while the primary is away */
  static const int32_t final_codes[] = {13, 18, 64, 100, 8000};
  if (!err || err->code != MIG_E_SERVER || mig_db_passing(err)) return false;
  for (size_t i = 0; i < sizeof final_codes / sizeof *final_codes; i++)
    if (err->server_code == final_codes[i]) return false;
  if (keep_first && keep_first->code == MIG_OK) *keep_first = *err;
  return true;
}
