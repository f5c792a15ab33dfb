#include "backup/sign.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

#include "backup/archive_internal.h"
#include "backup/crypt_key.h"
#include "backup/kdf.h"
#include "base/fs.h"

#define KEY_FILE_MAX       (64u << 10)
#define SIGNATURE_FILE_MAX 4096u

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
  bool ok = is_private ? mig_secret_read(path, KEY_FILE_MAX, &text, err) : mig_fs_read(path, KEY_FILE_MAX, &text, err);
  BIO *bio = ok ? BIO_new_mem_buf(text.data, (int)text.size) : NULL;
  if (bio)
    *out = is_private ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL)
                      : PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
  BIO_free(bio);
  mig_secret_wipe(&text);
  if (!ok) {
    if (err) err->code = MIG_E_USAGE;
    return false;
  }
  if (*out && EVP_PKEY_is_a(*out, "ED25519")) return true;
  EVP_PKEY_free(*out);
  *out = NULL;
  mig_fail(err, MIG_E_USAGE, "%s is not %s Ed25519 key in PEM", path, is_private ? "a private" : "a public");
  return is_private ? mig_hint(err, "openssl genpkey -algorithm ed25519 -out %s (without a passphrase)", path)
                    : mig_hint(err, "openssl pkey -in PRIVATE -pubout -out %s", path);
}

bool mig_sign_key_ok(const char *private_pem, mig_error *err) {
  EVP_PKEY *key = NULL;
  const bool ok = read_key(private_pem, true, &key, err);
  EVP_PKEY_free(key);
  return ok;
}

bool mig_sign_bytes(const char *private_pem, const void *data, size_t size,
                    uint8_t signature[static MIG_SIGNATURE_BYTES], mig_error *err) {
  EVP_PKEY *key = NULL;
  size_t n = MIG_SIGNATURE_BYTES;
  if (!read_key(private_pem, true, &key, err)) return false;
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  const bool ok = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
                  EVP_DigestSign(ctx, signature, &n, data, size) == 1 && n == MIG_SIGNATURE_BYTES;
  EVP_MD_CTX_free(ctx);
  EVP_PKEY_free(key);
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

/* The text that was parsed and by which verify() judges the file, not what may stand in the file a moment later: the
 * format has one text for each manifest, and open() has seen that it was this one. */
static bool manifest_text(const mig_archive *a, mig_buf *text, mig_error *err) {
  *text = MIG_BUF(MIG_MANIFEST_MAX_BYTES);
  return mig_manifest_write(a->manifest, text, err);
}

static char *signature_path(const char *path, mig_error *err) {
  char *out = mig_strdup_printf("%s" MIG_SIGN_SUFFIX, path);
  if (!out) mig_no_memory(err, "path");
  return out;
}

bool mig_sign_archive(const char *path, const char *private_pem, mig_error *err) {
  mig_archive *a = NULL;
  mig_buf text = {0};
  uint8_t signature[MIG_SIGNATURE_BYTES];
  char *beside = signature_path(path, err);
  const bool ok = beside && mig_archive_open(path, &a, err) && manifest_text(a, &text, err) &&
                  mig_sign_bytes(private_pem, text.data, text.size, signature, err) &&
                  mig_blob_put(beside, signature, sizeof signature, err);
  mig_buf_free(&text);
  mig_archive_free(a);
  mig_free(beside);
  return ok;
}

static bool read_signature(const char *path, mig_buf *out, mig_error *err) {
  char *beside = signature_path(path, err);
  bool there = false;
  bool ok = beside && mig_blob_get(beside, SIGNATURE_FILE_MAX, &there, out, err);
  if (ok && !there) {
    ok = mig_fail(err, MIG_E_ARCHIVE, "%s is not signed", path);
    mig_why(err, "there is no %s", beside);
    mig_hint(err, "do not restore it unless you know where it comes from");
  }
  mig_free(beside);
  return ok;
}

bool mig_sign_check(const mig_archive *a, const char *public_pem, mig_error *err) {
  mig_buf text = {0}, signature = {0};
  bool fit = false;
  bool ok = read_signature(a->path, &signature, err) && manifest_text(a, &text, err) &&
            mig_sign_bytes_fit(public_pem, text.data, text.size, &signature, &fit, err);
  if (ok && !fit) {
    ok = mig_fail(err, MIG_E_ARCHIVE, "%s is not signed by the holder of %s", a->path, public_pem);
    mig_why(err, "the signature does not fit manifest.json: another signer, or it was altered");
    mig_hint(err, "do not restore it unless you know where it comes from");
  }
  mig_buf_free(&signature);
  mig_buf_free(&text);
  return ok;
}
