/*
 * create.h - a new migration file, from a template or from text that was checked first
 *
 *     mig_create(&(mig_create_options){.folder = dir, .words = "add-email", .template_name = "index"}, &path, &m, err)
 *
 * The name goes on with the folder's numbering (naming.h). Text that cannot be loaded, or has the version of another
 * file, is not written; an existing file is never replaced, not even one that appears at the same moment.
 * Errors: MIG_E_USAGE for words or a template that cannot be; MIG_E_INPUT with "file:line:column: " for the text.
 * Trust: words and text may come from the network.
 */
#ifndef MIG_MIGRATIONS_CREATE_H
#define MIG_MIGRATIONS_CREATE_H

#include "migrations/migration.h"

typedef struct mig_create_options {
  const char *folder;        /* is there */
  const char *words;         /* what it does: letters, digits, - and _; at most 100 */
  const char *template_name; /* used when text is NULL */
  const char *text;          /* of a declarative migration */
  bool declarative;          /* refuses templates of modules */
  mig_guard_check check;
} mig_create_options;

/* *path is freed with mig_free. out (may be NULL) gets the migration as it was written, for mig_migration_free; NULL of
 * a module, which is not compiled here. */
bool mig_create(const mig_create_options *o, char **path, mig_migration **out, mig_error *err);

#endif
