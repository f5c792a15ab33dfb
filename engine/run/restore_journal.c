#include "run/restore_journal.h"

#include <string.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/names.h"
#include "run/host.h"

#define JOURNAL_ID "mig.restore"

static void append_only(bson_t *to, const char *const *only) {
  bson_t list;
  char buffer[16];
  const char *key = NULL;
  BSON_APPEND_ARRAY_BEGIN(to, "only", &list);
  for (uint32_t i = 0; only && only[i]; i++) {
    bson_uint32_to_string(i, &key, buffer, sizeof buffer);
    BSON_APPEND_UTF8(&list, key, only[i]);
  }
  bson_append_array_end(to, &list);
}

static void append_as(bson_t *to, const mig_restore_as *as, size_t count) {
  bson_t list, pair;
  char buffer[16];
  const char *key = NULL;
  BSON_APPEND_ARRAY_BEGIN(to, "as", &list);
  for (size_t i = 0; i < count; i++) {
    bson_uint32_to_string((uint32_t)i, &key, buffer, sizeof buffer);
    BSON_APPEND_DOCUMENT_BEGIN(&list, key, &pair);
    BSON_APPEND_UTF8(&pair, "from", as[i].from);
    BSON_APPEND_UTF8(&pair, "to", as[i].to);
    bson_append_document_end(&list, &pair);
  }
  bson_append_array_end(to, &list);
}

static void append_collection(bson_t *list, uint32_t *count, const char *name, bool documents) {
  char buffer[16];
  const char *key = NULL;
  bson_t each;
  bson_uint32_to_string((*count)++, &key, buffer, sizeof buffer);
  BSON_APPEND_DOCUMENT_BEGIN(list, key, &each);
  BSON_APPEND_UTF8(&each, "name", name);
  BSON_APPEND_BOOL(&each, "documents", documents);
  bson_append_document_end(list, &each);
}

/* What it writes to. The snapshot may be lost by the time somebody asks. */
static void append_collections(bson_t *to, const mig_manifest *m, const mig_emergency_options *o) {
  bson_t list;
  uint32_t count = 0;
  BSON_APPEND_ARRAY_BEGIN(to, "collections", &list);
  for (size_t i = 0; i < m->collection_count && !o->as_count; i++) {
    const mig_collection_entry *entry = &m->collections[i];
    if (mig_emergency_wants(m, o, entry))
      append_collection(&list, &count, entry->name, entry->holds != MIG_HOLDS_METADATA);
  }
  for (size_t i = 0; i < o->as_count; i++) append_collection(&list, &count, o->as[i].to, true);
  bson_append_array_end(to, &list);
}

/* Whose journal stands there is not ours to change any more. */
static bool of_another(mig_engine *e, mig_error *err) {
  if (!mig_lease_check(e->lease, err)) return false;
  mig_fail(err, MIG_E_LEASE, "the journal of a restore (%s, _id %s) is another runner's", MIG_LOCKS, JOURNAL_ID);
  mig_why(err, "it was written or taken over since this one looked at it");
  return mig_hint(err, "`mig lock-status` says who is at work; then `mig recover`");
}

/* Conditioned on the token: a runner that was stopped past its lease changes nothing that a later one has written. */
static bson_t *not_later(const mig_engine *e) {
  return BCON_NEW("_id", BCON_UTF8(JOURNAL_ID), "fence", "{", "$lte", BCON_INT64(mig_lease_fence(e->lease)), "}");
}

static bool update(mig_engine *e, const bson_t *query, const bson_t *change, bool upsert, int64_t *matched,
                   mig_error *err) {
  const mig_update update = {.collection = MIG_LOCKS, .query = query, .change = change, .upsert = upsert};
  return mig_db_update(e->db, &update, matched, err);
}

static bool remove_where(mig_engine *e, const bson_t *query, int64_t *removed, mig_error *err) {
  bson_t reply;
  bson_t *command = BCON_NEW("delete", BCON_UTF8(MIG_LOCKS), "deletes", "[", "{", "q", BCON_DOCUMENT(query), "limit",
                             BCON_INT32(1), "}", "]");
  bool ok = mig_db_command(e->db, MIG_WRITE, command, &reply, err);
  *removed = 0;
  if (ok) mig_bson_int(&reply, "n", removed);
  bson_destroy(&reply);
  bson_destroy(command);
  return ok;
}

/* In the place of `instead`, as it was read; without one, only where there is none. */
static bool put(mig_engine *e, const bson_t *doc, const mig_restore_journal *instead, mig_error *err) {
  mig_error local = {0};
  int64_t matched = 0;
  bson_t *query = instead ? BCON_NEW("_id", BCON_UTF8(JOURNAL_ID), "fence", BCON_INT64(instead->fence)) : not_later(e);
  const bool ok = update(e, query, doc, !instead, &matched, &local);
  bson_destroy(query);
  if (ok ? matched == 0 : local.server_code == MIG_SERVER_DUPLICATE_KEY) return of_another(e, err);
  if (!ok && err) *err = local;
  return ok;
}

