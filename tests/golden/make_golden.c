/*
 * make_golden - writes tests/golden/good/: the snapshot of archive_fixture.h with a fixed id and time
 *
 *     cc ... tests/golden/make_golden.c   then   ./make_golden FOLDER
 *     ... ./make_golden FOLDER KEY-FILE PASSPHRASE-FILE SIGN-KEY    the encrypted ones instead, signed
 *
 * Run once for each format version; what is in git stays as it is (see README.md).
 */
#include "../unit/archive_fixture.h"
#include "backup/sign.h"

static int write_encrypted(mig_store *store, char **argv) {
  mig_key *keys[2] = {NULL, NULL};
  mig_sign_key *signer = NULL;
  mig_error err = {0};
  char *path = NULL;
  bool ok = mig_sign_key_from_file(argv[4], &signer, &err) && mig_store_use_sign_key(store, signer, &err) &&
            mig_key_from_file(argv[2], &keys[0], &err) && mig_key_from_passphrase_file(argv[3], &keys[1], &err);
  for (size_t i = 0; ok && i < 2; i++) {
    ok = mig_store_use_key(store, keys[i], &err) &&
         fixture_archive(store, i ? "format1-passphrase" : "format1-key-file", 700, &path, &err);
    mig_free(path);
  }
  mig_key_free(keys[0]);
  mig_key_free(keys[1]);
  mig_sign_key_free(signer);
  mig_store_close(store);
  if (!ok) fixture_print(&err);
  return ok ? 0 : 1;
}

int main(int argc, char **argv) {
  static const struct {
    const char *id;
    uint32_t chunk_bytes;
  } archives[] = {{"format1-small-chunks", 700}, {"format1-one-chunk", 0}};
  mig_store *store = NULL;
  mig_error err = {0};
  if ((argc != 2 && argc != 5) || !mig_store_open(argv[1], true, &store, &err)) {
    fprintf(stderr, "usage: make_golden FOLDER\n");
    return 2;
  }
  if (argc == 5) return write_encrypted(store, argv);
  for (size_t i = 0; i < sizeof archives / sizeof *archives; i++) {
    char *path = NULL;
    if (!fixture_archive(store, archives[i].id, archives[i].chunk_bytes, &path, &err)) {
      fixture_print(&err);
      return 1;
    }
    mig_free(path);
  }
  mig_store_close(store);
  return 0;
}
