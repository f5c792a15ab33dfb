/*
 * A mongod of 4.4 to 5.1 drops no index and changes no option of a collection while any index of it is being built, by
 * whomever. That passes; swapping the whole collection for it, or giving up, would be worse than waiting.
 */
#include "backup/restore_parts.h"
#include "base/clock.h"
#include "base/crash.h"

#define LOOK_MS     1000
#define PATIENCE_MS 600000 /* of a collection, in all rounds */

static int64_t patience_ms(void) {
  return mig_test_ms("MIG_TEST_PATIENCE_MS", PATIENCE_MS);
}

bool mig_restore_waited_in_vain(const mig_restore_item *item) {
  return item->waited_ms >= patience_ms();
}

bool mig_restore_wait_build(mig_work *w, mig_restore_item *item, mig_error *err) {
  const int64_t began_ms = mig_now_monotonic_ms();
  mig_error local;
  if (mig_restore_waited_in_vain(item)) return false;
  if (item->waited_ms == 0)
    mig_say(w->observer, MIG_INFO, "restore %s.%s: waits until no index is built there any more, %lld s at most: %s",
            mig_db_name(w->db), item->target, (long long)patience_ms() / 1000, err->why);
  mig_sleep_ms(LOOK_MS);
  if (!mig_checkpoint(w, &local)) {
    *err = local;
    return false;
  }
  item->waited_ms += mig_now_monotonic_ms() - began_ms;
  return true;
}

bool mig_restore_try_again(mig_work *w, mig_restore_item *item, mig_error *err) {
  return err->code == MIG_E_SERVER && err->server_code == MIG_SERVER_BUILDS_INDEX &&
         mig_restore_wait_build(w, item, err);
}
