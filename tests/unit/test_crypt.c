/* Encryption of chunks: what it binds, and that every kind of wrong is told apart. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive_fixture.h"
#include "backup/crypt.h"
#include "backup/sign.h"

#define CHECK(call, err)                                                                                               \
  do {                                                                                                                 \
    if (!(call)) fail_msg("%s: %s (%s)", #call, (err).what, (err).why);                                                \
  } while (0)

static mig_key *passphrase(const char *text) {
  mig_key *key = NULL;
  mig_error err;
  CHECK(mig_key_from_passphrase(text, strlen(text), &key, &err), err);
  return key;
}

static mig_key *key_file(const char *text, unsigned mode, mig_error *err) {
  char path[] = "/tmp/mig-key-XXXXXX", command[100];
  mig_key *key = NULL;
  int fd = mkstemp(path);
  FILE *f = fdopen(fd, "w");
  fputs(text, f);
  fclose(f);
  snprintf(command, sizeof command, "chmod %o %s", mode, path);
  assert_int_equal(system(command), 0);
  mig_key_from_file(path, &key, err);
  remove(path);
  return key;
}

#define LONG_ENOUGH "0123456789abcdef0123456789abcdef"

static void sealed_chunks_open_only_in_their_place(void **state) {
  (void)state;
  mig_error err;
  mig_encryption e;
  mig_crypt *c = NULL, *again = NULL, *other = NULL;
  mig_key *key = key_file(LONG_ENOUGH, 0600, &err);
  mig_buf sealed = MIG_BUF(1000), twice = MIG_BUF(1000), plain = MIG_BUF(1000);
  CHECK(mig_crypt_new(key, "id-1", &e, &c, &err), err);
  assert_true(e.used && !e.passphrase && mig_encryption_ok(&e));
  CHECK(mig_crypt_seal(c, "app/users/000000.bson.zst.aes", "the text", 8, &sealed, &err), err);
  CHECK(mig_crypt_seal(c, "app/users/000000.bson.zst.aes", "the text", 8, &twice, &err), err);
  assert_int_equal(sealed.size, 8 + MIG_SEAL_OVERHEAD);
  assert_memory_not_equal(sealed.data, twice.data, sealed.size); /* never the same nonce */
  CHECK(mig_crypt_open(key, "id-1", &e, &again, &err), err);
  CHECK(mig_crypt_unseal(again, "app/users/000000.bson.zst.aes", sealed.data, sealed.size, &plain, &err), err);
  assert_int_equal(plain.size, 8);
  assert_memory_equal(plain.data, "the text", 8);
  assert_false(mig_crypt_unseal(again, "app/users/000001.bson.zst.aes", sealed.data, sealed.size, &plain, &err));
  CHECK(mig_crypt_open(key, "id-2", &e, &other, &err), err); /* the same salt in a manifest with another id */
  assert_false(mig_crypt_unseal(other, "app/users/000000.bson.zst.aes", sealed.data, sealed.size, &plain, &err));
  for (size_t i = 0; i < sealed.size; i++) {
    sealed.data[i] ^= 1;
    if (mig_crypt_unseal(again, "app/users/000000.bson.zst.aes", sealed.data, sealed.size, &plain, &err))
      fail_msg("byte %zu was changed and nobody saw it", i);
    assert_int_equal(err.code, MIG_E_ARCHIVE);
    sealed.data[i] ^= 1;
  }
  for (size_t n = 0; n < sealed.size; n++)
    assert_false(mig_crypt_unseal(again, "app/users/000000.bson.zst.aes", sealed.data, n, &plain, &err));
  mig_buf_free(&sealed);
  mig_buf_free(&twice);
  mig_buf_free(&plain);
  mig_crypt_free(c);
  mig_crypt_free(again);
  mig_crypt_free(other);
  mig_key_free(key);
}

static void a_wrong_key_is_told_from_a_missing_one(void **state) {
  (void)state;
  mig_error err;
  mig_encryption e;
  mig_crypt *c = NULL, *none = NULL;
  mig_key *right = passphrase("correct horse"), *wrong = passphrase("correct house"),
          *file = key_file(LONG_ENOUGH, 0600, &err);
  CHECK(mig_crypt_new(right, "id", &e, &c, &err), err);
  assert_true(e.passphrase && mig_encryption_ok(&e));
  assert_false(mig_crypt_open(wrong, "id", &e, &none, &err));
  assert_int_equal(err.code, MIG_E_USAGE);
  assert_non_null(strstr(err.what, "not the passphrase"));
  assert_false(mig_crypt_open(NULL, "id", &e, &none, &err));
  assert_int_equal(err.code, MIG_E_USAGE);
  assert_non_null(strstr(err.why, "passphrase"));
  assert_false(mig_crypt_open(file, "id", &e, &none, &err)); /* another kind of key */
  assert_int_equal(err.code, MIG_E_USAGE);
  assert_null(none);
  mig_crypt_free(c);
  mig_key_free(right);
  mig_key_free(wrong);
  mig_key_free(file);
}

