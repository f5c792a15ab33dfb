#include "base/caps_try.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/db_internal.h"
#include "base/hash.h"

typedef struct scratch {
  mig_db *db;
  char a[64], b[64];
} scratch;

/* Runs a command that is built by BCON, and frees it. */
static bool run(mig_db *db, bson_t *command, mig_error *err) {
  bool ok = mig_db_command(db, MIG_WRITE, command, NULL, err);
  bson_destroy(command);
  return ok;
}

static bool drop(mig_db *db, const char *name, mig_error *err) {
  mig_error local;
  if (run(db, BCON_NEW("drop", BCON_UTF8(name)), &local) || local.server_code == MIG_SERVER_NO_NAMESPACE) return true;
  if (err) *err = local;
  return false;
}

static bool insert(mig_db *db, const char *name, int32_t id, mig_error *err) {
  return run(
      db,
      BCON_NEW("insert", BCON_UTF8(name), "documents", "[", "{", "_id", BCON_INT32(id), "x", BCON_UTF8("a"), "}", "]"),
      err);
}

/* Frees the filter. */
static bool count(mig_db *db, const char *name, bson_t *filter, int64_t *n, mig_error *err) {
  bool ok = mig_db_count(db, name, filter, n, err);
  bson_destroy(filter);
  return ok;
}

static bool count_id(mig_db *db, const char *name, int32_t id, int64_t *n, mig_error *err) {
  return count(db, name, BCON_NEW("_id", BCON_INT32(id)), n, err);
}

/* Each try: false with err when it could not be decided; *has tells otherwise. A server's refusal is a "no". */

/* A transaction whose end the server refused is still open there: the scratch collection could not be dropped. */
static void end_session(mig_db *db) {
  uint8_t id[MIG_SESSION_BYTES];
  mig_error ignored;
  if (mig_db_session(db, id, &ignored)) mig_db_kill_session(db, id, &ignored);
}

static bool try_transactions(scratch *s, bool *has, mig_error *err) {
  mig_db *other = NULL;
  int64_t seen = 1, after_abort = 1, after_commit = 0;
  bool ok = insert(s->db, s->a, 1, err) && mig_db_again(s->db, NULL, &other, err);
  ok = ok && mig_db_begin(s->db, err) && insert(s->db, s->a, 2, err) && count_id(other, s->a, 2, &seen, err);
  mig_db_abort(s->db);
  ok = ok && count_id(other, s->a, 2, &after_abort, err);
  if (ok && seen == 0 && after_abort == 0) {
    ok = mig_db_begin(s->db, err) && insert(s->db, s->a, 3, err) && mig_db_commit(s->db, err);
    mig_db_abort(s->db);
    ok = ok && count_id(other, s->a, 3, &after_commit, err);
  }
  *has = ok && seen == 0 && after_abort == 0 && after_commit == 1;
  mig_db_close(other);
  if (!ok) end_session(s->db);
  return ok;
}

static bool try_retryable(scratch *s, bool *has, mig_error *err) {
  return insert(s->db, s->a, 1, err) && mig_db_try_retryable(s->db, s->a, has, err);
}

/* Updates the one document of s->a by a pipeline of one stage (freed here) and reads it back. */
static bool update_and_read(scratch *s, bson_t *stage, bson_t *doc, bool *found, mig_error *err) {
  bson_t *find = BCON_NEW("find", BCON_UTF8(s->a), "filter", "{", "_id", BCON_INT32(1), "}");
  bson_t *update = BCON_NEW("update", BCON_UTF8(s->a), "updates", "[", "{", "q", "{", "_id", BCON_INT32(1), "}", "u",
                            "[", BCON_DOCUMENT(stage), "]", "}", "]");
  bson_destroy(stage);
  bool ok = insert(s->db, s->a, 1, err);
  if (ok)
    ok = run(s->db, update, err);
  else
    bson_destroy(update);
  if (ok)
    ok = mig_db_first(s->db, find, doc, found, err);
  else
    bson_init(doc);
  bson_destroy(find);
  return ok;
}

