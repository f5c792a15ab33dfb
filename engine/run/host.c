#include "run/host.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum seen { SEEN_NOT, SEEN_ENDED, SEEN } seen;

/* *started: field 22 of /proc/PID/stat; the name in field 2 may hold blanks and parentheses. A file that cannot be read
 * says nothing: /proc may hide the processes of others (hidepid), or be that of another namespace. */
static seen look(int64_t pid, int64_t *started) {
  char path[64], text[1024];
  *started = 0;
  ssize_t n = readlink("/proc/self", text, sizeof text - 1);
  if (n <= 0) return SEEN_NOT;
  text[n] = 0;
  if (strtoll(text, NULL, 10) != getpid()) return SEEN_NOT;
  snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
  FILE *f = fopen(path, "re");
  if (!f) return SEEN_NOT;
  size_t size = fread(text, 1, sizeof text - 1, f);
  fclose(f);
  text[size] = 0;
  char *p = strrchr(text, ')');
  if (!p || p[1] != ' ') return SEEN_NOT;
  const bool zombie = p[2] == 'Z' || p[2] == 'X';
  for (int field = 2; p && field < 20; field++) p = strchr(p + 1, ' ');
  /* one does nothing any more; but so it looks, too, when just the first of several threads has ended */
  if (zombie) return p && strtoll(p + 1, NULL, 10) > 1 ? SEEN_NOT : SEEN_ENDED;
  for (int field = 20; p && field < 22; field++) p = strchr(p + 1, ' ');
  *started = p ? strtoll(p + 1, NULL, 10) : 0;
  return *started > 0 ? SEEN : SEEN_NOT;
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
  look(out->pid, &out->started);
}

bool mig_host_dead(const char *machine, int64_t pid, int64_t started) {
  mig_host self;
  mig_host_self(&self);
  if (!machine || !self.machine[0] || strcmp(machine, self.machine) != 0 || pid <= 0 || pid > INT_MAX || started <= 0)
    return false;
  if (kill((pid_t)pid, 0) != 0 && errno == ESRCH) return true;
  int64_t now = 0;
  const seen s = look(pid, &now);
  return s == SEEN_ENDED || (s == SEEN && now != started);
}
