/* The writes of a run to the ledger: conditioned on its id and token, acknowledged by the majority. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/names.h"
#include "run/host.h"
#include "run/ledger.h"

#define END_TRIES  5 /* some 5 s */
#define DONE_TRIES 9 /* more than a minute: what comes after is a restore, or nothing */

static bool update(mig_db *db, const bson_t *filter, const bson_t *change, bool upsert, int64_t *matched,
                   mig_error *err) {
  const mig_update update = {.collection = MIG_LEDGER, .query = filter, .change = change, .upsert = upsert};
  return mig_db_update(db, &update, matched, err);
}

/* The run that holds this token, or none yet: what a runner with an older token must not match. */
static void append_fence(bson_t *filter, int64_t fence) {
  bson_t any, each, less;
  BSON_APPEND_ARRAY_BEGIN(filter, "$or", &any);
  BSON_APPEND_DOCUMENT_BEGIN(&any, "0", &each);
  BSON_APPEND_DOCUMENT_BEGIN(&each, "run.fence", &less);
  BSON_APPEND_INT64(&less, "$lte", fence);
  bson_append_document_end(&each, &less);
  bson_append_document_end(&any, &each);
  BSON_APPEND_DOCUMENT_BEGIN(&any, "1", &each);
  BSON_APPEND_DOCUMENT_BEGIN(&each, "run.fence", &less);
  BSON_APPEND_BOOL(&less, "$exists", false);
  bson_append_document_end(&each, &less);
  bson_append_document_end(&any, &each);
  bson_append_array_end(filter, &any);
}

static bool overtaken(const mig_run_key *key, mig_error *err) {
  mig_fail(err, MIG_E_LEASE, "the ledger entry of %s belongs to another run now", key->name);
  mig_why(err, "this run (%s, token %lld) was taken over", key->id, (long long)key->fence);
  return mig_hint(err, "nothing more was written; `mig status` tells what the other runner did");
}

static void append_opt(bson_t *set, const char *key, const char *text) {
  if (text) BSON_APPEND_UTF8(set, key, text);
}

void mig_ledger_describe(bson_t *set, const mig_migration *m) {
  append_opt(set, "version", m->version);
  append_opt(set, "description", m->description);
  append_opt(set, "author", m->author);
  BSON_APPEND_UTF8(set, "kind", m->kind);
  BSON_APPEND_BOOL(set, "reversible", m->reversible);
}

/* An entry has every field from its first day on: those that `set` does not give are null. */
static void append_new(bson_t *change, const bson_t *set, int64_t now) {
  static const char *const fields[] = {"version",  "description", "author",    "kind",       "reversible", "batch",
                                       "checksum", "appliedAt",   "appliedBy", "revertedAt", "revertedBy", "duration",
                                       "error",    "restored",    "snapshot",  "metadata",   NULL};
  bson_t fresh;
  BSON_APPEND_DOCUMENT_BEGIN(change, "$setOnInsert", &fresh);
  for (const char *const *f = fields; *f; f++)
    if (!bson_has_field(set, *f)) BSON_APPEND_NULL(&fresh, *f);
  BSON_APPEND_DATE_TIME(&fresh, "createdAt", now);
  bson_append_document_end(change, &fresh);
}

