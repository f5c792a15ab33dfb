/*
 * Seed data. With `key` the step can be repeated: each document is an upsert on its key fields that changes nothing
 * where there is one already. Without, plain inserts.
 */
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "migrations/steps/common.h"
#include "migrations/writes.h"

#define MAX_BATCH_BYTES (16u << 20)

static const mig_arg args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "collection that gets the documents; created if missing"},
    {"documents", MIG_ARG_DOCUMENTS, true, "the documents"},
    {"key", MIG_ARG_FIELDS, false, "fields that identify a document: one that is there already is left as it is"},
    {0},
};

/* The values of the key fields, added to an empty document. false: *missing is the first field that is not there. */
static bool key_of(const mig_step *step, const bson_t *doc, bson_t *values, const char **missing) {
  bson_t key;
  bson_iter_t field, value;
  mig_step_doc(step, "key", &key);
  if (!bson_iter_init(&field, &key)) return true;
  while (bson_iter_next(&field)) {
    *missing = bson_iter_utf8(&field, NULL);
    if (!mig_bson_find(doc, *missing, &value)) return false;
    bson_append_iter(values, *missing, -1, &value);
  }
  return true;
}

static bool check_keyed(const mig_step *step, const bson_t *doc, const char *index, bson_t *values, mig_error *err) {
  bson_iter_t it;
  const char *missing = NULL;
  char path[256];
  bson_snprintf(path, sizeof path, "documents.%s", index);
  if (!key_of(step, doc, values, &missing)) {
    mig_step_refuse(err, path, "this document lacks the key field \"%s\"", missing);
    return mig_hint(err, "with \"key\", each document needs a value for each of its fields");
  }
  if (!bson_iter_init(&it, doc)) return true;
  while (bson_iter_next(&it)) {
    const char *field = bson_iter_key(&it);
    if (*field && !strchr(field, '.')) continue;
    bson_snprintf(path, sizeof path, "documents.%s.%s", index, field);
    mig_step_refuse(err, path, "with \"key\", a field cannot be called \"%.100s\"", field);
    return mig_hint(err, "write nested documents, or leave out \"key\"");
  }
  return true;
}

typedef struct keyed {
  bson_t *values;
  uint32_t index;
} keyed;

static int compare_keyed(const void *a, const void *b) {
  const keyed *x = a, *y = b;
  int order = bson_compare(x->values, y->values);
  return order ? order : (x->index > y->index) - (x->index < y->index);
}

/* Two documents with one key: the second would never be inserted. */
static bool check_distinct(keyed *all, uint32_t count, mig_error *err) {
  qsort(all, count, sizeof *all, compare_keyed);
  for (uint32_t i = 1; i < count; i++) {
    char path[64];
    if (bson_compare(all[i - 1].values, all[i].values) != 0) continue;
    bson_snprintf(path, sizeof path, "documents.%u", all[i].index);
    mig_step_refuse(err, path, "this document has the same key as document %u of the list", all[i - 1].index + 1);
    return mig_hint(err, "only the first would be inserted: remove one, or add a field to \"key\"");
  }
  return true;
}

static bool check_keys(const mig_step *step, const bson_t *documents, mig_error *err) {
  bson_iter_t it;
  bson_t doc;
  uint32_t count = 0;
  keyed *all = mig_alloc(bson_count_keys(documents) * sizeof *all);
  bool ok = all || mig_no_memory(err, "insert");
  ok = ok && bson_iter_init(&it, documents);
  while (ok && bson_iter_next(&it)) {
    all[count] = (keyed){bson_new(), count};
    ok = mig_bson_iter_doc(&it, &doc) && check_keyed(step, &doc, bson_iter_key(&it), all[count].values, err);
    count++;
  }
  ok = ok && check_distinct(all, count, err);
  for (uint32_t i = 0; i < count; i++) bson_destroy(all[i].values);
  mig_free(all);
  return ok;
}

static bool check(const mig_step *step, mig_error *err) {
  bson_iter_t documents;
  bson_t list;
  if (!mig_bson_find(step->args, "documents", &documents) || !mig_bson_iter_doc(&documents, &list)) return true;
  if (!mig_step_storable(&documents, "documents", err)) return false;
  return !bson_has_field(step->args, "key") || check_keys(step, &list, err);
}

static bool estimate(const mig_step *step, mig_work *w, int64_t *documents, mig_error *err) {
  bson_t list;
  (void)w, (void)err;
  mig_step_doc(step, "documents", &list);
  *documents = bson_count_keys(&list);
  return true;
}

static bool add_upsert(const mig_step *step, const bson_t *doc, mig_writes *out, mig_error *err) {
  bson_t values = BSON_INITIALIZER, q = BSON_INITIALIZER, update = BSON_INITIALIZER, condition;
  bson_iter_t it;
  const char *missing = NULL;
  bool ok = key_of(step, doc, &values, &missing) && bson_iter_init(&it, &values);
  while (ok && bson_iter_next(&it)) {
    BSON_APPEND_DOCUMENT_BEGIN(&q, bson_iter_key(&it), &condition);
    bson_append_iter(&condition, "$eq", 3, &it);
    bson_append_document_end(&q, &condition);
  }
  BSON_APPEND_DOCUMENT(&update, "$setOnInsert", doc);
  ok = ok && mig_writes_add(out, &q, &update, err);
  bson_destroy(&update);
  bson_destroy(&q);
  bson_destroy(&values);
  return ok;
}

