/*
 * cache.h - a module's source, compiled once for each content
 *
 *     mig_module_compile("migrations/0005_x.c", &source, &so_path, err)
 *
 * The result is CACHE/<SHA-256 of source, mig's headers and flags>.so. CACHE is MIG_MODULE_CACHE, else mig/modules in
 * XDG_CACHE_HOME or ~/.cache; it must be a folder of ours that nobody else may enter (mode 0700): what is in it is run.
 * Compiler: CC, else cc, with -std=gnu11 -O2 -g -fPIC -shared -Wall, then MIG_MODULE_CFLAGS, the source, and
 * MIG_MODULE_LIBS. Where the result is there already no compiler is needed: fill the cache where you build your image.
 * The source is compiled away from its folder: only <mig.h> and installed headers can be included, so that the
 * checksum of the one file covers all that is the user's.
 * Errors: MIG_E_INPUT with the compiler's words (file:line:column); MIG_E_STORE for the folder.
 */
#ifndef MIG_MIGRATIONS_MODULE_CACHE_H
#define MIG_MIGRATIONS_MODULE_CACHE_H

#include "base/mem.h"

bool mig_module_compile(const char *path, const mig_buf *source, char **so_path, mig_error *err);

#endif
