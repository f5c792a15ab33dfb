#include "base/crash.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

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
/* "name:n" or "*:n"; the number is 1 when it is left out. */
static bool is_wanted(const char *wanted, const char *name, unsigned long hit, unsigned long hit_of_any) {
  const bool any = wanted[0] == '*';
  const size_t n = any ? 1 : strlen(name);
  if (!any && strncmp(wanted, name, n) != 0) return false;
  if (wanted[n] != ':' && wanted[n] != '\0') return false;
  const unsigned long nth = wanted[n] == ':' ? strtoul(wanted + n + 1, NULL, 10) : 1;
  return nth == (any ? hit_of_any : hit);
}

static void trace(const char *path, const char *name) {
  char line[80];
  const int length = snprintf(line, sizeof line, "%s\n", name);
  const int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || write(fd, line, (size_t)length) != length) abort(); /* a test that would see nothing */
  close(fd);
}

void mig_crash_point(mig_crash at) {
  static atomic_ulong hits[MIG_CRASH_COUNT], all;
  const char *wanted = getenv("MIG_CRASH_AT"), *path = getenv("MIG_CRASH_TRACE");
  if ((!wanted && !path) || at >= MIG_CRASH_COUNT) return;
  const unsigned long hit = atomic_fetch_add(&hits[at], 1) + 1, hit_of_any = atomic_fetch_add(&all, 1) + 1;
  if (path) trace(path, table[at].name);
  if (wanted && is_wanted(wanted, table[at].name, hit, hit_of_any)) raise(SIGKILL);
}

int64_t mig_test_ms(const char *variable, int64_t usual) {
  const char *said = getenv(variable);
  return said ? strtoll(said, NULL, 10) : usual;
}

/* MIG_FAIL_ALLOC=N: the Nth allocation of ours fails; 0: none, but how many there were is traced at the end. */
static atomic_ulong allocations;
static unsigned long failing;

static bool allowed(size_t size) {
  (void)size;
  if (atomic_fetch_add(&allocations, 1) + 1 != failing) return true;
  const char *path = getenv("MIG_CRASH_TRACE");
  if (path) trace(path, "allocation_failed");
  return false;
}

__attribute__((constructor)) static void hook_allocations(void) {
  const char *nth = getenv("MIG_FAIL_ALLOC");
  if (!nth) return;
  failing = strtoul(nth, NULL, 10);
  mig_alloc_hook = allowed;
}

__attribute__((destructor)) static void tell_allocations(void) {
  const char *path = getenv("MIG_CRASH_TRACE");
  char text[40];
  if (!path || !mig_alloc_hook || failing) return;
  snprintf(text, sizeof text, "allocations %lu", atomic_load(&allocations));
  trace(path, text);
}
#endif
