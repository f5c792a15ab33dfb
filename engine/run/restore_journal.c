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

bool mig_restore_journal_write(mig_engine *e, const char *path, const char *sha256, const mig_emergency_options *o,
                               mig_error *err) {
  mig_host host;
  mig_host_self(&host);
  bson_t doc = BSON_INITIALIZER;
  BSON_APPEND_UTF8(&doc, "path", path);
  BSON_APPEND_UTF8(&doc, "sha256", sha256);
  BSON_APPEND_INT32(&doc, "strategy", (int32_t)o->strategy);
  append_only(&doc, o->only);
  append_as(&doc, o->as, o->as_count);
  BSON_APPEND_BOOL(&doc, "noIndexes", o->no_indexes);
  BSON_APPEND_UTF8(&doc, "host", host.name);
  BSON_APPEND_UTF8(&doc, "by", e->settings.by);
  BSON_APPEND_INT64(&doc, "fence", mig_lease_fence(e->lease));
  BSON_APPEND_DATE_TIME(&doc, "startedAt", mig_now_unix_ms());
  bson_t *command = BCON_NEW("update", BCON_UTF8(MIG_LOCKS), "updates", "[", "{", "q", "{", "_id",
                             BCON_UTF8(JOURNAL_ID), "}", "u", BCON_DOCUMENT(&doc), "upsert", BCON_BOOL(true), "}", "]");
  mig_crash_point(MIG_CRASH_JOURNAL_BEFORE);
  bool ok = mig_db_command(e->db, MIG_WRITE, command, NULL, err);
  mig_crash_point(MIG_CRASH_JOURNAL_AFTER);
  bson_destroy(command);
  bson_destroy(&doc);
  return ok;
}

bool mig_restore_journal_remove(mig_engine *e, mig_error *err) {
  bson_t *command = BCON_NEW("delete", BCON_UTF8(MIG_LOCKS), "deletes", "[", "{", "q", "{", "_id",
                             BCON_UTF8(JOURNAL_ID), "}", "limit", BCON_INT32(1), "}", "]");
  mig_crash_point(MIG_CRASH_RECORD_BEFORE);
  bool ok = mig_db_command(e->db, MIG_WRITE, command, NULL, err);
  mig_crash_point(MIG_CRASH_RECORD_AFTER);
  bson_destroy(command);
  return ok;
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
  out->options.replace = true;
  mig_bson_bool(&out->doc, "noIndexes", &out->options.no_indexes);
  return read_only_list(out, err) && read_as(out, err);
}

void mig_restore_journal_clear(mig_restore_journal *j) {
  mig_free((void *)(uintptr_t)j->options.only);
  mig_free((void *)(uintptr_t)j->options.as);
  bson_destroy(&j->doc);
}