static bool try_update_pipeline(scratch *s, bool *has, mig_error *err) {
  bson_t doc, *stage = BCON_NEW("$set", "{", "y", "{", "$concat", "[", BCON_UTF8("$x"), BCON_UTF8("b"), "]", "}", "}");
  bool found = false;
  const char *y = NULL;
  bool ok = update_and_read(s, stage, &doc, &found, err);
  *has = ok && found && mig_bson_str(&doc, "y", &y) && strcmp(y, "ab") == 0;
  bson_destroy(&doc);
  return ok;
}

static bool try_replace_pipeline(scratch *s, bool *has, mig_error *err) {
  bson_t doc, *stage = BCON_NEW("$replaceWith", "{", "_id", BCON_UTF8("$_id"), "z", BCON_UTF8("$x"), "}");
  bool found = false;
  const char *z = NULL;
  bool ok = update_and_read(s, stage, &doc, &found, err);
  *has = ok && found && bson_count_keys(&doc) == 2 && mig_bson_str(&doc, "z", &z) && strcmp(z, "a") == 0;
  bson_destroy(&doc);
  return ok;
}

bool mig_caps_read_snapshot(mig_db *db, const char *collection, bool *has, mig_error *err) {
  bson_t *find = BCON_NEW("find", BCON_UTF8(collection), "limit", BCON_INT32(1)), doc;
  bool found = false;
  uint32_t seconds, increment;
  *has = false;
  bool ok = mig_db_snapshot_begin(db, err);
  if (ok) {
    ok = mig_db_first(db, find, &doc, &found, err);
    /* a server that accepts the read concern without giving a time did not do it */
    *has = ok && mig_db_snapshot_time(db, &seconds, &increment);
    bson_destroy(&doc);
  }
  mig_db_snapshot_end(db);
  bson_destroy(find);
  return ok;
}

static bool try_snapshot_reads(scratch *s, bool *has, mig_error *err) {
  return insert(s->db, s->a, 1, err) && mig_caps_read_snapshot(s->db, s->a, has, err);
}

static bool try_id_ranges(scratch *s, bool *has, mig_error *err) {
  mig_cursor *c = NULL;
  const bson_t *doc = NULL;
  int64_t id = 0, n = 0;
  bool ok = insert(s->db, s->a, 1, err) && insert(s->db, s->a, 2, err) && insert(s->db, s->a, 3, err);
  bson_t *find = BCON_NEW("find", BCON_UTF8(s->a), "hint", "{", "_id", BCON_INT32(1), "}", "min", "{", "_id",
                          BCON_INT32(2), "}", "max", "{", "_id", BCON_INT32(3), "}");
  ok = ok && mig_db_query(s->db, find, &c, err);
  mig_next next = MIG_NEXT_END;
  while (ok && (next = mig_cursor_next(c, &doc, err)) == MIG_NEXT_DOC) {
    mig_bson_int(doc, "_id", &id);
    n++;
  }
  mig_cursor_close(c);
  bson_destroy(find);
  *has = ok && n == 1 && id == 2;
  return ok && next != MIG_NEXT_ERROR;
}

static bool with_validator(scratch *s, const char *command, mig_error *err) {
  return run(s->db,
             BCON_NEW(command, BCON_UTF8(s->a), "validator", "{", "v", "{", "$exists", BCON_BOOL(true), "}", "}"), err);
}

static bool try_create_validator(scratch *s, bool *has, mig_error *err) {
  return with_validator(s, "create", err) && mig_db_has_option(s->db, s->a, "options.validator", has, err);
}

static bool try_collmod(scratch *s, bool *has, mig_error *err) {
  return run(s->db, BCON_NEW("create", BCON_UTF8(s->a)), err) && with_validator(s, "collMod", err) &&
         mig_db_has_option(s->db, s->a, "options.validator", has, err);
}

