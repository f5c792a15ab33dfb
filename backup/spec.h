/*
 * spec.h - index specs and collection options as values: when are two the same, and what can be sent back
 *
 * Servers normalise what they are given, so fields may come in another order and 1 as 1.0: that is equal here.
 * Inside a field the order counts (an index key's is its meaning), numbers are still compared by value; NaN is only
 * NaN. Validators and the pipelines of views are compared byte for byte: servers give them back as they were given.
 * Trust: both sides are untrusted.
 */
#ifndef MIG_BACKUP_SPEC_H
#define MIG_BACKUP_SPEC_H

#include "base/bsonx.h"

bool mig_spec_value_same(const bson_iter_t *a, const bson_iter_t *b);
/* The same top-level fields in any order; "ns" does not count. */
bool mig_spec_same(const bson_t *a, const bson_t *b);

bool mig_index_name(const bson_t *spec, const char **name);
/* The one that comes with the collection: {_id: 1}, or the clustered one. Never dropped, never created. */
bool mig_index_is_own(const bson_t *spec);
bool mig_index_is_unique(const bson_t *spec);
/* The spec of that name in an array document; false when there is none. */
bool mig_index_find(const bson_t *indexes, const char *name, bson_t *view);
bool mig_index_in(const bson_t *indexes, const bson_t *spec); /* there is one of that name, and it is the same */

/* The options of a listCollections entry (a view; empty when there are none). */
void mig_options_of(const bson_t *info, bson_t *view);
/* What `create` is sent of them: without `more`, and without what belongs to the command, which some servers list (its
 * name, write concern, time, comment) and which is not compared either. NULL when memory is short. */
bson_t *mig_options_to_send(const bson_t *options, const char *const *more);
/* Of options or an index spec from anywhere: has it a field that would steer the command elsewhere ("$db", a session)?
 */
bool mig_spec_steers(const bson_t *spec);
/* Validators count as the server acts: no level means "strict", no action "error", no or an empty validator none. Level
 * and action count without one, too: the next validator may be given without. */
bool mig_options_validator_same(const bson_t *a, const bson_t *b);
/* Neither has a validator, and level or action differ: they say nothing about the documents then. */
bool mig_options_only_levels(const bson_t *a, const bson_t *b);
/* Options that collMod sets on a collection that is there: pre-images. */
bool mig_options_images_same(const bson_t *a, const bson_t *b);
/* All others: only a new collection can have them. */
bool mig_options_fixed_same(const bson_t *a, const bson_t *b);
bool mig_options_has_validator(const bson_t *options);

#endif
