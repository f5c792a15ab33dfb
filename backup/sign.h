/*
 * sign.h - a signature beside a snapshot: who made it, and that not a byte of it is another
 *
 *     mig_store_use_sign_key --> what mig_archive_finish() makes is signed  -->  ID.mig.tar.sig
 *     mig_sign_check(archive, "public.pem")
 *
 * Ed25519 over the bytes of manifest.json, which carries the sums of everything else, its own file's included. The
 * signature's 64 bytes stand in a file of their own, so that `openssl pkeyutl -verify -rawin` can check it. Keys:
 * sign_key.h. Trust: the signature file is untrusted. Errors: MIG_E_USAGE for a key that is none, MIG_E_ARCHIVE for a
 * signature that is missing, or not of this signer.
 */
#ifndef MIG_BACKUP_SIGN_H
#define MIG_BACKUP_SIGN_H

#include "backup/archive_read.h"
#include "backup/sign_key.h"

#define MIG_SIGN_SUFFIX ".sig"

/* Beside the archive at `path`, durable on return. The manifest is the one that was written, not what stands at that
 * path a moment later. */
bool mig_sign_manifest(const mig_sign_key *key, const mig_manifest *m, const char *path, mig_error *err);
/* The archive as it was opened; verify() says that the rest of the file fits its manifest. */
bool mig_sign_check(const mig_archive *a, const char *public_pem, mig_error *err);

#endif
