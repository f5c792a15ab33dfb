/*
 * make_golden - writes tests/golden/good/: the snapshot of archive_fixture.h with a fixed id and time
 *
 *     cc ... tests/golden/make_golden.c   then   ./make_golden FOLDER
 *
 * Run once for each format version; what is in git stays as it is (see README.md).
 */
#include "../unit/archive_fixture.h"

int main(int argc, char **argv) {
  static const struct {
    const char *id;
    uint32_t chunk_bytes;
  } archives[] = {{"format1-small-chunks", 700}, {"format1-one-chunk", 0}};
  mig_store *store = NULL;
  mig_error err = {0};
  if (argc != 2 || !mig_store_open(argv[1], true, &store, &err)) {
    fprintf(stderr, "usage: make_golden FOLDER\n");
    return 2;
  }
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
