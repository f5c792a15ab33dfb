/*
 * fuzz.h - what the fuzz targets share: one scratch file, in memory
 *
 * A target is LLVMFuzzerTestOneInput() of libFuzzer; with MIG_FUZZ (preset fuzz) it is linked with libFuzzer, otherwise
 * with replay.c, which runs it once over each file of a corpus: that is what CI does.
 */
#ifndef MIG_TESTS_FUZZ_H
#define MIG_TESTS_FUZZ_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char fuzz_path[200];

static inline void fuzz_tidy(void) {
  unlink(fuzz_path);
  char *slash = strrchr(fuzz_path, '/');
  if (slash) *slash = 0;
  rmdir(fuzz_path);
}

/* A path that holds these bytes until the next call; `name` is the file's own. */
static inline const char *fuzz_file(const char *name, const uint8_t *data, size_t size) {
  static int fd = -1;
  if (fd < 0) {
    const char *root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    char folder[100];
    snprintf(folder, sizeof folder, "%s/mig-fuzz-XXXXXX", root);
    if (!mkdtemp(folder)) abort();
    snprintf(fuzz_path, sizeof fuzz_path, "%s/%s", folder, name);
    atexit(fuzz_tidy);
    fd = open(fuzz_path, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0) abort();
  }
  if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size) abort();
  return fuzz_path;
}

#endif
