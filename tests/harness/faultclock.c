/*
 * faultclock.c - clocks that are wrong, preloaded into the program by the tests (LD_PRELOAD)
 *
 * MIG_CLOCK_OFFSET_S=N     the wall clock is wrong by so many seconds; clocks that only count are left alone, as on a
 * real host whose date is wrong MIG_CLOCK_SLEPT=FILE     while that file is there, the clock that goes on while a
 * machine sleeps is an hour ahead
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static time_t offset(void) {
  const char *text = getenv("MIG_CLOCK_OFFSET_S");
  return text ? (time_t)strtol(text, NULL, 10) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *out) {
  const int failed = (int)syscall(SYS_clock_gettime, clock, out);
  if (!failed && clock == CLOCK_REALTIME) out->tv_sec += offset();
  const char *slept = getenv("MIG_CLOCK_SLEPT");
  if (!failed && clock == CLOCK_BOOTTIME && slept && access(slept, F_OK) == 0) out->tv_sec += 3600;
  return failed;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  out->tv_sec = now.tv_sec;
  out->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}
