#include "backup/crypt.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#include "backup/crypt_key.h"
#include "backup/kdf.h"
#include "base/hash.h"

#define KEY_BYTES   32u
#define NONCE_BYTES 12u
#define TAG_BYTES   16u
#define SALT_BYTES  16u
#define PIECE_BYTES 16384u
/* 16 MiB, five times: as dear as 128 MiB once, and below what an archive may cost in memory */
#define SCRYPT_N 16384u
#define SCRYPT_R 8u
#define SCRYPT_P 5u

struct mig_crypt {
  uint8_t chunks[KEY_BYTES], manifest[KEY_BYTES];
  char *id;
};

static void from_hex(const char *hex, uint8_t *bytes, size_t size) {
  for (size_t i = 0; i < size; i++) {
    const char pair[3] = {hex[2 * i], hex[2 * i + 1], 0};
    bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
  }
}

static bool is_hex(const char *text) {
  return strlen(text) == MIG_CRYPT_HEX - 1 && strspn(text, "0123456789abcdef") == MIG_CRYPT_HEX - 1;
}

bool mig_encryption_ok(const mig_encryption *e) {
  if (!is_hex(e->salt) || !is_hex(e->check)) return false;
  if (!e->passphrase) return e->n == 0 && e->r == 0 && e->p == 0;
  const bool power_of_two = e->n >= 2 && (e->n & (e->n - 1)) == 0;
  return power_of_two && e->n <= (1u << 20) && e->r >= 1 && e->r <= 32 && e->p >= 1 && e->p <= 16 &&
         128 * e->n * e->r <= MIG_SCRYPT_MOST;
}

static bool expand(const uint8_t master[KEY_BYTES], const char *info, uint8_t *out, size_t size, mig_error *err) {
  return mig_hkdf(master, KEY_BYTES, NULL, 0, info, strlen(info), out, size, err);
}

/* The keys of the chunks and the manifest and the check value, from the secret and the salt. */
static bool derive(mig_crypt *c, const mig_key *key, const mig_encryption *e, char check[MIG_CRYPT_HEX],
                   mig_error *err) {
  static const char purpose[] = "mig master 1";
  uint8_t salt[SALT_BYTES], master[KEY_BYTES], value[SALT_BYTES];
  from_hex(e->salt, salt, sizeof salt);
  bool ok =
      e->passphrase
          ? mig_scrypt(key->bytes, key->size, salt, sizeof salt, e->n, e->r, e->p, master, sizeof master, err)
          : mig_hkdf(key->bytes, key->size, salt, sizeof salt, purpose, sizeof purpose - 1, master, sizeof master, err);
  ok = ok && expand(master, "mig chunks 1", c->chunks, KEY_BYTES, err) &&
       expand(master, "mig manifest 1", c->manifest, KEY_BYTES, err) &&
       expand(master, "mig check 1", value, sizeof value, err);
  if (ok) mig_hex(value, sizeof value, check);
  OPENSSL_cleanse(master, sizeof master);
  return ok;
}

static bool make(const char *id, mig_crypt **out, mig_error *err) {
  mig_crypt *c = mig_alloc(sizeof *c);
  if (c) c->id = mig_strdup(id);
  if (!c || !c->id) {
    mig_crypt_free(c);
    return mig_no_memory(err, "encryption");
  }
  *out = c;
  return true;
}

/* A key that a weak memory has falsified would be found out when the snapshot is needed. */
static bool derive_twice(mig_crypt *c, const mig_key *key, mig_encryption *e, mig_error *err) {
  mig_crypt again = {0};
  char check[MIG_CRYPT_HEX];
  bool ok = derive(c, key, e, e->check, err) && derive(&again, key, e, check, err);
  if (ok && (strcmp(check, e->check) != 0 || memcmp(again.chunks, c->chunks, KEY_BYTES) != 0 ||
             memcmp(again.manifest, c->manifest, KEY_BYTES) != 0)) {
    ok = mig_fail(err, MIG_E_FAILED, "the same key was derived twice, and differs");
    mig_hint(err, "this machine's memory or its libcrypto is not to be trusted: check them before you go on");
  }
  OPENSSL_cleanse(&again, sizeof again);
  return ok;
}

