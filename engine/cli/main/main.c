#include <stdio.h>
#include <sys/mman.h>
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

int main(int argc, char **argv) {
  leave_no_shared_memory();
  keep_memory_small();
  if (mig_module_hosts(argc, argv)) return mig_module_host();
  mig_module_host_is_here();
  mig_cli_hide_environment();
  return mig_cli_main(argc, argv);
}
