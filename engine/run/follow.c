#include "run/follow.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "backup/archive_read.h"
#include "base/clock.h"
#include "base/crash.h"
#include "base/names.h"
#include "run/emergency.h"
#include "run/host.h"

#define WRITE_SLACK_MS 5000  /* an entry's time is from a little before its write */
#define CLOCK_SLACK_MS 60000 /* between the server's clock and that of a machine that took a snapshot */

typedef enum when { WHEN_NEVER, WHEN_BEFORE, WHEN_AFTER, WHEN_UNKNOWN } when;
typedef enum reach { REACH_NONE, REACH_ALL, REACH_PART } reach;

typedef struct follow {
  mig_engine *e;
  const mig_manifest *m;
  const mig_emergency_options *o;
  bool before_ledger;  /* the whole database, at a time when it had no ledger */
  bool partial;        /* not all that the snapshot holds went to its place */
  int64_t anchor;      /* the server's time at which the run that took the snapshot had the lease; 0: not known */
  int64_t from, until; /* the snapshot is of some moment between them, by the server's clock; 0: not known */
} follow;

/* What is to become of one entry. */
typedef struct verdict {
  bool changes, certain;
  mig_status to;
  char why[400]; /* it is not certain */
} verdict;

/* ---- when was the snapshot taken, by the server's clock? ---- */

/* The run that took it still stands in the ledger: nothing else ran between its beginning and its end. */
static int64_t anchor_of(const mig_manifest *m, const mig_entry *x) {
  if (!x || !m->direction) return 0;
  if (x->run.snapshot.id && strcmp(x->run.snapshot.id, m->id) == 0) return x->run.started_unix_ms;
  if (!x->snapshot.id || strcmp(x->snapshot.id, m->id) != 0) return 0;
  return strcmp(m->direction, "up") == 0 ? x->applied_unix_ms : x->reverted_unix_ms;
}

static void set_time(follow *f, const mig_ledger *ledger) {
  const mig_manifest *m = f->m;
  const bool ours = strcmp(m->database, mig_db_name(f->e->db)) == 0;
  f->before_ledger = ours && m->whole_database && !mig_manifest_find(m, MIG_LEDGER);
  if (!ours) return; /* two ledgers, two clocks */
  f->anchor = m->migration ? anchor_of(m, mig_ledger_find(ledger, m->migration)) : 0;
  const int64_t cluster = (int64_t)m->cluster_seconds * 1000; /* what was written in a later second is not in it */
  f->from = cluster ? cluster - WRITE_SLACK_MS : m->created_unix_ms - CLOCK_SLACK_MS;
  f->until = cluster ? cluster + 999 : INT64_MAX; /* the clock of some machine makes nothing certain */
}

static when when_was(const follow *f, int64_t unix_ms) {
  if (unix_ms == 0) return WHEN_NEVER;
  if (f->before_ledger) return WHEN_AFTER;
  if (f->anchor && unix_ms != f->anchor) return unix_ms < f->anchor ? WHEN_BEFORE : WHEN_AFTER;
  if (f->anchor) return WHEN_UNKNOWN;
  if (!f->until) return WHEN_UNKNOWN;
  return unix_ms < f->from ? WHEN_BEFORE : unix_ms > f->until ? WHEN_AFTER : WHEN_UNKNOWN;
}

/* ---- did the restore reach all that a migration changes? ---- */

/* What was restored to the collection of that name; NULL: nothing. */
static const mig_collection_entry *restored_to(const follow *f, const char *name) {
  const mig_emergency_options *o = f->o;
  for (size_t i = 0; i < o->as_count; i++)
    if (strcmp(o->as[i].to, name) == 0) return mig_manifest_named(f->m, o->as[i].from);
  const mig_collection_entry *entry = o->as_count ? NULL : mig_manifest_find(f->m, name);
  for (size_t i = 0; entry && o->only && o->only[i]; i++)
    if (mig_manifest_named(f->m, o->only[i]) == entry) return entry;
  return o->only ? NULL : entry;
}

