#include <stdio.h>
#include <string.h>

#include "validators/index_spec.h"
#include "validators/query.h"

typedef struct plan {
  mig_index_wish wish;
  bson_t key, options, collation; /* views */
  char name[MIG_INDEX_NAME];
} plan;

static void plan_of(const bson_t *args, const bson_t *info, plan *p) {
  const char *name = NULL;
  bool has_options = mig_bson_doc(args, "options", &p->options);
  if (!mig_bson_doc(args, "key", &p->key)) bson_init(&p->key); /* checked before: it is there */
  p->wish = (mig_index_wish){.key = &p->key, .options = has_options ? &p->options : NULL, .collation = NULL};
  bool collated = (has_options && mig_bson_doc(&p->options, "collation", &p->collation)) ||
                  mig_bson_doc(info, "options.collation", &p->collation);
  if (collated) p->wish.collation = &p->collation;
  if (mig_bson_str(args, "name", &name) || (has_options && mig_bson_str(&p->options, "name", &name)))
    snprintf(p->name, sizeof p->name, "%s", name);
  else
    mig_index_default_name(&p->key, p->name, sizeof p->name);
}

static bool refuse_same_name(const char *collection, const plan *p, const bson_t *index, const char *option,
                             mig_guard_result *out) {
  char there[300], have[120], want[120];
  mig_index_describe(index, there, sizeof there);
  mig_guard_hint(out, "give the new index another name, or drop %s first", p->name);
  if (strcmp(option, "key") == 0) {
    mig_guard_json(&p->key, want, sizeof want);
    return mig_guard_refuse(out, "%s has an index %s: the name is taken, and its key is not %s", collection, there,
                            want);
  }
  mig_index_option(index, option, have, sizeof have);
  mig_index_option(strcmp(option, "collation") == 0 ? NULL : p->wish.options, option, want, sizeof want);
  if (strcmp(option, "collation") == 0 && p->wish.collation) mig_guard_json(p->wish.collation, want, sizeof want);
  return mig_guard_refuse(out, "%s has an index %s with another %s: %s instead of %s", collection, there, option, have,
                          want);
}

static bool refuse_same_key(const char *collection, const plan *p, const bson_t *index, const char *option,
                            mig_guard_result *out) {
  char there[300];
  mig_index_describe(index, there, sizeof there);
  mig_guard_hint(out, "use the index that is there, or drop it first");
  if (!option)
    return mig_guard_refuse(out, "%s has this index already under another name: %s instead of %s", collection, there,
                            p->name);
  return mig_guard_refuse(out, "%s has an index of the same key with another %s: %s", collection, option, there);
}

/* *done: nothing more needs to be looked at. */
static void look_at(const mig_guard_env *env, const char *collection, const plan *p, const bson_t *index,
                    mig_guard_result *out, bool *done) {
  const char *name = "", *option = NULL;
  bson_t key;
  mig_index_match match = mig_index_compare(index, &p->wish, &option);
  mig_bson_str(index, "name", &name);
  *done = true;
  if (strcmp(name, p->name) == 0) {
    if (match != MIG_INDEX_SAME) refuse_same_name(collection, p, index, option, out);
  } else if (match == MIG_INDEX_SAME || match == MIG_INDEX_OTHER_OPTIONS) {
    refuse_same_key(collection, p, index, option, out);
  } else if (mig_index_is_text(&p->key) && mig_bson_doc(index, "key", &key) && mig_index_is_text(&key)) {
    mig_guard_hint(out, "drop %s first", name);
    mig_guard_refuse(out, "%s has a text index already, %s, and can have only one", collection, name);
  } else {
    *done = false;
    if (match == MIG_INDEX_OTHER_SIGNATURE)
      mig_say(env->work->observer, MIG_WARNING,
              "%s has an index %s of the same key with another %s: MongoDB before 5.0 will refuse a second one",
              collection, name, option);
  }
}

/* The index of the same name decides, wherever in the list it stands. */
static void look_at_all(const mig_guard_env *env, const char *collection, const plan *p, const bson_t *indexes,
                        mig_guard_result *out) {
  bson_iter_t it;
  bson_t index;
  bool done = false;
  for (int named = 1; named >= 0 && !done; named--) {
    if (!bson_iter_init(&it, indexes)) return;
    while (!done && bson_iter_next(&it)) {
      const char *name = "";
      if (!mig_bson_iter_doc(&it, &index)) continue;
      mig_bson_str(&index, "name", &name);
      if ((strcmp(name, p->name) == 0) == (named == 1)) look_at(env, collection, p, &index, out, &done);
    }
  }
}

static bool run(const mig_guard_env *env, const bson_t *args, mig_guard_result *out, mig_error *err) {
  const char *collection = "", *type = "";
  bson_t info, indexes = BSON_INITIALIZER;
  bool found = false;
  mig_bson_str(args, "collection", &collection);
  bool ok = mig_db_collection_info(env->work->db, collection, &info, &found, err);
  if (ok && found && mig_bson_str(&info, "type", &type) && strcmp(type, "view") == 0) {
    mig_guard_refuse(out, "%s is a view and cannot have indexes", collection);
  } else if (ok && found) {
    bson_destroy(&indexes);
    ok = mig_db_indexes(env->work->db, collection, &indexes, err);
    plan p;
    plan_of(args, &info, &p);
    if (ok) look_at_all(env, collection, &p, &indexes, out);
  }
  bson_destroy(&indexes);
  bson_destroy(&info);
  return ok;
}

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "that will get the index"},
    {"key", MIG_ARG_KEY, true, "its key"},
    {"name", MIG_ARG_STRING, false, "its name; without one it is made from the key (email_1)"},
    {"options", MIG_ARG_DOCUMENT, false, "its options: unique, sparse, collation ..."},
    {0},
};

const mig_guard_def mig_guard_no_index_conflict = {
    .name = "noIndexConflict",
    .help = "no other index stands in the way of this one, by its name, key or options; holds when it is there already",
    .args = args,
    .run = run,
    .example =
        "{\"noIndexConflict\": {\"collection\": \"users\", \"key\": {\"email\": 1}, \"options\": {\"unique\": true}}}",
};
