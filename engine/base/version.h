/*
 * version.h - the version of mig; CMakeLists.txt has the number
 */
#ifndef MIG_BASE_VERSION_H
#define MIG_BASE_VERSION_H

#ifndef MIG_VERSION
#define MIG_VERSION "unknown"
#endif

#endif