/* Does a snapshot that holds `got` of a collection take back what needed one that holds `need`? */
static bool enough(mig_holds need, mig_holds got) {
  return need == MIG_HOLDS_METADATA || got != MIG_HOLDS_METADATA;
}

static bool reach_of_collection(const follow *f, const mig_collection_entry *mine, reach *out, char why[static 400],
                                mig_error *err) {
  const mig_collection_entry *got = restored_to(f, mine->name);
  bool there = true;
  *out = REACH_ALL;
  if (got && enough(mine->holds, got->holds)) return true;
  *out = got ? REACH_PART : REACH_NONE;
  if (got) {
    snprintf(why, 400, "only the indexes and options of %.120s were restored", mine->name);
    return true;
  }
  snprintf(why, 400, "%.120s was not restored", mine->name);
  if (mine->holds != MIG_HOLDS_ABSENT || f->o->as_count || f->o->only) return true;
  const bool ok = mig_db_has_collection(f->e->db, mine->name, &there, err); /* it made that collection */
  if (ok && !there) *out = REACH_ALL;
  snprintf(why, 400, "%.120s, which it had made, is still there: the snapshot does not know that collection",
           mine->name);
  return ok;
}

static bool reach_of(const follow *f, const mig_snapshot_ref *own, reach *out, char why[static 400], mig_error *err) {
  mig_archive *archive = NULL;
  mig_error ignored;
  size_t all = 0, some = 0;
  *out = REACH_PART;
  bool ok = own->path && mig_archive_open_with(own->path, f->e->key, &archive, &ignored);
  const mig_manifest *mine = ok ? mig_archive_contents(archive) : NULL;
  if (!mine || !own->id || strcmp(mine->id, own->id) != 0) {
    mig_archive_free(archive);
    if (f->o->as_count) *out = REACH_NONE; /* beside the others: nothing of them changed */
    snprintf(why, 400,
             own->path ? "its own snapshot, which tells what it changed, cannot be read"
                       : "it has no snapshot of its own, which would tell what it changed");
    return true;
  }
  char left[400] = "";
  for (size_t i = 0; ok && i < mine->collection_count; i++) {
    reach one = REACH_NONE;
    char reason[400] = "";
    ok = reach_of_collection(f, &mine->collections[i], &one, reason, err);
    all += one == REACH_ALL;
    some += one == REACH_PART;
    if (one != REACH_ALL && (!left[0] || one == REACH_PART)) snprintf(left, sizeof left, "%s", reason);
  }
  const size_t count = mine->collection_count;
  *out = count == 0 ? REACH_PART : all == count ? REACH_ALL : all + some ? REACH_PART : REACH_NONE;
  snprintf(why, 400, "%s", count ? left : "its own snapshot does not tell which collections it changed");
  mig_archive_free(archive);
  return ok;
}

/* ---- what becomes of an entry ---- */

/* Is it the migration that the snapshot was taken for? */
static bool is_its_own(const follow *f, const mig_entry *y) {
  return f->m->migration && f->m->direction && strcmp(f->m->migration, y->name) == 0;
}

/* The very run that waits took this snapshot. */
static bool is_of_run(const follow *f, const mig_entry *y) {
  return y->run.snapshot.id && strcmp(y->run.snapshot.id, f->m->id) == 0;
}

/* By its times alone: nothing, another status for certain, or nobody knows. */
static verdict judge_times(const follow *f, const mig_entry *y) {
  const when a = when_was(f, y->applied_unix_ms), r = when_was(f, y->reverted_unix_ms);
  const bool applied = y->status == MIG_STATUS_APPLIED;
  verdict v = {.changes = true, .certain = true, .to = applied ? MIG_STATUS_REVERTED : MIG_STATUS_APPLIED};
  if (is_its_own(f, y)) {
    const mig_status was = strcmp(f->m->direction, "up") == 0 ? MIG_STATUS_APPLIED : MIG_STATUS_REVERTED;
    v.changes = y->status == was; /* its own snapshot: from before this very change */
    return v;
  }
  if (a == WHEN_NEVER) return (verdict){0};
  if (applied ? a == WHEN_BEFORE
              : f->before_ledger || r == WHEN_NEVER || r == WHEN_BEFORE || (a == WHEN_AFTER && y->restored))
    return (verdict){0};
  if (a == WHEN_UNKNOWN || r == WHEN_UNKNOWN) {
    v.certain = false;
    snprintf(v.why, sizeof v.why, "whether it was %s before or after the snapshot was taken is not known",
             mig_status_name(y->status));
  } else if (!f->before_ledger && a == WHEN_AFTER && r == WHEN_AFTER) {
    v.certain = false;
    snprintf(v.why, sizeof v.why, "since the snapshot was taken it was both applied and reverted");
  }
  return v;
}

