/* Killed at any point of a restore and run again, the database is as in the snapshot, and nothing displaced is lost. */
#include <signal.h>
#include <sys/wait.h>

#include "base/crash.h"
#include "restore_env.h"

/* Runs the restore in a process of its own that dies at `point`; true when it did die there. */
static bool restore_killed_at(env *e, const char *point, int nth, mig_strategy strategy) {
  fflush(NULL);
  const pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    char at[64];
    mig_error err;
    mig_restore_report report;
    snprintf(at, sizeof at, "%s:%d", point, nth);
    setenv("MIG_CRASH_AT", at, 1);
    env_open(e); /* a connection cannot be shared; the parent's is left as it is */
    e->w.batch_documents = 40;
    const mig_restore_options options = {.strategy = strategy, .displaced_store = e->store};
    _exit(try_restore(e, &options, &report, &err) ? 0 : 1);
  }
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  if (WIFSIGNALED(status)) {
    assert_int_equal(WTERMSIG(status), SIGKILL);
    return true;
  }
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
  return false;
}

static void prepare(env *e) {
  insert_numbered(e, "users", 0, 200, 0);
  insert_numbered(e, "gone", 0, 60, 0);
  run_json(e, "{\"createIndexes\":\"users\",\"indexes\":[{\"key\":{\"v\":1},\"name\":\"v\"},{\"key\":{\"text\":1},"
              "\"name\":\"t\"}]}");
  run_json(e, "{\"createIndexes\":\"gone\",\"indexes\":[{\"key\":{\"v\":1},\"name\":\"v\"}]}");
  const mig_snapshot_want wants[] = {
      {"users", MIG_HOLDS_DOCUMENTS}, {"gone", MIG_HOLDS_DOCUMENTS}, {"later", MIG_HOLDS_DOCUMENTS}};
  snapshot_of(e, wants, 3);
}

/* 30 changed, 50 removed, 20 added, an index gone and one too many; a collection dropped and one too many. */
static void damage(env *e) {
  mig_error err;
  run_json(
      e,
      "{\"update\":\"users\",\"updates\":[{\"q\":{\"_id\":{\"$lt\":30}},\"u\":{\"$set\":{\"v\":9}},\"multi\":true}]}");
  run_json(e, "{\"delete\":\"users\",\"deletes\":[{\"q\":{\"_id\":{\"$gte\":100,\"$lt\":150}},\"limit\":0}]}");
  insert_numbered(e, "users", 1000, 20, 5);
  run_json(e, "{\"dropIndexes\":\"users\",\"index\":\"v\"}");
  run_json(e, "{\"createIndexes\":\"users\",\"indexes\":[{\"key\":{\"x\":1},\"name\":\"x\"}]}");
  try_json(e, "{\"drop\":\"gone\"}", &err);
  insert_numbered(e, "later", 0, 10, 0);
}

static int64_t displaced_in_store(env *e) {
  mig_store_item *items = NULL;
  size_t count = 0;
  mig_error err;
  int64_t documents = 0;
  CHECK(mig_store_list(e->store, &items, &count, &err), err);
  for (size_t i = 0; i < count; i++) {
    mig_archive *a = NULL;
    if (strcmp(items[i].path, e->snapshot) == 0) continue;
    CHECK(mig_archive_open(items[i].path, &a, &err), err);
    CHECK(mig_archive_verify(a, NULL, &err), err);
    documents += (int64_t)mig_archive_contents(a)->documents;
    mig_archive_free(a);
    unlink(items[i].path);
  }
  mig_store_items_free(items, count);
  return documents;
}

static void killed_everywhere(env *e, mig_strategy strategy) {
  static const mig_crash points[] = {
      MIG_CRASH_RESTORE_BEGIN,  MIG_CRASH_RESTORE_DISPLACED, MIG_CRASH_RESTORE_INDEXES_DROPPED, MIG_CRASH_RESTORE_BATCH,
      MIG_CRASH_RESTORE_STAGED, MIG_CRASH_RESTORE_RENAMED,   MIG_CRASH_RESTORE_INDEX,           MIG_CRASH_RESTORE_DONE};
  prepare(e);
  char *before = fingerprint(e);
  int kills = 0;
  for (size_t p = 0; p < sizeof points / sizeof *points; p++) {
    const char *name = mig_crash_name(points[p]);
    bool died = true;
    for (int nth = 1; died && nth <= 20; nth++) {
      damage(e);
      died = restore_killed_at(e, name, nth, strategy);
      kills += died;
      if (died && nth == 1) print_message("    killed at %s\n", name);
      const mig_restore_options options = {.strategy = strategy, .displaced_store = e->store};
      mig_restore_report r = restore_like(e, &options, before);
      mig_restore_report_clear(&r);
      /* 30 changed, 20 extra, 10 of a collection that should not be there: in one archive or another */
      assert_true(displaced_in_store(e) >= 60);
    }
    assert_false(died);
  }
  print_message("    %d kills\n", kills);
  assert_true(kills >= 8);
  mig_free(before);
}

static void delta_survives_a_kill_at_every_point(void **state) {
  killed_everywhere(*state, MIG_STRATEGY_AUTO);
}

static void swap_survives_a_kill_at_every_point(void **state) {
  killed_everywhere(*state, MIG_STRATEGY_SWAP);
}

/* Where rename cannot drop its target, the collection is missing for a moment. */
static void swap_survives_a_kill_between_drop_and_rename(void **state) {
  env *e = *state;
  const mig_tri had = probed.has[MIG_CAP_RENAME_DROP_TARGET];
  probed.has[MIG_CAP_RENAME_DROP_TARGET] = MIG_NO;
  e->caps = probed;
  prepare(e);
  char *before = fingerprint(e);
  for (int nth = 1; nth <= 2; nth++) {
    damage(e);
    restore_killed_at(e, "restore_staged", nth, MIG_STRATEGY_SWAP);
    run_json(e, "{\"drop\":\"users\"}"); /* what a kill right behind the drop leaves */
    const mig_restore_options options = {.strategy = MIG_STRATEGY_SWAP, .displaced_store = e->store};
    mig_restore_report r = restore_like(e, &options, before);
    mig_restore_report_clear(&r);
  }
  damage(e);
  const mig_restore_options options = {.strategy = MIG_STRATEGY_SWAP, .displaced_store = e->store};
  mig_restore_report r = restore_like(e, &options, before);
  mig_restore_report_clear(&r);
  probed.has[MIG_CAP_RENAME_DROP_TARGET] = had;
  mig_free(before);
}

#ifdef MIG_CRASH_POINTS
static const bool can_die = true;
#else
static const bool can_die = false;
#endif

int main(void) {
  const struct CMUnitTest tests[] = {
      RESTORE_TEST(delta_survives_a_kill_at_every_point),
      RESTORE_TEST(swap_survives_a_kill_at_every_point),
      RESTORE_TEST(swap_survives_a_kill_between_drop_and_rename),
  };
  if (!can_die) {
    print_message("skipped: built without MIG_CRASH_POINTS\n");
    return 77;
  }
  return run_restore_tests("restore_kill", tests, sizeof tests / sizeof *tests);
}