bool mig_ledger_begin(mig_db *db, const mig_run_key *key, const mig_begin *b, mig_error *err) {
  const mig_migration *m = b->migration;
  int64_t now = 0, matched = 0;
  mig_host host;
  const bson_t *self = mig_db_writer(db, err);
  mig_host_self(&host);
  if (!self || !mig_db_server_now(db, &now, err)) return false;
  bson_t filter = BSON_INITIALIZER, change = BSON_INITIALIZER, set = BSON_INITIALIZER, run, not_running, writers;
  BSON_APPEND_UTF8(&filter, "name", m->name);
  BSON_APPEND_DOCUMENT_BEGIN(&filter, "status", &not_running);
  BSON_APPEND_UTF8(&not_running, "$ne", mig_status_name(MIG_STATUS_RUNNING));
  bson_append_document_end(&filter, &not_running);
  append_fence(&filter, key->fence);

  BSON_APPEND_UTF8(&set, "status", mig_status_name(MIG_STATUS_RUNNING));
  mig_ledger_describe(&set, m);
  if (b->direction == MIG_UP) BSON_APPEND_UTF8(&set, "checksum", m->checksum);
  if (b->metadata) BSON_APPEND_DOCUMENT(&set, "metadata", b->metadata);
  BSON_APPEND_DOCUMENT_BEGIN(&set, "run", &run);
  BSON_APPEND_UTF8(&run, "id", key->id);
  BSON_APPEND_UTF8(&run, "phase", mig_phase_name(MIG_PHASE_GUARDS));
  BSON_APPEND_UTF8(&run, "direction", mig_direction_name(b->direction));
  BSON_APPEND_UTF8(&run, "was", mig_status_name(b->was));
  BSON_APPEND_BOOL(&run, "transaction", b->transaction);
  BSON_APPEND_INT64(&run, "fence", key->fence);
  BSON_APPEND_UTF8(&run, "host", host.name);
  BSON_APPEND_INT64(&run, "pid", host.pid);
  append_opt(&run, "by", b->by);
  BSON_APPEND_ARRAY_BEGIN(&run, "writers", &writers);
  BSON_APPEND_DOCUMENT(&writers, "0", self);
  bson_append_array_end(&run, &writers);
  BSON_APPEND_DATE_TIME(&run, "startedAt", now);
  bson_append_document_end(&set, &run);
  BSON_APPEND_DATE_TIME(&set, "updatedAt", now);
  BSON_APPEND_DOCUMENT(&change, "$set", &set);
  append_new(&change, &set, now);

  mig_crash_point(MIG_CRASH_JOURNAL_BEFORE);
  bool ok = update(db, &filter, &change, true, &matched, err);
  mig_crash_point(MIG_CRASH_JOURNAL_AFTER);
  if (!ok && err && err->server_code == MIG_SERVER_DUPLICATE_KEY) overtaken(key, err);
  bson_destroy(&set);
  bson_destroy(&filter);
  bson_destroy(&change);
  return ok;
}

/* {$set: {status?, run.phase, updatedAt, ...set}} where it is still our run, and in phase `from` if one is given. */
static bool advance(mig_db *db, const mig_run_key *key, const char *from, const char *status, mig_phase phase,
                    const bson_t *extra, mig_error *err) {
  int64_t now = 0, matched = 0;
  if (!mig_db_server_now(db, &now, err)) return false;
  bson_t filter = BSON_INITIALIZER, change = BSON_INITIALIZER, set;
  BSON_APPEND_UTF8(&filter, "name", key->name);
  BSON_APPEND_UTF8(&filter, "status", mig_status_name(MIG_STATUS_RUNNING));
  BSON_APPEND_UTF8(&filter, "run.id", key->id);
  BSON_APPEND_INT64(&filter, "run.fence", key->fence);
  if (from) BSON_APPEND_UTF8(&filter, "run.phase", from);
  BSON_APPEND_DOCUMENT_BEGIN(&change, "$set", &set);
  if (status) BSON_APPEND_UTF8(&set, "status", status);
  BSON_APPEND_UTF8(&set, "run.phase", mig_phase_name(phase));
  BSON_APPEND_DATE_TIME(&set, "updatedAt", now);
  if (extra) bson_concat(&set, extra);
  bson_append_document_end(&change, &set);
  bool ok = update(db, &filter, &change, false, &matched, err);
  bson_destroy(&filter);
  bson_destroy(&change);
  return ok && (matched == 1 || overtaken(key, err));
}

bool mig_ledger_phase(mig_db *db, const mig_run_key *key, mig_phase phase, const bson_t *set, mig_error *err) {
  mig_crash_point(MIG_CRASH_JOURNAL_BEFORE);
  bool ok = advance(db, key, NULL, NULL, phase, set, err);
  mig_crash_point(MIG_CRASH_JOURNAL_AFTER);
  return ok;
}

/* No majority in time (64), no reply, or a primary that went: it may have taken effect all the same. */
static bool maybe_done(const mig_error *e) {
  return e->server_code == MIG_SERVER_NO_MAJORITY || mig_db_passing(e);
}

static bool ended(mig_db *db, const mig_run_key *key, mig_status status) {
  mig_entry *entry = NULL;
  mig_error ignored;
  bool yes = mig_ledger_read(db, key->name, &entry, &ignored) && entry && entry->run.id &&
             strcmp(entry->run.id, key->id) == 0 && entry->run.fence == key->fence && entry->status == status &&
             entry->run.phase == MIG_PHASE_DONE;
  mig_entry_free(entry);
  return yes;
}

