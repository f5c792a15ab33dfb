/*
 * embedded.h - files of this repository that the program carries inside: what it writes for its users
 *
 *     mig_embedded_find("include", "mig.h")
 *
 * The templates of `mig create`; the public headers, so that modules are compiled against the very mig that will run
 * them; the workflow. The list is in cmake/MigEmbedded.cmake, which makes the table.
 */
#ifndef MIG_MIGRATIONS_EMBEDDED_H
#define MIG_MIGRATIONS_EMBEDDED_H

#include <stddef.h>

typedef struct mig_embedded {
  const char *folder; /* "templates", "include" or "workflows" */
  const char *name;   /* "add-field.json" */
  const char *text;   /* ends with a zero that is not counted */
  size_t size;
} mig_embedded;

extern const mig_embedded mig_embedded_files[]; /* by name in each folder; ends with a row without one */

/* NULL: there is none of that name. */
const mig_embedded *mig_embedded_find(const char *folder, const char *name);

#endif
