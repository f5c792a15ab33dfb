/*
 * host.h - who we are: host name, process, and whether another process of this machine is still alive
 *
 * `machine` identifies the running kernel and process namespace; `started` the process beyond its reusable pid.
 */
#ifndef MIG_RUN_HOST_H
#define MIG_RUN_HOST_H

#include <stdbool.h>
#include <stdint.h>

typedef struct mig_host {
  char name[80];     /* gethostname */
  char machine[120]; /* boot id and pid namespace; empty when they cannot be told */
  int64_t pid;
  int64_t started; /* clock ticks since boot, 0 when it cannot be told */
} mig_host;

void mig_host_self(mig_host *out);
/* True only when it is certain: same machine, and no such process any more. False as well for one that cannot be looked
 * at. */
bool mig_host_dead(const char *machine, int64_t pid, int64_t started);

#endif