/* The lease may have gone between the last look at it and the write: then `mig recover` would run what nobody began.
 * One that stands in the place of another, which it covers, stays. */
static bool still_ours(mig_engine *e, const mig_restore_journal *instead, mig_error *err) {
  int64_t removed = 0;
  mig_error ignored;
  if (mig_lease_check(e->lease, err)) return true;
  if (instead) return false;
  bson_t *query = BCON_NEW("_id", BCON_UTF8(JOURNAL_ID), "fence", BCON_INT64(mig_lease_fence(e->lease)));
  remove_where(e, query, &removed, &ignored);
  bson_destroy(query);
  return false;
}

bool mig_restore_journal_write(mig_engine *e, const char *path, const char *sha256, const mig_manifest *m,
                               const mig_emergency_options *o, const mig_restore_journal *instead, mig_error *err) {
  mig_host host;
  const bson_t *self = mig_db_writer(e->db, err);
  mig_host_self(&host);
  if (!self) return false;
  bson_t doc = BSON_INITIALIZER, writers;
  BSON_APPEND_UTF8(&doc, "path", path);
  BSON_APPEND_UTF8(&doc, "sha256", sha256);
  BSON_APPEND_INT32(&doc, "strategy", (int32_t)o->strategy);
  append_only(&doc, o->only);
  append_as(&doc, o->as, o->as_count);
  append_collections(&doc, m, o);
  BSON_APPEND_BOOL(&doc, "noIndexes", o->no_indexes);
  if (o->force_why) BSON_APPEND_UTF8(&doc, "forced", o->force_why);
  BSON_APPEND_UTF8(&doc, "host", host.name);
  BSON_APPEND_UTF8(&doc, "by", e->settings.by);
  BSON_APPEND_ARRAY_BEGIN(&doc, "writers", &writers);
  BSON_APPEND_DOCUMENT(&writers, "0", self);
  bson_append_array_end(&doc, &writers);
  BSON_APPEND_INT64(&doc, "fence", mig_lease_fence(e->lease));
  BSON_APPEND_DATE_TIME(&doc, "startedAt", mig_now_unix_ms());
  mig_crash_point(MIG_CRASH_JOURNAL_BEFORE);
  bool ok = put(e, &doc, instead, err);
  mig_crash_point(MIG_CRASH_JOURNAL_AFTER);
  bson_destroy(&doc);
  return ok && still_ours(e, instead, err);
}

bool mig_restore_journal_remove(mig_engine *e, mig_error *err) {
  int64_t removed = 0;
  bson_t *query = not_later(e);
  mig_crash_point(MIG_CRASH_RECORD_BEFORE);
  bool ok = remove_where(e, query, &removed, err);
  mig_crash_point(MIG_CRASH_RECORD_AFTER);
  bson_destroy(query);
  return ok && (removed || mig_lease_check(e->lease, err));
}

bool mig_restore_journal_take_over(mig_engine *e, bool *there, mig_error *err) {
  int64_t matched = 0;
  *there = false;
  bson_t *query = not_later(e), *change = BCON_NEW("$set", "{", "fence", BCON_INT64(mig_lease_fence(e->lease)), "}");
  const bool ok = update(e, query, change, false, &matched, err);
  bson_destroy(change);
  bson_destroy(query);
  *there = matched > 0;
  return ok && (*there || (mig_emergency_pending(e->db, there, err) && (!*there || of_another(e, err))));
}

bool mig_restore_journal_write_as(mig_engine *e, mig_error *err) {
  int64_t matched = 0;
  const bson_t *self = mig_db_writer(e->db, err);
  if (!self) return false;
  bson_t *query = BCON_NEW("_id", BCON_UTF8(JOURNAL_ID), "fence", BCON_INT64(mig_lease_fence(e->lease))),
         *change = BCON_NEW("$set", "{", "writers", "[", BCON_DOCUMENT(self), "]", "}");
  const bool ok = update(e, query, change, false, &matched, err);
  bson_destroy(change);
  bson_destroy(query);
  return ok && (matched || of_another(e, err));
}

static bool read_document(mig_db *db, bson_t *doc, bool *found, mig_error *err) {
  bson_t *find =
      BCON_NEW("find", BCON_UTF8(MIG_LOCKS), "filter", "{", "_id", BCON_UTF8(JOURNAL_ID), "}", "limit", BCON_INT32(1));
  bool ok = mig_db_first(db, find, doc, found, err);
  bson_destroy(find);
  return ok;
}

bool mig_emergency_pending(mig_db *db, bool *pending, mig_error *err) {
  bson_t doc;
  bool ok = read_document(db, &doc, pending, err);
  bson_destroy(&doc);
  return ok;
}

