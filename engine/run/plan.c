#include "run/plan.h"

#include <stdio.h>
#include <string.h>

#include "base/removal.h"
#include "migrations/implied.h"

const char *mig_txn_use_name(mig_txn_use u) {
  static const char *const names[] = {"used", "not-supported", "too-large", "off"};
  return names[u];
}

typedef struct wants {
  mig_plan *plan;
  mig_engine *e;
  mig_snapshot_mode mode;
  bool may; /* the step drops or replaces what it names only perhaps: a module */
} wants;

static mig_holds holds_for(mig_touch touch, mig_snapshot_mode mode) {
  bool documents = touch == MIG_TOUCH_DOCUMENTS || touch == MIG_TOUCH_DROP || mode == MIG_SNAPSHOT_ALWAYS;
  return documents ? MIG_HOLDS_DOCUMENTS : MIG_HOLDS_METADATA;
}

/* Its documents would come back, its shard key would not. */
static bool check_shards(const wants *w, const char *collection, mig_error *err) {
  bool sharded = false;
  if (!mig_db_sharded(w->e->db, collection, &sharded, err)) return false;
  if (!sharded) return true;
  if (w->may) {
    mig_say(mig_engine_observer(w->e), MIG_WARNING,
            "%s.%s is sharded: if the module drops or renames it, it could not come back as it was",
            mig_db_name(w->e->db), collection);
    return true;
  }
  mig_fail(err, MIG_E_UNSUPPORTED, "%s.%s is sharded, and is not dropped, replaced or renamed here",
           mig_db_name(w->e->db), collection);
  mig_why(err, "its shard key stands in no snapshot: it could not come back as it was");
  return mig_hint(err, "make that change with the server's own tools, then `mig mark NAME --applied --why ...`");
}

static bool want(void *arg, const char *collection, mig_touch touch, mig_error *err) {
  const wants *w = arg;
  mig_plan *p = w->plan;
  if (touch == MIG_TOUCH_READ) return true;
  if (touch == MIG_TOUCH_DROP && !check_shards(w, collection, err)) return false;
  mig_holds holds = holds_for(touch, w->mode);
  for (size_t i = 0; i < p->want_count; i++) {
    if (strcmp(p->wants[i].collection, collection) != 0) continue;
    if (holds > p->wants[i].holds) p->wants[i].holds = holds;
    return true;
  }
  mig_snapshot_want *grown = mig_realloc(p->wants, (p->want_count + 1) * sizeof *grown);
  if (!grown) return mig_no_memory(err, "plan");
  p->wants = grown;
  char *name = mig_strdup(collection);
  if (!name) return mig_no_memory(err, "plan");
  p->wants[p->want_count++] = (mig_snapshot_want){.collection = name, .holds = holds};
  return true;
}

static bool collect(mig_plan *p, mig_engine *e, mig_error *err) {
  wants w = {.plan = p, .e = e, .mode = p->migration->snapshot, .may = strcmp(p->migration->kind, "module") == 0};
  for (size_t i = 0; i < p->steps->count; i++) {
    const mig_step *step = &p->steps->items[i];
    int64_t documents = 0;
    if (!mig_step_touches(step, want, &w, err)) return mig_fail_at(err, "%s", step->where);
    if (step->def->destroys) p->destroys = true;
    if (step->def->estimate && !step->def->estimate(step, &e->work, &documents, err))
      return mig_fail_at(err, "%s", step->where);
    p->documents += documents;
  }
  return true;
}

static void decide(mig_plan *p, mig_txn_use use, const char *why) {
  p->transaction = use;
  snprintf(p->why_transaction, sizeof p->why_transaction, "%s", why);
}

/* NULL: no transaction is kept from writing to any of them. */
static bool find_capped(const mig_plan *p, const mig_engine *e, const char **name, mig_error *err) {
  *name = NULL;
  for (size_t i = 0; !*name && i < p->want_count; i++) {
    bool capped = false;
    if (!mig_removal_capped(e->db, p->wants[i].collection, &capped, err)) return false;
    if (capped) *name = p->wants[i].collection;
  }
  return true;
}