/* Written again only after the entry was asked; a first write that comes in late makes the next one match nothing. */
static bool end(mig_db *db, const mig_run_key *key, const char *from, mig_status status, const bson_t *set, int tries,
                bool *unknown, mig_error *err) {
  mig_error first = {0}, local = {0};
  const char *to = mig_status_name(status);
  *unknown = false;
  if (mig_db_in_transaction(db)) return advance(db, key, from, to, MIG_PHASE_DONE, set, err);
  mig_crash_point(MIG_CRASH_RECORD_BEFORE);
  bool ok = advance(db, key, from, to, MIG_PHASE_DONE, set, &first);
  for (int attempt = 1; !ok && maybe_done(&first) && attempt < tries; attempt++) {
    mig_sleep_ms(150 << attempt);
    ok = ended(db, key, status) || advance(db, key, from, to, MIG_PHASE_DONE, set, &local);
  }
  mig_crash_point(MIG_CRASH_RECORD_AFTER);
  *unknown = !ok && maybe_done(&first);
  if (!ok && err) *err = first;
  return ok;
}

bool mig_ledger_end(mig_db *db, const mig_run_key *key, mig_status status, const bson_t *set, mig_error *err) {
  bool unknown = false;
  return end(db, key, NULL, status, set, END_TRIES, &unknown, err);
}

bool mig_ledger_done(mig_db *db, const mig_run_key *key, mig_status status, const bson_t *set, mig_error *err) {
  mig_error last = {0};
  bool unknown = false;
  if (end(db, key, mig_phase_name(MIG_PHASE_STEPS), status, set, DONE_TRIES, &unknown, &last)) return true;
  if (err) *err = last;
  if (!unknown) return false;
  mig_fail(err, MIG_E_UNFINISHED, "%s: its steps have run, but whether that is recorded is not known", key->name);
  mig_why(err, "%s: %s", last.what, last.why);
  return mig_hint(err, "nothing was restored; when the server answers again run `mig recover`: it finds out");
}

bool mig_ledger_take_over(mig_db *db, const mig_entry *unfinished, int64_t fence, bool *taken, mig_error *err) {
  mig_host host;
  int64_t matched = 0;
  mig_host_self(&host);
  *taken = false;
  bson_t *filter = BCON_NEW("name", BCON_UTF8(unfinished->name), "status", BCON_UTF8("running"), "run.id",
                            BCON_UTF8(unfinished->run.id), "run.fence", "{", "$lte", BCON_INT64(fence), "}");
  bson_t *change = BCON_NEW("$set", "{", "run.fence", BCON_INT64(fence), "run.recoveredBy", BCON_UTF8(host.name),
                            "updatedAt", BCON_DATE_TIME(mig_now_unix_ms()), "}");
  bool ok = update(db, filter, change, false, &matched, err);
  *taken = ok && matched == 1;
  bson_destroy(filter);
  bson_destroy(change);
  return ok;
}

bool mig_ledger_write_as(mig_db *db, const mig_run_key *key, mig_error *err) {
  const bson_t *self = mig_db_writer(db, err);
  if (!self) return false;
  bson_t *set = BCON_NEW("run.writers", "[", BCON_DOCUMENT(self), "]");
  const bool ok = mig_ledger_phase(db, key, MIG_PHASE_RESTORING, set, err);
  bson_destroy(set);
  return ok;
}

bool mig_ledger_writers(mig_db *db, bson_t *list, mig_error *err) {
  bson_t *find =
      BCON_NEW("find", BCON_UTF8(MIG_LEDGER), "filter", "{", "status", BCON_UTF8(mig_status_name(MIG_STATUS_RUNNING)),
               "}", "projection", "{", "run.writers", BCON_INT32(1), "}");
  mig_cursor *c = NULL;
  const bson_t *doc = NULL;
  mig_next next = MIG_NEXT_ERROR;
  if (mig_db_query(db, find, &c, err))
    while ((next = mig_cursor_next(c, &doc, err)) == MIG_NEXT_DOC) mig_bson_append_all(list, doc, "run.writers");
  mig_cursor_close(c);
  bson_destroy(find);
  return next != MIG_NEXT_ERROR;
}

bool mig_ledger_set(mig_db *db, const char *name, int64_t fence, const bson_t *set, mig_error *err) {
  int64_t now = 0, matched = 0;
  if (!mig_db_server_now(db, &now, err)) return false;
  bson_t filter = BSON_INITIALIZER, change = BSON_INITIALIZER;
  BSON_APPEND_UTF8(&filter, "name", name);
  append_fence(&filter, fence);
  BSON_APPEND_DOCUMENT(&change, "$set", set);
  append_new(&change, set, now);
  bool ok = update(db, &filter, &change, true, &matched, err);
  bson_destroy(&change);
  bson_destroy(&filter);
  return ok;
}

bool mig_events_add(mig_db *db, const bson_t *event, mig_error *err) {
  const bson_t *documents[] = {event};
  const mig_insert insert = {.collection = MIG_EVENTS, .documents = documents, .count = 1};
  return mig_db_insert(db, &insert, err);
}
