/*
 * Runs a fuzz target once over each file of the folders named: libFuzzer's part where there is no libFuzzer (gcc, CI).
 * A folder without files is an error: a replay of nothing would prove nothing.
 */
#include <dirent.h>
#include <string.h>

#include "fuzz.h"

static int replay_file(const char *path) {
  FILE *f = fopen(path, "rb");
  if (!f || fseek(f, 0, SEEK_END) != 0) return 1;
  const long size = ftell(f);
  rewind(f);
  /* exactly as large as the input: a read beyond it is seen by the address sanitizer */
  uint8_t *data = malloc(size > 0 ? (size_t)size : 1);
  const int failed = !data || size < 0 || fread(data, 1, (size_t)size, f) != (size_t)size;
  fclose(f);
  if (!failed) LLVMFuzzerTestOneInput(data, (size_t)size);
  free(data);
  return failed;
}

int main(int argc, char **argv) {
  size_t done = 0;
  for (int i = 1; i < argc; i++) {
    DIR *dir = opendir(argv[i]);
    for (struct dirent *e; dir && (e = readdir(dir));) {
      char path[4096];
      if (e->d_name[0] == '.') continue;
      snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
      if (replay_file(path)) {
        fprintf(stderr, "cannot read %s\n", path);
        return 1;
      }
      done++;
    }
    if (dir) closedir(dir);
  }
  printf("%zu inputs replayed\n", done);
  return done ? 0 : 1;
}
