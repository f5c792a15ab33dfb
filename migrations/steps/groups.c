#include "migrations/steps/groups.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "migrations/steps/common.h"
#include "migrations/steps/group_key.h"

#define MAX_BATCH_BYTES (4u << 20)

/* The argument "filter", and that at least one of the fields says something. */
static bson_t *matching(const mig_step *step) {
  bson_t filter, fields, any = BSON_INITIALIZER, list, one, ne;
  bson_iter_t it;
  mig_step_doc(step, "filter", &filter);
  mig_step_doc(step, "fields", &fields);
  if (!mig_step_flag(step, "includeMissing") && bson_iter_init(&it, &fields)) {
    BSON_APPEND_ARRAY_BEGIN(&any, "$or", &list);
    while (bson_iter_next(&it)) {
      BSON_APPEND_DOCUMENT_BEGIN(&list, bson_iter_key(&it), &one);
      BSON_APPEND_DOCUMENT_BEGIN(&one, bson_iter_utf8(&it, NULL), &ne);
      BSON_APPEND_NULL(&ne, "$ne");
      bson_append_document_end(&one, &ne);
      bson_append_document_end(&list, &one);
    }
    bson_append_array_end(&any, &list);
  }
  bson_t *both = mig_filter_and(&filter, &any);
  bson_destroy(&any);
  return both;
}

static void add_stage(bson_t *pipeline, const char *op, const bson_t *argument) {
  char buffer[16];
  const char *key;
  bson_t stage;
  bson_uint32_to_string(bson_count_keys(pipeline), &key, buffer, sizeof buffer);
  BSON_APPEND_DOCUMENT_BEGIN(pipeline, key, &stage);
  BSON_APPEND_DOCUMENT(&stage, op, argument);
  bson_append_document_end(pipeline, &stage);
}

/* {aggregate: ..., pipeline: [$match, $match?, $group {_id, n, ids?}, {$match: {n: {$gt: 1}}}, more]} */
static bson_t *grouping(const mig_step *step, bool with_ids, const bson_t *more) {
  bson_t pipeline = BSON_INITIALIZER, group = BSON_INITIALIZER, certain = BSON_INITIALIZER, child;
  bson_t *match = matching(step), *command = bson_new();
  add_stage(&pipeline, "$match", match);
  if (mig_group_key_certain(step, &certain)) add_stage(&pipeline, "$match", &certain);
  mig_group_key(step, &group, "_id");
  BSON_APPEND_DOCUMENT_BEGIN(&group, "n", &child);
  BSON_APPEND_INT32(&child, "$sum", 1);
  bson_append_document_end(&group, &child);
  if (with_ids) {
    BSON_APPEND_DOCUMENT_BEGIN(&group, "ids", &child);
    BSON_APPEND_UTF8(&child, "$push", "$_id");
    bson_append_document_end(&group, &child);
  }
  add_stage(&pipeline, "$group", &group);
  bson_t *several = BCON_NEW("n", "{", "$gt", BCON_INT32(1), "}");
  add_stage(&pipeline, "$match", several);
  if (more) add_stage(&pipeline, "$group", more);
  BSON_APPEND_UTF8(command, "aggregate", mig_step_str(step, "collection"));
  BSON_APPEND_ARRAY(command, "pipeline", &pipeline);
  BSON_APPEND_DOCUMENT_BEGIN(command, "cursor", &child);
  bson_append_document_end(command, &child);
  BSON_APPEND_BOOL(command, "allowDiskUse", true);
  bson_destroy(several);
  bson_destroy(&certain);
  bson_destroy(match);
  bson_destroy(&group);
  bson_destroy(&pipeline);
  return command;
}

bool mig_group_measure(const mig_step *step, mig_work *w, mig_group_sizes *out, mig_error *err) {
  bson_t *more = BCON_NEW("_id", BCON_NULL, "groups", "{", "$sum", BCON_INT32(1), "}", "members", "{", "$sum",
                          BCON_UTF8("$n"), "}", "largest", "{", "$max", BCON_UTF8("$n"), "}");
  bson_t *command = grouping(step, false, more), doc;
  int64_t members = 0;
  bool found = false;
  *out = (mig_group_sizes){0};
  bool ok = mig_db_first(w->db, command, &doc, &found, err);
  if (ok && found &&
      (!mig_bson_int(&doc, "groups", &out->groups) || !mig_bson_int(&doc, "members", &members) ||
       !mig_bson_int(&doc, "largest", &out->largest)))
    ok = mig_fail(err, MIG_E_SERVER, "aggregate %s.%s: the reply makes no sense", mig_db_name(w->db),
                  mig_step_str(step, "collection"));
  out->superfluous = members - out->groups;
  bson_destroy(&doc);
  bson_destroy(command);
  bson_destroy(more);
  return ok;
}

