/*
 * mig_module.h - a migration written in C; <mig.h> includes it and is all that a module needs
 *
 *     #include <mig.h>
 *     static bool shorten(mig_ctx *ctx, mig_doc user, mig_doc *after, void *arg) { ...; *after = ...; return true; }
 *     static bool up(mig_ctx *ctx) { return mig_ctx_transform(ctx, "users", MIG_ALL, shorten, NULL); }
 *     const mig_module mig_module_descriptor = {
 *         .abi = MIG_MODULE_ABI, .description = "Shorter names", .writes = MIG_LIST("users"), .up = up};
 *
 * The file stands in the migrations folder: 0005_shorter-names.c is compiled on first use, 0005_shorter-names.so is
 * taken as it is. It runs in a process of its own that holds no connection and no secret: every service below is done
 * by mig, in the migration's transaction where there is one, after a look at the lease and at what the module declared.
 * So a module that crashes, exits, hangs or writes all over its memory fails like any other migration, and the data is
 * restored. It must not open a connection of its own: what it wrote there nobody could put back.
 * Errors: where mig or the server says no, the process is ended there and nothing after it is run. A mistake inside the
 * process (a document that cannot be made) returns false, and the run fails whatever up() returns then.
 * Ownership: a mig_doc made or received by a service lives until the callback it was made in, or up(), returns.
 * Threads: services from the thread that runs up() only.   Guide: docs/modules.md
 */
#ifndef MIG_MODULE_H
#define MIG_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MIG_MODULE_ABI 1

typedef struct mig_ctx mig_ctx;

/* The bytes of one BSON document (or of an array). With libbson: bson_init_static(&b, doc.data, doc.size). */
typedef struct mig_doc {
  const uint8_t *data;
  size_t size;
} mig_doc;

typedef struct mig_module {
  int abi;                            /* MIG_MODULE_ABI */
  const char *name;                   /* NULL, or the file's name without its ending: a check */
  const char *version;                /* NULL: the number in front of the file's name */
  const char *description, *author;   /* may be NULL */
  const char *const *writes;          /* collections whose documents it changes, and those it makes, drops or renames */
  const char *const *indexes;         /* collections of which only indexes or options change; then no transaction.
                                         A TTL index removes documents: .writes, too */
  const char *const *reads;           /* others that it only reads */
  const char *const *guards;          /* before up: "{'noDuplicates': {'collection': 'users', 'fields': ['email']}}" */
  const char *const *verify;          /* after up */
  const char *metadata;               /* recorded in the ledger: "{'ticket': 'OPS-17'}" */
  const char *transaction, *snapshot; /* as in a .json migration: "auto" (NULL), "required", "off"; "always" */
  int64_t silence_ms;                 /* ended after so long without using a service; 0: 10 minutes */
  bool (*up)(mig_ctx *ctx);
  bool (*down)(mig_ctx *ctx); /* NULL: not reversible */
} mig_module;

/* Each module defines it: const mig_module mig_module_descriptor = {...}; */
extern const mig_module mig_module_descriptor __attribute__((visibility("default")));
#define MIG_LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

/* ---- saying something ------------------------------------------------------------------------------------------ */

