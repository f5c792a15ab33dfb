/* The last member, looked for from the end: where each read is a round trip, walking over all members takes too long.
 */
#include <string.h>

#include "backup/tar_walk.h"

#define BLOCK       512u
#define END_BYTES   (2 * BLOCK)
#define FIRST_BYTES (512u << 10) /* enough for the manifest of some GiB */
#define GROWTH      16u

static uint64_t octal(const uint8_t *field) {
  uint64_t n = 0;
  for (int i = 0; i < 11 && field[i] >= '0' && field[i] <= '7'; i++) n = n * 8 + (uint64_t)(field[i] - '0');
  return n;
}

/* A header of a plain file of that name whose content ends where the two zero blocks begin. */
static bool is_last(const uint8_t *block, const char *name, uint64_t at, uint64_t file_bytes, uint64_t *bytes) {
  *bytes = octal(block + 124);
  return memcmp(block + 257, "ustar", 6) == 0 && strncmp((const char *)block, name, 100) == 0 && block[156] == '0' &&
         at + BLOCK + (*bytes + BLOCK - 1) / BLOCK * BLOCK + END_BYTES == file_bytes;
}

static bool look(const mig_blob *file, const char *name, uint8_t *tail, size_t size, uint64_t *offset, uint64_t *bytes,
                 mig_error *err) {
  const uint64_t file_bytes = mig_blob_bytes(file), from = file_bytes - size;
  if (!mig_blob_read(file, name, from, tail, size, err)) return false;
  for (size_t at = size - size % BLOCK; at >= BLOCK; at -= BLOCK) {
    if (!is_last(tail + at - BLOCK, name, from + at - BLOCK, file_bytes, bytes)) continue;
    *offset = from + at;
    break;
  }
  return true;
}

bool mig_tar_last(const mig_blob *file, const char *name, uint64_t most_bytes, uint64_t *offset, uint64_t *bytes,
                  mig_error *err) {
  const uint64_t file_bytes = mig_blob_bytes(file);
  const uint64_t most = most_bytes + 4 * BLOCK < file_bytes ? most_bytes + 4 * BLOCK : file_bytes;
  *offset = *bytes = 0;
  bool ok = file_bytes % BLOCK == 0;
  for (uint64_t size = FIRST_BYTES; ok && !*offset; size *= GROWTH) {
    const size_t n = (size_t)(size < most ? size : most) / BLOCK * BLOCK;
    uint8_t *tail = mig_alloc(n + 1);
    ok = tail ? look(file, name, tail, n, offset, bytes, err) : mig_no_memory(err, "archive");
    mig_free(tail);
    if (n + BLOCK > most) break;
  }
  if (!ok && file_bytes % BLOCK)
    mig_fail(err, MIG_E_ARCHIVE, "%s is not a whole snapshot archive", mig_blob_path(file));
  return ok;
}
