/*
 * index_spec.h - is this index the one that is meant? Keys and options compared as servers do
 *
 *     mig_index_wish wish = {key, options, collation};
 *     mig_index_compare(index, &wish, &option)    how the document from listIndexes differs from what createIndex would
 *     mig_index_asked_for(indexes, args, &found, &option)   for guards that take a name or a key
 *
 * Numbers compare by value (1, 1.0 and NumberLong(1) are one key), the order of a key counts. A text index is stored as
 * {_fts: "text", _ftsx: 1} with its fields in `weights`; here {field: "text"} means that index.
 * Ownership: nothing is kept; *option is borrowed from the arguments.   Trust: index documents are a server's claims.
 */
#ifndef MIG_VALIDATORS_INDEX_SPEC_H
#define MIG_VALIDATORS_INDEX_SPEC_H

#include "validators/guard.h"

typedef struct mig_index_wish {
  const bson_t *key;
  const bson_t *options;   /* may be NULL */
  const bson_t *collation; /* what it would get: from the options or the collection's default; NULL for none */
} mig_index_wish;

typedef enum mig_index_match {
  MIG_INDEX_SAME,
  MIG_INDEX_OTHER_KEY,
  MIG_INDEX_OTHER_COLLATION, /* may stand beside it under another name on any server */
  MIG_INDEX_OTHER_SIGNATURE, /* unique, sparse, partialFilterExpression, wildcardProjection: on MongoDB 5.0 and newer */
  MIG_INDEX_OTHER_OPTIONS    /* never */
} mig_index_match;

mig_index_match mig_index_compare(const bson_t *index, const mig_index_wish *wish, const char **option);
bool mig_index_key_same(const bson_t *index, const bson_t *key, const bson_t *options);
bool mig_index_is_text(const bson_t *key);
/* The first of the options that the index does not have so; NULL when it has them all. It may have more. */
const char *mig_index_option_lacking(const bson_t *index, const bson_t *options);

/* The guards indexExists and indexAbsent: arguments, check, and search in what mig_db_indexes told. True: *found is a
 * view of the index; false: *found is a view of one that only lacks *option, or *option is NULL and there is none. */
extern const mig_arg mig_index_args[];
bool mig_index_args_check(const bson_t *args, mig_error *err);
bool mig_index_asked_for(const bson_t *indexes, const bson_t *args, bson_t *found, const char **option);

#define MIG_INDEX_NAME 1024
/* The name that a driver gives to an index without one: "email_1_name_-1". */
void mig_index_default_name(const bson_t *key, char *text, size_t size);

/* For messages: "email_1 {"email": 1}"; "it has _id_, name_1"; the name or key in a guard's arguments; one option. */
void mig_index_describe(const bson_t *index, char *text, size_t size);
void mig_index_names(const bson_t *indexes, char *text, size_t size);
void mig_index_asked(const bson_t *args, char *text, size_t size);
void mig_index_option(const bson_t *index_or_options, const char *option, char *text, size_t size);

#endif
