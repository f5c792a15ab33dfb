/* The primitives of encryption and signature, by the vectors of the RFCs that define them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "backup/kdf.h"
#include "backup/sign.h"

static size_t from_hex(const char *hex, uint8_t *out) {
  const size_t n = strlen(hex) / 2;
  for (size_t i = 0; i < n; i++) {
    const char pair[3] = {hex[2 * i], hex[2 * i + 1], 0};
    out[i] = (uint8_t)strtoul(pair, NULL, 16);
  }
  return n;
}

static void hkdf_is_that_of_rfc_5869(void **state) {
  static const struct {
    const char *secret, *salt, *info, *out;
  } vectors[] = {{"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9",
                  "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
                 {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f"
                  "303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
                  "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f"
                  "909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
                  "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
                  "e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
                  "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
                  "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"},
                 {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
                  "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"}};
  (void)state;
  for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
    uint8_t secret[100], salt[100], info[100], want[100], got[100];
    mig_error err;
    const size_t a = from_hex(vectors[i].secret, secret), b = from_hex(vectors[i].salt, salt),
                 c = from_hex(vectors[i].info, info), n = from_hex(vectors[i].out, want);
    assert_true(mig_hkdf(secret, a, salt, b, info, c, got, n, &err));
    assert_memory_equal(got, want, n);
  }
}

static void scrypt_is_that_of_rfc_7914(void **state) {
  static const struct {
    const char *words, *salt;
    uint64_t n, r, p;
    const char *out;
  } vectors[] = {{"", "", 16, 1, 1,
                  "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
                  "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906"},
                 {"password", "NaCl", 1024, 8, 16,
                  "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
                  "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"},
                 {"pleaseletmein", "SodiumChloride", 16384, 8, 1,
                  "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
                  "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"}};
  (void)state;
  for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
    uint8_t want[64], got[64];
    mig_error err;
    from_hex(vectors[i].out, want);
    assert_true(mig_scrypt(vectors[i].words, strlen(vectors[i].words), vectors[i].salt, strlen(vectors[i].salt),
                           vectors[i].n, vectors[i].r, vectors[i].p, got, sizeof got, &err));
    assert_memory_equal(got, want, sizeof want);
  }
}

/* As openssl genpkey and openssl pkey -pubout would write them. */
static void write_keys(const char *secret_hex, const char *public_hex, const char *secret_path,
                       const char *public_path) {
  uint8_t secret[32], public[32];
  from_hex(secret_hex, secret);
  from_hex(public_hex, public);
  EVP_PKEY *s = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, sizeof secret);
  EVP_PKEY *p = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public, sizeof public);
  FILE *sf = fopen(secret_path, "w"), *pf = fopen(public_path, "w");
  assert_true(sf && pf && PEM_write_PrivateKey(sf, s, NULL, NULL, 0, NULL, NULL) == 1 && PEM_write_PUBKEY(pf, p) == 1);
  fclose(sf);
  fclose(pf);
  EVP_PKEY_free(s);
  EVP_PKEY_free(p);
}

static void ed25519_is_that_of_rfc_8032(void **state) {
  static const struct {
    const char *secret, *public, *message, *signature;
  } vectors[] = {{"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                  "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
                  "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555"
                  "fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
                 {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                  "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
                  "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                  "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
                 {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                  "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
                  "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
                  "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"}};
  char folder[] = "/tmp/mig-sign-XXXXXX", secret_path[64], public_path[64];
  (void)state;
  assert_non_null(mkdtemp(folder));
  snprintf(secret_path, sizeof secret_path, "%s/secret.pem", folder);
  snprintf(public_path, sizeof public_path, "%s/public.pem", folder);
  for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
    uint8_t message[8], want[MIG_SIGNATURE_BYTES], got[MIG_SIGNATURE_BYTES];
    mig_error err = {0};
    bool fit = false;
    mig_sign_key *key = NULL;
    const size_t n = from_hex(vectors[i].message, message);
    const mig_buf signature = {.data = got, .size = sizeof got};
    from_hex(vectors[i].signature, want);
    write_keys(vectors[i].secret, vectors[i].public, secret_path, public_path);
    assert_false(mig_sign_key_from_file(secret_path, &key, &err)); /* others can read it */
    assert_null(key);
    assert_int_equal(err.code, MIG_E_USAGE);
    chmod(secret_path, 0600);
    assert_true(mig_sign_key_from_file(secret_path, &key, &err));
    assert_true(mig_sign_bytes(key, message, n, got, &err));
    mig_sign_key_free(key);
    assert_memory_equal(got, want, sizeof want);
    assert_true(mig_sign_bytes_fit(public_path, message, n, &signature, &fit, &err) && fit);
    got[i] ^= 1;
    assert_true(mig_sign_bytes_fit(public_path, message, n, &signature, &fit, &err) && !fit);
    unlink(secret_path);
  }
  unlink(public_path);
  rmdir(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(hkdf_is_that_of_rfc_5869),
      cmocka_unit_test(scrypt_is_that_of_rfc_7914),
      cmocka_unit_test(ed25519_is_that_of_rfc_8032),
  };
  umask(022);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
