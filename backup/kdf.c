#include "backup/kdf.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

bool mig_crypto_failed(mig_error *err, const char *what) {
  mig_fail(err, MIG_E_UNSUPPORTED, "%s failed", what);
  return mig_why(err, "libcrypto refuses it; a FIPS or other policy may forbid it");
}

/* libcrypto's parameters are not const, and are not written to. */
static OSSL_PARAM bytes(const char *name, const void *data, size_t size) {
  static char none[] = "";
  return OSSL_PARAM_construct_octet_string(name, size ? (void *)(uintptr_t)data : none, size);
}

bool mig_hkdf(const void *secret, size_t size, const void *salt, size_t salt_size, const void *info, size_t info_size,
              uint8_t *out, size_t out_size, mig_error *err) {
  char digest[] = "SHA256";
  EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
  EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
                               bytes(OSSL_KDF_PARAM_KEY, secret, size), bytes(OSSL_KDF_PARAM_SALT, salt, salt_size),
                               bytes(OSSL_KDF_PARAM_INFO, info, info_size), OSSL_PARAM_construct_end()};
  const bool ok = ctx && EVP_KDF_derive(ctx, out, out_size, params) == 1;
  EVP_KDF_CTX_free(ctx);
  EVP_KDF_free(kdf);
  return ok || mig_crypto_failed(err, "HKDF-SHA256");
}

bool mig_scrypt(const void *passphrase, size_t size, const void *salt, size_t salt_size, uint64_t n, uint64_t r,
                uint64_t p, uint8_t *out, size_t out_size, mig_error *err) {
  return EVP_PBE_scrypt(passphrase, size, salt, salt_size, n, r, p, MIG_SCRYPT_MOST + (1u << 20), out, out_size) == 1 ||
         mig_crypto_failed(err, "scrypt");
}
