/*
 * batch.h - walks the documents that match a filter in _id order, in batches that can be checkpointed
 *
 *     mig_batch b = {"update", "users", filter};   mig_batch_update(w, &b, update, false, &result, err)
 *
 * Each batch is one server command over {"_id": {"$in": [...]}} and the filter again, so that a document is changed at
 * most once and one that no longer matches is left alone. Progress goes to the observer as "<what> <collection>".
 */
#ifndef MIG_MIGRATIONS_BATCH_H
#define MIG_MIGRATIONS_BATCH_H

#include "base/work.h"

typedef struct mig_batch {
  const char *what; /* the step's name, for progress */
  const char *collection;
  const bson_t *filter; /* NULL: all */
} mig_batch;

/* ids: {"_id": {"$in": [...]}} combined with the filter; count: how many ids. */
typedef bool (*mig_batch_fn)(void *arg, mig_work *w, const bson_t *ids_filter, uint32_t count, mig_error *err);
bool mig_batch_each(mig_work *w, const mig_batch *batch, mig_batch_fn fn, void *arg, mig_error *err);

/* Reads the documents of one batch (those that `filter` finds, in _id order), the fields of the projection (NULL: all),
 * and hands over each; counts what was read. */
typedef bool (*mig_batch_doc_fn)(void *arg, const bson_t *doc, mig_error *err);
bool mig_batch_read(mig_work *w, const char *collection, const bson_t *filter, const bson_t *projection,
                    mig_batch_doc_fn fn, void *arg, mig_error *err);

typedef struct mig_batch_result {
  int64_t matched, changed; /* the server's n and nModified, of all batches */
} mig_batch_result;

/* update: a document of operators or a pipeline (array). result may be NULL. */
bool mig_batch_update(mig_work *w, const mig_batch *batch, const bson_t *update, bool is_pipeline,
                      mig_batch_result *result, mig_error *err);
bool mig_batch_delete(mig_work *w, const mig_batch *batch, int64_t *removed, mig_error *err);

/* For steps that write in another way: sends one update or delete command, checks n and nModified (at most `sent`, or
 * any number when sent is 0), counts, and passes the crash point. */
bool mig_batch_write(mig_work *w, const bson_t *command, int64_t sent, mig_batch_result *result, mig_error *err);

#endif
