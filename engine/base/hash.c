#include "base/hash.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <unistd.h>

#include "base/mem.h"

struct mig_hash {
  EVP_MD_CTX *ctx;
  bool failed; /* libcrypto can fail in theory; then the hex is all zeros and matches nothing */
};

void mig_hex(const uint8_t *bytes, size_t count, char *hex) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < count; i++) {
    hex[2 * i] = digits[bytes[i] >> 4];
    hex[2 * i + 1] = digits[bytes[i] & 15];
  }
  hex[2 * count] = 0;
}

bool mig_hash_new(mig_hash **out, mig_error *err) {
  *out = NULL;
  mig_hash *h = mig_alloc(sizeof *h);
  if (h) h->ctx = EVP_MD_CTX_new();
  if (!h || !h->ctx || EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL) != 1) {
    mig_hash_free(h);
    return mig_no_memory(err, "SHA-256");
  }
  *out = h;
  return true;
}

void mig_hash_add(mig_hash *h, const void *data, size_t size) {
  if (size && EVP_DigestUpdate(h->ctx, data, size) != 1) h->failed = true;
}

void mig_hash_hex(mig_hash *h, char hex[static MIG_SHA256_HEX]) {
  uint8_t sum[32] = {0};
  if (EVP_DigestFinal_ex(h->ctx, sum, NULL) != 1) h->failed = true;
  if (h->failed)
    for (size_t i = 0; i < sizeof sum; i++) sum[i] = 0;
  mig_hex(sum, sizeof sum, hex);
  h->failed = EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL) != 1;
}

bool mig_hash_fork(const mig_hash *h, mig_hash **out, mig_error *err) {
  if (!mig_hash_new(out, err)) return false;
  (*out)->failed = h->failed || EVP_MD_CTX_copy_ex((*out)->ctx, h->ctx) != 1;
  return true;
}

void mig_hash_free(mig_hash *h) {
  if (!h) return;
  EVP_MD_CTX_free(h->ctx);
  mig_free(h);
}

bool mig_sha256_hex(const void *data, size_t size, char hex[static MIG_SHA256_HEX], mig_error *err) {
  mig_hash *h = NULL;
  if (!mig_hash_new(&h, err)) return false;
  mig_hash_add(h, data, size);
  mig_hash_hex(h, hex);
  mig_hash_free(h);
  return true;
}

bool mig_sha256_file(const char *path, char hex[static MIG_SHA256_HEX], uint64_t *bytes, mig_error *err) {
  bool ok = false;
  mig_hash *h = NULL;
  uint8_t *piece = NULL;
  const size_t piece_size = 256 << 10;
  uint64_t total = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return mig_fail_errno(err, "cannot read %s", path);
  if (!mig_hash_new(&h, err)) goto done;
  piece = mig_alloc(piece_size);
  if (!piece) {
    mig_no_memory(err, "file sum");
    goto done;
  }
  for (;;) {
    ssize_t n = read(fd, piece, piece_size);
    if (n < 0) {
      mig_fail_errno(err, "cannot read %s", path);
      goto done;
    }
    if (n == 0) break;
    mig_hash_add(h, piece, (size_t)n);
    total += (uint64_t)n;
  }
  mig_hash_hex(h, hex);
  if (bytes) *bytes = total;
  ok = true;
done:
  mig_free(piece);
  mig_hash_free(h);
  close(fd);
  return ok;
}

bool mig_random_hex(size_t count, char *hex, mig_error *err) {
  uint8_t bytes[64];
  if (count > sizeof bytes || RAND_bytes(bytes, (int)count) != 1)
    return mig_fail(err, MIG_E_FAILED, "no random bytes from libcrypto");
  mig_hex(bytes, count, hex);
  return true;
}
