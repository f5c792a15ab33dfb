#include "migrations/age.h"

#include <string.h>
#include <strings.h>
#include <time.h>

#define MAX_COUNT 1000000

static const struct unit {
  const char *name;
  int64_t ms; /* 0: so many months */
  int months;
} units[] = {
    {"s", 1000, 0},        {"second", 1000, 0},   {"seconds", 1000, 0}, {"min", 60000, 0},      {"minute", 60000, 0},
    {"minutes", 60000, 0}, {"h", 3600000, 0},     {"hour", 3600000, 0}, {"hours", 3600000, 0},  {"d", 86400000, 0},
    {"day", 86400000, 0},  {"days", 86400000, 0}, {"w", 604800000, 0},  {"week", 604800000, 0}, {"weeks", 604800000, 0},
    {"month", 0, 1},       {"months", 0, 1},      {"y", 0, 12},         {"year", 0, 12},        {"years", 0, 12},
};

static int days_of(int year, int month) { /* month from 0 */
  static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return days[month] + (month == 1 && leap);
}

static bool months_before(int64_t now_ms, int64_t months, int64_t *unix_ms) {
  time_t seconds = (time_t)(now_ms / 1000);
  struct tm tm;
  if (!gmtime_r(&seconds, &tm)) return false;
  int64_t total = (int64_t)(tm.tm_year + 1900) * 12 + tm.tm_mon - months;
  if (total < 12) return false;
  tm.tm_year = (int)(total / 12) - 1900;
  tm.tm_mon = (int)(total % 12);
  int last = days_of(tm.tm_year + 1900, tm.tm_mon);
  if (tm.tm_mday > last) tm.tm_mday = last;
  *unix_ms = (int64_t)timegm(&tm) * 1000 + now_ms % 1000;
  return true;
}

static bool parse_age(const char *text, int64_t now_ms, int64_t *unix_ms) {
  int64_t count = 0;
  size_t digits = strspn(text, "0123456789");
  if (digits == 0 || digits > 7) return false;
  for (size_t i = 0; i < digits; i++) count = count * 10 + (text[i] - '0');
  text += digits;
  while (*text == ' ') text++;
  if (count == 0 || count > MAX_COUNT) return false;
  for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
    if (strcasecmp(text, units[i].name) != 0) continue;
    if (units[i].months) return months_before(now_ms, count * units[i].months, unix_ms);
    *unix_ms = now_ms - count * units[i].ms;
    return true;
  }
  return false;
}

static bool parse_date(const char *text, int64_t *unix_ms) {
  int part[3] = {0};
  size_t at = 0;
  for (int i = 0; i < 3; i++) {
    int digits = i ? 2 : 4;
    for (int k = 0; k < digits; k++, at++) {
      if (text[at] < '0' || text[at] > '9') return false;
      part[i] = part[i] * 10 + (text[at] - '0');
    }
    if (text[at] != (i < 2 ? '-' : 0)) return false;
    at++;
  }
  if (part[0] < 1 || part[1] < 1 || part[1] > 12 || part[2] < 1 || part[2] > days_of(part[0], part[1] - 1))
    return false;
  struct tm tm = {.tm_year = part[0] - 1900, .tm_mon = part[1] - 1, .tm_mday = part[2]};
  *unix_ms = (int64_t)timegm(&tm) * 1000;
  return true;
}

bool mig_age_is_relative(const bson_iter_t *value) {
  int64_t at = 0;
  return BSON_ITER_HOLDS_UTF8(value) && !parse_date(bson_iter_utf8(value, NULL), &at);
}

bool mig_age_before(const bson_iter_t *value, int64_t now_unix_ms, int64_t *unix_ms) {
  if (BSON_ITER_HOLDS_DATE_TIME(value)) {
    *unix_ms = bson_iter_date_time(value);
    return true;
  }
  if (!BSON_ITER_HOLDS_UTF8(value)) return false;
  const char *text = bson_iter_utf8(value, NULL);
  return parse_date(text, unix_ms) || parse_age(text, now_unix_ms, unix_ms);
}
