/* A declarative migration file. An error must say what, and be an error of input. */
#include "fuzz.h"
#include "migrations/migration.h"
#include "validators/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mig_migration *m = NULL;
  mig_error err = {0};
  const char *path = fuzz_file("0001_fuzz.json", data, size);
  if (!mig_migration_load(path, mig_guard_check_syntax, &m, &err) && (err.code == MIG_OK || !err.what[0])) abort();
  mig_migration_free(m);
  return 0;
}
