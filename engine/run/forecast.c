#include "run/forecast.h"

#include <string.h>

#include "run/checks.h"
#include "run/plan.h"
#include "validators/guard.h"

typedef struct names {
  char **items;
  size_t count;
} names;

static bool add_name(names *n, const char *name, mig_error *err) {
  char **grown = mig_realloc(n->items, (n->count + 2) * sizeof *grown);
  if (!grown) return mig_no_memory(err, "forecast");
  n->items = grown;
  grown[n->count] = mig_strdup(name);
  if (!grown[n->count]) return mig_no_memory(err, "forecast");
  grown[++n->count] = NULL;
  return true;
}

static bool reads_one_of(const bson_t *guard, const names *changed) {
  for (size_t i = 0; i < changed->count; i++)
    if (mig_guard_reads(guard, changed->items[i])) return true;
  return false;
}

/* The guards that can be judged now: those on collections no earlier pending migration would change. */
static bson_t *judgeable(const bson_t *guards, const names *changed, size_t *left_out) {
  bson_t *out = bson_new(), guard;
  bson_iter_t it;
  uint32_t n = 0;
  if (!bson_iter_init(&it, guards)) return out;
  while (bson_iter_next(&it)) {
    char buffer[16];
    const char *key;
    if (mig_bson_iter_doc(&it, &guard) && reads_one_of(&guard, changed)) {
      (*left_out)++;
      continue;
    }
    bson_uint32_to_string(n++, &key, buffer, sizeof buffer);
    bson_append_iter(out, key, -1, &it);
  }
  return out;
}

static bool one(mig_engine *e, const mig_plan *p, names *changed, size_t *refused, const mig_listener *listener,
                mig_error *err) {
  mig_refusals refusals = {0};
  names own = {0};
  mig_error local = {0};
  size_t left_out = 0;
  bson_t *guards = judgeable(p->guards, changed, &left_out);
  bool ok = mig_checks_run(e, "guard", guards, &refusals, &local);
  if (!ok && refusals.count > 0 && local.code == MIG_E_GUARD) {
    if (*refused == 0 && err) *err = local;
    *refused += refusals.count;
    ok = true;
  } else if (!ok && err) {
    *err = local;
  }
  if (left_out)
    mig_say(mig_engine_observer(e), MIG_INFO,
            "%s: judged at the run, as migrations before it change what they read: %zu of %u guards",
            p->migration->name, left_out, bson_count_keys(p->guards));
  for (size_t i = 0; ok && i < p->want_count; i++)
    ok = add_name(&own, p->wants[i].collection, err) && add_name(changed, p->wants[i].collection, err);
  static const char *const none[] = {NULL};
  const mig_forecast forecast = {.name = p->migration->name,
                                 .version = p->migration->version,
                                 .direction = mig_direction_name(p->direction),
                                 .transaction = mig_txn_use_name(p->transaction),
                                 .why_transaction = p->why_transaction,
                                 .collections = own.items ? (const char *const *)own.items : none,
                                 .step_count = p->steps->count,
                                 .guard_count = bson_count_keys(p->guards),
                                 .documents = p->documents,
                                 .snapshot_documents = p->snapshot ? p->snapshot_documents : 0,
                                 .snapshot_bytes = p->snapshot ? p->snapshot_bytes : 0,
                                 .refusals = refusals.count,
                                 .reasons = (const char *const *)refusals.reasons,
                                 .destroys = p->destroys};
  if (ok && listener && listener->forecast) listener->forecast(listener->arg, &forecast);
  for (size_t i = 0; i < own.count; i++) mig_free(own.items[i]);
  mig_free(own.items);
  mig_refusals_clear(&refusals);
  bson_destroy(guards);
  return ok;
}

bool mig_forecast_run(mig_engine *e, mig_direction direction, const mig_choice *choices, size_t count,
                      const mig_listener *listener, mig_error *err) {
  names changed = {0};
  size_t refused = 0;
  bool ok = true;
  for (size_t i = 0; ok && i < count; i++) {
    mig_plan plan;
    ok = mig_plan_make(e, choices[i].migration, direction, &plan, err);
    if (!ok) mig_fail_at(err, "%s", choices[i].migration->name);
    ok = ok && one(e, &plan, &changed, &refused, listener, err);
    mig_plan_clear(&plan);
  }
  for (size_t i = 0; i < changed.count; i++) mig_free(changed.items[i]);
  mig_free(changed.items);
  return ok && refused == 0;
}
