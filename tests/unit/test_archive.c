#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
/* the four above must stand before cmocka.h */
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive_fixture.h"
#include "backup/store_folder.h"
#include "base/clock.h"

#define ID "20261121T071500Z-0001_x-a1b2c3"

typedef struct fixture {
  char folder[64];
  mig_store *store;
  mig_error err;
} fixture;

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  snprintf(f->folder, sizeof f->folder, "/tmp/mig-archive-XXXXXX");
  if (!mkdtemp(f->folder) || !mig_store_open(f->folder, true, &f->store, &f->err)) return -1;
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  char command[128];
  mig_store_close(f->store);
  snprintf(command, sizeof command, "rm -rf '%s'", f->folder);
  int gone = system(command);
  free(f);
  return gone;
}

static mig_buf slurp(const char *path) {
  mig_buf b;
  mig_error err;
  assert_true(mig_fs_read(path, 64u << 20, &b, &err));
  return b;
}

static void spill(const char *path, const void *data, size_t size) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, data, size), size);
  close(fd);
}

/* Whether open and verify both take the file; a refusal must be an archive error with a text. */
static bool accepted(const char *path) {
  mig_archive *a = NULL;
  mig_error err = {0};
  bool ok = mig_archive_open(path, &a, &err) && mig_archive_verify(a, NULL, &err);
  if (!ok) {
    assert_int_equal(err.code, MIG_E_ARCHIVE);
    assert_true(err.what[0]);
  }
  mig_archive_free(a);
  return ok;
}

