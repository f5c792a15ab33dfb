/*
 * templates.h - what `mig create` and `mig init` write; every migration template passes the loader as it is
 */
#ifndef MIG_MIGRATIONS_TEMPLATES_H
#define MIG_MIGRATIONS_TEMPLATES_H

const char *mig_template(const char *name); /* NULL: there is none of that name */
const char *mig_template_names(void);       /* "add-field, data-transform, ..." */
const char *mig_template_workflow(void);    /* a GitHub Actions workflow */

#endif
