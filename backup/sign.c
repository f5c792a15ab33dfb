#include "backup/sign.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

#include "backup/archive_internal.h"
#include "backup/chunk.h"
#include "base/fs.h"

#define SIGNATURE_BYTES 64u

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
  if (!mig_fs_read(path, 64u << 10, &text, err)) {
    if (err) err->code = MIG_E_USAGE;
    return false;
  }
  BIO *bio = BIO_new_mem_buf(text.data, (int)text.size);
  if (bio)
    *out = is_private ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL)
                      : PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
  BIO_free(bio);
  if (text.data && is_private) OPENSSL_cleanse(text.data, text.capacity);
  mig_buf_free(&text);
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

static bool manifest_text(const mig_archive *a, mig_buf *text, mig_error *err) {
  *text = MIG_BUF(MIG_MANIFEST_MAX_BYTES);
  return mig_read_member(a->fd, a->path, MIG_MANIFEST_MEMBER, a->manifest_offset, a->manifest_bytes, text, err);
}

static char *signature_path(const char *path, mig_error *err) {
  char *out = mig_strdup_printf("%s" MIG_SIGN_SUFFIX, path);
  if (!out) mig_no_memory(err, "path");
  return out;
}

bool mig_sign_archive(const char *path, const char *private_pem, mig_error *err) {
  mig_archive *a = NULL;
  mig_buf text = {0};
  EVP_PKEY *key = NULL;
  uint8_t signature[SIGNATURE_BYTES];
  size_t size = sizeof signature;
  char *beside = signature_path(path, err);
  bool ok = beside && read_key(private_pem, true, &key, err) && mig_archive_open(path, &a, err) &&
            manifest_text(a, &text, err);
  EVP_MD_CTX *ctx = ok ? EVP_MD_CTX_new() : NULL;
  if (ok && (!ctx || EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) != 1 ||
             EVP_DigestSign(ctx, signature, &size, text.data, text.size) != 1 || size != SIGNATURE_BYTES))
    ok = mig_fail(err, MIG_E_UNSUPPORTED, "%s could not be signed", path);
  ok = ok && mig_fs_write_atomic(beside, signature, sizeof signature, 0600, err);
  EVP_MD_CTX_free(ctx);
  EVP_PKEY_free(key);
  mig_buf_free(&text);
  mig_archive_free(a);
  mig_free(beside);
  return ok;
}

bool mig_sign_check(const mig_archive *a, const char *public_pem, mig_error *err) {
  mig_buf text = {0}, signature = {0};
  EVP_PKEY *key = NULL;
  EVP_MD_CTX *ctx = NULL;
  char *beside = signature_path(a->path, err);
  bool ok = beside && read_key(public_pem, false, &key, err);
  if (ok && !mig_fs_exists(beside)) {
    ok = mig_fail(err, MIG_E_ARCHIVE, "%s is not signed", a->path);
    mig_why(err, "there is no %s", beside);
  }
  ok = ok && mig_fs_read(beside, 4096, &signature, err) && manifest_text(a, &text, err);
  if (ok && (signature.size != SIGNATURE_BYTES || !(ctx = EVP_MD_CTX_new()) ||
             EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) != 1 ||
             EVP_DigestVerify(ctx, signature.data, signature.size, text.data, text.size) != 1)) {
    ok = mig_fail(err, MIG_E_ARCHIVE, "%s is not signed by the holder of %s", a->path, public_pem);
    mig_why(err, "the signature does not fit manifest.json: another signer, or it was altered");
    mig_hint(err, "do not restore it unless you know where it comes from");
  }
  EVP_MD_CTX_free(ctx);
  EVP_PKEY_free(key);
  mig_buf_free(&signature);
  mig_buf_free(&text);
  mig_free(beside);
  return ok;
}
