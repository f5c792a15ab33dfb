/*
 * sign.h - a signature beside a snapshot: who made it, and that not a byte of it is another
 *
 *     mig_sign_archive("ID.mig.tar", "private.pem")  -->  ID.mig.tar.sig
 *     mig_sign_check(archive, "public.pem")
 *
 * Ed25519 over the bytes of manifest.json, which carries the sums of everything else, its own file's included. The
 * signature's 64 bytes stand in a file of their own, so that `openssl pkeyutl -verify -rawin` can check it. Keys are
 * PEM (openssl genpkey -algorithm ed25519), the private one readable by its owner only. Trust: the signature file is
 * untrusted. Errors: MIG_E_USAGE for a key that
 * is none, MIG_E_ARCHIVE for a signature that is missing, or not of this signer.
 */
#ifndef MIG_BACKUP_SIGN_H
#define MIG_BACKUP_SIGN_H

#include "backup/archive_read.h"

#define MIG_SIGN_SUFFIX     ".sig"
#define MIG_SIGNATURE_BYTES 64u

bool mig_sign_key_ok(const char *private_pem, mig_error *err); /* can it be used? before the snapshot is taken */
bool mig_sign_bytes(const char *private_pem, const void *data, size_t size,
                    uint8_t signature[static MIG_SIGNATURE_BYTES], mig_error *err);
/* False only when it could not be found out; *fit says whether the signature is good. */
bool mig_sign_bytes_fit(const char *public_pem, const void *data, size_t size, const mig_buf *signature, bool *fit,
                        mig_error *err);
bool mig_sign_archive(const char *path, const char *private_pem, mig_error *err);
/* The archive as it was opened; verify() says that the rest of the file fits its manifest. */
bool mig_sign_check(const mig_archive *a, const char *public_pem, mig_error *err);

#endif
