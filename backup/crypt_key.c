/* Where keys come from. */
#include "backup/crypt_key.h"

#include <openssl/crypto.h>
#include <string.h>

#include "base/fs.h"

static bool make(bool passphrase, const void *bytes, size_t size, mig_key **out, mig_error *err) {
  mig_key *k = mig_alloc(sizeof *k);
  if (!k) return mig_no_memory(err, "key");
  k->passphrase = passphrase;
  k->size = size;
  memcpy(k->bytes, bytes, size);
  *out = k;
  return true;
}

mig_key *mig_key_copy(const mig_key *key) {
  mig_key *copy = NULL;
  if (key) make(key->passphrase, key->bytes, key->size, &copy, NULL);
  return copy;
}

void mig_key_free(mig_key *key) {
  if (!key) return;
  OPENSSL_cleanse(key, sizeof *key);
  mig_free(key);
}

bool mig_key_from_file(const char *path, mig_key **out, mig_error *err) {
  mig_buf bytes = {0};
  *out = NULL;
  bool ok = mig_fs_read_secret(path, MIG_KEY_FILE_MAX, &bytes, err);
  if (ok && bytes.size < MIG_KEY_FILE_MIN) {
    ok = mig_fail(err, MIG_E_USAGE, "%s is too short for a key", path);
    mig_why(err, "a key file has %u to %u bytes, and all of them count", MIG_KEY_FILE_MIN, MIG_KEY_FILE_MAX);
    mig_hint(err, "openssl rand -out %s 32 && chmod 600 %s", path, path);
  }
  ok = ok && make(false, bytes.data, bytes.size, out, err);
  mig_fs_wipe(&bytes);
  return ok;
}

bool mig_key_from_passphrase(const char *text, size_t size, mig_key **out, mig_error *err) {
  *out = NULL;
  if (size > 0 && size <= MIG_KEY_FILE_MAX) return make(true, text, size, out, err);
  return mig_fail(err, MIG_E_USAGE, "a passphrase has 1 to %u bytes", MIG_KEY_FILE_MAX);
}

bool mig_key_from_passphrase_file(const char *path, mig_key **out, mig_error *err) {
  mig_buf bytes = {0};
  *out = NULL;
  bool ok = mig_fs_read_secret(path, MIG_KEY_FILE_MAX, &bytes, err);
  if (ok) {
    const char *end = memchr(bytes.data, '\n', bytes.size);
    size_t size = end ? (size_t)(end - (const char *)bytes.data) : bytes.size;
    if (size && bytes.data[size - 1] == '\r') size--;
    ok = mig_key_from_passphrase((const char *)bytes.data, size, out, err) || mig_fail_at(err, "%s", path);
  }
  mig_fs_wipe(&bytes);
  return ok;
}