static void keys_that_are_none_are_refused(void **state) {
  (void)state;
  mig_error err = {0};
  mig_key *key = NULL;
  assert_null(key_file("0123456789abcdef0123456789abcde", 0600, &err)); /* 31 bytes */
  assert_int_equal(err.code, MIG_E_USAGE);
  assert_null(key_file(LONG_ENOUGH, 0644, &err));
  assert_non_null(strstr(err.hint, "chmod"));
  assert_false(mig_key_from_file("/nowhere", &key, &err));
  assert_int_equal(err.code, MIG_E_USAGE);
  assert_false(mig_key_from_passphrase("", 0, &key, &err));
  mig_key_free(NULL);
  mig_crypt_free(NULL);
}

static void what_a_manifest_says_is_bounded(void **state) {
  (void)state;
  const char *salt = "000102030405060708090a0b0c0d0e0f";
  mig_encryption e = {.used = true, .passphrase = true, .n = 32768, .r = 8, .p = 3};
  strcpy(e.salt, salt);
  strcpy(e.check, salt);
  assert_true(mig_encryption_ok(&e));
  e.n = 1u << 20; /* 1 GiB */
  assert_false(mig_encryption_ok(&e));
  e.n = 32767;
  assert_false(mig_encryption_ok(&e));
  e.n = 32768;
  e.p = 1000;
  assert_false(mig_encryption_ok(&e));
  e.p = 3;
  e.passphrase = false;
  assert_false(mig_encryption_ok(&e));
  e.n = e.r = e.p = 0;
  assert_true(mig_encryption_ok(&e));
  e.salt[0] = 'G';
  assert_false(mig_encryption_ok(&e));
}

/* Made with Python's hashlib and hmac, as in tests/golden/read_snapshot.py. */
static void fixed_vectors_stay_as_they_are(void **state) {
  (void)state;
  static const struct {
    bool passphrase;
    const char *secret, *check;
  } vectors[] = {{false, LONG_ENOUGH, "0a09afef54df2dea4d14924f7b42639d"},
                 {true, "correct horse", "c5a23f129b07ef85ad75b69024ec63cf"}};
  for (size_t i = 0; i < 2; i++) {
    mig_error err;
    mig_crypt *c = NULL;
    mig_encryption e = {.used = true, .passphrase = vectors[i].passphrase};
    if (e.passphrase) e.n = 32768, e.r = 8, e.p = 3;
    strcpy(e.salt, "000102030405060708090a0b0c0d0e0f");
    strcpy(e.check, vectors[i].check);
    mig_key *key = e.passphrase ? passphrase(vectors[i].secret) : key_file(vectors[i].secret, 0600, &err);
    CHECK(mig_crypt_open(key, "id", &e, &c, &err), err);
    mig_crypt_free(c);
    mig_key_free(key);
  }
}

static void check_documents(mig_archive *a, const char *collection, unsigned from, unsigned to) {
  mig_archive_cursor *c = NULL;
  mig_error err;
  bson_t doc;
  CHECK(mig_archive_documents(a, mig_manifest_find(mig_archive_contents(a), collection), 0, &c, &err), err);
  for (unsigned n = from; n < to; n++) {
    bson_t *want = fixture_document(n);
    assert_int_equal(mig_archive_cursor_next(c, &doc, &err), MIG_ARCHIVE_DOC);
    assert_int_equal(doc.len, want->len);
    assert_memory_equal(bson_get_data(&doc), bson_get_data(want), want->len);
    bson_destroy(want);
  }
  assert_int_equal(mig_archive_cursor_next(c, &doc, &err), MIG_ARCHIVE_END);
  mig_archive_cursor_close(c);
}

