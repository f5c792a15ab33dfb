/*
 * error.h - one error value for the whole program: what happened, why, and what to do next
 *
 *     return mig_fail(err, MIG_E_STORE, "cannot write %s", path, "hint: ...");   // always returns false
 *
 * Every fallible function is `bool mig_x(..., mig_error *err)`: false fills *err, out-parameters are then NULL.
 * `err` may be NULL where the caller does not care. Nothing here allocates, so it works when memory is short.
 * Secrets: every text is passed through mig_redact(), which blanks the user part of connection strings, and through
 * mig_plain(): what others wrote into it cannot steer a terminal.
 * Threads: a mig_error belongs to its caller.
 */
#ifndef MIG_BASE_ERROR_H
#define MIG_BASE_ERROR_H

#include "mig.h" /* mig_error, mig_code: they are public; the table of codes is in error.c */

/* Fills *err with code and what; clears the rest. Always returns false. */
bool mig_fail(mig_error *err, mig_code code, const char *what_fmt, ...) __attribute__((format(printf, 3, 4)));
/* Adds (replaces) the cause or the hint. Always return false, so that they can end a return statement. */
bool mig_why(mig_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool mig_hint(mig_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Puts "prefix: " before what; for adding the place on the way up. Always returns false. */
bool mig_fail_at(mig_error *err, const char *prefix_fmt, ...) __attribute__((format(printf, 2, 3)));
/* Sets json_path to "path.key" (either may be empty). Always returns false. */
bool mig_at_path(mig_error *err, const char *path, const char *key);
/* MIG_E_NO_MEMORY for `what`. Always returns false. */
bool mig_no_memory(mig_error *err, const char *what);
/* MIG_E_STORE with strerror(errno) as the cause. Always returns false. */
bool mig_fail_errno(mig_error *err, const char *what_fmt, ...) __attribute__((format(printf, 2, 3)));

void mig_error_clear(mig_error *err);
/* err->why and err->hint, or what its code means: never empty. */
const char *mig_error_why(const mig_error *err);
const char *mig_error_hint(const mig_error *err);

/* Blanks "user:password@" in every connection string inside text, in place. */
void mig_redact(char *text);
/* Makes text one line of UTF-8 without control characters, in place: servers, archives and files have their say in it,
 * and it ends up on terminals and in the ledger. Line ends become blanks, the rest '?'. */
void mig_plain(char *text);

#endif
