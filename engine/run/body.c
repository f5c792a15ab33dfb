/* The steps of a migration, one after the other, and what must hold after them. */
#include "base/clock.h"
#include "base/crash.h"
#include "migrations/implied.h"
#include "run/attempt.h"
#include "run/checks.h"

/* Guards of a later step can only be checked now that the steps before it have run. */
static bool own_guards(mig_attempt *a, const mig_step *step, mig_error *err) {
  bson_t guards = BSON_INITIALIZER;
  bool ok = mig_step_guards(step, &guards, err) && mig_checks_run(a->e, "guard", &guards, NULL, err);
  bson_destroy(&guards);
  return ok;
}

bool mig_body_run(mig_attempt *a, mig_error *err) {
  const mig_steps *steps = a->plan->steps;
  int64_t began = mig_now_monotonic_ms();
  bool ok = true;
  for (size_t i = 0; ok && i < steps->count; i++) {
    const mig_step *step = &steps->items[i];
    mig_crash_point(MIG_CRASH_STEP_BEGIN);
    ok = mig_checkpoint(&a->e->work, err) && (i == 0 || own_guards(a, step, err));
    if (ok && !mig_db_in_transaction(a->e->db)) a->steps_began = true;
    a->step = i;
    a->e->attempt = a;
    ok = ok && step->def->run(step, &a->e->work, err);
    a->e->attempt = NULL;
    if (!ok)
      mig_fail_at(err, "step %zu of %zu (%s, %s)", i + 1, steps->count, step->def->name, step->where);
    else
      mig_crash_point(MIG_CRASH_STEP_END);
  }
  int64_t ran = mig_now_monotonic_ms();
  a->result.run_ms = ran - began;
  if (ok && a->plan->direction == MIG_UP) ok = mig_checks_run(a->e, "verify", a->plan->migration->verify, NULL, err);
  a->result.verify_ms = mig_now_monotonic_ms() - ran;
  return ok;
}
