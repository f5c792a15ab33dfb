/*
 * query.h - what guards ask of a server: documents that match, collections there are, and texts for messages
 *
 *     mig_guard_filter(args, &filter);
 *     mig_guard_offenders(env, "users", bad, out, err)   fills ids, query and offenders, or finds none
 *
 * Documents are read inside the transaction if there is one. listCollections is not allowed there, so a collection is
 * looked up outside and, when it is not found, by its documents inside: one that the same transaction created counts
 * as soon as it has a document.
 * Ownership: bson_t * returned are the caller's; views point into the arguments.
 * Errors: the server's, with its code and the namespace.
 */
#ifndef MIG_VALIDATORS_QUERY_H
#define MIG_VALIDATORS_QUERY_H

#include "validators/guard.h"

/* A view of the argument "filter"; the empty document, which matches all, when it is not given. */
void mig_guard_filter(const bson_t *args, bson_t *view);
/* Both conditions in one filter; an empty one adds nothing. */
bson_t *mig_guard_and(const bson_t *a, const bson_t *b);
/* {field: {op: value}} */
bson_t *mig_guard_condition(const char *field, const char *op, bool value);

bool mig_guard_any(const mig_guard_env *env, const char *collection, const bson_t *filter, bool *found, mig_error *err);
/* Stops after MIG_OFFENDERS when there are some, and only then counts. out->ids stays NULL when there are none. */
bool mig_guard_offenders(const mig_guard_env *env, const char *collection, const bson_t *filter, mig_guard_result *out,
                         mig_error *err);

bool mig_guard_collection_found(const mig_guard_env *env, const char *collection, bool *found, mig_error *err);
/* "there is no collection usres in app; did you mean users?": for one that was not found. */
bool mig_guard_not_there(const mig_guard_env *env, const char *collection, char *text, size_t size, mig_error *err);
/* Where zero documents are a good answer: warns the user when that is because there is no such collection. */
bool mig_guard_warn_if_missing(const mig_guard_env *env, const char *collection, mig_error *err);

/* Extended JSON for messages, shortened to `size`. */
void mig_guard_json(const bson_t *doc, char *text, size_t size);
void mig_guard_value(const bson_iter_t *it, char *text, size_t size);

#endif