/* The keys in git can be read by all: copied, with the mode that a key has. */
static mig_key *golden_key(const char *folder, bool passphrase) {
  char command[600], path[128];
  mig_key *key = NULL;
  mig_error err;
  snprintf(path, sizeof path, "%s/key", folder);
  snprintf(command, sizeof command, "install -m 600 '%s/golden/encrypted/%s' '%s'", MIG_TEST_SOURCE_DIR,
           passphrase ? "passphrase.txt" : "key", path);
  assert_int_equal(system(command), 0);
  assert_true(passphrase ? mig_key_from_passphrase_file(path, &key, &err) : mig_key_from_file(path, &key, &err));
  unlink(path);
  return key;
}

static void encrypted_archives_are_read_for_ever(void **state) {
  char folder[] = "/tmp/mig-crypt-XXXXXX";
  mig_error err;
  (void)state;
  assert_non_null(mkdtemp(folder));
  for (int passphrase = 0; passphrase < 2; passphrase++) {
    char path[512], signer[512];
    mig_archive *a = NULL;
    mig_key *key = golden_key(folder, passphrase), *other = golden_key(folder, !passphrase);
    snprintf(path, sizeof path, "%s/golden/encrypted/format1-%s.mig.tar", MIG_TEST_SOURCE_DIR,
             passphrase ? "passphrase" : "key-file");
    assert_true(mig_archive_open(path, &a, &err)); /* the manifest is in the clear */
    assert_false(mig_archive_verify(a, NULL, &err));
    assert_int_equal(err.code, MIG_E_USAGE);
    assert_false(mig_archive_unlock(a, other, &err));
    assert_true(mig_archive_check_sum(a, &err)); /* so is the sum of the file */
    snprintf(signer, sizeof signer, "%s/golden/encrypted/signer.pub", MIG_TEST_SOURCE_DIR);
    assert_true(mig_sign_check(a, signer, &err));
    assert_true(mig_archive_unlock(a, key, &err));
    if (!mig_archive_verify(a, NULL, &err)) fixture_print(&err);
    check_documents(a, "every type", 0, FIXTURE_DOCUMENTS);
    check_documents(a, "capped", 3, 5);
    assert_string_equal(mig_archive_contents(a)->digest,
                        "37cb258eb3c8acce5b63ecfe5c5d986b1b49a48fd8a548f3168c4fcfff399306"); /* that of the clear one */
    mig_archive_free(a);
    mig_key_free(key);
    mig_key_free(other);
  }
  rmdir(folder);
}

/* A copy of a golden archive, in which one byte after the other is changed. */
typedef struct copy {
  char path[64];
  int fd;
  mig_buf bytes;
  mig_key *key;
} copy;

static copy copy_of_golden(const char *folder) {
  copy c = {.key = golden_key(folder, false)};
  char path[512];
  mig_error err;
  snprintf(path, sizeof path, "%s/golden/encrypted/format1-key-file.mig.tar", MIG_TEST_SOURCE_DIR);
  snprintf(c.path, sizeof c.path, "%s/copy.mig.tar", folder);
  CHECK(mig_fs_read(path, 1 << 20, &c.bytes, &err), err);
  c.fd = open(c.path, O_RDWR | O_CREAT | O_EXCL, 0600);
  assert_int_equal(write(c.fd, c.bytes.data, c.bytes.size), c.bytes.size);
  return c;
}

static void put(const copy *c, size_t at, uint8_t byte) {
  assert_int_equal(pwrite(c->fd, &byte, 1, (off_t)at), 1);
}

static bool reads(const copy *c, mig_error *err) {
  mig_archive *a = NULL;
  const bool ok = mig_archive_open_with(c->path, c->key, &a, err) && mig_archive_verify(a, NULL, err);
  mig_archive_free(a);
  return ok;
}

static void done_with(copy *c, const char *folder) {
  close(c->fd);
  unlink(c->path);
  mig_buf_free(&c->bytes);
  mig_key_free(c->key);
  rmdir(folder);
}

static void every_changed_byte_is_refused_as_damage(void **state) {
  char folder[] = "/tmp/mig-crypt-XXXXXX";
  mig_error err;
  (void)state;
  assert_non_null(mkdtemp(folder));
  copy c = copy_of_golden(folder);
  CHECK(reads(&c, &err), err);
  for (size_t i = 0; i < c.bytes.size; i++) {
    put(&c, i, c.bytes.data[i] ^ (uint8_t)(1u << i % 8));
    memset(&err, 0, sizeof err);
    if (reads(&c, &err)) fail_msg("byte %zu was changed and nobody saw it", i);
    if (err.code != MIG_E_ARCHIVE || strstr(err.what, "this is not the key"))
      fail_msg("byte %zu was changed, and it says: %s", i, err.what);
    put(&c, i, c.bytes.data[i]);
  }
  CHECK(reads(&c, &err), err);
  done_with(&c, folder);
}

