#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static bool parse_age(const char *text, int64_t *ms) {
  static const char units[] = "smhdw";
  static const int64_t each[] = {1000, 60000, 3600000, 86400000, 7 * 86400000};
  char *end = NULL;
  errno = 0;
  long long n = text[0] >= '0' && text[0] <= '9' ? strtoll(text, &end, 10) : -1;
  const char *unit = n >= 0 && *end ? strchr(units, *end) : NULL;
  if (errno || !unit || end[1] || n > 1000000) return false;
  *ms = n * each[unit - units];
  return true;
}

/* The text has the form: a digit for each 'd', else the very character. */
static bool has_form(const char *text, const char *form) {
  for (; *form; form++, text++)
    if (*form == 'd' ? *text < '0' || *text > '9' : *text != *form) return false;
  return *text == 0 || (*text == 'Z' && text[1] == 0);
}

bool mig_time_parse(const char *text, int64_t now_unix_ms, int64_t *unix_ms) {
  struct tm tm = {0};
  int64_t age = 0;
  if (parse_age(text, &age)) {
    *unix_ms = now_unix_ms - age;
    return true;
  }
  bool whole = has_form(text, "dddd-dd-ddTdd:dd:dd"), minutes = has_form(text, "dddd-dd-ddTdd:dd");
  if (!whole && !minutes && !(has_form(text, "dddd-dd-dd") && strlen(text) == 10)) return false;
  tm.tm_year = atoi(text) - 1900;
  tm.tm_mon = atoi(text + 5) - 1;
  tm.tm_mday = atoi(text + 8);
  if (whole || minutes) tm.tm_hour = atoi(text + 11);
  if (whole || minutes) tm.tm_min = atoi(text + 14);
  if (whole) tm.tm_sec = atoi(text + 17);
  const struct tm given = tm;
  time_t seconds = timegm(&tm);
  /* timegm makes March of 31 February: what it changed was no date */
  if (tm.tm_mon != given.tm_mon || tm.tm_mday != given.tm_mday || tm.tm_hour != given.tm_hour ||
      tm.tm_min != given.tm_min || tm.tm_sec != given.tm_sec)
    return false;
  *unix_ms = (int64_t)seconds * 1000;
  return true;
}