bool mig_crypt_new(const mig_key *key, const char *id, mig_encryption *out, mig_crypt **crypt, mig_error *err) {
  uint8_t salt[SALT_BYTES];
  *crypt = NULL;
  *out = (mig_encryption){.used = true, .passphrase = key->passphrase};
  if (key->passphrase) out->n = SCRYPT_N, out->r = SCRYPT_R, out->p = SCRYPT_P;
  if (RAND_bytes(salt, sizeof salt) != 1) return mig_crypto_failed(err, "the random number generator");
  mig_hex(salt, sizeof salt, out->salt);
  if (!make(id, crypt, err)) return false;
  if (derive_twice(*crypt, key, out, err)) return true;
  mig_crypt_free(*crypt);
  *crypt = NULL;
  return false;
}

static bool needs_key(const char *id, bool passphrase, mig_error *err) {
  mig_fail(err, MIG_E_USAGE, "the snapshot %s is encrypted", id);
  mig_why(err, passphrase ? "it needs a passphrase, and none was given" : "it needs a key file, and none was given");
  return mig_hint(err, passphrase ? "--passphrase asks for it; or --passphrase-file FILE (MIG_PASSPHRASE_FILE)"
                                  : "give it by --key-file FILE or MIG_KEY_FILE");
}

bool mig_crypt_open(const mig_key *key, const char *id, const mig_encryption *e, mig_crypt **crypt, mig_error *err) {
  char check[MIG_CRYPT_HEX] = "";
  *crypt = NULL;
  if (!key || key->passphrase != e->passphrase) return needs_key(id, e->passphrase, err);
  if (!make(id, crypt, err)) return false;
  bool ok = derive(*crypt, key, e, check, err);
  if (ok && CRYPTO_memcmp(check, e->check, MIG_CRYPT_HEX - 1) != 0) {
    ok =
        mig_fail(err, MIG_E_USAGE, "this is not the %s of the snapshot %s", key->passphrase ? "passphrase" : "key", id);
    mig_why(err, "the check value that it gives is not the one in the manifest");
    mig_hint(err, "nothing was read; try the key that was used when the snapshot was taken");
  }
  if (ok) return true;
  mig_crypt_free(*crypt);
  *crypt = NULL;
  return false;
}

void mig_crypt_free(mig_crypt *c) {
  if (!c) return;
  OPENSSL_cleanse(c->chunks, sizeof c->chunks);
  OPENSSL_cleanse(c->manifest, sizeof c->manifest);
  mig_free(c->id);
  mig_free(c);
}

/* What is authenticated besides the data: archive and place. */
static bool add_place(EVP_CIPHER_CTX *ctx, const mig_crypt *c, const char *member) {
  const char *const parts[] = {"mig chunk 1\n", c->id, "\n", member, "\n"};
  int n = 0;
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (EVP_CipherUpdate(ctx, NULL, &n, (const unsigned char *)parts[i], (int)strlen(parts[i])) != 1) return false;
  return true;
}

static EVP_CIPHER_CTX *start(const mig_crypt *c, const char *member, const uint8_t *nonce, bool seals) {
  EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
  if (ctx && EVP_CipherInit_ex2(ctx, EVP_aes_256_gcm(), c->chunks, nonce, seals ? 1 : 0, NULL) == 1 &&
      add_place(ctx, c, member))
    return ctx;
  EVP_CIPHER_CTX_free(ctx);
  return NULL;
}