/* A run whose restore had failed, and whose place this restore takes. */
static verdict judge_unfinished(const follow *f, const mig_entry *y) {
  verdict v = {.changes = f->o->force_why && !f->o->as_count, .certain = true};
  v.to = y->run.direction == MIG_DOWN ? y->run.was : MIG_STATUS_FAILED;
  if (!is_of_run(f, y) && when_was(f, y->run.started_unix_ms) != WHEN_AFTER) {
    v.certain = false;
    snprintf(v.why, sizeof v.why, "whether the snapshot was taken before it is not known");
  }
  return v;
}

static bool judge(const follow *f, const mig_entry *y, verdict *v, mig_error *err) {
  const bool running = y->status == MIG_STATUS_RUNNING;
  const bool own = running ? is_of_run(f, y) : is_its_own(f, y);
  char why[400] = "";
  reach how = f->o->as_count ? REACH_NONE : REACH_ALL;
  *v = (verdict){0};
  if (y->status == MIG_STATUS_FAILED) return true; /* its data was put back then: nothing of it is in any snapshot */
  *v = running ? judge_unfinished(f, y) : judge_times(f, y);
  if (!v->changes) return true;
  if (!own && !reach_of(f, running ? &y->run.snapshot : &y->snapshot, &how, why, err)) return false;
  v->changes = how != REACH_NONE || running;
  /* a person who puts an unfinished run's own snapshot back without its indexes has said so, and why */
  const bool part = f->partial && !(running && own && !f->o->only);
  if (v->certain && part) snprintf(v->why, sizeof v->why, "only a part of the snapshot was restored");
  if (v->certain && !part && how != REACH_ALL) snprintf(v->why, sizeof v->why, "%s", why);
  v->certain = v->certain && how == REACH_ALL && !part;
  return true;
}

/* ---- recording it ---- */

static void add_event(const follow *f, const mig_entry *y, mig_status to) {
  mig_host host;
  mig_error ignored;
  char id[MIG_UUID_TEXT] = "";
  mig_host_self(&host);
  mig_uuid(id, &ignored);
  bson_t *event = BCON_NEW("run", BCON_UTF8(id), "name", BCON_UTF8(y->name), "direction", BCON_UTF8("restore"),
                           "outcome", BCON_UTF8(mig_status_name(to)), "startedAt", BCON_DATE_TIME(mig_now_unix_ms()),
                           "duration", BCON_INT64(0), "by", BCON_UTF8(f->e->settings.by), "host", BCON_UTF8(host.name),
                           "error", BCON_UTF8("by the restore of its data by hand"), "snapshot", BCON_UTF8(f->m->id));
  mig_bson_append_text(event, "version", y->version);
  mig_bson_append_text(event, "why", f->o->force_why);
  mig_watch_event(f->e, event);
  bson_destroy(event);
}

