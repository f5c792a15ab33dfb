/*
 * crypt.h - encryption of chunks: AES-256-GCM, a key of its own for each archive, bound to the chunk's place
 *
 *     writing:  key --> mig_crypt_new (fills the manifest's `encryption`) --> seal* --> free
 *     reading:  key --> mig_crypt_open (says when it is the wrong key)    --> unseal* --> free
 *
 * From the key file (by HKDF) or passphrase (by scrypt) and a random salt comes a master key; from that, by HKDF, the
 * key of the chunks, a check value, which tells a wrong key from altered data, and a key for the manifest's HMAC:
 * without the secret nobody can change what the manifest says, so that no chunk or collection can be left out. A sealed
 * chunk is nonce, ciphertext, tag; the archive's id and the member's name are authenticated with it, so that no chunk
 * can stand for another.
 * docs/snapshot-format.md is normative.
 * Secrets: key material is wiped when freed and never comes out. Threads: seal and unseal may run on several at once.
 * Errors: MIG_E_USAGE for a key that cannot be used, is missing or is the wrong one; MIG_E_ARCHIVE for altered data.
 */
#ifndef MIG_BACKUP_CRYPT_H
#define MIG_BACKUP_CRYPT_H

#include "base/hash.h"
#include "base/mem.h"

typedef struct mig_key mig_key;
typedef struct mig_crypt mig_crypt;

#define MIG_KEY_FILE_MIN  32u /* bytes */
#define MIG_KEY_FILE_MAX  4096u
#define MIG_SEAL_OVERHEAD 28u /* a sealed chunk is so much longer */
#define MIG_CRYPT_HEX     33  /* 16 bytes in hex, and a zero */

/* What stands in the manifest. */
typedef struct mig_encryption {
  bool used;
  bool passphrase;  /* scrypt; otherwise HKDF of a key file */
  uint64_t n, r, p; /* scrypt's; 0 without it */
  char salt[MIG_CRYPT_HEX], check[MIG_CRYPT_HEX];
  char mac[MIG_SHA256_HEX]; /* of the manifest: mig_crypt_mac */
} mig_encryption;

/* All bytes of the file, as they are, 32 to 4096; others must not be able to read it. */
bool mig_key_from_file(const char *path, mig_key **out, mig_error *err);
bool mig_key_from_passphrase(const char *text, size_t size, mig_key **out, mig_error *err);
/* Its first line, without the line feed. */
bool mig_key_from_passphrase_file(const char *path, mig_key **out, mig_error *err);
mig_key *mig_key_copy(const mig_key *key); /* NULL for NULL, and when memory is short */
void mig_key_free(mig_key *key);

/* The rules of the format for what the manifest says; limits what scrypt may cost. */
bool mig_encryption_ok(const mig_encryption *e);

bool mig_crypt_new(const mig_key *key, const char *id, mig_encryption *out, mig_crypt **crypt, mig_error *err);
/* key may be NULL: then the error says which kind is needed. */
bool mig_crypt_open(const mig_key *key, const char *id, const mig_encryption *e, mig_crypt **crypt, mig_error *err);
void mig_crypt_free(mig_crypt *c);

/* out is emptied first; its maximum must allow for the result, which has been decrypted again and compared. */
bool mig_crypt_seal(const mig_crypt *c, const char *member, const void *data, size_t size, mig_buf *out,
                    mig_error *err);
/* MIG_E_ARCHIVE when anything was altered: data, place or archive. */
bool mig_crypt_unseal(const mig_crypt *c, const char *member, const void *data, size_t size, mig_buf *out,
                      mig_error *err);
/* HMAC-SHA256, in hex: of all that stands in manifest.json before it. */
bool mig_crypt_mac(const mig_crypt *c, const void *data, size_t size, char hex[static MIG_SHA256_HEX], mig_error *err);

#endif
