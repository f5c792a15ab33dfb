#include "migrations/naming.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "migrations/migration.h"
#include "migrations/order.h"

/* The last of the names in order: its number, and what stands behind it. */
static bool last_of(const char *const *names, size_t count, char **order, char *separator) {
  char *last = NULL;
  *order = NULL;
  for (size_t i = 0; i < count; i++) {
    char *number = NULL, *name = NULL;
    if (!mig_name_split(names[i], &number, &name, NULL)) continue;
    bool later = !last || mig_name_order(name, last) > 0;
    if (later) *separator = name[strlen(number)];
    mig_free(later ? last : name);
    mig_free(later ? *order : number);
    if (!later) continue;
    last = name;
    *order = number;
  }
  mig_free(last);
  return *order != NULL;
}

/* The next whole number, as wide at least. */
static char *increment(const char *number) {
  size_t size = strlen(number), i = size;
  char *out = mig_strdup_printf("0%s", number);
  if (!out) return NULL;
  while (i && out[i] == '9') out[i--] = '0';
  out[i]++;
  if (out[0] == '0') memmove(out, out + 1, size + 1);
  return out;
}

static char *stamp(const char *format, int64_t unix_ms) {
  char text[40];
  time_t seconds = (time_t)(unix_ms / 1000);
  struct tm tm;
  if (!gmtime_r(&seconds, &tm) || strftime(text, sizeof text, format, &tm) == 0) return NULL;
  return mig_strdup(text);
}

static int two_digits(const char *p) {
  return (p[0] - '0') * 10 + p[1] - '0';
}

/* Begins with a day of this century or the last: 20250122... */
static bool begins_with_day(const char *number) {
  int century = two_digits(number), month = two_digits(number + 4), day = two_digits(number + 6);
  return (century == 19 || century == 20) && month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

/* What the clock would give in the style of `last`; NULL where the style is a plain number. *memory: none left. */
static char *by_clock(const char *last, int64_t now_ms, bool *memory) {
  size_t size = strlen(last);
  char *out = NULL;
  if (strchr(last, '-'))
    out = stamp("%Y-%m-%dT%H-%M-%S", now_ms);
  else if (size == 14 && begins_with_day(last))
    out = stamp("%Y%m%d%H%M%S", now_ms);
  else if (size == 13)
    out = mig_strdup_printf("%lld", (long long)now_ms);
  else if ((size == 11 || size == 12) && begins_with_day(last))
    out = stamp(size == 11 ? "%Y%m%d001" : "%Y%m%d0001", now_ms);
  else if (size == 8 && begins_with_day(last))
    out = stamp("%Y%m%d", now_ms);
  else
    return NULL;
  *memory = out == NULL;
  return out;
}

static char *after(const char *last, int64_t now_ms) {
  bool memory = false;
  char *out = by_clock(last, now_ms, &memory);
  if (memory) return NULL;
  if (out && mig_order_compare(out, last) > 0) return out;
  mig_free(out);
  if (!strchr(last, '-')) return increment(last);
  /* the clock is behind the last file: a second later than that */
  struct tm tm = {0};
  if (sscanf(last, "%d-%d-%dT%d-%d-%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6)
    return NULL;
  tm.tm_year -= 1900;
  tm.tm_mon -= 1;
  return stamp("%Y-%m-%dT%H-%M-%S", ((int64_t)timegm(&tm) + 1) * 1000);
}

char *mig_name_next(const char *const *names, size_t count, int64_t now_unix_ms, const char *words) {
  char *last = NULL, *number = NULL, *name = NULL, separator = '_';
  number =
      last_of(names, count, &last, &separator) ? after(last, now_unix_ms) : stamp("%Y-%m-%dT%H-%M-%S", now_unix_ms);
  if (number) name = mig_strdup_printf("%s%c%s", number, separator, words);
  mig_free(number);
  mig_free(last);
  return name;
}