/* Documents enough for all threads; what comes out of the encrypted archive is what the clear one holds. */
static void threads_seal_and_open_what_one_would(void **state) {
  enum { DOCUMENTS = 4000 };
  char folder[] = "/tmp/mig-crypt-XXXXXX", digests[2][MIG_SHA256_HEX];
  mig_store *store = NULL;
  mig_error err;
  mig_key *key = passphrase("correct horse");
  (void)state;
  assert_non_null(mkdtemp(folder));
  CHECK(mig_store_open(folder, true, &store, &err), err);
  for (int encrypted = 0; encrypted < 2; encrypted++) {
    mig_archive_writer *w = NULL;
    const mig_archive_options options = {.chunk_bytes = 4000, .jobs = 4};
    char *path = NULL, sum[MIG_SHA256_HEX];
    uint64_t bytes = 0;
    mig_archive *a = NULL;
    CHECK(mig_store_use_key(store, encrypted ? key : NULL, &err), err);
    CHECK(mig_archive_begin(store, fixture_manifest(encrypted ? "locked" : "clear"), &options, &w, &err), err);
    for (int collection = 0; collection < 2; collection++) {
      bson_t *info = fixture_info("c", "collection", false), *indexes = fixture_indexes();
      CHECK(mig_archive_collection(w, collection ? "two" : "one", MIG_HOLDS_DOCUMENTS, info, indexes, &err), err);
      for (unsigned n = 0; n < DOCUMENTS; n++) {
        bson_t *doc = fixture_document((n + (unsigned)collection) % FIXTURE_DOCUMENTS);
        CHECK(mig_archive_document(w, bson_get_data(doc), doc->len, &err), err);
        bson_destroy(doc);
      }
      CHECK(mig_archive_collection_end(w, &err), err);
      bson_destroy(info);
      bson_destroy(indexes);
    }
    CHECK(mig_archive_finish(w, &path, sum, &bytes, &err), err);
    mig_archive_writer_free(w);
    CHECK(mig_archive_open_with(path, encrypted ? key : NULL, &a, &err), err);
    CHECK(mig_archive_verify(a, NULL, &err), err);
    assert_true(mig_archive_contents(a)->collections[0].chunk_count > 100);
    assert_int_equal(mig_archive_contents(a)->encryption.used, encrypted);
    strcpy(digests[encrypted], mig_archive_contents(a)->digest);
    mig_archive_cursor *cursor = NULL;
    bson_t doc;
    unsigned n = 0;
    CHECK(mig_archive_documents(a, mig_manifest_find(mig_archive_contents(a), "two"), 0, &cursor, &err), err);
    while (mig_archive_cursor_next(cursor, &doc, &err) == MIG_ARCHIVE_DOC) n++;
    assert_int_equal(n, DOCUMENTS);
    mig_archive_cursor_close(cursor);
    mig_archive_free(a);
    unlink(path);
    mig_free(path);
  }
  assert_string_equal(digests[0], digests[1]);
  mig_store_close(store);
  mig_key_free(key);
  rmdir(folder);
}

static char *text_of(const mig_manifest *m) {
  mig_buf text = MIG_BUF(1u << 20);
  mig_error err;
  CHECK(mig_manifest_write(m, &text, &err), err);
  char *out = mig_strdup(mig_buf_text(&text));
  mig_buf_free(&text);
  return out;
}