/* By pieces: what was just encrypted is decrypted and compared, without room for another copy. */
static bool opens_to(const mig_crypt *c, const char *member, const uint8_t *sealed, const uint8_t *data, size_t size,
                     mig_error *err) {
  uint8_t piece[PIECE_BYTES], tag[TAG_BYTES];
  int n = 0;
  memcpy(tag, sealed + NONCE_BYTES + size, TAG_BYTES);
  EVP_CIPHER_CTX *ctx = start(c, member, sealed, false);
  bool same = ctx != NULL;
  for (size_t at = 0; same && at < size; at += PIECE_BYTES) {
    const size_t part = size - at < PIECE_BYTES ? size - at : PIECE_BYTES;
    same = EVP_CipherUpdate(ctx, piece, &n, sealed + NONCE_BYTES + at, (int)part) == 1 && (size_t)n == part &&
           memcmp(piece, data + at, part) == 0;
  }
  same = same && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, (int)TAG_BYTES, tag) == 1 &&
         EVP_CipherFinal_ex(ctx, piece, &n) == 1;
  EVP_CIPHER_CTX_free(ctx);
  OPENSSL_cleanse(piece, sizeof piece);
  if (same) return true;
  mig_fail(err, MIG_E_FAILED, "a chunk was encrypted and does not decrypt to what it was");
  return mig_hint(err, "this machine's memory or its libcrypto is not to be trusted: check them before you go on");
}

bool mig_crypt_seal(const mig_crypt *c, const char *member, const void *data, size_t size, mig_buf *out,
                    mig_error *err) {
  mig_buf_clear(out);
  if (!mig_buf_reserve(out, size + MIG_SEAL_OVERHEAD, err)) return false;
  uint8_t *nonce = out->data, *text = nonce + NONCE_BYTES;
  int n = 0, rest = 0;
  if (RAND_bytes(nonce, (int)NONCE_BYTES) != 1) return mig_crypto_failed(err, "the random number generator");
  EVP_CIPHER_CTX *ctx = start(c, member, nonce, true);
  const bool ok = ctx && EVP_CipherUpdate(ctx, text, &n, data, (int)size) == 1 &&
                  EVP_CipherFinal_ex(ctx, text + n, &rest) == 1 &&
                  EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, (int)TAG_BYTES, text + size) == 1;
  EVP_CIPHER_CTX_free(ctx);
  if (!ok) return mig_crypto_failed(err, "AES-256-GCM");
  out->size = size + MIG_SEAL_OVERHEAD;
  return opens_to(c, member, nonce, data, size, err);
}

bool mig_crypt_unseal(const mig_crypt *c, const char *member, const void *data, size_t size, mig_buf *out,
                      mig_error *err) {
  mig_buf_clear(out);
  if (size < MIG_SEAL_OVERHEAD) return mig_fail(err, MIG_E_ARCHIVE, "%s is too short to be encrypted", member);
  const size_t plain = size - MIG_SEAL_OVERHEAD;
  const uint8_t *nonce = data, *text = nonce + NONCE_BYTES;
  uint8_t tag[TAG_BYTES];
  int n = 0, rest = 0;
  if (!mig_buf_reserve(out, plain + 1, err)) return false;
  memcpy(tag, text + plain, TAG_BYTES);
  EVP_CIPHER_CTX *ctx = start(c, member, nonce, false);
  const bool ok = ctx && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, (int)TAG_BYTES, tag) == 1 &&
                  EVP_CipherUpdate(ctx, out->data, &n, text, (int)plain) == 1 &&
                  EVP_CipherFinal_ex(ctx, out->data + n, &rest) == 1;
  EVP_CIPHER_CTX_free(ctx);
  if (ok) {
    out->size = plain;
    return true;
  }
  mig_fail(err, MIG_E_ARCHIVE, "%s was altered, or is not of this place", member);
  mig_why(err, "the key is the right one, but the chunk's authentication tag does not fit");
  return mig_hint(err, "nothing was taken from it; use another copy of the snapshot");
}

bool mig_crypt_mac(const mig_crypt *c, const void *data, size_t size, char hex[static MIG_SHA256_HEX], mig_error *err) {
  uint8_t mac[KEY_BYTES];
  size_t n = 0;
  if (!EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, c->manifest, sizeof c->manifest, data, size, mac, sizeof mac,
                 &n) ||
      n != sizeof mac)
    return mig_crypto_failed(err, "HMAC-SHA256");
  mig_hex(mac, sizeof mac, hex);
  return true;
}
