/*
 * group_key.h - by what documents are equal: the value of each field, and for a path with dots where it came from
 *
 *     {v0: "$email"}                    a plain field, null where it is missing
 *     {v1: "$mails.to", s1: 1}          a path: s1 is the part of it (from 1) that is an array, 0: none
 *
 * Through an array the server's "$mails.to" is the list of what it finds, and says nothing of elements without "to", of
 * texts, of lists in lists: different documents would seem equal. Such a document is in doubt (s1: null), and is a
 * duplicate of no other.
 */
#ifndef MIG_MIGRATIONS_STEPS_GROUP_KEY_H
#define MIG_MIGRATIONS_STEPS_GROUP_KEY_H

#include "migrations/step.h"

/* Appends {name: {v0: expression, ...}} by the argument "fields". */
void mig_group_key(const mig_step *step, bson_t *out, const char *name);
/* Beyond what a query can say: {$expr: no field is in doubt, and one of them has a value}. False: there is nothing to
 * say, as no field has a dot. */
bool mig_group_key_certain(const mig_step *step, bson_t *out);

#endif
