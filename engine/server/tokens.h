/*
 * tokens.h - who may do what: bearer tokens from a file that only its owner may read
 *
 *     # scope  token (or sha256: and its SHA-256 in hex)                                  name, for ledger and log
 *     read     sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824      grafana
 *     write    6f1ed002ab5595859014ebf0951522d96f1ed002ab5595859014ebf0951522d9              deploy
 *
 * `write` includes `read`. A token has at least 20 characters without spaces. In memory there are only hashes; finding
 * one compares with all of them, each in constant time.
 * Errors: MIG_E_USAGE with file and line; never a part of a token.
 */
#ifndef MIG_SERVER_TOKENS_H
#define MIG_SERVER_TOKENS_H

#include "base/error.h"

typedef enum mig_scope { MIG_SCOPE_NONE, MIG_SCOPE_READ, MIG_SCOPE_WRITE } mig_scope;
const char *mig_scope_name(mig_scope scope);

typedef struct mig_tokens mig_tokens;

bool mig_tokens_load(const char *path, mig_tokens **out, mig_error *err);
void mig_tokens_free(mig_tokens *t);
/* MIG_SCOPE_NONE: no such token. *name is borrowed. */
mig_scope mig_tokens_find(const mig_tokens *t, const char *token, const char **name);

#endif
