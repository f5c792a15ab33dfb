/*
 * sign_key.h - the keys of a signer: Ed25519 in PEM, as openssl writes them
 *
 *     mig_sign_key_from_file("private.pem") --> mig_sign_bytes* --> free        mig_sign_bytes_fit("public.pem", ...)
 *
 * The private one is read once, before anything is changed: what is signed later needs its file no more. It must be
 * readable by its owner only (crypt_key.h), and has no passphrase: there may be nobody to ask. Secrets: libcrypto wipes
 * it when it is freed; it never comes out. Errors: MIG_E_USAGE for a key that is none or cannot be read.
 */
#ifndef MIG_BACKUP_SIGN_KEY_H
#define MIG_BACKUP_SIGN_KEY_H

#include "base/mem.h"

#define MIG_SIGNATURE_BYTES 64u

typedef struct mig_sign_key mig_sign_key;

bool mig_sign_key_from_file(const char *private_pem, mig_sign_key **out, mig_error *err);
mig_sign_key *mig_sign_key_copy(const mig_sign_key *key); /* NULL for NULL, and when memory is short */
void mig_sign_key_free(mig_sign_key *key);

bool mig_sign_bytes(const mig_sign_key *key, const void *data, size_t size,
                    uint8_t signature[static MIG_SIGNATURE_BYTES], mig_error *err);
/* False only when it could not be found out; *fit says whether the signature is good. */
bool mig_sign_bytes_fit(const char *public_pem, const void *data, size_t size, const mig_buf *signature, bool *fit,
                        mig_error *err);

#endif
