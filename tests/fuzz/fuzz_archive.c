/*
 * The archive reader. The first byte says which part gets the rest: 0 the whole file, 1 the walk over the tar, 2 a
 * chunk as stored (its sums are made right), 3 a chunk as unpacked (packed and summed here), so that sums keep nobody
 * out.
 */
#include <string.h>
#include <zstd.h>

#include "backup/archive_read.h"
#include "backup/chunk.h"
#include "backup/manifest_internal.h"
#include "backup/tar_walk.h"
#include "fuzz.h"

static void whole(const char *path) {
  mig_archive *a = NULL;
  mig_error err;
  if (mig_archive_open(path, &a, &err) && mig_archive_verify(a, NULL, &err)) {
    const mig_manifest *m = mig_archive_contents(a);
    for (size_t i = 0; i < m->collection_count; i++) {
      mig_archive_cursor *c = NULL;
      bson_t doc;
      if (mig_archive_documents(a, &m->collections[i], 0, &c, &err))
        while (mig_archive_cursor_next(c, &doc, &err) == MIG_ARCHIVE_DOC) {
        }
      mig_archive_cursor_close(c);
    }
  }
  mig_archive_free(a);
}

static bool inside(void *arg, const char *name, uint64_t offset, uint64_t bytes, mig_error *err) {
  const uint64_t file_bytes = *(const uint64_t *)arg;
  (void)err;
  if (!name[0] || offset > file_bytes || bytes > file_bytes - offset) abort();
  return true;
}

static void walk(const char *path, uint64_t size) {
  mig_blob *file = NULL;
  mig_error err;
  if (mig_blob_open(path, &file, &err)) mig_tar_walk(file, inside, &size, &err);
  mig_blob_close(file);
}

static void load(const char *path, const uint8_t *stored, size_t stored_bytes, const uint8_t *raw, size_t raw_bytes) {
  mig_chunk_reader *r = NULL;
  mig_error err;
  uint64_t documents = 0;
  size_t at = 0, size = 0;
  const uint8_t *doc = NULL, *first = NULL, *last = NULL;
  size_t first_bytes = 0, last_bytes = 0;
  bool bad = false;
  while (mig_chunk_next(raw, raw_bytes, &at, &doc, &size, &bad)) {
    if (documents++ == 0) first = doc, first_bytes = size;
    last = doc, last_bytes = size;
  }
  bson_t none = BSON_INITIALIZER;
  mig_chunk k = {
      .member = (char *)(uintptr_t) "app/c/000000.bson.zst", .stored_bytes = stored_bytes, .raw_bytes = raw_bytes};
  k.documents = documents;
  bson_t *f = first && mig_bson_valid(first, first_bytes) ? mig_bson_id(first, first_bytes) : NULL;
  bson_t *l = last && mig_bson_valid(last, last_bytes) ? mig_bson_id(last, last_bytes) : NULL;
  k.first = f ? f : &none;
  k.last = l ? l : &none;
  mig_blob *file = NULL;
  if (mig_blob_open(path, &file, &err) && mig_sha256_hex(stored, stored_bytes, k.sha256, &err) &&
      mig_sha256_hex(raw, raw_bytes, k.raw_sha256, &err) && mig_chunk_reader_new(&r, &err))
    mig_chunk_load(r, file, &k, &err);
  mig_blob_close(file);
  mig_chunk_reader_free(r);
  if (f) bson_destroy(f);
  if (l) bson_destroy(l);
}

static void stored_chunk(const uint8_t *data, size_t size) {
  const unsigned long long claims = ZSTD_getFrameContentSize(data, size);
  uint8_t *raw = claims <= 1u << 20 ? malloc((size_t)claims + 1) : NULL;
  const size_t n = raw ? ZSTD_decompress(raw, (size_t)claims, data, size) : 0;
  load(fuzz_file("archive", data, size), data, size, raw ? raw : data, raw && !ZSTD_isError(n) ? n : 0);
  free(raw);
}

static void raw_chunk(const uint8_t *data, size_t size) {
  if (size < 1 || size > 1u << 20) return;
  const size_t room = ZSTD_compressBound(size);
  uint8_t *stored = malloc(room);
  const size_t n = stored ? ZSTD_compress(stored, room, data, size, 1) : 0;
  if (n && !ZSTD_isError(n)) load(fuzz_file("archive", stored, n), stored, n, data, size);
  free(stored);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1) return 0;
  const uint8_t part = data[0];
  data++;
  size--;
  if (part == 0)
    whole(fuzz_file("archive", data, size));
  else if (part == 1)
    walk(fuzz_file("archive", data, size), size);
  else if (part == 2)
    stored_chunk(data, size);
  else if (part == 3)
    raw_chunk(data, size);
  return 0;
}