bson_t *mig_group_query(const mig_step *step, const mig_group *group, const bson_t *ids) {
  bson_t *q = bson_new(), in, expr, both, literal, now = BSON_INITIALIZER, key;
  BSON_APPEND_DOCUMENT_BEGIN(q, "_id", &in);
  BSON_APPEND_ARRAY(&in, "$in", ids);
  bson_append_document_end(q, &in);
  mig_group_key(step, &now, "key");
  BSON_APPEND_DOCUMENT_BEGIN(q, "$expr", &expr);
  BSON_APPEND_ARRAY_BEGIN(&expr, "$eq", &both);
  if (mig_bson_doc(&now, "key", &key)) BSON_APPEND_DOCUMENT(&both, "0", &key);
  BSON_APPEND_DOCUMENT_BEGIN(&both, "1", &literal);
  BSON_APPEND_DOCUMENT(&literal, "$literal", group->key);
  bson_append_document_end(&both, &literal);
  bson_append_array_end(&expr, &both);
  bson_append_document_end(q, &expr);
  bson_destroy(&now);
  return q;
}

/* Some groups, with their _ids in one list that can be searched. */
typedef struct member {
  bson_t *id; /* {"": value} */
  size_t group;
} member;

typedef struct pile {
  const mig_step *step;
  mig_work *w;
  const bson_t *order;
  mig_group_fn fn;
  void *arg;
  bson_t **docs; /* the groups as the server gave them */
  bool *seen;    /* the first one of the group has been passed */
  bson_t **rest; /* array: the others */
  size_t count, capacity;
  member *members;
  size_t member_count, bytes;
} pile;

static int by_id(const void *a, const void *b) {
  const member *x = a, *y = b;
  return bson_compare(x->id, y->id);
}

static void forget(pile *p) {
  for (size_t i = 0; i < p->member_count; i++) bson_destroy(p->members[i].id);
  for (size_t i = 0; i < p->count; i++) {
    bson_destroy(p->docs[i]);
    bson_destroy(p->rest[i]);
  }
  mig_free(p->members);
  p->members = NULL;
  p->member_count = p->count = p->bytes = 0;
}

static bool list_members(pile *p, mig_error *err) {
  size_t total = 0;
  bson_t ids;
  bson_iter_t it;
  for (size_t i = 0; i < p->count; i++)
    if (mig_bson_arr(p->docs[i], "ids", &ids)) total += bson_count_keys(&ids);
  p->members = mig_alloc((total ? total : 1) * sizeof *p->members);
  if (!p->members) return mig_no_memory(err, "duplicates");
  for (size_t i = 0; i < p->count; i++) {
    if (!mig_bson_arr(p->docs[i], "ids", &ids) || !bson_iter_init(&it, &ids)) continue;
    while (bson_iter_next(&it)) {
      bson_t *id = bson_new();
      bson_append_iter(id, "", 0, &it);
      p->members[p->member_count++] = (member){id, i};
    }
  }
  qsort(p->members, p->member_count, sizeof *p->members, by_id);
  return true;
}

/* {find, filter: {_id: {$in: all}}, sort: order, projection: {_id: 1}} */
static bson_t *ordering(const pile *p) {
  bson_t *find = bson_new(), filter, in, all, fields;
  BSON_APPEND_UTF8(find, "find", mig_step_str(p->step, "collection"));
  BSON_APPEND_DOCUMENT_BEGIN(find, "filter", &filter);
  BSON_APPEND_DOCUMENT_BEGIN(&filter, "_id", &in);
  BSON_APPEND_ARRAY_BEGIN(&in, "$in", &all);
  for (size_t i = 0; i < p->member_count; i++) {
    char buffer[16];
    const char *key;
    bson_iter_t it;
    bson_uint32_to_string((uint32_t)i, &key, buffer, sizeof buffer);
    if (bson_iter_init(&it, p->members[i].id) && bson_iter_next(&it)) bson_append_iter(&all, key, -1, &it);
  }
  bson_append_array_end(&in, &all);
  bson_append_document_end(&filter, &in);
  bson_append_document_end(find, &filter);
  BSON_APPEND_DOCUMENT(find, "sort", p->order);
  BSON_APPEND_DOCUMENT_BEGIN(find, "projection", &fields);
  BSON_APPEND_INT32(&fields, "_id", 1);
  bson_append_document_end(find, &fields);
  return find;
}