static bool try_validator(scratch *s, bool *has, mig_error *err) {
  mig_error refused = {0};
  bool listed = false;
  bool ok = with_validator(s, "create", err) && mig_db_has_option(s->db, s->a, "options.validator", &listed, err);
  if (ok && !listed) ok = with_validator(s, "collMod", err);
  if (!ok) return false;
  *has = !insert(s->db, s->a, 1, &refused);
  if (*has && (mig_caps_is_no_answer(&refused) || mig_caps_outcome(false, false, &refused) == MIG_UNKNOWN)) {
    *has = false; /* refused, but not for what it holds */
    *err = refused;
    return false;
  }
  return true;
}

static bool try_views(scratch *s, bool *has, mig_error *err) {
  bson_t entry;
  bool found = false;
  const char *type = NULL;
  if (!insert(s->db, s->a, 1, err) ||
      !run(s->db, BCON_NEW("create", BCON_UTF8(s->b), "viewOn", BCON_UTF8(s->a), "pipeline", "[", "]"), err))
    return false;
  bool ok = mig_db_collection_info(s->db, s->b, &entry, &found, err);
  *has = ok && found && mig_bson_str(&entry, "type", &type) && strcmp(type, "view") == 0;
  bson_destroy(&entry);
  return ok;
}

static bool create_with_collation(scratch *s, mig_error *err) {
  return run(
      s->db,
      BCON_NEW("create", BCON_UTF8(s->a), "collation", "{", "locale", BCON_UTF8("en"), "strength", BCON_INT32(2), "}"),
      err);
}

static bool try_collation(scratch *s, bool *has, mig_error *err) {
  int64_t n = 0;
  bool listed = false;
  bool ok = create_with_collation(s, err) && mig_db_has_option(s->db, s->a, "options.collation", &listed, err) &&
            insert(s->db, s->a, 1, err) && count(s->db, s->a, BCON_NEW("x", BCON_UTF8("A")), &n, err);
  *has = ok && listed && n == 1;
  return ok;
}

static bool count_same(scratch *s, const char *text, int64_t *n, mig_error *err) {
  return count(
      s->db, s->a,
      BCON_NEW("$jsonSchema", "{", "enum", "[", "{", "_id", BCON_INT32(1), "x", BCON_UTF8(text), "}", "]", "}"), n,
      err);
}

static bool try_exact_match(scratch *s, bool *has, mig_error *err) {
  int64_t same = 0, other = 1;
  bool ok = create_with_collation(s, err) && insert(s->db, s->a, 1, err) && count_same(s, "a", &same, err) &&
            count_same(s, "A", &other, err);
  *has = ok && same == 1 && other == 0;
  return ok;
}

static bool try_document_size(scratch *s, bool *has, mig_error *err) {
  int64_t n = 0;
  bool ok = insert(s->db, s->a, 1, err) && count(s->db, s->a,
                                                 BCON_NEW("$expr", "{", "$eq", "[", "{", "$bsonSize",
                                                          BCON_UTF8("$$ROOT"), "}", BCON_INT32(23), "]", "}"),
                                                 &n, err);
  *has = ok && n == 1;
  return ok;
}

static bool try_rename(scratch *s, bool *has, mig_error *err) {
  int64_t moved = 0, replaced = 1;
  char from[160], to[160];
  snprintf(from, sizeof from, "%s.%s", mig_db_name(s->db), s->a);
  snprintf(to, sizeof to, "%s.%s", mig_db_name(s->db), s->b);
  bool ok = insert(s->db, s->a, 1, err) && insert(s->db, s->b, 2, err);
  bson_t *rename = BCON_NEW("renameCollection", BCON_UTF8(from), "to", BCON_UTF8(to), "dropTarget", BCON_BOOL(true));
  ok = ok && mig_db_admin(s->db, rename, NULL, err) && count_id(s->db, s->b, 1, &moved, err) &&
       count_id(s->db, s->b, 2, &replaced, err);
  bson_destroy(rename);
  *has = ok && moved == 1 && replaced == 0;
  return ok;
}