static bool choose_transaction(mig_plan *p, const mig_engine *e, mig_error *err) {
  const mig_migration *m = p->migration;
  const char *illegal = NULL, *capped = NULL;
  char why[200];
  /* tried under the lease, in vain: a server that takes startTransaction and does all at once would look the same */
  const bool in_vain = e->caps.has[MIG_CAP_TRANSACTIONS] == MIG_UNKNOWN && e->lease;
  const mig_tri has = in_vain ? MIG_NO : e->caps.has[MIG_CAP_TRANSACTIONS];
  const bool legal = mig_steps_transactional(p->steps, &illegal);
  if (m->transaction != MIG_TXN_OFF && has != MIG_NO && legal && !find_capped(p, e, &capped, err)) return false;
  if (m->transaction == MIG_TXN_OFF) {
    decide(p, MIG_TXN_NONE, "the migration says \"transaction\": \"off\"");
  } else if (in_vain) {
    decide(p, MIG_TXN_NOT_SUPPORTED, "this server could not show now that it has transactions");
  } else if (has == MIG_NO) {
    snprintf(why, sizeof why, "this server (%s, %s) has no transactions", e->caps.product, e->caps.topology);
    decide(p, MIG_TXN_NOT_SUPPORTED, why);
  } else if (!legal) {
    snprintf(why, sizeof why, "%s is not legal in a transaction", illegal);
    decide(p, MIG_TXN_NOT_SUPPORTED, why);
  } else if (capped) {
    snprintf(why, sizeof why, "%.100s is capped, and no transaction can write to it", capped);
    decide(p, MIG_TXN_NOT_SUPPORTED, why);
  } else if (m->transaction == MIG_TXN_AUTO && p->documents > e->settings.txn_max_documents) {
    snprintf(why, sizeof why, "about %lld documents, more than %lld (--txn-max-documents)", (long long)p->documents,
             (long long)e->settings.txn_max_documents);
    decide(p, MIG_TXN_TOO_LARGE, why);
  } else {
    decide(p, MIG_TXN_USED,
           has == MIG_YES ? "the server has them and every step is legal in one"
                          : "every step is legal in one; whether the server has them is tried at the run");
  }
  if (m->transaction != MIG_TXN_REQUIRED || p->transaction == MIG_TXN_USED) return true;
  mig_fail(err, MIG_E_UNSUPPORTED, "%s requires a transaction and cannot have one", m->name);
  mig_why(err, "%s", p->why_transaction);
  return mig_hint(err, "use \"transaction\": \"auto\" (protected by the snapshot), or a server that has transactions");
}

static bool choose_snapshot(mig_plan *p, const mig_engine *e, mig_error *err) {
  p->snapshot = true;
  if (p->migration->snapshot != MIG_SNAPSHOT_OFF) return true;
  if (!e->settings.no_snapshot) {
    mig_fail(err, MIG_E_USAGE, "%s says \"snapshot\": \"off\", and this run does not allow that", p->migration->name);
    return mig_hint(err, "add --no-snapshot to run it without a copy (if it fails nothing can be restored)");
  }
  p->snapshot = false;
  return true;
}

static bool collect_guards(mig_plan *p, mig_error *err) {
  bson_iter_t it;
  uint32_t n = 0;
  p->guards = bson_new();
  if (p->direction == MIG_UP && bson_iter_init(&it, p->migration->guards)) {
    while (bson_iter_next(&it)) {
      char buffer[16];
      const char *key;
      bson_uint32_to_string(n++, &key, buffer, sizeof buffer);
      bson_append_iter(p->guards, key, -1, &it);
    }
  }
  return mig_steps_guards(p->steps, p->guards, err);
}

bool mig_plan_make(mig_engine *e, const mig_migration *m, mig_direction direction, mig_plan *out, mig_error *err) {
  memset(out, 0, sizeof *out);
  out->migration = m;
  out->direction = direction;
  out->steps = direction == MIG_UP ? &m->up : &m->down;
  bool ok =
      collect(out, e, err) && choose_transaction(out, e, err) && choose_snapshot(out, e, err) &&
      collect_guards(out, err) &&
      mig_snapshot_estimate(&e->work, out->wants, out->want_count, &out->snapshot_documents, &out->snapshot_bytes, err);
  if (!ok) mig_plan_clear(out);
  return ok;
}

void mig_plan_clear(mig_plan *p) {
  for (size_t i = 0; i < p->want_count; i++) mig_free((char *)(uintptr_t)p->wants[i].collection);
  mig_free(p->wants);
  if (p->guards) bson_destroy(p->guards);
  memset(p, 0, sizeof *p);
}
