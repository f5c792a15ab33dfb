/*
 * guard.h - a read-only check that must hold before or after the steps: a file in validators/ and a row in its table
 *
 *     mig_guard_check_syntax(doc, "guards.0", err)          at load time
 *     mig_guard_run(w, doc, store_folder, &result, err)      at run time
 *
 * run(): false means that it could not be decided (server error); true with result.holds false means that it refused.
 * A refusal says why and shows up to 5 offending _ids and the query that finds them all.
 * Guards never write, work inside a transaction, and keep memory bounded on the client. Documents are read in the
 * transaction; collections and indexes outside it, as servers allow nothing else (see query.h for what that means).
 * Ownership: a result's ids and query belong to it: mig_guard_result_clear(). After false it is cleared.
 * Errors: MIG_E_INPUT with json_path for a wrong guard; else what the server said, with the guard and the namespace.
 * Trust: guard documents come from files, replies from servers: both untrusted.
 * Adding a guard: one file with one mig_guard_def, one row in table.c.
 */
#ifndef MIG_VALIDATORS_GUARD_H
#define MIG_VALIDATORS_GUARD_H

#include "base/args.h"
#include "base/work.h"

#define MIG_OFFENDERS        5
#define MIG_GUARD_COLLECTION 300 /* bytes of a collection's name and its end */

typedef struct mig_guard_result {
  bool holds;
  int64_t offenders; /* how many there are; -1 when not counted */
  char why[1024];    /* "3 values of email occur more than once in users: ..."; empty when it holds */
  bson_t *ids;       /* array document of up to MIG_OFFENDERS _ids; NULL if none */
  bson_t *query;     /* a filter for find, or {"aggregate": ...} for runCommand, that finds them all; NULL if none */
  char hint[256];
} mig_guard_result;

typedef struct mig_guard_env {
  mig_work *work;
  const char *store_folder; /* for storeSpace; NULL when there is none */
} mig_guard_env;

typedef struct mig_guard_def {
  const char *name;
  const char *help;
  const mig_arg *args;                               /* ends with a row without a name */
  bool (*check)(const bson_t *args, mig_error *err); /* beyond the argument table, by mig_guard_bad(); may be NULL */
  /* *out holds when it comes in: a guard that finds nothing returns true, one that finds something mig_guard_refuse()
   */
  bool (*run)(const mig_guard_env *env, const bson_t *args, mig_guard_result *out, mig_error *err);
  /* The collection that it reads besides "collection", checked before; NULL: it reads no other. */
  bool (*also_reads)(const bson_t *args, char collection[static MIG_GUARD_COLLECTION]);
  const char *example; /* one whole guard, for `mig help guards` and the docs; tests load it */
} mig_guard_def;

const mig_guard_def *const *mig_guard_table(void); /* NULL-terminated, in the order of the docs */
const mig_guard_def *mig_guard_find(const char *name);
/* Takes {"name": {arguments}}, exactly one key; err->json_path gets the place of the mistake. */
bool mig_guard_check_syntax(const bson_t *guard, const char *json_path, mig_error *err);
/* Whether what it says depends on that collection. Takes a guard that was checked. */
bool mig_guard_reads(const bson_t *guard, const char *collection);
/* Checks the syntax too, as guards also come from steps. env->work may be NULL only for guards that ask no server. */
bool mig_guard_run(const mig_guard_env *env, const bson_t *guard, mig_guard_result *out, mig_error *err);
void mig_guard_result_clear(mig_guard_result *r);

/* For guards: refuses with a reason (shortened to fit, never inside a character). Always returns true (it was decided).
 */
bool mig_guard_refuse(mig_guard_result *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void mig_guard_hint(mig_guard_result *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* For a guard's check(): MIG_E_INPUT about one argument (NULL: about all of them). Always returns false. */
bool mig_guard_bad(mig_error *err, const char *argument, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
