#include "backup/restore_build.h"

#include <stdatomic.h>

#define LOOK_MS 1000

struct mig_index_build {
  mig_work *caller, own;
  mig_pipeline *thread;
  const char *collection;
  const bson_t *recorded;
  bool can_kill;
  uint8_t session[MIG_SESSION_BYTES];
  atomic_bool stop;
  mig_error refused; /* the thread's until it has ended */
};

static bool go_on(void *arg, mig_error *err) {
  mig_index_build *b = arg;
  return !atomic_load(&b->stop) || mig_fail(err, MIG_E_INTERRUPTED, "the indexes are not needed any more");
}

static bool build(void *arg, unsigned worker, void *item, mig_error *err) {
  mig_index_build *b = arg;
  (void)worker;
  (void)item;
  return mig_indexes_create(&b->own, b->collection, b->recorded, &b->refused, err);
}

static bool start_thread(mig_index_build *b, mig_error *err) {
  mig_error ignored;
  b->own.checkpoint = go_on;
  b->own.checkpoint_arg = b;
  b->can_kill = mig_db_session(b->own.db, b->session, &ignored); /* its writes run in it from now on */
  const mig_pipeline_options o = {.workers = 1, .slots = 1, .item_size = 1, .work = build, .arg = b};
  if (!mig_pipeline_open(&o, &b->thread, err)) return false;
  mig_pipeline_put(b->thread, mig_pipeline_try_take(b->thread), 0);
  return true;
}

bool mig_index_build_start(mig_work *w, const char *collection, const bson_t *recorded, mig_index_build **out,
                           mig_error *err) {
  mig_error ignored;
  *out = NULL;
  mig_index_build *b = mig_alloc(sizeof *b);
  if (!b) return mig_no_memory(err, "indexes");
  b->caller = w;
  b->own.caps = w->caps;
  b->collection = collection;
  b->recorded = recorded;
  atomic_init(&b->stop, false);
  const bool connected = mig_db_again(w->db, NULL, &b->own.db, &ignored);
  const bool ok = !connected || start_thread(b, err);
  if (connected && ok)
    *out = b;
  else
    mig_index_build_free(b);
  return ok;
}

bool mig_index_build_wait(mig_index_build *b, mig_error *refused, mig_error *err) {
  void *item = NULL;
  while (!mig_pipeline_wait(b->thread, LOOK_MS))
    if (!mig_checkpoint(b->caller, err)) return false;
  if (!mig_pipeline_next(b->thread, &item, err)) return false;
  mig_pipeline_done(b->thread, item);
  if (refused->code == MIG_OK) *refused = b->refused;
  return true;
}

/* Again and again: what was about to be sent had not begun the first time. */
static void stop(mig_index_build *b) {
  mig_error ignored;
  atomic_store(&b->stop, true);
  while (!mig_pipeline_wait(b->thread, 0)) {
    if (b->can_kill) b->can_kill = mig_db_kill_session(b->caller->db, b->session, &ignored);
    mig_pipeline_wait(b->thread, LOOK_MS);
  }
}

void mig_index_build_free(mig_index_build *b) {
  if (!b) return;
  if (b->thread) stop(b);
  mig_pipeline_free(b->thread);
  mig_db_close(b->own.db);
  mig_free(b);
}