static size_t files_in(const char *folder) {
  DIR *d = opendir(folder);
  size_t n = 0;
  for (struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.';
  closedir(d);
  return n;
}

static mig_archive *open_verified(const char *path) {
  mig_archive *a = NULL;
  mig_error err = {0};
  if (!mig_archive_open(path, &a, &err) || !mig_archive_verify(a, NULL, &err)) fixture_print(&err);
  assert_non_null(a);
  return a;
}

static void check_documents(mig_archive *a, const char *collection, unsigned first, unsigned end) {
  mig_archive_cursor *c = NULL;
  mig_error err = {0};
  bson_t got;
  const mig_collection_entry *e = mig_manifest_find(mig_archive_contents(a), collection);
  assert_non_null(e);
  assert_int_equal(e->documents, end - first);
  assert_true(mig_archive_documents(a, e, 0, &c, &err));
  for (unsigned n = first; n < end; n++) {
    bson_t *want = fixture_document(n);
    assert_int_equal(mig_archive_cursor_next(c, &got, &err), MIG_ARCHIVE_DOC);
    assert_true(mig_bson_same(&got, want));
    bson_destroy(want);
  }
  assert_int_equal(mig_archive_cursor_next(c, &got, &err), MIG_ARCHIVE_END);
  assert_int_equal(mig_archive_cursor_next(c, &got, &err), MIG_ARCHIVE_END);
  mig_archive_cursor_close(c);
}

static void documents_come_back_byte_for_byte(void **state) {
  fixture *f = *state;
  char *path = NULL;
  if (!fixture_archive(f->store, ID, 700, &path, &f->err)) fixture_print(&f->err);
  assert_non_null(path);
  mig_archive *a = open_verified(path);
  check_documents(a, "every type", 0, FIXTURE_DOCUMENTS);
  check_documents(a, "capped", 3, 5);
  check_documents(a, "empty", 0, 0);
  const mig_manifest *m = mig_archive_contents(a);
  const mig_collection_entry *e = mig_manifest_find(m, "every type");
  bson_t *info = fixture_info("every type", "collection", false), *indexes = fixture_indexes();
  assert_true(e->chunk_count > 2);
  assert_true(mig_bson_same(e->info, info));
  assert_true(mig_bson_same(e->indexes, indexes));
  assert_string_equal(e->type, "collection");
  assert_false(e->natural_order);
  assert_true(mig_manifest_find(m, "capped")->natural_order);
  assert_int_equal(mig_manifest_find(m, "gone")->holds, MIG_HOLDS_ABSENT);
  assert_null(mig_manifest_find(m, "gone")->info);
  assert_string_equal(mig_manifest_find(m, "a.view")->type, "view");
  bson_destroy(info);
  bson_destroy(indexes);
  mig_archive_free(a);
  mig_free(path);
}

static void documents_can_be_read_from_a_chunk_on(void **state) {
  fixture *f = *state;
  char *path = NULL;
  mig_archive_cursor *c = NULL;
  bson_t got;
  assert_true(fixture_archive(f->store, ID, 1, &path, &f->err)); /* one document a chunk */
  mig_archive *a = open_verified(path);
  const mig_collection_entry *e = mig_manifest_find(mig_archive_contents(a), "every type");
  assert_int_equal(e->chunk_count, FIXTURE_DOCUMENTS);
  assert_true(mig_archive_documents(a, e, 7, &c, &f->err));
  for (unsigned n = 7; n < FIXTURE_DOCUMENTS; n++) {
    bson_t *want = fixture_document(n);
    assert_int_equal(mig_archive_cursor_next(c, &got, &f->err), MIG_ARCHIVE_DOC);
    assert_true(mig_bson_same(&got, want));
    bson_destroy(want);
  }
  assert_int_equal(mig_archive_cursor_next(c, &got, &f->err), MIG_ARCHIVE_END);
  mig_archive_cursor_close(c);
  mig_archive_free(a);
  mig_free(path);
}

static void documents_are_not_given_before_verify(void **state) {
  fixture *f = *state;
  char *path = NULL;
  mig_archive *a = NULL;
  mig_archive_cursor *c = NULL;
  assert_true(fixture_archive(f->store, ID, 0, &path, &f->err));
  assert_true(mig_archive_open(path, &a, &f->err));
  assert_false(mig_archive_documents(a, &mig_archive_contents(a)->collections[0], 0, &c, &f->err));
  assert_null(c);
  assert_int_equal(f->err.code, MIG_E_ARCHIVE);
  mig_archive_free(a);
  mig_free(path);
}

static void a_file_changed_after_verify_gives_no_documents(void **state) {
  fixture *f = *state;
  char *path = NULL;
  mig_archive_cursor *c = NULL;
  bson_t got;
  assert_true(fixture_archive(f->store, ID, 0, &path, &f->err));
  mig_archive *a = open_verified(path);
  const mig_collection_entry *e = &mig_archive_contents(a)->collections[0];
  int fd = open(path, O_WRONLY);
  assert_int_equal(pwrite(fd, "X", 1, (off_t)(e->chunks[0].offset + e->chunks[0].stored_bytes / 2)), 1);
  close(fd);
  assert_true(mig_archive_documents(a, e, 0, &c, &f->err));
  assert_int_equal(mig_archive_cursor_next(c, &got, &f->err), MIG_ARCHIVE_ERROR);
  assert_int_equal(f->err.code, MIG_E_ARCHIVE);
  mig_archive_cursor_close(c);
  mig_archive_free(a);
  mig_free(path);
}

static void count_call(void *arg, const char *what, uint64_t done, uint64_t total) {
  (void)what;
  (void)done;
  (void)total;
  ++*(unsigned *)arg;
}

static void verify_reads_the_file_again_only_when_it_was_touched(void **state) {
  fixture *f = *state;
  char *path = NULL;
  unsigned calls = 0;
  const mig_observer observer = {.arg = &calls, .progress = count_call};
  assert_true(fixture_archive(f->store, ID, 0, &path, &f->err));
  mig_archive *a = open_verified(path);
  assert_true(mig_archive_verify(a, &observer, &f->err));
  assert_int_equal(calls, 0);
  const struct timespec past[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
  assert_int_equal(utimensat(AT_FDCWD, path, past, 0), 0);
  assert_true(mig_archive_verify(a, &observer, &f->err));
  assert_true(calls > 0);
  calls = 0;
  assert_true(mig_archive_verify(a, &observer, &f->err));
  assert_int_equal(calls, 0);
  mig_sleep_ms(30); /* more than a tick of the file system's clock */
  int fd = open(path, O_WRONLY);
  assert_int_equal(pwrite(fd, "X", 1, (off_t)(mig_archive_contents(a)->collections[0].chunks[0].offset + 9)), 1);
  assert_int_equal(futimens(fd, past), 0); /* a time put back hides nothing */
  close(fd);
  assert_false(mig_archive_verify(a, &observer, &f->err));
  assert_int_equal(f->err.code, MIG_E_ARCHIVE);
  mig_archive_free(a);
  mig_free(path);
}

static void finish_gives_the_sum_of_the_file(void **state) {
  fixture *f = *state;
  char *path = NULL, sum[MIG_SHA256_HEX], opened[MIG_SHA256_HEX], verified[MIG_SHA256_HEX];
  uint64_t bytes = 0, opened_bytes = 0;
  mig_archive *a = NULL;
  struct stat st;
  assert_true(fixture_archive(f->store, ID, 0, &path, &f->err));
  assert_true(mig_sha256_file(path, sum, &bytes, &f->err));
  assert_true(mig_archive_open(path, &a, &f->err));
  assert_true(mig_archive_sha256(a, opened, &opened_bytes, &f->err));
  assert_true(mig_archive_verify(a, NULL, &f->err));
  assert_true(mig_archive_sha256(a, verified, NULL, &f->err));
  assert_string_equal(sum, opened);
  assert_string_equal(sum, verified);
  assert_int_equal(bytes, opened_bytes);
  assert_int_equal(stat(path, &st), 0);
  assert_int_equal(st.st_mode & 07777, 0600);
  assert_int_equal(files_in(f->folder), 1); /* no .partial */
  mig_archive_free(a);
  mig_free(path);
}

/* Sanitized builds are slow: there each byte is flipped one way in turn, and every way in `scripts/test --long`. */
static bool one_mask_a_byte(void) {
#ifdef __SANITIZE_ADDRESS__
  return getenv("MIG_TEST_LONG") == NULL;
#else
  return false;
#endif
}

static void every_flipped_byte_is_found(void **state) {
  fixture *f = *state;
  char *path = NULL;
  static const uint8_t masks[] = {0x01, 0x20, 0x80, 0xFF};
  assert_true(fixture_archive(f->store, ID, 700, &path, &f->err));
  mig_buf file = slurp(path);
  assert_true(accepted(path));
  int fd = open(path, O_WRONLY);
  for (size_t i = 0; i < file.size; i++) {
    for (size_t m = 0; m < sizeof masks; m++) {
      if (one_mask_a_byte() && m != i % sizeof masks) continue;
      uint8_t changed = file.data[i] ^ masks[m];
      assert_int_equal(pwrite(fd, &changed, 1, (off_t)i), 1);
      if (accepted(path)) fail_msg("byte %zu of %zu with mask %02x was not found", i, file.size, masks[m]);
    }
    assert_int_equal(pwrite(fd, &file.data[i], 1, (off_t)i), 1);
  }
  close(fd);
  assert_true(accepted(path));
  mig_buf_free(&file);
  mig_free(path);
}

static void every_truncation_is_found(void **state) {
  fixture *f = *state;
  char *path = NULL;
  assert_true(fixture_archive(f->store, ID, 700, &path, &f->err));
  mig_buf file = slurp(path);
  for (size_t n = file.size; n-- > 0;) {
    assert_int_equal(truncate(path, (off_t)n), 0);
    if (accepted(path)) fail_msg("%zu of %zu bytes were accepted", n, file.size);
  }
  mig_buf_free(&file);
  mig_free(path);
}

static void anything_behind_the_end_is_found(void **state) {
  fixture *f = *state;
  char *path = NULL;
  static const size_t more[] = {1, 511, 512, 1024, 8192, 10240};
  assert_true(fixture_archive(f->store, ID, 0, &path, &f->err));
  mig_buf file = slurp(path);
  uint8_t *longer = calloc(1, file.size + 10240);
  memcpy(longer, file.data, file.size);
  for (int filled = 0; filled < 2; filled++) {
    memset(longer + file.size, filled ? 'x' : 0, 10240);
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
      spill(path, longer, file.size + more[i]);
      assert_false(accepted(path));
    }
  }
  memcpy(longer + file.size, file.data, file.size < 10240 ? file.size : 10240); /* a second archive */
  spill(path, longer, file.size + (file.size < 10240 ? file.size : 10240));
  assert_false(accepted(path));
  free(longer);
  mig_buf_free(&file);
  mig_free(path);
}

typedef struct span {
  size_t start, end; /* header, content and padding */
} span;

static size_t members_of(const mig_buf *file, span *spans) {
  size_t n = 0;
  for (size_t at = 0; at + 512 <= file->size && file->data[at];) {
    size_t size = strtoul((const char *)file->data + at + 124, NULL, 8);
    spans[n].start = at;
    at += 512 + (size + 511) / 512 * 512;
    spans[n++].end = at;
  }
  return n;
}

/* Writes the members in `order` and the end; -1 leaves one out. */
static void rebuild(const char *path, const mig_buf *file, const span *spans, const int *order, size_t count) {
  mig_buf out = MIG_BUF(64u << 20);
  mig_error err;
  uint8_t end[1024] = {0};
  for (size_t i = 0; i < count; i++) {
    if (order[i] < 0) continue;
    const span *s = &spans[order[i]];
    assert_true(mig_buf_add(&out, file->data + s->start, s->end - s->start, &err));
  }
  assert_true(mig_buf_add(&out, end, sizeof end, &err));
  spill(path, out.data, out.size);
  mig_buf_free(&out);
}

static void swapped_doubled_and_missing_members_are_found(void **state) {
  fixture *f = *state;
  char *path = NULL;
  span spans[64];
  int order[65] = {0};
  assert_true(fixture_archive(f->store, ID, 700, &path, &f->err));
  mig_buf file = slurp(path);
  size_t n = members_of(&file, spans);
  assert_true(n > 8 && n < 64);
  for (size_t i = 0; i < n; i++) order[i] = (int)i;
  rebuild(path, &file, spans, order, n);
  assert_true(accepted(path)); /* put together as it was */
  for (size_t i = 0; i < n; i++) {
    order[i] = -1;
    rebuild(path, &file, spans, order, n);
    assert_false(accepted(path));
    for (size_t j = 0; j < n; j++) {
      if (i == j) continue;
      order[i] = (int)j; /* j in the place of i, too */
      rebuild(path, &file, spans, order, n);
      assert_false(accepted(path));
      order[j] = (int)i; /* swapped */
      rebuild(path, &file, spans, order, n);
      assert_false(accepted(path));
      order[j] = (int)j;
    }
    order[i] = (int)i;
    order[n] = (int)i; /* once more at the end */
    rebuild(path, &file, spans, order, n + 1);
    assert_false(accepted(path));
  }
  mig_buf_free(&file);
  mig_free(path);
}

static void members_of_another_archive_are_found(void **state) {
  fixture *f = *state;
  char *one = NULL, *other = NULL;
  span a[64], b[64];
  assert_true(fixture_archive(f->store, ID, 700, &one, &f->err));
  assert_true(fixture_archive(f->store, "20261121T071500Z-0001_x-ffffff", 700, &other, &f->err));
  mig_buf file = slurp(one), second = slurp(other);
  size_t n = members_of(&file, a);
  assert_int_equal(members_of(&second, b), n);
  assert_int_equal(file.size, second.size); /* only the ids differ: header and manifest */
  size_t replaced[] = {0, n - 1};
  for (size_t i = 0; i < 2; i++) {
    size_t k = replaced[i];
    uint8_t *mixed = malloc(file.size);
    memcpy(mixed, file.data, file.size);
    memcpy(mixed + a[k].start, second.data + b[k].start, b[k].end - b[k].start);
    spill(one, mixed, file.size);
    assert_false(accepted(one));
    free(mixed);
  }
  mig_buf_free(&file);
  mig_buf_free(&second);
  mig_free(one);
  mig_free(other);
}

static void long_names_are_carried(void **state) {
  fixture *f = *state;
  char name[252], *path = NULL, sum[MIG_SHA256_HEX];
  mig_archive_writer *w = NULL;
  uint64_t bytes = 0;
  memset(name, 'n', sizeof name);
  memcpy(name, "../../etc/\xC3\xA9 \xFF%2E", 17); /* 251 bytes with the database's name: all the server allows */
  name[0] = 'x';
  name[251 - 0] = 0;
  assert_true(mig_archive_begin(f->store, fixture_manifest(ID), NULL, &w, &f->err));
  assert_true(fixture_collection(w, name, MIG_HOLDS_DOCUMENTS, "collection", false, 0, FIXTURE_DOCUMENTS, &f->err));
  if (!mig_archive_finish(w, &path, sum, &bytes, &f->err)) fixture_print(&f->err);
  assert_non_null(path);
  mig_archive_writer_free(w);
  mig_archive *a = open_verified(path);
  check_documents(a, name, 0, FIXTURE_DOCUMENTS);
  mig_archive_free(a);
  /* the pax header too is covered by the sum of the file */
  mig_buf file = slurp(path);
  int fd = open(path, O_WRONLY);
  for (size_t i = 0; i < file.size; i += 7) {
    uint8_t changed = file.data[i] ^ 0x11;
    assert_int_equal(pwrite(fd, &changed, 1, (off_t)i), 1);
    assert_false(accepted(path));
    assert_int_equal(pwrite(fd, &file.data[i], 1, (off_t)i), 1);
  }
  close(fd);
  mig_buf_free(&file);
  mig_free(path);
}

static void documents_up_to_the_limit_get_chunks_of_their_own(void **state) {
  fixture *f = *state;
  static const uint32_t sizes[] = {100, MIG_DOCUMENT_MAX_BYTES, 100, MIG_CHUNK_MAX_BYTES, 200};
  char *path = NULL, sum[MIG_SHA256_HEX];
  uint64_t bytes = 0;
  mig_archive_writer *w = NULL;
  uint8_t *big = calloc(1, MIG_DOCUMENT_MAX_BYTES + 1);
  bson_t *info = fixture_info("big", "collection", false), *indexes = fixture_indexes();
  assert_true(mig_archive_begin(f->store, fixture_manifest(ID), NULL, &w, &f->err));
  assert_true(mig_archive_collection(w, "big", MIG_HOLDS_DOCUMENTS, info, indexes, &f->err));
  for (size_t i = 0; i < 5; i++) { /* {"b": <binary that fills it>} */
    uint32_t length = sizes[i], inner = length - 4 - 3 - 5 - 1;
    memcpy(big, &length, 4);
    memcpy(big + 4,
           "\x05"
           "b",
           3);
    memcpy(big + 7, &inner, 4);
    for (uint32_t k = 12; k < length - 1; k++) big[k] = (uint8_t)(k * 2654435761u >> 24);
    big[11] = 0;
    big[length - 1] = 0;
    if (!mig_archive_document(w, big, length, &f->err)) fixture_print(&f->err);
  }
  assert_false(mig_archive_document(w, big, MIG_DOCUMENT_MAX_BYTES + 1, &f->err));
  assert_int_equal(f->err.code, MIG_E_UNSUPPORTED);
  assert_true(mig_archive_collection_end(w, &f->err));
  assert_true(mig_archive_finish(w, &path, sum, &bytes, &f->err));
  mig_archive_writer_free(w);
  mig_archive *a = open_verified(path);
  const mig_collection_entry *e = mig_manifest_find(mig_archive_contents(a), "big");
  assert_int_equal(e->documents, 5);
  assert_int_equal(e->chunk_count, 5);
  for (size_t i = 0; i < 5; i++) assert_int_equal(e->chunks[i].raw_bytes, sizes[i]);
  mig_archive_free(a);
  bson_destroy(info);
  bson_destroy(indexes);
  free(big);
  mig_free(path);
}

static void what_is_not_bson_is_not_written(void **state) {
  fixture *f = *state;
  static const uint8_t bad[][12] = {
      {12, 0, 0, 0, 0x10, 'a', 0, 1, 0, 0, 0, 1}, /* no zero at the end */
      {13, 0, 0, 0, 0x10, 'a', 0, 1, 0, 0, 0, 0}, /* longer than it is */
      {12, 0, 0, 0, 0x02, 'a', 0, 9, 0, 0, 0, 0}, /* a string longer than the document */
      {12, 0, 0, 0, 0x42, 'a', 0, 1, 0, 0, 0, 0}, /* no such type */
      {12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},      /* ends before its end */
      {12, 0, 0, 0, 0x10, 'a', 'b', 'c', 'd', 'e', 'f', 0},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    mig_archive_writer *w = NULL;
    bson_t *info = fixture_info("c", "collection", false), *indexes = fixture_indexes();
    assert_true(mig_archive_begin(f->store, fixture_manifest(ID), NULL, &w, &f->err));
    assert_true(mig_archive_collection(w, "c", MIG_HOLDS_DOCUMENTS, info, indexes, &f->err));
    if (mig_archive_document(w, bad[i], 12, &f->err)) fail_msg("bad document %zu was taken", i);
    assert_int_equal(f->err.code, MIG_E_SERVER);
    assert_non_null(strstr(f->err.what, "app.c"));
    mig_archive_writer_free(w);
    bson_destroy(info);
    bson_destroy(indexes);
    assert_int_equal(files_in(f->folder), 0);
  }
}

static void an_unfinished_archive_leaves_nothing(void **state) {
  fixture *f = *state;
  mig_archive_writer *w = NULL;
  char *path = NULL, sum[MIG_SHA256_HEX];
  uint64_t bytes = 0;
  assert_true(mig_archive_begin(f->store, fixture_manifest(ID), NULL, &w, &f->err));
  assert_int_equal(files_in(f->folder), 1);
  assert_true(mig_archive_collection(w, "gone", MIG_HOLDS_ABSENT, NULL, NULL, &f->err));
  assert_false(mig_archive_finish(w, &path, sum, &bytes, &f->err)); /* a collection is open */
  assert_null(path);
  mig_archive_writer_free(w);
  assert_int_equal(files_in(f->folder), 0);
  mig_archive_writer_free(NULL);
}

static void an_archive_is_never_written_over_another(void **state) {
  fixture *f = *state;
  char *path = NULL, *again = NULL, *partial = NULL, *final = NULL;
  assert_true(fixture_archive(f->store, ID, 0, &path, &f->err));
  mig_buf before = slurp(path);
  assert_false(fixture_archive(f->store, ID, 1, &again, &f->err));
  assert_int_equal(f->err.code, MIG_E_STORE);
  mig_buf after = slurp(path);
  assert_int_equal(before.size, after.size);
  assert_memory_equal(before.data, after.data, after.size);
  assert_int_equal(files_in(f->folder), 1);
  /* nor through a link that waits in the place of the partial file */
  assert_true(mig_store_paths(f->store, "20261121T071500Z-l-000000", &partial, &final, &f->err));
  assert_int_equal(symlink(path, partial), 0);
  assert_false(fixture_archive(f->store, "20261121T071500Z-l-000000", 0, &again, &f->err));
  assert_true(accepted(path));
  mig_buf_free(&before);
  mig_buf_free(&after);
  mig_free(partial);
  mig_free(final);
  mig_free(path);
}

static void links_and_what_is_no_file_are_not_opened(void **state) {
  fixture *f = *state;
  char *path = NULL, other[128];
  mig_archive *a = NULL;
  assert_true(fixture_archive(f->store, ID, 0, &path, &f->err));
  snprintf(other, sizeof other, "%s/link", f->folder);
  assert_int_equal(symlink(path, other), 0);
  assert_false(mig_archive_open(other, &a, &f->err));
  assert_int_equal(f->err.code, MIG_E_STORE);
  snprintf(other, sizeof other, "%s/fifo", f->folder);
  assert_int_equal(mkfifo(other, 0600), 0);
  assert_false(mig_archive_open(other, &a, &f->err)); /* and does not hang */
  assert_false(mig_archive_open(f->folder, &a, &f->err));
  assert_false(mig_archive_open("/nowhere/at/all", &a, &f->err));
  assert_int_equal(f->err.code, MIG_E_STORE);
  assert_null(a);
  mig_free(path);
}

static void a_full_disk_is_a_clear_error_and_leaves_nothing(void **state) {
  fixture *f = *state;
  char *path = NULL;
  struct rlimit before, limit;
  assert_true(fixture_archive(f->store, ID, 700, &path, &f->err));
  struct stat st;
  assert_int_equal(stat(path, &st), 0);
  assert_int_equal(unlink(path), 0);
  mig_free(path);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  for (off_t most = 0; most < st.st_size; most += 256) { /* EFBIG at every place; SIGXFSZ must not kill us */
    limit = (struct rlimit){(rlim_t)most, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
    bool ok = fixture_archive(f->store, ID, 700, &path, &f->err);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_false(ok);
    assert_null(path);
    assert_int_equal(f->err.code, MIG_E_STORE);
    assert_non_null(strstr(f->err.what, f->folder));
    assert_true(f->err.why[0] && f->err.hint[0]);
    assert_int_equal(files_in(f->folder), 0);
  }
}

static size_t each_in(const char *folder, void (*fn)(const char *path)) {
  char **names = NULL, path[512];
  size_t count = 0, done = 0;
  mig_error err;
  snprintf(path, sizeof path, "%s/golden/%s", MIG_TEST_SOURCE_DIR, folder);
  assert_true(mig_fs_list(path, &names, &count, &err));
  for (size_t i = 0; i < count; i++) {
    if (!strstr(names[i], MIG_STORE_SUFFIX)) continue;
    snprintf(path, sizeof path, "%s/golden/%s/%s", MIG_TEST_SOURCE_DIR, folder, names[i]);
    fn(path);
    done++;
  }
  mig_fs_names_free(names, count);
  return done;
}

static void check_golden(const char *path) {
  mig_archive *a = open_verified(path);
  check_documents(a, "every type", 0, FIXTURE_DOCUMENTS);
  check_documents(a, "capped", 3, 5);
  assert_string_equal(mig_archive_contents(a)->digest,
                      "37cb258eb3c8acce5b63ecfe5c5d986b1b49a48fd8a548f3168c4fcfff399306");
  assert_int_equal(mig_archive_contents(a)->created_unix_ms, FIXTURE_TIME_MS);
  mig_archive_free(a);
}

static void golden_archives_are_read_for_ever(void **state) {
  (void)state;
  assert_true(each_in("good", check_golden) >= 2);
}

static void check_refused(const char *path) {
  if (accepted(path)) fail_msg("%s was accepted", path);
}

static void damaged_and_forged_archives_are_refused(void **state) {
  (void)state;
  assert_true(each_in("damaged", check_refused) >= 80);
}

/* The promise of the format: nobody needs mig to get at the data. */
static void tar_and_zstd_alone_give_the_documents(void **state) {
  fixture *f = *state;
  char *path = NULL, command[512], file[128];
  if (system("tar --version >/dev/null 2>&1 && zstd --version >/dev/null 2>&1") != 0)
    skip_because("tar and zstd are not both installed");
  assert_true(fixture_archive(f->store, ID, 0, &path, &f->err));
  snprintf(command, sizeof command, "cd '%s' && tar xf %s && zstd -q -d app/every%%20type/000000.bson.zst", f->folder,
           strrchr(path, '/') + 1);
  assert_int_equal(system(command), 0);
  snprintf(file, sizeof file, "%s/app/every%%20type/000000.bson", f->folder);
  mig_buf raw = slurp(file);
  size_t at = 0;
  for (unsigned n = 0; n < FIXTURE_DOCUMENTS; n++) {
    bson_t *want = fixture_document(n);
    assert_true(raw.size - at >= want->len);
    assert_memory_equal(raw.data + at, bson_get_data(want), want->len);
    at += want->len;
    bson_destroy(want);
  }
  assert_int_equal(at, raw.size);
  mig_buf_free(&raw);
  mig_free(path);
}

/* After the format page, in another language, with other libraries: tests/golden/read_snapshot.py. */
static void a_second_reader_agrees(void **state) {
  fixture *f = *state;
  char *path = NULL, command[512];
  if (system("python3 --version >/dev/null 2>&1 && zstd --version >/dev/null 2>&1") != 0)
    skip_because("python3 and zstd are not both installed");
  assert_true(fixture_archive(f->store, ID, 700, &path, &f->err));
  snprintf(command, sizeof command, "python3 -B '%s/golden/read_snapshot.py' '%s' >/dev/null", MIG_TEST_SOURCE_DIR,
           path);
  assert_int_equal(system(command), 0);
  mig_free(path);
}

static atomic_size_t allocations_made; /* the writer's threads allocate, too */
static size_t allocations_allowed;

static bool fail_later(size_t size) {
  (void)size;
  return atomic_fetch_add(&allocations_made, 1) < allocations_allowed;
}

static void short_memory_anywhere_is_a_clean_error(void **state) {
  fixture *f = *state;
  char *path = NULL;
  for (size_t allowed = 0; allowed < 5000; allowed++) {
    mig_error err = {0};
    mig_manifest *m = fixture_manifest(ID);
    mig_archive_writer *w = NULL;
    char sum[MIG_SHA256_HEX];
    uint64_t bytes = 0;
    atomic_store(&allocations_made, 0);
    allocations_allowed = allowed;
    mig_alloc_hook = fail_later;
    bool ok = mig_archive_begin(f->store, m, NULL, &w, &err) &&
              fixture_collection(w, "c", MIG_HOLDS_DOCUMENTS, "collection", false, 0, 3, &err) &&
              mig_archive_finish(w, &path, sum, &bytes, &err);
    mig_alloc_hook = NULL;
    mig_archive_writer_free(w);
    if (ok) {
      assert_true(accepted(path));
      mig_free(path);
      return;
    }
    assert_true(err.code != MIG_OK);
    assert_null(path);
    assert_int_equal(files_in(f->folder), 0);
  }
  fail_msg("it never got enough memory");
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      T(documents_come_back_byte_for_byte),
      T(documents_can_be_read_from_a_chunk_on),
      T(documents_are_not_given_before_verify),
      T(a_file_changed_after_verify_gives_no_documents),
      T(verify_reads_the_file_again_only_when_it_was_touched),
      T(finish_gives_the_sum_of_the_file),
      T(every_flipped_byte_is_found),
      T(every_truncation_is_found),
      T(anything_behind_the_end_is_found),
      T(swapped_doubled_and_missing_members_are_found),
      T(members_of_another_archive_are_found),
      T(long_names_are_carried),
      T(documents_up_to_the_limit_get_chunks_of_their_own),
      T(what_is_not_bson_is_not_written),
      T(an_unfinished_archive_leaves_nothing),
      T(an_archive_is_never_written_over_another),
      T(links_and_what_is_no_file_are_not_opened),
      T(a_full_disk_is_a_clear_error_and_leaves_nothing),
      T(golden_archives_are_read_for_ever),
      T(damaged_and_forged_archives_are_refused),
      T(tar_and_zstd_alone_give_the_documents),
      T(a_second_reader_agrees),
      T(short_memory_anywhere_is_a_clean_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
