/* /api/migrations/lock: who holds the lease, and taking it away. */
#include <string.h>

#include "run/report.h"
#include "server/api.h"

static bool look(mig_request *q, bool release, mig_answer *a, mig_error *err) {
  mig_engine *e = NULL;
  mig_lease_state s;
  const char *confirm = "";
  if (!mig_readers_take(q->server->readers, &e, err)) return false;
  bool ok = mig_lease_look(e->db, &s, err);
  mig_bson_str(q->body, "confirm", &confirm);
  if (ok && release && (!s.locked || strcmp(confirm, s.by) != 0)) {
    ok = mig_http_fail(
        a, err, 409, s.locked ? "the lease is held by another one than you confirm" : "the lease is free",
        "\"confirm\" must be the \"lockedBy\" that lock/status shows", "look at /api/migrations/lock/status again");
  } else if (ok && release) {
    ok = mig_lease_force_unlock(e->db, &s, err);
  }
  if (ok) {
    a->doc = bson_new();
    mig_report_lease(a->doc, &s);
  }
  mig_readers_give(q->server->readers, e, ok || a->status ? NULL : err);
  return ok;
}

bool mig_api_lock(mig_request *q, mig_answer *a, mig_error *err) {
  return look(q, false, a, err);
}

bool mig_api_release(mig_request *q, mig_answer *a, mig_error *err) {
  return look(q, true, a, err);
}
