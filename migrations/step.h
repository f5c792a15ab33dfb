/*
 * step.h - one operation of a declarative migration: a file in migrations/steps/ and a row in its table
 *
 * A step declares what it reads and writes, whether it destroys, whether it is legal in a transaction and which
 * guards it brings; then it runs. Adding a step: one file with one mig_step_def, one line in steps/table.c.
 *
 * check() sets err->json_path relative to the step's arguments ("update.$set._id"); mig_step_parse() completes it.
 * run() may be called inside a transaction or outside one; it works in batches (mig_batch_*), calls mig_checkpoint()
 * before each, and can be run again after a crash was undone. Errors name the namespace.
 */
#ifndef MIG_MIGRATIONS_STEP_H
#define MIG_MIGRATIONS_STEP_H

#include "base/args.h"
#include "base/work.h"

typedef enum mig_touch {
  MIG_TOUCH_READ,      /* only read */
  MIG_TOUCH_METADATA,  /* indexes or options change, documents do not */
  MIG_TOUCH_DOCUMENTS, /* documents are written */
  MIG_TOUCH_DROP       /* the collection goes, is replaced, or comes into being */
} mig_touch;

/* Called for each collection that a step touches; false ends the walk (err is filled). */
typedef bool (*mig_touch_fn)(void *arg, const char *collection, mig_touch touch, mig_error *err);

typedef struct mig_step mig_step;

typedef struct mig_step_def {
  const char *name;
  const char *help;                                    /* one line */
  const mig_arg *args;                                 /* ends with a row without a name */
  bool destroys;                                       /* data may be lost if it goes wrong or was meant otherwise */
  bool transactional;                                  /* legal in a multi-document transaction */
  bool (*is_transactional)(const mig_step *step);      /* where it depends on the arguments; NULL: `transactional` */
  bool (*check)(const mig_step *step, mig_error *err); /* beyond the argument table; may be NULL */
  bool (*touches)(const mig_step *step, mig_touch_fn fn, void *arg,
                  mig_error *err); /* NULL: "collection", by `touch` */
  mig_touch touch;
  const char *const *writes; /* arguments that name the only fields it changes, NULL-terminated; NULL: any field */
  /* Appends guard documents ({"noDuplicates": {...}}) to an array under construction; NULL: none. */
  bool (*guards)(const mig_step *step, bson_t *array, mig_error *err);
  /* Documents it would write, estimated by reading; NULL: 0. */
  bool (*estimate)(const mig_step *step, mig_work *w, int64_t *documents, mig_error *err);
  bool (*run)(const mig_step *step, mig_work *w, mig_error *err);
  /* Appends the step that takes it back ({"removeField": {...}}) to an empty document; false: not with these arguments.
   * NULL: there is none. It is what lint proposes as "down"; nothing runs it by itself. */
  bool (*inverse)(const mig_step *step, bson_t *out);
  const char *example; /* one whole step, for `mig help steps` and the docs; tests load and lint it */
} mig_step_def;

struct mig_step {
  const mig_step_def *def;
  bson_t *args; /* checked */
  char *where;  /* "migrations/0001_x.json:7:14" */
};

const mig_step_def *const *mig_step_table(void); /* NULL-terminated, in the order of the docs */
const mig_step_def *mig_step_find(const char *name);
/* Checks {"addField": {...}} (one key) at json_path and makes a step; MIG_E_INPUT with json_path set. */
bool mig_step_parse(const bson_t *doc, const char *json_path, mig_step *out, mig_error *err);
void mig_step_clear(mig_step *step);
bool mig_step_transactional(const mig_step *step);
/* A new document with the step that takes it back, or NULL where there is none. */
bson_t *mig_step_inverse(const mig_step *step);
bool mig_step_touches(const mig_step *step, mig_touch_fn fn, void *arg, mig_error *err);

#endif
