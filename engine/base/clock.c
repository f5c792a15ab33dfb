#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

int64_t mig_now_monotonic_ms(void) {
  struct timespec ts;
  clock_gettime(CLOCK_BOOTTIME, &ts); /* goes on while the machine sleeps: a lease does, too */
  return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t mig_now_unix_ms(void) {
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void mig_sleep_ms(int64_t ms) {
  struct timespec ts = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
  while (ms > 0 && nanosleep(&ts, &ts) != 0 && errno == EINTR) {
  }
}

static void utc_text(int64_t unix_ms, const char *fmt, char *text) {
  time_t seconds = (time_t)(unix_ms / 1000 - (unix_ms % 1000 < 0));
  struct tm tm;
  if (!gmtime_r(&seconds, &tm) || strftime(text, MIG_TIME_TEXT, fmt, &tm) == 0) snprintf(text, MIG_TIME_TEXT, "?");
}

void mig_time_iso(int64_t unix_ms, char text[static MIG_TIME_TEXT]) {
  utc_text(unix_ms, "%Y-%m-%dT%H:%M:%SZ", text);
}

void mig_time_compact(int64_t unix_ms, char text[static MIG_TIME_TEXT]) {
  utc_text(unix_ms, "%Y%m%dT%H%M%SZ", text);
}
