/*
 * kdf.h - keys from secrets: HKDF with SHA-256 (RFC 5869) and scrypt (RFC 7914)
 *
 *     mig_hkdf(secret, secret_size, salt, salt_size, "what for", out, 32, err)
 *     mig_scrypt(passphrase, size, salt, salt_size, n, r, p, out, 32, err)
 *
 * libcrypto does both. Memory: scrypt takes 128 * n * r bytes, at most MIG_SCRYPT_MOST. Errors: MIG_E_UNSUPPORTED when
 * libcrypto refuses. Secrets: `out` is the caller's to wipe.
 */
#ifndef MIG_BACKUP_KDF_H
#define MIG_BACKUP_KDF_H

#include "base/error.h"

#define MIG_SCRYPT_MOST (256u << 20) /* memory that an archive may make us use */

bool mig_hkdf(const void *secret, size_t size, const void *salt, size_t salt_size, const void *info, size_t info_size,
              uint8_t *out, size_t out_size, mig_error *err);
bool mig_scrypt(const void *passphrase, size_t size, const void *salt, size_t salt_size, uint64_t n, uint64_t r,
                uint64_t p, uint8_t *out, size_t out_size, mig_error *err);
/* "%s failed", and why libcrypto may refuse what it has always done. */
bool mig_crypto_failed(mig_error *err, const char *what);

#endif
