/* A snapshot by hand: of the whole database, or of what a person names. */
#include <string.h>

#include "backup/snapshot_plan.h"
#include "base/names.h"
#include "run/emergency.h"
#include "validators/query.h"

/* What a person meant and did not find is not saved: recorded as absent, a restore of it would drop what is there. */
static bool not_there(mig_engine *e, const char *name, const char *inside, mig_error *err) {
  const mig_guard_env env = {.work = &e->work};
  char text[700];
  if (!mig_guard_not_there(&env, inside ? inside : name, text, sizeof text, err)) return false;
  mig_fail(err, MIG_E_USAGE, "--only %s: nothing was saved", name);
  mig_why(err, "%s", text);
  return mig_hint(err, "name collections of %s with --only; without --only the whole database is saved",
                  mig_db_name(e->db));
}

/* As mig_manifest_named reads a name: a collection of just that name comes first, then "<database>.<collection>". What
 * is never put into a snapshot is not looked for: the plan refuses it by name. */
static bool resolve(mig_engine *e, const char *name, const char **out, mig_error *err) {
  const char *inside = mig_name_inside(mig_db_name(e->db), name);
  const char *const spellings[] = {name, inside, NULL};
  for (const char *const *s = spellings; *s; s++) {
    bool found = mig_snapshot_leaves_out(*s);
    if (!found && !mig_db_has_collection(e->db, *s, &found, err)) return false;
    *out = *s;
    if (found) return true;
  }
  return not_there(e, name, inside, err);
}

bool mig_emergency_snapshot(mig_engine *e, const char *const *collections, mig_snapshot_info *out, mig_error *err) {
  mig_snapshot_want *wants = NULL;
  size_t count = 0;
  bool ok = true;
  memset(out, 0, sizeof *out);
  while (collections && collections[count]) count++;
  if (count && !(wants = mig_alloc(count * sizeof *wants))) return mig_no_memory(err, "snapshot");
  for (size_t i = 0; ok && i < count; i++) {
    wants[i].holds = MIG_HOLDS_DOCUMENTS;
    ok = resolve(e, collections[i], &wants[i].collection, err);
  }
  ok = ok && mig_engine_store(e, err);
  const mig_snapshot_options options = {.store = e->store,
                                        .label = "manual",
                                        .reason = "by hand",
                                        .whole_database = count == 0,
                                        .wants = wants,
                                        .want_count = count};
  ok = ok && mig_snapshot_take(&e->work, &options, out, err);
  mig_free(wants);
  return ok;
}
