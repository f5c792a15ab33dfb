#include "backup/retention.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define DAY_MS INT64_C(86400000)

bool mig_keep_span_parse(const char *text, mig_keep_span *out) {
  static const char units[] = "ymdh";
  int *const parts[] = {&out->years, &out->months, &out->days, &out->hours};
  size_t next = 0;
  *out = (mig_keep_span){0};
  if (!*text) return false;
  while (*text) {
    int number = 0, digits = 0;
    for (; *text >= '0' && *text <= '9' && digits < 5; text++, digits++) number = number * 10 + (*text - '0');
    const char *unit = *text ? strchr(units + next, *text) : NULL;
    if (digits == 0 || digits > 4 || !unit) return false;
    *parts[unit - units] = number;
    next = (size_t)(unit - units) + 1;
    text++;
  }
  return true;
}

static bool has_span(const mig_keep_span *s) {
  return s->years || s->months || s->days || s->hours;
}

bool mig_keep_any(const mig_keep *rules) {
  return rules->last > 0 || rules->daily > 0 || rules->weekly > 0 || rules->monthly > 0 || has_span(&rules->within);
}

static int64_t floor_div(int64_t a, int64_t b) {
  return a / b - (a % b < 0);
}

/* The calendar does the arithmetic: one month before 31 March is 3 March, as with restic. */
static int64_t back_by(int64_t unix_ms, const mig_keep_span *span) {
  time_t seconds = (time_t)floor_div(unix_ms, 1000);
  struct tm t;
  if (!gmtime_r(&seconds, &t)) return INT64_MIN;
  t.tm_year -= span->years;
  t.tm_mon -= span->months;
  t.tm_mday -= span->days;
  t.tm_hour -= span->hours;
  return (int64_t)timegm(&t) * 1000 + (unix_ms - (int64_t)seconds * 1000);
}

typedef int64_t (*bucket_fn)(int64_t unix_ms, size_t number);

static int64_t each(int64_t unix_ms, size_t number) {
  (void)unix_ms;
  return (int64_t)number;
}

static int64_t day_of(int64_t unix_ms, size_t number) {
  (void)number;
  return floor_div(unix_ms, DAY_MS);
}

static int64_t week_of(int64_t unix_ms, size_t number) {
  return floor_div(day_of(unix_ms, number) + 3, 7); /* the first day of 1970 was a Thursday */
}

static int64_t month_of(int64_t unix_ms, size_t number) {
  time_t seconds = (time_t)floor_div(unix_ms, 1000);
  struct tm t;
  (void)number;
  return gmtime_r(&seconds, &t) ? (int64_t)t.tm_year * 12 + t.tm_mon : 0;
}

/* From the newest on; the oldest one fills a place that is left, even when its day already has one. */
static void judge_rule(int64_t places, bucket_fn bucket, unsigned bit, const int64_t *taken, size_t count,
                       unsigned *kept_by) {
  int64_t last = 0;
  for (size_t n = 0; n < count && places > 0; n++) {
    const size_t i = count - 1 - n;
    const int64_t now = bucket(taken[i], n);
    if (n > 0 && now == last && i != 0) continue;
    kept_by[i] |= bit;
    last = now;
    places--;
  }
}

void mig_keep_judge(const mig_keep *rules, const int64_t *taken, size_t count, unsigned *kept_by) {
  if (count == 0) return;
  memset(kept_by, 0, count * sizeof *kept_by);
  judge_rule(rules->last, each, MIG_KEEP_LAST, taken, count, kept_by);
  judge_rule(rules->daily, day_of, MIG_KEEP_DAILY, taken, count, kept_by);
  judge_rule(rules->weekly, week_of, MIG_KEEP_WEEKLY, taken, count, kept_by);
  judge_rule(rules->monthly, month_of, MIG_KEEP_MONTHLY, taken, count, kept_by);
  if (!has_span(&rules->within)) return;
  const int64_t from = back_by(taken[count - 1], &rules->within);
  for (size_t i = 0; i < count; i++)
    if (taken[i] > from) kept_by[i] |= MIG_KEEP_WITHIN;
}

void mig_keep_text(unsigned kept_by, char text[static MIG_KEEP_TEXT]) {
  static const char *const names[] = {"last", "daily", "weekly", "monthly", "within"};
  size_t at = 0;
  text[0] = 0;
  for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
    if (kept_by & (1u << i)) at += (size_t)snprintf(text + at, MIG_KEEP_TEXT - at, "%s%s", at ? ", " : "", names[i]);
}
