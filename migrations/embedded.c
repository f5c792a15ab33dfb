#include "migrations/embedded.h"

#include <string.h>

const mig_embedded *mig_embedded_find(const char *folder, const char *name) {
  for (const mig_embedded *f = mig_embedded_files; f->name; f++)
    if (strcmp(f->folder, folder) == 0 && strcmp(f->name, name) == 0) return f;
  return NULL;
}