bool mig_restore_journal_writers(mig_db *db, bson_t *list, mig_error *err) {
  bson_t doc;
  bool found = false;
  const bool ok = read_document(db, &doc, &found, err);
  if (ok && found) mig_bson_append_all(list, &doc, "writers");
  bson_destroy(&doc);
  return ok;
}

static bool bad(mig_error *err) {
  return mig_fail(err, MIG_E_SERVER, "the journal of an interrupted restore (%s, _id %s) cannot be read", MIG_LOCKS,
                  JOURNAL_ID);
}

static bool read_only_list(mig_restore_journal *j, mig_error *err) {
  bson_t list;
  bson_iter_t it;
  if (!mig_bson_arr(&j->doc, "only", &list) || bson_empty(&list)) return true;
  const char **names = mig_alloc((bson_count_keys(&list) + 1) * sizeof *names);
  if (!names) return mig_no_memory(err, "restore");
  j->options.only = names;
  for (bool more = bson_iter_init(&it, &list); more && bson_iter_next(&it);) {
    if (!BSON_ITER_HOLDS_UTF8(&it)) return bad(err);
    *names++ = bson_iter_utf8(&it, NULL);
  }
  return true;
}

static bool read_as(mig_restore_journal *j, mig_error *err) {
  bson_t list, pair;
  bson_iter_t it;
  if (!mig_bson_arr(&j->doc, "as", &list) || bson_empty(&list)) return true;
  mig_restore_as *as = mig_alloc(bson_count_keys(&list) * sizeof *as);
  if (!as) return mig_no_memory(err, "restore");
  j->options.as = as;
  for (bool more = bson_iter_init(&it, &list); more && bson_iter_next(&it); as++) {
    if (!mig_bson_iter_doc(&it, &pair) || !mig_bson_str(&pair, "from", &as->from) ||
        !mig_bson_str(&pair, "to", &as->to))
      return bad(err);
    j->options.as_count++;
  }
  return true;
}

bool mig_restore_journal_read(mig_db *db, mig_restore_journal *out, bool *found, mig_error *err) {
  int64_t strategy = 0;
  *found = false;
  memset(out, 0, sizeof *out);
  if (!read_document(db, &out->doc, found, err)) return false;
  if (!*found) return true;
  if (!mig_bson_str(&out->doc, "path", &out->path) || !mig_bson_str(&out->doc, "sha256", &out->sha256) ||
      !mig_bson_int(&out->doc, "strategy", &strategy) || strategy < MIG_STRATEGY_AUTO || strategy > MIG_STRATEGY_SWAP)
    return bad(err);
  out->options.strategy = (mig_strategy)strategy;
  mig_bson_int(&out->doc, "fence", &out->fence);
  out->options.replace = true;
  mig_bson_bool(&out->doc, "noIndexes", &out->options.no_indexes);
  mig_bson_str(&out->doc, "forced", &out->options.force_why);
  return read_only_list(out, err) && read_as(out, err);
}

void mig_restore_journal_clear(mig_restore_journal *j) {
  mig_free((void *)(uintptr_t)j->options.only);
  mig_free((void *)(uintptr_t)j->options.as);
  bson_destroy(&j->doc);
}

static bool holds(const mig_manifest *m, const char *name, bool documents) {
  for (size_t i = 0; i < m->collection_count; i++)
    if (strcmp(m->collections[i].name, name) == 0) return !documents || m->collections[i].holds != MIG_HOLDS_METADATA;
  return false;
}

/* NULL: every collection that the journal names. else the first that the snapshot does not hold. */
static const char *not_covered(const mig_restore_journal *j, const mig_manifest *m) {
  bson_t list, each;
  bson_iter_t it;
  if (!mig_bson_arr(&j->doc, "collections", &list) || !bson_iter_init(&it, &list)) return "all that it was at";
  while (bson_iter_next(&it)) {
    const char *name = NULL;
    bool documents = true;
    if (!mig_bson_iter_doc(&it, &each) || !mig_bson_str(&each, "name", &name)) return "all that it was at";
    mig_bson_bool(&each, "documents", &documents);
    if (!holds(m, name, documents)) return name;
  }
  return NULL;
}

bool mig_restore_journal_yields(const mig_restore_journal *j, const mig_manifest *m, const mig_emergency_options *o,
                                mig_error *err) {
  const bool part = o->only || o->as_count || (o->no_indexes && !j->options.no_indexes);
  const char *missing = part ? NULL : not_covered(j, m);
  if (!part && !missing) return true;
  mig_fail(err, MIG_E_UNFINISHED, "an interrupted run waits: a restore by hand of %s", j->path);
  if (part)
    mig_why(err, "a part of a snapshot (--only, --as, --no-indexes) does not bring back all that it was at");
  else
    mig_why(err, "the snapshot %s does not hold %s, which that restore may have left in between", m->id, missing);
  return mig_hint(err, "run `mig recover` first; only a whole snapshot of all it was at may take its place");
}