static bool run_keyed(const mig_step *step, mig_work *w, const bson_t *documents, mig_error *err) {
  mig_writes *out = NULL;
  bson_iter_t it;
  bson_t doc;
  bool ok = mig_writes_new(w, "insert", mig_step_str(step, "collection"), MIG_WRITES_UPSERT, &out, err);
  ok = ok && bson_iter_init(&it, documents);
  while (ok && bson_iter_next(&it)) ok = mig_bson_iter_doc(&it, &doc) && add_upsert(step, &doc, out, err);
  ok = ok && mig_writes_send(out, err);
  mig_writes_free(out);
  return ok;
}

typedef struct plain {
  bson_t **documents;
  size_t count, bytes;
} plain;

static bool send_plain(const mig_step *step, mig_work *w, plain *p, mig_error *err) {
  mig_insert what = {.collection = mig_step_str(step, "collection"),
                     .documents = (const bson_t *const *)p->documents,
                     .count = p->count};
  bool ok = p->count == 0 || (mig_checkpoint(w, err) && mig_db_insert(w->db, &what, err));
  if (ok && p->count) {
    mig_crash_point(MIG_CRASH_STEP_BATCH);
    w->counts.documents_written += (int64_t)p->count;
    w->counts.bytes_written += (int64_t)p->bytes;
  }
  for (size_t i = 0; i < p->count; i++) bson_destroy(p->documents[i]);
  p->count = p->bytes = 0;
  return ok;
}

/* Always a copy; without _id it gets one, once, in front: the same wherever it is sent again. */
static bson_t *with_id(const bson_t *doc) {
  if (bson_has_field(doc, "_id")) return bson_copy(doc);
  bson_t *out = bson_new();
  bson_oid_t oid;
  bson_oid_init(&oid, NULL);
  BSON_APPEND_OID(out, "_id", &oid);
  bson_concat(out, doc);
  return out;
}

static bool run_plain(const mig_step *step, mig_work *w, const bson_t *documents, mig_error *err) {
  uint32_t most = mig_batch_documents(w);
  bson_iter_t it;
  bson_t doc;
  plain p = {mig_alloc(most * sizeof(bson_t *)), 0, 0};
  bool ok = p.documents || mig_no_memory(err, "insert");
  ok = ok && bson_iter_init(&it, documents);
  while (ok && bson_iter_next(&it) && mig_bson_iter_doc(&it, &doc)) {
    p.documents[p.count++] = with_id(&doc);
    p.bytes += doc.len;
    if (p.count == most || p.bytes > MAX_BATCH_BYTES) ok = send_plain(step, w, &p, err);
  }
  ok = ok && send_plain(step, w, &p, err);
  for (size_t i = 0; i < p.count; i++) bson_destroy(p.documents[i]);
  mig_free(p.documents);
  return ok;
}

static bool run(const mig_step *step, mig_work *w, mig_error *err) {
  mig_error local = {0};
  bson_t documents;
  mig_step_doc(step, "documents", &documents);
  bool ok = bson_has_field(step->args, "key") ? run_keyed(step, w, &documents, &local)
                                              : run_plain(step, w, &documents, &local);
  if (ok) return true;
  mig_step_hint_creates(&local);
  if (err) *err = local;
  return false;
}

/* Only where each document has an _id, and none was there before: with "key" some may have been. */
static bool inverse(const mig_step *step, bson_t *out) {
  bson_t documents, doc, own, filter, in, ids;
  bson_iter_t it, id;
  mig_step_doc(step, "documents", &documents);
  if (bson_has_field(step->args, "key") || !bson_iter_init(&it, &documents)) return false;
  while (bson_iter_next(&it))
    if (!mig_bson_iter_doc(&it, &doc) || !bson_has_field(&doc, "_id")) return false;
  BSON_APPEND_DOCUMENT_BEGIN(out, "delete", &own);
  BSON_APPEND_UTF8(&own, "collection", mig_step_str(step, "collection"));
  BSON_APPEND_DOCUMENT_BEGIN(&own, "filter", &filter);
  BSON_APPEND_DOCUMENT_BEGIN(&filter, "_id", &in);
  BSON_APPEND_ARRAY_BEGIN(&in, "$in", &ids);
  if (bson_iter_init(&it, &documents))
    while (bson_iter_next(&it))
      if (mig_bson_iter_doc(&it, &doc) && bson_iter_init_find(&id, &doc, "_id"))
        bson_append_iter(&ids, bson_iter_key(&it), -1, &id);
  bson_append_array_end(&in, &ids);
  bson_append_document_end(&filter, &in);
  bson_append_document_end(&own, &filter);
  bson_append_document_end(out, &own);
  return true;
}

const mig_step_def mig_step_insert = {
    .name = "insert",
    .help = "inserts documents; with key it can be repeated",
    .args = args,
    .transactional = true,
    .check = check,
    .touch = MIG_TOUCH_DOCUMENTS,
    .estimate = estimate,
    .run = run,
    .inverse = inverse,
    .example = "{\"insert\": {\"collection\": \"roles\", \"key\": [\"name\"],\n"
               "  \"documents\": [{\"name\": \"admin\", \"level\": 9}, {\"name\": \"reader\", \"level\": 1}]}}",
};
