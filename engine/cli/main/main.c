#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>
#ifdef __GLIBC__ /* known from here on */
#include <malloc.h>
#endif

#include "cli/cli.h"
#include "migrations/module/child.h"
#include "migrations/module/host.h"

/* The driver keeps its counters in shared memory named by pid, made as it is loaded. A killed process leaves it behind,
 * and whoever gets that pid next has the driver write a warning to stderr before main() begins. Taken away at once,
 * nothing is left. */
static void leave_no_shared_memory(void) {
  char name[32] = "";
  snprintf(name, sizeof name, "/mongoc-%ld", (long)getpid());
  shm_unlink(name);
}

/* Large buffers go back to the system when they are freed. Left alone, glibc keeps ever larger ones for each thread. */
static void keep_memory_small(void) {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
#endif
}

#ifdef __has_feature
#define HAS_FEATURE(x) __has_feature(x)
#else
#define HAS_FEATURE(x) 0
#endif

/* A crash writes no core: our memory and our environment hold the connection string. A limit would not do, systems that
 * pipe cores to a program overlook it. The leak sanitizer reads a process as a debugger does, which this forbids, too.
 */
static void leave_no_core(void) {
#if !defined(__SANITIZE_ADDRESS__) && !HAS_FEATURE(address_sanitizer)
  prctl(PR_SET_DUMPABLE, 0);
#endif
}

int main(int argc, char **argv) {
  leave_no_shared_memory();
  keep_memory_small();
  if (mig_module_hosts(argc, argv)) return mig_module_host();
  leave_no_core(); /* but a module's process may, it is told no secret */
  mig_module_host_is_here();
  mig_cli_hide_environment();
  return mig_cli_main(argc, argv);
}
