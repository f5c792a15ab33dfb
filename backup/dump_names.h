/*
 * dump_names.h - the names of files in a mongodump folder: <folder>/<database>/<name>.bson and <name>.metadata.json
 *
 * A collection's name is escaped as in a URL's query (a space is '+', all but A-Z a-z 0-9 - _ . ~ is %XX); one that
 * would be longer than 238 characters is cut to 208, "%24" and the base64 of its SHA-1: then metadata.json tells it.
 * Trust: names read from a folder may be anything. What is made from an escaped name has no '/' in it.
 */
#ifndef MIG_BACKUP_DUMP_NAMES_H
#define MIG_BACKUP_DUMP_NAMES_H

#include "base/mem.h"

#define MIG_DUMP_NAME_MAX 238

char *mig_dump_name(const char *collection, mig_error *err); /* free with mig_free */
/* NULL: not escaped by these rules, or cut (*cut, which may be NULL, says so). */
char *mig_dump_unname(const char *name, size_t size, bool *cut, mig_error *err);

#endif