void mig_ctx_log(mig_ctx *ctx, const char *format, ...) __attribute__((format(printf, 2, 3)));
void mig_ctx_warn(mig_ctx *ctx, const char *format, ...) __attribute__((format(printf, 2, 3)));
void mig_ctx_progress(mig_ctx *ctx, const char *what, uint64_t done, uint64_t total); /* total 0: not known */
/* Why up() gives up; it is what the user reads. Always false: return mig_ctx_fail(ctx, "...") */
bool mig_ctx_fail(mig_ctx *ctx, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- documents ------------------------------------------------------------------------------------------------- */

#define MIG_ALL ((mig_doc){(const uint8_t *)"\5\0\0\0", 5}) /* {}: the filter that all documents match */
/* Extended JSON, with 'single' quotes if you like, and values put in their places, never into the text:
 *   %s const char * (NULL: null)   %i int   %l int64_t   %f double   %b bool (int)   %t int64_t, a date in UTC ms
 *   %d mig_doc, a document         %a mig_doc, an array   %v mig_doc, const char *path: the value found there
 *     mig_ctx_doc(ctx, "{'_id': %v, 'n': {'$gt': %i}}", order, "customer._id", 7)
 * A mistake makes the run fail; then data is NULL, which every service refuses. */
mig_doc mig_ctx_doc(mig_ctx *ctx, const char *format, ...);
/* `base` with the top-level fields of `change` in place of its own, or added at the end. */
mig_doc mig_ctx_merge(mig_ctx *ctx, mig_doc base, mig_doc change);

/* Dotted paths ("address.city", "items.0.price"). False, and *out left alone: missing, or of another type. */
bool mig_doc_has(mig_doc doc, const char *path);
bool mig_doc_text(mig_doc doc, const char *path, const char **out);
bool mig_doc_int(mig_doc doc, const char *path, int64_t *out);   /* int32, int64, and a double that is whole */
bool mig_doc_double(mig_doc doc, const char *path, double *out); /* any number but Decimal128 */
bool mig_doc_bool(mig_doc doc, const char *path, bool *out);
bool mig_doc_date(mig_doc doc, const char *path, int64_t *unix_ms);
bool mig_doc_inner(mig_doc doc, const char *path, mig_doc *out); /* a document or an array */
size_t mig_doc_count(mig_doc doc);                               /* fields, or elements of an array */

/* ---- reading --------------------------------------------------------------------------------------------------- */

/* Called for each document; false ends it and is a failure. Services may be used inside. */
typedef bool (*mig_doc_fn)(mig_ctx *ctx, mig_doc doc, void *arg);
bool mig_ctx_find(mig_ctx *ctx, const char *collection, mig_doc filter, mig_doc_fn fn, void *arg); /* by _id */
bool mig_ctx_query(mig_ctx *ctx, mig_doc find_or_aggregate, mig_doc_fn fn, void *arg);
bool mig_ctx_count(mig_ctx *ctx, const char *collection, mig_doc filter, int64_t *out);
bool mig_ctx_exists(mig_ctx *ctx, const char *collection, bool *out);
bool mig_ctx_stats(mig_ctx *ctx, const char *collection, int64_t *documents, int64_t *bytes); /* estimates */
/* Any guard of a .json migration. why (may be NULL) gets what it found, until the callback or up() returns. */
bool mig_ctx_check(mig_ctx *ctx, mig_doc guard, bool *holds, const char **why);

/* ---- writing --------------------------------------------------------------------------------------------------- */

/* Arbitrary code over each document, read and written in batches. *after is `before` at first; leave it, set it to
 * another document with the same _id, or to MIG_REMOVE. A document that somebody else changes in between makes the run
 * fail instead of being overwritten. */
#define MIG_REMOVE ((mig_doc){NULL, 1})
typedef bool (*mig_transform_fn)(mig_ctx *ctx, mig_doc before, mig_doc *after, void *arg);
bool mig_ctx_transform(mig_ctx *ctx, const char *collection, mig_doc filter, mig_transform_fn fn, void *arg);
/* Gathered and sent in batches: at the latest before the next other service, and when up() returns. */
bool mig_ctx_insert(mig_ctx *ctx, const char *collection, mig_doc document);
/* Any step of a .json migration, with its guards and batches: {'createIndex': {...}}, {'update': {...}} ... */
bool mig_ctx_step(mig_ctx *ctx, mig_doc step);
/* A database command, by the rules of the step `command`. reply may be NULL. For find and aggregate: mig_ctx_query. */
bool mig_ctx_command(mig_ctx *ctx, mig_doc command, mig_doc *reply);

/* ---- copies of one collection, besides the snapshot that protects the run; not in a transaction ------------------ */

#define MIG_BACKUP_ID 300
bool mig_ctx_backup(mig_ctx *ctx, const char *collection, char id[MIG_BACKUP_ID]); /* now, into the store */
bool mig_ctx_restore(mig_ctx *ctx, const char *id);     /* as it was; only a backup of this run */
bool mig_ctx_drop_backup(mig_ctx *ctx, const char *id); /* one that is not dropped stays in the store */

#ifdef __cplusplus
}
#endif

#endif
