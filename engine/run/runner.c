/* mig_up, mig_down, mig_redo: choose, lock, choose again, and run one attempt after the other. */
#include <string.h>

#include "run/attempt.h"
#include "run/checks.h"
#include "run/emergency.h"
#include "run/forecast.h"
#include "run/recover.h"
#include "run/select.h"

typedef struct batch_run {
  mig_engine *e;
  mig_direction direction;
  const mig_up_options *up;
  const mig_down_options *down;
  const mig_listener *listener;
  mig_ledger *ledger;
  mig_choice *choices;
  size_t count;
} batch_run;

static bool choose(batch_run *r, mig_error *err) {
  mig_free(r->choices);
  mig_ledger_free(r->ledger);
  r->choices = NULL;
  r->ledger = NULL;
  r->count = 0;
  if (!mig_ledger_load(r->e->db, &r->ledger, err)) return false;
  return r->direction == MIG_UP ? mig_select_up(r->e, r->ledger, r->up, &r->choices, &r->count, err)
                                : mig_select_down(r->e, r->ledger, r->down, &r->choices, &r->count, err);
}

static bool unfinished(const batch_run *r, bool *yes, mig_error *err) {
  *yes = false;
  for (size_t i = 0; i < r->ledger->count; i++) *yes = *yes || r->ledger->items[i].status == MIG_STATUS_RUNNING;
  return *yes || mig_emergency_pending(r->e->db, yes, err);
}

static void tell(const batch_run *r, const mig_result *result) {
  if (r->listener && r->listener->result) r->listener->result(r->listener->arg, result);
}

static bool run_one(batch_run *r, const mig_choice *choice, int64_t batch, mig_error *err) {
  const mig_migration *m = choice->migration;
  mig_plan plan;
  mig_attempt attempt;
  mig_status was = choice->entry ? choice->entry->status : MIG_STATUS_PENDING;
  if (!mig_plan_make(r->e, m, r->direction, &plan, err)) {
    mig_fail_at(err, "%s", m->name);
    const mig_result none = {.name = m->name,
                             .version = m->version,
                             .direction = mig_direction_name(r->direction),
                             .outcome = "failed",
                             .error = err};
    tell(r, &none);
    return false;
  }
  bool ok = mig_attempt_run(r->e, &plan, was, batch, &attempt, err);
  tell(r, &attempt.result);
  mig_attempt_clear(&attempt);
  mig_plan_clear(&plan);
  return ok;
}

/* After a clean failure the next migration may be tried; after anything else nothing more is done. */
static bool may_go_on(const batch_run *r, const mig_error *err) {
  if (r->direction != MIG_UP || !r->up || !r->up->continue_on_error) return false;
  int code = mig_code_exit(err->code);
  return (code == 1 && !mig_db_passing(err)) || code == 3;
}

static bool run_choices(batch_run *r, int64_t *ran, mig_error *err) {
  mig_error first = {0};
  int64_t batch = mig_ledger_next_batch(r->ledger);
  for (size_t i = 0; i < r->count; i++) {
    mig_error local = {0};
    if (run_one(r, &r->choices[i], batch, &local)) {
      (*ran)++;
      continue;
    }
    bool on = may_go_on(r, &local);
    if (on) mig_say(mig_engine_observer(r->e), MIG_WARNING, "going on without it: %s: %s", local.what, local.why);
    if (first.code == MIG_OK || mig_code_exit(local.code) == 4) first = local;
    if (!on) break;
  }
  if (first.code == MIG_OK) return true;
  if (err) *err = first;
  return false;
}

static bool run_locked(batch_run *r, int64_t *ran, mig_error *err) {
  bool waits = false;
  if (!unfinished(r, &waits, err)) return false;
  if (waits) {
    if (r->direction == MIG_DOWN) return mig_engine_refuse_unfinished(r->e, true, err);
    mig_say(mig_engine_observer(r->e), MIG_WARNING, "an earlier run was interrupted: settling it first");
    if (!mig_recover_locked(r->e, r->listener, NULL, err)) return false;
  }
  return choose(r, err) && run_choices(r, ran, err);
}

/* A plan needs no key; the run will. */
static void warn_of_keys(mig_engine *e) {
  mig_error why;
  if (!mig_engine_keys(e, &why))
    mig_say(mig_engine_observer(e), MIG_WARNING, "the run would be refused: %s: %s", why.what, mig_error_why(&why));
}

/* `then` is what is done under the same lease afterwards; NULL: nothing. */
static bool run_batch(batch_run *r, bool dry_run, bool (*then)(batch_run *r, int64_t *ran, mig_error *err),
                      int64_t *ran, mig_error *err) {
  int64_t own = 0;
  bool waits = false;
  if (!ran) ran = &own;
  *ran = 0;
  bool ok = mig_engine_folder(r->e, err) && choose(r, err) && unfinished(r, &waits, err);
  if (ok && waits && (dry_run || r->direction == MIG_DOWN)) ok = mig_engine_refuse_unfinished(r->e, true, err);
  if (ok && dry_run) {
    warn_of_keys(r->e);
    ok = mig_forecast_run(r->e, r->direction, r->choices, r->count, r->listener, err);
  } else if (ok && (r->count > 0 || waits)) {
    ok = mig_engine_keys(r->e, err) && mig_engine_lock(r->e, then ? "redo" : mig_direction_name(r->direction), err) &&
         choose(r, err) && run_locked(r, ran, err) && (!then || then(r, ran, err));
    mig_engine_unlock(r->e);
  }
  mig_free(r->choices);
  mig_ledger_free(r->ledger);
  if (!ok && !dry_run) mig_engine_tell_unfinished(r->e, false, err);
  return ok;
}

bool mig_up(mig_engine *e, const mig_up_options *options, const mig_listener *listener, int64_t *ran, mig_error *err) {
  batch_run r = {.e = e, .direction = MIG_UP, .up = options, .listener = listener};
  return run_batch(&r, options->dry_run, NULL, ran, err);
}

bool mig_down(mig_engine *e, const mig_down_options *options, const mig_listener *listener, int64_t *ran,
              mig_error *err) {
  batch_run r = {.e = e, .direction = MIG_DOWN, .down = options, .listener = listener};
  return run_batch(&r, options->dry_run, NULL, ran, err);
}

/* What has just gone down goes up again, oldest first. */
static bool up_again(batch_run *down, int64_t *ran, mig_error *err) {
  batch_run up = {.e = down->e, .direction = MIG_UP, .listener = down->listener, .count = down->count};
  up.choices = mig_alloc((down->count + 1) * sizeof *up.choices);
  *ran = 0;
  bool ok = up.choices ? mig_ledger_load(up.e->db, &up.ledger, err) : mig_no_memory(err, "redo");
  for (size_t i = 0; ok && i < down->count; i++) {
    const mig_migration *m = down->choices[down->count - 1 - i].migration;
    up.choices[i] = (mig_choice){.migration = m, .entry = mig_ledger_find(up.ledger, m->name)};
  }
  ok = ok && run_choices(&up, ran, err);
  mig_free(up.choices);
  mig_ledger_free(up.ledger);
  return ok;
}

bool mig_redo(mig_engine *e, const mig_down_options *options, const mig_listener *listener, int64_t *ran,
              mig_error *err) {
  batch_run r = {.e = e, .direction = MIG_DOWN, .down = options, .listener = listener};
  return run_batch(&r, options->dry_run, up_again, ran, err);
}
