#include "run/checks.h"

#include <stdio.h>
#include <string.h>

#include "validators/guard.h"

#define QUERY_IN_LINE 500 /* a longer one is told as a message, whole: half a query helps nobody */

static void tell(mig_engine *e, mig_error *err, const char *when, const char *name, const mig_guard_result *r) {
  char *ids = r->ids ? mig_bson_array_json(r->ids) : NULL;
  char *query = r->query ? mig_bson_json(r->query) : NULL;
  bool in_line = query && strlen(query) <= QUERY_IN_LINE;
  mig_fail(err, MIG_E_GUARD, "%s %s refuses: %s", when, name, r->why);
  if (query && !in_line) mig_say(mig_engine_observer(e), MIG_INFO, "this finds them all: %s", query);
  if (ids && in_line)
    mig_why(err, "for example _id %.400s; all of them: %s", ids, query);
  else if (ids)
    mig_why(err, "for example _id %.400s", ids);
  else if (in_line)
    mig_why(err, "see: %s", query);
  if (r->hint[0])
    mig_hint(err, "%s", r->hint);
  else
    mig_hint(err, "put the data right, or change the %s, and run again; nothing was changed", when);
  mig_free(ids);
  mig_free(query);
}

static bool remember(mig_refusals *refusals, const char *name, const char *why, mig_error *err) {
  char **grown = mig_realloc(refusals->reasons, (refusals->count + 1) * sizeof *grown);
  if (!grown) return mig_no_memory(err, "guards");
  refusals->reasons = grown;
  grown[refusals->count] = mig_strdup_printf("%s: %s", name, why);
  if (!grown[refusals->count]) return mig_no_memory(err, "guards");
  refusals->count++;
  return true;
}

bool mig_checks_run(mig_engine *e, const char *when, const bson_t *guards, mig_refusals *refusals, mig_error *err) {
  const mig_guard_env env = {.work = &e->work, .store_folder = mig_store_folder_of(e->settings.store)};
  mig_refusals own = {0};
  bson_iter_t it;
  bool ok = bson_iter_init(&it, guards);
  if (!refusals) refusals = &own;
  while (ok && bson_iter_next(&it)) {
    bson_t guard;
    bson_iter_t inner;
    mig_guard_result r = {0};
    const char *name = "";
    if (!mig_bson_iter_doc(&it, &guard)) continue;
    if (bson_iter_init(&inner, &guard) && bson_iter_next(&inner)) name = bson_iter_key(&inner);
    ok = mig_checkpoint(&e->work, err) && mig_guard_run(&env, &guard, &r, err);
    if (!ok) mig_fail_at(err, "%s %s", when, name);
    if (ok && !r.holds) {
      if (refusals->count == 0)
        tell(e, err, when, name, &r);
      else
        mig_say(mig_engine_observer(e), MIG_WARNING, "%s %s refuses: %s", when, name, r.why);
      ok = remember(refusals, name, r.why, err);
    }
    mig_guard_result_clear(&r);
  }
  bool refused = refusals->count > 0;
  if (refusals == &own) mig_refusals_clear(&own);
  return ok && !refused;
}

void mig_refusals_clear(mig_refusals *r) {
  for (size_t i = 0; i < r->count; i++) mig_free(r->reasons[i]);
  mig_free(r->reasons);
  memset(r, 0, sizeof *r);
}
