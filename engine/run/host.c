#include "run/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Field 22 of /proc/PID/stat; the name in field 2 may hold blanks and parentheses. 0: no such process. */
static int64_t start_of(int64_t pid) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
  FILE *f = fopen(path, "re");
  if (!f) return 0;
  size_t n = fread(text, 1, sizeof text - 1, f);
  fclose(f);
  text[n] = 0;
  char *p = strrchr(text, ')');
  if (!p || p[1] != ' ' || p[2] == 'Z' || p[2] == 'X') return 0; /* a zombie does nothing any more */
  for (int field = 2; p && field < 22; field++) p = strchr(p + 1, ' ');
  return p ? strtoll(p + 1, NULL, 10) : 0;
}

static void machine_of(char *out, size_t size) {
  char boot[64] = "", ns[64] = "";
  FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
  if (f) {
    if (!fgets(boot, sizeof boot, f)) boot[0] = 0;
    fclose(f);
  }
  boot[strcspn(boot, "\n")] = 0;
  ssize_t n = readlink("/proc/self/ns/pid", ns, sizeof ns - 1);
  ns[n > 0 ? n : 0] = 0;
  if (boot[0] && ns[0])
    snprintf(out, size, "%s %s", boot, ns);
  else
    out[0] = 0;
}

void mig_host_self(mig_host *out) {
  memset(out, 0, sizeof *out);
  if (gethostname(out->name, sizeof out->name - 1) != 0) snprintf(out->name, sizeof out->name, "unknown");
  machine_of(out->machine, sizeof out->machine);
  out->pid = getpid();
  out->started = start_of(out->pid);
}

bool mig_host_dead(const char *machine, int64_t pid, int64_t started) {
  mig_host self;
  mig_host_self(&self);
  if (!machine || !self.machine[0] || strcmp(machine, self.machine) != 0 || pid <= 0 || started <= 0) return false;
  return start_of(pid) != started;
}
