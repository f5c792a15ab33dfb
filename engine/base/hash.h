/*
 * hash.h - SHA-256 (libcrypto), incremental and at once
 *
 *     mig_hash *h; mig_hash_new(&h, err); mig_hash_add(h, p, n); mig_hash_hex(h, hex); mig_hash_free(h);
 *
 * mig_hash_hex ends the sum and starts a new one, so that one object serves many sums.
 */
#ifndef MIG_BASE_HASH_H
#define MIG_BASE_HASH_H

#include "base/error.h"

#define MIG_SHA256_HEX 65 /* 64 lower-case digits and a zero */

typedef struct mig_hash mig_hash;

bool mig_hash_new(mig_hash **out, mig_error *err);
void mig_hash_add(mig_hash *h, const void *data, size_t size);
void mig_hash_hex(mig_hash *h, char hex[static MIG_SHA256_HEX]);
/* Another sum that has had the same bytes so far. */
bool mig_hash_fork(const mig_hash *h, mig_hash **out, mig_error *err);
void mig_hash_free(mig_hash *h);

bool mig_sha256_hex(const void *data, size_t size, char hex[static MIG_SHA256_HEX], mig_error *err);
/* The sum of a whole file, read in pieces; *bytes (may be NULL) gets its length. */
bool mig_sha256_file(const char *path, char hex[static MIG_SHA256_HEX], uint64_t *bytes, mig_error *err);
/* Bytes as lower-case hex; hex has room for 2 * count + 1. */
void mig_hex(const uint8_t *bytes, size_t count, char *hex);
/* count random bytes as lower-case hex; hex has room for 2 * count + 1. */
bool mig_random_hex(size_t count, char *hex, mig_error *err);

#endif
