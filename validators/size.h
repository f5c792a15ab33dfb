/*
 * size.h - sizes as guards take them: a number of bytes, or a text such as "500 MB" or "1.5GiB"
 */
#ifndef MIG_VALIDATORS_SIZE_H
#define MIG_VALIDATORS_SIZE_H

#include "validators/guard.h"

bool mig_size_of(const bson_t *args, const char *name, uint64_t *out); /* false: it is none */
void mig_size_text(uint64_t bytes, char *text, size_t size);           /* "1.5 MiB" */

#endif
