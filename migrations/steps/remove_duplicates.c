/*
 * Of documents that are equal in all the fields one is kept. Values are compared whole, an array as a whole too, by the
 * server: 1 and 1.0 are equal. Documents without any value in the fields are left alone unless includeMissing says
 * otherwise: they are equal in nothing but that they say nothing.
 *
 * The server tells the groups (_ids only, in any order: not every server keeps a sort through $group), then which of a
 * group comes first; the others are removed if they still have the value that was read.
 */
#include <stdio.h>
#include <string.h>

#include "migrations/steps/common.h"
#include "migrations/steps/groups.h"

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "collection to clean"},
    {"fields", MIG_ARG_FIELDS, true, "documents that are equal in all of these are duplicates"},
    {"keep", MIG_ARG_ANY, true,
     "which one stays: \"first\" or \"last\" by _id, or {\"sort\": {\"updatedAt\": -1}}: the first in that order"},
    {"filter", MIG_ARG_DOCUMENT, false, "only among the documents that match"},
    {"includeMissing", MIG_ARG_BOOL, false,
     "also documents that have none of the fields, or only null in them, are duplicates of each other"},
    {0},
};

static bool refuse_keep(mig_error *err, const char *path) {
  mig_step_refuse(err, path, "\"keep\" is \"first\", \"last\" or {\"sort\": {\"field\": 1 or -1, ...}}");
  return mig_hint(err, "\"keep\": {\"sort\": {\"updatedAt\": -1}} keeps the one that was changed last");
}

static bool check_keep(const mig_step *step, mig_error *err) {
  const char *text = NULL;
  bson_t keep, sort;
  bson_iter_t it;
  if (mig_bson_str(step->args, "keep", &text))
    return strcmp(text, "first") == 0 || strcmp(text, "last") == 0 || refuse_keep(err, "keep");
  if (!mig_bson_doc(step->args, "keep", &keep) || bson_count_keys(&keep) != 1 || !mig_bson_doc(&keep, "sort", &sort) ||
      bson_empty(&sort) || !bson_iter_init(&it, &sort))
    return refuse_keep(err, "keep");
  while (bson_iter_next(&it)) {
    const char *field = bson_iter_key(&it);
    bool number = BSON_ITER_HOLDS_INT32(&it) || BSON_ITER_HOLDS_INT64(&it) || BSON_ITER_HOLDS_DOUBLE(&it);
    int64_t n = number ? bson_iter_as_int64(&it) : 0;
    if (!*field || *field == '$' || (n != 1 && n != -1)) return refuse_keep(err, "keep.sort");
  }
  return true;
}

static bool check(const mig_step *step, mig_error *err) {
  bson_t fields;
  bson_iter_t it, other;
  mig_step_doc(step, "fields", &fields);
  if (bson_count_keys(&fields) > MIG_GROUP_FIELDS)
    return mig_step_refuse(err, "fields", "at most %d fields can be compared", MIG_GROUP_FIELDS);
  if (!bson_iter_init(&it, &fields)) return true;
  while (bson_iter_next(&it)) {
    other = it;
    while (bson_iter_next(&other))
      if (strcmp(bson_iter_utf8(&it, NULL), bson_iter_utf8(&other, NULL)) == 0)
        return mig_step_refuse(err, "fields", "\"%.100s\" stands there twice", bson_iter_utf8(&it, NULL));
    if (strcmp(bson_iter_utf8(&it, NULL), "_id") == 0)
      return mig_step_refuse(err, "fields", "no two documents have the same _id");
  }
  return check_keep(step, err);
}

static bool estimate(const mig_step *step, mig_work *w, int64_t *documents, mig_error *err) {
  mig_group_sizes sizes;
  if (!mig_group_measure(step, w, &sizes, err)) return false;
  *documents = sizes.superfluous;
  return true;
}

