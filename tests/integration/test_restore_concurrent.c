/* Others write while a restore runs: what they wrote stays, or is saved before it goes. */
#include "restore_env.h"

#define LATE_BASE 100000

typedef struct intruder {
  env *e;
  mig_db *db; /* a client of its own */
  int at, calls, version;
} intruder;

#define WRITES 6 /* documents in one disturbance, each with a value of its own */

static int32_t value_of(int version, int write) {
  return LATE_BASE + version * WRITES + write;
}

static void others_write(intruder *in) {
  static const char *const collections[] = {"users", "later"};
  static const int32_t ids[] = {5, 150, 7000}; /* damaged before, whole before, and extra */
  mig_error err;
  bson_t reply;
  in->version++;
  for (int i = 0; i < WRITES; i++) {
    bson_t *update = BCON_NEW("update", BCON_UTF8(collections[i / 3]), "updates", "[", "{", "q", "{", "_id",
                              BCON_INT32(ids[i % 3]), "}", "u", "{", "$set", "{", "v",
                              BCON_INT32(value_of(in->version, i)), "}", "}", "upsert", BCON_BOOL(true), "}", "]");
    CHECK(mig_db_command(in->db, MIG_WRITE, update, &reply, &err), err);
    bson_destroy(&reply);
    bson_destroy(update);
  }
}

static bool intrude(void *arg, mig_error *err) {
  intruder *in = arg;
  (void)err;
  if (++in->calls == in->at) others_write(in);
  return true;
}

/* Documents with value v: in the collections, and in all displaced archives. */
static int64_t count_value(env *e, int32_t v) {
  mig_error err;
  mig_store_item *items = NULL;
  size_t count = 0;
  int64_t found = 0, live = 0;
  bson_t *filter = BCON_NEW("v", BCON_INT32(v));
  CHECK(mig_db_count(e->db, "users", filter, &found, &err), err);
  CHECK(mig_db_count(e->db, "later", filter, &live, &err), err);
  bson_destroy(filter);
  found += live;
  CHECK(mig_store_list(e->store, &items, &count, &err), err);
  for (size_t i = 0; i < count; i++) {
    mig_archive *a = NULL;
    if (strcmp(items[i].path, e->snapshot) == 0) continue;
    CHECK(mig_archive_open(items[i].path, &a, &err), err);
    CHECK(mig_archive_verify(a, NULL, &err), err);
    const mig_manifest *m = mig_archive_contents(a);
    for (size_t k = 0; k < m->collection_count; k++) {
      mig_archive_cursor *c = NULL;
      bson_t doc;
      int64_t value = 0;
      CHECK(mig_archive_documents(a, &m->collections[k], 0, &c, &err), err);
      while (mig_archive_cursor_next(c, &doc, &err) == MIG_ARCHIVE_DOC)
        if (mig_bson_int(&doc, "v", &value) && value == v) found++;
      mig_archive_cursor_close(c);
    }
    mig_archive_free(a);
  }
  mig_store_items_free(items, count);
  return found;
}

static void damage(env *e) {
  run_json(
      e,
      "{\"update\":\"users\",\"updates\":[{\"q\":{\"_id\":{\"$lt\":30}},\"u\":{\"$set\":{\"v\":9}},\"multi\":true}]}");
  insert_numbered(e, "users", 7000, 20, 5);
  insert_numbered(e, "later", 7000, 20, 5);
}

static void empty_store(env *e) {
  mig_error err;
  mig_store_item *items = NULL;
  size_t count = 0;
  CHECK(mig_store_list(e->store, &items, &count, &err), err);
  for (size_t i = 0; i < count; i++)
    if (strcmp(items[i].path, e->snapshot) != 0) unlink(items[i].path);
  mig_store_items_free(items, count);
}

static void disturbed_everywhere(env *e, mig_strategy strategy) {
  insert_numbered(e, "users", 0, 200, 0);
  const mig_snapshot_want wants[] = {{"users", MIG_HOLDS_DOCUMENTS}, {"later", MIG_HOLDS_DOCUMENTS}};
  snapshot_of(e, wants, 2);
  char *before = fingerprint(e);
  intruder in = {.e = e, .db = open_database(e->database)};
  const mig_restore_options options = {.strategy = strategy, .displaced_store = e->store};
  int disturbed = 0;
  for (in.at = 1; in.at < 100; in.at++) {
    mig_error err;
    mig_restore_report r;
    damage(e);
    in.calls = 0;
    const int first = in.version + 1;
    e->w.checkpoint = intrude;
    e->w.checkpoint_arg = &in;
    e->w.batch_documents = 10;
    const bool ok = try_restore(e, &options, &r, &err);
    if (!ok) print_message("    at %d: %s (%s)\n", in.at, err.what, err.why);
    e->w.checkpoint = NULL;
    mig_restore_report_clear(&r);
    for (int i = 0; in.version >= first && i < WRITES; i++)
      if (!count_value(e, value_of(in.version, i))) fail_msg("written at checkpoint %d, and lost: number %d", in.at, i);
    disturbed += in.version >= first;
    restore(e, before);
    empty_store(e);
    if (in.version < first) break; /* the restore has no more checkpoints than that */
  }
  print_message("    %d places of disturbance\n", disturbed);
  assert_true(disturbed > 5);
  mig_db_close(in.db);
  mig_free(before);
}

static void what_others_write_during_delta_is_live_or_saved(void **state) {
  disturbed_everywhere(*state, MIG_STRATEGY_AUTO);
}

/* What was found by the look is written without another one: what others wrote in between must not go unseen. */
static void what_others_write_between_the_look_at_the_chunks_and_the_write_is_live_or_saved(void **state) {
  env *e = *state;
  e->chunk_bytes = 600;
  disturbed_everywhere(e, MIG_STRATEGY_AUTO);
}

static void what_others_write_during_swap_is_live_or_saved(void **state) {
  disturbed_everywhere(*state, MIG_STRATEGY_SWAP);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RESTORE_TEST(what_others_write_during_delta_is_live_or_saved),
      RESTORE_TEST(what_others_write_between_the_look_at_the_chunks_and_the_write_is_live_or_saved),
      RESTORE_TEST(what_others_write_during_swap_is_live_or_saved),
  };
  return run_restore_tests("restore_concurrent", tests, sizeof tests / sizeof *tests);
}
