#include "base/crash.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const struct {
  const char *name, *when;
} table[] = {
#define ROW(id, name, when) {name, when},
    MIG_CRASH_TABLE(ROW)
#undef ROW
};

const char *mig_crash_name(mig_crash at) {
  return at < MIG_CRASH_COUNT ? table[at].name : "";
}

const char *mig_crash_when(mig_crash at) {
  return at < MIG_CRASH_COUNT ? table[at].when : "";
}

#ifdef MIG_CRASH_POINTS
void mig_crash_point(mig_crash at) {
  static unsigned long hits[MIG_CRASH_COUNT];
  const char *wanted = getenv("MIG_CRASH_AT");
  if (!wanted || at >= MIG_CRASH_COUNT) return;
  size_t n = strlen(table[at].name);
  if (strncmp(wanted, table[at].name, n) != 0 || (wanted[n] != ':' && wanted[n] != '\0')) return;
  unsigned long nth = wanted[n] == ':' ? strtoul(wanted + n + 1, NULL, 10) : 1;
  if (++hits[at] == nth) raise(SIGKILL);
}
#endif
