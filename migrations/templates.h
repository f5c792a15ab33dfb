/*
 * templates.h - what `mig create` and `mig init` write: the files of migrations/templates, built into the program
 *
 * Every one passes the loader and lint as it is. {{description}} stands for what the user called it.
 */
#ifndef MIG_MIGRATIONS_TEMPLATES_H
#define MIG_MIGRATIONS_TEMPLATES_H

#include "migrations/embedded.h"

/* The text of a new file, or NULL: no memory, or (mig_template_find tells) no such template. Free with mig_free.
 * words: "add-email": the description becomes "Add email". */
char *mig_template_text(const char *name, const char *words);
const mig_embedded *mig_template_find(const char *name);   /* NULL: there is none of that name */
const char *mig_template_ending(const mig_embedded *file); /* ".json" or ".c" */
char *mig_template_names(void);                            /* "add-field, data-transform, ..."; free with mig_free */
const char *mig_template_workflow(void);                   /* a GitHub Actions workflow */

#endif