/* The order in which the first one is kept; _id decides where that leaves it open. */
static bson_t *keep_order(const mig_step *step) {
  const char *text = NULL;
  bson_t sort, *out = bson_new();
  if (mig_bson_str(step->args, "keep", &text)) {
    BSON_APPEND_INT32(out, "_id", strcmp(text, "last") == 0 ? -1 : 1);
    return out;
  }
  if (mig_bson_doc(step->args, "keep.sort", &sort)) bson_concat(out, &sort);
  if (!bson_has_field(out, "_id")) BSON_APPEND_INT32(out, "_id", 1);
  return out;
}

typedef struct removal {
  const mig_step *step;
  mig_work *w;
  mig_writes *out;
  int64_t groups, removed, total;
  char what[300]; /* for progress */
} removal;

static bool remove_some(removal *r, const mig_group *group, const bson_t *ids, uint32_t count, mig_error *err) {
  bson_t *q = mig_group_query(r->step, group, ids);
  bool ok = mig_writes_delete(r->out, q, count, err);
  bson_destroy(q);
  r->removed += count;
  mig_progress(r->w->observer, r->what, (uint64_t)r->removed, (uint64_t)r->total);
  return ok;
}

/* A large group in several statements, so that there is a checkpoint between them. */
static bool remove_group(void *arg, const mig_group *group, const bson_t *ids_but_one, mig_error *err) {
  removal *r = arg;
  bson_iter_t it;
  bson_t *ids = bson_new();
  uint32_t n = 0, most = mig_batch_documents(r->w);
  bool ok = bson_iter_init(&it, ids_but_one);
  while (ok && bson_iter_next(&it)) {
    char buffer[16];
    const char *key;
    bson_uint32_to_string(n++, &key, buffer, sizeof buffer);
    bson_append_iter(ids, key, -1, &it);
    if (n < most) continue;
    ok = remove_some(r, group, ids, n, err);
    bson_reinit(ids);
    n = 0;
  }
  ok = ok && (n == 0 || remove_some(r, group, ids, n, err));
  bson_destroy(ids);
  r->groups++;
  return ok;
}

static bool run(const mig_step *step, mig_work *w, mig_error *err) {
  const char *collection = mig_step_str(step, "collection");
  bson_t *order = keep_order(step);
  removal r = {.step = step, .w = w};
  mig_group_sizes sizes;
  snprintf(r.what, sizeof r.what, "removeDuplicates %s", collection);
  bool ok = mig_group_measure(step, w, &sizes, err);
  r.total = sizes.superfluous;
  if (ok && sizes.largest > MIG_GROUP_LARGEST) {
    ok = mig_fail(err, MIG_E_FAILED, "removeDuplicates %s.%s: %lld documents share one value", mig_db_name(w->db),
                  collection, (long long)sizes.largest);
    mig_why(err, "that many (more than %d) are rarely duplicates of each other", MIG_GROUP_LARGEST);
    mig_hint(err, "exclude that value by \"filter\", or remove its documents by the step delete");
  }
  ok = ok && mig_writes_new(w, "removeDuplicates", collection, MIG_WRITES_DELETE, &r.out, err) &&
       mig_group_each(step, w, order, remove_group, &r, err) && mig_writes_send(r.out, err);
  if (ok)
    mig_say(w->observer, MIG_INFO, "removeDuplicates %s: %lld documents removed, %lld values kept once", collection,
            (long long)r.removed, (long long)r.groups);
  mig_writes_free(r.out);
  bson_destroy(order);
  return ok;
}

const mig_step_def mig_step_remove_duplicates = {
    .name = "removeDuplicates",
    .help = "keeps one of the documents that are equal in the fields; the others are counted, and in the snapshot",
    .args = args,
    .destroys = true,
    .transactional = true,
    .check = check,
    .touch = MIG_TOUCH_DOCUMENTS,
    .guards = mig_guards_collection_exists,
    .estimate = estimate,
    .run = run,
    .example = "{\"removeDuplicates\": {\"collection\": \"users\", \"fields\": [\"email\"],\n"
               "  \"keep\": {\"sort\": {\"lastLogin\": -1}}}}",
};