static void ids_of_encrypted_chunks_are_known_once_verified_and_never_written(void **state) {
  char folder[] = "/tmp/mig-crypt-XXXXXX", *paths[2];
  mig_store *store = NULL;
  mig_archive *clear = NULL, *locked = NULL;
  mig_error err;
  size_t chunks = 0;
  mig_key *key = passphrase("correct horse");
  (void)state;
  assert_non_null(mkdtemp(folder));
  CHECK(mig_store_open(folder, true, &store, &err), err);
  CHECK(fixture_archive(store, "clear", 700, &paths[0], &err), err);
  CHECK(mig_store_use_key(store, key, &err), err);
  CHECK(fixture_archive(store, "locked", 700, &paths[1], &err), err);
  CHECK(mig_archive_open(paths[0], &clear, &err), err);
  CHECK(mig_archive_open_with(paths[1], key, &locked, &err), err);
  const mig_manifest *a = mig_archive_contents(clear), *b = mig_archive_contents(locked);
  char *told = text_of(b);
  for (int verified = 0; verified < 2; verified++) {
    for (size_t c = 0; c < b->collection_count; c++) {
      assert_int_equal(a->collections[c].chunk_count, b->collections[c].chunk_count);
      for (size_t i = 0; i < b->collections[c].chunk_count; i++, chunks++) {
        const mig_chunk *open = &a->collections[c].chunks[i], *sealed = &b->collections[c].chunks[i];
        assert_int_equal(mig_bson_same(sealed->first, open->first), verified || bson_empty(open->first));
        assert_int_equal(mig_bson_same(sealed->last, open->last), verified || bson_empty(open->last));
      }
    }
    char *again = text_of(b);
    assert_string_equal(again, told);
    mig_free(again);
    CHECK(mig_archive_verify(locked, NULL, &err), err);
  }
  assert_true(chunks > 6);
  mig_free(told);
  mig_archive_free(clear);
  mig_archive_free(locked);
  for (int i = 0; i < 2; i++) {
    unlink(paths[i]);
    mig_free(paths[i]);
  }
  mig_store_close(store);
  mig_key_free(key);
  rmdir(folder);
}

/* An _id may have megabytes, and there may be many chunks: what is kept of them has a bound. */
static void ids_that_take_too_much_memory_are_not_kept(void **state) {
  enum { ID_BYTES = 1 << 20, DOCUMENTS = 20 };
  char folder[] = "/tmp/mig-crypt-XXXXXX", *path = NULL, sum[MIG_SHA256_HEX], *text = mig_alloc(ID_BYTES + 1);
  mig_store *store = NULL;
  mig_archive_writer *w = NULL;
  mig_archive *a = NULL;
  mig_error err;
  uint64_t bytes = 0, kept = 0;
  const mig_archive_options options = {.chunk_bytes = 4000, .jobs = 2};
  bson_t *info = fixture_info("c", "collection", false), *indexes = fixture_indexes();
  mig_key *key = passphrase("correct horse");
  (void)state;
  assert_non_null(mkdtemp(folder));
  CHECK(mig_store_open(folder, true, &store, &err) && mig_store_use_key(store, key, &err), err);
  CHECK(mig_archive_begin(store, fixture_manifest("long"), &options, &w, &err), err);
  CHECK(mig_archive_collection(w, "c", MIG_HOLDS_DOCUMENTS, info, indexes, &err), err);
  for (int n = 0; n < DOCUMENTS; n++) {
    bson_t *doc = bson_new();
    memset(text, 'a' + n, ID_BYTES);
    BSON_APPEND_UTF8(doc, "_id", text);
    CHECK(mig_archive_document(w, bson_get_data(doc), doc->len, &err), err);
    bson_destroy(doc);
  }
  CHECK(mig_archive_collection_end(w, &err) && mig_archive_finish(w, &path, sum, &bytes, &err), err);
  CHECK(mig_archive_open_with(path, key, &a, &err) && mig_archive_verify(a, NULL, &err), err);
  const mig_collection_entry *c = &mig_archive_contents(a)->collections[0];
  assert_int_equal(c->chunk_count, DOCUMENTS);
  for (size_t i = 0; i < c->chunk_count; i++)
    if (!bson_empty(c->chunks[i].first)) kept += c->chunks[i].first->len + c->chunks[i].last->len;
  assert_true(kept > 10u << 20 && kept <= 16u << 20);
  mig_archive_writer_free(w);
  mig_archive_free(a);
  unlink(path);
  mig_free(path);
  mig_free(text);
  bson_destroy(info);
  bson_destroy(indexes);
  mig_store_close(store);
  mig_key_free(key);
  rmdir(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sealed_chunks_open_only_in_their_place),
      cmocka_unit_test(a_wrong_key_is_told_from_a_missing_one),
      cmocka_unit_test(keys_that_are_none_are_refused),
      cmocka_unit_test(what_a_manifest_says_is_bounded),
      cmocka_unit_test(fixed_vectors_stay_as_they_are),
      cmocka_unit_test(encrypted_archives_are_read_for_ever),
      cmocka_unit_test(every_changed_byte_is_refused_as_damage),
      cmocka_unit_test(threads_seal_and_open_what_one_would),
      cmocka_unit_test(ids_of_encrypted_chunks_are_known_once_verified_and_never_written),
      cmocka_unit_test(ids_that_take_too_much_memory_are_not_kept),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
