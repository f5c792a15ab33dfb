/*
 * retention.h - which snapshots a set of rules keeps, and why; only times are looked at, nothing is read or removed
 *
 *     mig_keep_judge(&rules, taken, count, kept_by)   --> kept_by[i] 0: no rule keeps it, else bits of MIG_KEEP_*
 *
 * The rules are restic's: last N keeps the newest N. daily N keeps the newest of each of the last N days that have one
 * (weekly, monthly alike; weeks begin on Monday; all in UTC), and where there are fewer than N, the oldest of all as
 * well. within D keeps what is younger than D, counted back from the newest snapshot, not from now: a store that gets
 * no new snapshots does not run empty. What any rule keeps is kept.
 * Units: *_unix_ms UTC.   Trust: times come from file names; any value is fine.
 */
#ifndef MIG_BACKUP_RETENTION_H
#define MIG_BACKUP_RETENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mig_keep_span {
  int years, months, days, hours;
} mig_keep_span;

typedef struct mig_keep {
  int64_t last, daily, weekly, monthly; /* 0: no such rule */
  mig_keep_span within;                 /* all 0: no such rule */
} mig_keep;

#define MIG_KEEP_LAST    1u
#define MIG_KEEP_DAILY   2u
#define MIG_KEEP_WEEKLY  4u
#define MIG_KEEP_MONTHLY 8u
#define MIG_KEEP_WITHIN  16u

/* "2y5m7d3h": each part at most once, in this order, at least one; numbers up to 9999. False: not that. */
bool mig_keep_span_parse(const char *text, mig_keep_span *out);
bool mig_keep_any(const mig_keep *rules); /* is there a rule at all? */
/* taken_unix_ms: oldest first. kept_by has room for `count`. */
void mig_keep_judge(const mig_keep *rules, const int64_t *taken_unix_ms, size_t count, unsigned *kept_by);
#define MIG_KEEP_TEXT 64
void mig_keep_text(unsigned kept_by, char text[static MIG_KEEP_TEXT]); /* "last, daily" */

#endif