/* The documents in order: the first of each group is passed over. One that is gone meanwhile does not come. */
static bool place(pile *p, const bson_t *doc, mig_error *err) {
  bson_iter_t it;
  char buffer[16];
  const char *key;
  bson_t *id = bson_new();
  if (bson_iter_init_find(&it, doc, "_id")) bson_append_iter(id, "", 0, &it);
  const member wanted = {id, 0};
  const member *m = bsearch(&wanted, p->members, p->member_count, sizeof wanted, by_id);
  if (m && p->seen[m->group]) {
    bson_t *rest = p->rest[m->group];
    bson_uint32_to_string(bson_count_keys(rest), &key, buffer, sizeof buffer);
    bson_append_iter(rest, key, -1, &it);
  } else if (m) {
    p->seen[m->group] = true;
  }
  bson_destroy(id);
  return m || mig_fail(err, MIG_E_SERVER, "find %s.%s: a document was found that was not asked for",
                       mig_db_name(p->w->db), mig_step_str(p->step, "collection"));
}

static bool settle(pile *p, mig_error *err) {
  mig_cursor *cursor = NULL;
  const bson_t *doc = NULL;
  mig_next next = MIG_NEXT_ERROR;
  if (p->count == 0) return true;
  bool ok = mig_checkpoint(p->w, err) && list_members(p, err);
  bson_t *find = ok ? ordering(p) : NULL;
  ok = ok && mig_db_query(p->w->db, find, &cursor, err);
  while (ok && (next = mig_cursor_next(cursor, &doc, err)) == MIG_NEXT_DOC) ok = place(p, doc, err);
  ok = ok && next == MIG_NEXT_END;
  mig_cursor_close(cursor);
  if (find) bson_destroy(find);
  for (size_t i = 0; ok && i < p->count; i++) {
    bson_t key, ids;
    const mig_group group = {&key, &ids};
    if (bson_empty(p->rest[i])) continue;
    ok = mig_bson_doc(p->docs[i], "_id", &key) && mig_bson_arr(p->docs[i], "ids", &ids)
             ? p->fn(p->arg, &group, p->rest[i], err)
             : mig_fail(err, MIG_E_SERVER, "aggregate: the reply makes no sense");
  }
  forget(p);
  return ok;
}

static bool add_group(pile *p, const bson_t *doc, size_t *ids, mig_error *err) {
  int64_t n = 0;
  mig_bson_int(doc, "n", &n);
  if (p->count && (p->count == p->capacity || *ids + (size_t)n > mig_batch_documents(p->w) ||
                   p->bytes + doc->len > MAX_BATCH_BYTES)) {
    if (!settle(p, err)) return false;
    *ids = 0;
  }
  p->docs[p->count] = bson_copy(doc);
  p->rest[p->count] = bson_new();
  p->seen[p->count] = false;
  p->count++;
  p->bytes += doc->len;
  p->w->counts.bytes_read += doc->len;
  *ids += (size_t)n;
  return true;
}

bool mig_group_each(const mig_step *step, mig_work *w, const bson_t *order, mig_group_fn fn, void *arg,
                    mig_error *err) {
  pile p = {.step = step, .w = w, .order = order, .fn = fn, .arg = arg, .capacity = mig_batch_documents(w)};
  mig_cursor *cursor = NULL;
  const bson_t *doc = NULL;
  mig_next next = MIG_NEXT_ERROR;
  size_t ids = 0;
  bson_t *command = grouping(step, true, NULL);
  p.docs = mig_alloc(p.capacity * sizeof *p.docs);
  p.rest = mig_alloc(p.capacity * sizeof *p.rest);
  p.seen = mig_alloc(p.capacity * sizeof *p.seen);
  bool ok = (p.docs && p.rest && p.seen) || mig_no_memory(err, "duplicates");
  ok = ok && mig_db_query(w->db, command, &cursor, err);
  while (ok && (next = mig_cursor_next(cursor, &doc, err)) == MIG_NEXT_DOC) ok = add_group(&p, doc, &ids, err);
  ok = ok && next == MIG_NEXT_END && settle(&p, err);
  mig_cursor_close(cursor);
  forget(&p);
  mig_free(p.docs);
  mig_free(p.rest);
  mig_free(p.seen);
  bson_destroy(command);
  return ok;
}