static bool drop_leftovers(mig_db *db, mig_error *err) {
  mig_cursor *c = NULL;
  const bson_t *doc = NULL;
  char(*names)[256] = NULL;
  size_t n = 0;
  mig_next next = MIG_NEXT_END;
  bool ok = mig_db_collections(db, NULL, &c, err);
  while (ok && (next = mig_cursor_next(c, &doc, err)) == MIG_NEXT_DOC) {
    const char *name = NULL;
    if (!mig_bson_str(doc, "name", &name) || strncmp(name, "migprobe_", 9) != 0 || strlen(name) > 255) continue;
    char(*grown)[256] = mig_realloc(names, (n + 1) * sizeof *names);
    if (!grown) {
      ok = mig_no_memory(err, "collections");
      break;
    }
    names = grown;
    memcpy(names[n++], name, strlen(name) + 1);
  }
  mig_cursor_close(c);
  ok = ok && next != MIG_NEXT_ERROR;
  for (size_t i = 0; ok && i < n; i++) ok = drop(db, names[i], err);
  mig_free(names);
  return ok;
}

bool mig_caps_try(mig_db *db, mig_caps *caps, mig_error *err) {
  static const struct {
    mig_cap cap;
    bool (*fn)(scratch *, bool *, mig_error *);
  } tries[] = {
      {MIG_CAP_TRANSACTIONS, try_transactions},
      {MIG_CAP_RETRYABLE_WRITES, try_retryable},
      {MIG_CAP_SNAPSHOT_READS, try_snapshot_reads},
      {MIG_CAP_UPDATE_PIPELINE, try_update_pipeline},
      {MIG_CAP_REPLACE_PIPELINE, try_replace_pipeline},
      {MIG_CAP_ID_RANGES, try_id_ranges},
      {MIG_CAP_COLLMOD, try_collmod},
      {MIG_CAP_CREATE_VALIDATOR, try_create_validator},
      {MIG_CAP_VALIDATOR, try_validator},
      {MIG_CAP_VIEWS, try_views},
      {MIG_CAP_COLLATION, try_collation},
      {MIG_CAP_RENAME_DROP_TARGET, try_rename},
      {MIG_CAP_EXACT_MATCH, try_exact_match},
      {MIG_CAP_DOCUMENT_SIZE, try_document_size},
  };
  char random[9];
  bool tidy = true;
  int attempts = 5;
  if (!mig_random_hex(4, random, err) || !drop_leftovers(db, err)) return false;
  for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
    mig_error local = {0};
    bool has = false, decided = false, again = true;
    if (caps->has[tries[i].cap] != MIG_UNKNOWN) continue;
    /* a transaction just after a collection was created may be told to come again; a primary may have just gone */
    for (int attempt = 0; attempt < attempts && again; attempt++) {
      scratch s = {.db = db};
      /* names of its own: what an attempt could not take away again would be taken for a refusal by the next */
      snprintf(s.a, sizeof s.a, "migprobe_%s_%zu_%da", random, i, attempt);
      snprintf(s.b, sizeof s.b, "migprobe_%s_%zu_%db", random, i, attempt);
      if (attempt) mig_sleep_ms(50 << attempt);
      mig_error_clear(&local);
      decided = tries[i].fn(&s, &has, &local);
      if (local.network) break;
      again = !decided && (local.transient || mig_db_passing(&local));
      mig_crash_point(MIG_CRASH_PROBE_SCRATCH);
      /* the view first: a collection under it may not be droppable */
      tidy = drop(db, s.b, NULL) && tidy;
      tidy = drop(db, s.a, NULL) && tidy;
    }
    if (!decided && mig_caps_is_no_answer(&local)) {
      drop_leftovers(db, NULL); /* the connection may be back; else the next tries drop them */
      if (err) *err = local;
      return false;
    }
    if (!decided && mig_db_passing(&local)) attempts = 1; /* it does not pass soon: each is asked once */
    caps->has[tries[i].cap] = mig_caps_outcome(decided, has, &local);
  }
  return tidy || drop_leftovers(db, err);
}
