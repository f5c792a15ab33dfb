/*
 * args.h - the argument table that every step and guard has, and its check
 *
 *     static const mig_arg args[] = {{"collection", MIG_ARG_COLLECTION, true, "collection to change"}, ..., {0}};
 *     mig_args_check("step", "addField", args, &given, "up.0.addField", err)
 *
 * Errors: MIG_E_INPUT; what names the step and argument and, for an unknown one, the nearest known;
 * err->json_path says where, so that the loader can name line and column.
 */
#ifndef MIG_BASE_ARGS_H
#define MIG_BASE_ARGS_H

#include "base/bsonx.h"

typedef enum mig_arg_type {
  MIG_ARG_STRING,     /* not empty */
  MIG_ARG_COLLECTION, /* a name a migration may touch */
  MIG_ARG_FIELD,      /* dotted field path, no empty part, no '$' in front of a part */
  MIG_ARG_FIELDS,     /* one or more fields: array of strings */
  MIG_ARG_BOOL,
  MIG_ARG_INT, /* a whole number >= 0 */
  MIG_ARG_DOCUMENT,
  MIG_ARG_DOCUMENTS,   /* array of one or more documents */
  MIG_ARG_PIPELINE,    /* array of one or more stages, each a document with one key that starts with '$' */
  MIG_ARG_UPDATE,      /* document of $operators, or a pipeline */
  MIG_ARG_KEY,         /* index key: document, not empty */
  MIG_ARG_COLLECTIONS, /* array of one or more collection names */
  MIG_ARG_ANY
} mig_arg_type;

typedef struct mig_arg {
  const char *name;
  mig_arg_type type;
  bool required;
  const char *help; /* one line, for `mig help` and the docs */
} mig_arg;

const char *mig_arg_type_name(mig_arg_type type); /* "a document", for messages and docs */
bool mig_args_check(const char *kind, const char *owner, const mig_arg *args, const bson_t *given,
                    const char *json_path, mig_error *err);

#endif
