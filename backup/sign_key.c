#include "backup/sign_key.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "backup/crypt_key.h"
#include "backup/kdf.h"
#include "base/fs.h"

#define KEY_FILE_MAX (64u << 10)

struct mig_sign_key {
  EVP_PKEY *pair;
};

/* No prompt for a passphrase of the PEM file: there may be nobody to ask. */
static int no_passphrase(char *buffer, int size, int rwflag, void *arg) {
  (void)buffer;
  (void)size;
  (void)rwflag;
  (void)arg;
  return 0;
}

static bool read_key(const char *path, bool is_private, EVP_PKEY **out, mig_error *err) {
  mig_buf text = {0};
  *out = NULL;
  bool ok =
      is_private ? mig_fs_read_secret(path, KEY_FILE_MAX, &text, err) : mig_fs_read(path, KEY_FILE_MAX, &text, err);
  BIO *bio = ok ? BIO_new_mem_buf(text.data, (int)text.size) : NULL;
  if (bio)
    *out = is_private ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL)
                      : PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
  BIO_free(bio);
  mig_fs_wipe(&text);
  if (!ok) {
    if (err && err->code != MIG_E_NO_MEMORY) err->code = MIG_E_USAGE;
    return false;
  }
  if (*out && EVP_PKEY_is_a(*out, "ED25519")) return true;
  EVP_PKEY_free(*out);
  *out = NULL;
  mig_fail(err, MIG_E_USAGE, "%s is not %s Ed25519 key in PEM", path, is_private ? "a private" : "a public");
  return is_private ? mig_hint(err, "openssl genpkey -algorithm ed25519 -out %s (without a passphrase)", path)
                    : mig_hint(err, "openssl pkey -in PRIVATE -pubout -out %s", path);
}

bool mig_sign_key_from_file(const char *private_pem, mig_sign_key **out, mig_error *err) {
  EVP_PKEY *pair = NULL;
  *out = NULL;
  if (!read_key(private_pem, true, &pair, err)) return false;
  mig_sign_key *key = mig_alloc(sizeof *key);
  if (!key) {
    EVP_PKEY_free(pair);
    return mig_no_memory(err, "key");
  }
  key->pair = pair;
  *out = key;
  return true;
}

mig_sign_key *mig_sign_key_copy(const mig_sign_key *key) {
  mig_sign_key *copy = key ? mig_alloc(sizeof *copy) : NULL;
  if (!copy) return NULL;
  EVP_PKEY_up_ref(key->pair);
  copy->pair = key->pair;
  return copy;
}

void mig_sign_key_free(mig_sign_key *key) {
  if (!key) return;
  EVP_PKEY_free(key->pair);
  mig_free(key);
}

bool mig_sign_bytes(const mig_sign_key *key, const void *data, size_t size,
                    uint8_t signature[static MIG_SIGNATURE_BYTES], mig_error *err) {
  size_t n = MIG_SIGNATURE_BYTES;
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  const bool ok = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key->pair) == 1 &&
                  EVP_DigestSign(ctx, signature, &n, data, size) == 1 && n == MIG_SIGNATURE_BYTES;
  EVP_MD_CTX_free(ctx);
  return ok || mig_crypto_failed(err, "Ed25519");
}

bool mig_sign_bytes_fit(const char *public_pem, const void *data, size_t size, const mig_buf *signature, bool *fit,
                        mig_error *err) {
  EVP_PKEY *key = NULL;
  if (!read_key(public_pem, false, &key, err)) return false;
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  const bool ok = ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1;
  *fit = ok && signature->size == MIG_SIGNATURE_BYTES &&
         EVP_DigestVerify(ctx, signature->data, signature->size, data, size) == 1;
  EVP_MD_CTX_free(ctx);
  EVP_PKEY_free(key);
  return ok || mig_crypto_failed(err, "Ed25519");
}
