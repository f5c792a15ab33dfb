/*
 * clock.h - time: monotonic for durations and deadlines, UTC for what is written down
 */
#ifndef MIG_BASE_CLOCK_H
#define MIG_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int64_t mig_now_monotonic_ms(void);
int64_t mig_now_unix_ms(void);
void mig_sleep_ms(int64_t ms);

#define MIG_TIME_TEXT 32
/* "2026-11-21T07:15:00Z" and, for snapshot ids, "20261121T071500Z". */
void mig_time_iso(int64_t unix_ms, char text[static MIG_TIME_TEXT]);
void mig_time_compact(int64_t unix_ms, char text[static MIG_TIME_TEXT]);
/* A date ("2026-01-15"), a date and time (UTC: "2026-01-15T10:30:00Z", seconds and Z may be missing) or an age ("90m",
 * "12h", "7d", "2w": that long before now). False for anything else. */
bool mig_time_parse(const char *text, int64_t now_unix_ms, int64_t *unix_ms);

#endif