static bool record(const follow *f, const mig_entry *y, mig_status to, mig_error *err) {
  int64_t now = 0;
  const int64_t fence = mig_lease_fence(f->e->lease);
  if (!mig_checkpoint(&f->e->work, err) || !mig_db_server_now(f->e->db, &now, err)) return false;
  bson_t *set =
      BCON_NEW("status", BCON_UTF8(mig_status_name(to)), "restored", BCON_BOOL(true), "updatedAt", BCON_DATE_TIME(now));
  const bool running = y->status == MIG_STATUS_RUNNING;
  if (to == MIG_STATUS_REVERTED && !running)
    BCON_APPEND(set, "revertedAt", BCON_DATE_TIME(now), "revertedBy", BCON_UTF8(f->e->settings.by));
  if (to == MIG_STATUS_APPLIED && !running) BSON_APPEND_UTF8(set, "appliedBy", f->e->settings.by);
  if (running) {
    BCON_APPEND(set, "run.phase", BCON_UTF8("done"), "run.fence", BCON_INT64(fence));
    BSON_APPEND_UTF8(set, "error", "interrupted; its data was put back by hand");
  }
  mig_crash_point(MIG_CRASH_RECORD_BEFORE);
  /* first: killed in between, it stands there twice rather than not at all; that of the restore itself names its own */
  if (!is_its_own(f, y)) add_event(f, y, to);
  const bool ok = mig_ledger_set(f->e->db, y->name, fence, set, err);
  mig_crash_point(MIG_CRASH_RECORD_AFTER);
  bson_destroy(set);
  return ok;
}

static bool add(mig_follow_list *l, const char *name, mig_status status, bool certain, mig_error *err) {
  mig_followed *grown = mig_realloc(l->items, (l->count + 1) * sizeof *grown);
  if (!grown) return mig_no_memory(err, "ledger");
  l->items = grown;
  l->items[l->count] = (mig_followed){mig_strdup(name), status, certain};
  return l->items[l->count++].name || mig_no_memory(err, "ledger");
}

static void warn(const follow *f, const mig_entry *y, const verdict *v) {
  const bool running = y->status == MIG_STATUS_RUNNING;
  mig_say(mig_engine_observer(f->e), MIG_WARNING,
          "the ledger still says that %s is %s, which may be wrong now: %s; look at the data, then say how it is: "
          "mig mark %s --applied (or --pending)%s --why TEXT",
          y->name, mig_status_name(y->status), v->why, y->name, running ? " --force" : "");
}

bool mig_follow_restore(mig_engine *e, const mig_manifest *m, const mig_emergency_options *o, mig_follow_list *out,
                        mig_error *err) {
  follow f = {.e = e, .m = m, .o = o, .partial = o->only || o->as_count || o->no_indexes};
  mig_ledger *ledger = NULL;
  if (mig_follow_has_ledger(m, o)) return true;
  bool ok = mig_ledger_load(e->db, &ledger, err);
  if (ok) set_time(&f, ledger);
  for (size_t i = ok ? ledger->count : 0; ok && i-- > 0;) { /* newest first, as `down` would */
    const mig_entry *y = &ledger->items[i];
    verdict v;
    ok = judge(&f, y, &v, err);
    if (!ok || !v.changes) continue;
    if (!v.certain) warn(&f, y, &v);
    ok = (!v.certain || record(&f, y, v.to, err)) && add(out, y->name, v.certain ? v.to : y->status, v.certain, err);
  }
  mig_ledger_free(ledger);
  return ok;
}

bool mig_follow_has_ledger(const mig_manifest *m, const mig_emergency_options *o) {
  const follow f = {.m = m, .o = o};
  return !o->as_count && restored_to(&f, MIG_LEDGER) != NULL;
}

bool mig_follow_ledger(mig_engine *e, const mig_ledger *before, mig_follow_list *out, mig_error *err) {
  mig_ledger *now = NULL;
  bool ok = mig_ledger_load(e->db, &now, err);
  for (size_t i = ok ? before->count : 0; ok && i-- > 0;) {
    const mig_entry *was = &before->items[i], *is = mig_ledger_find(now, was->name);
    const mig_status status = is ? is->status : MIG_STATUS_PENDING;
    const bool matters = was->status == MIG_STATUS_APPLIED || status == MIG_STATUS_APPLIED;
    if (status != was->status && matters) ok = add(out, was->name, status, true, err);
  }
  mig_ledger_free(now);
  return ok;
}

void mig_follow_clear(mig_follow_list *l) {
  for (size_t i = 0; i < l->count; i++) mig_free(l->items[i].name);
  mig_free(l->items);
  *l = (mig_follow_list){0};
}
