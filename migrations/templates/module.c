/*
 * Why it is needed, and what it changes. Guide: docs/modules.md; every service is described in mig_module.h.
 */
#include <mig.h>

/* Called for each document: leave *after, set it to a changed one, or to MIG_REMOVE. */
static bool mark_adult(mig_ctx *ctx, mig_doc user, mig_doc *after, void *arg) {
  (void)arg;
  int64_t age = 0;
  if (!mig_doc_int(user, "age", &age)) return true;
  *after = mig_ctx_merge(ctx, user, mig_ctx_doc(ctx, "{'adult': %b}", age >= 18));
  return true;
}

static bool up(mig_ctx *ctx) {
  return mig_ctx_transform(ctx, "users", mig_ctx_doc(ctx, "{'age': {'$exists': true}}"), mark_adult, NULL);
}

static bool down(mig_ctx *ctx) {
  return mig_ctx_step(ctx, mig_ctx_doc(ctx, "{'removeField': {'collection': 'users', 'field': 'adult'}}"));
}

const mig_module mig_module_descriptor = {
    .abi = MIG_MODULE_ABI,
    .description = "{{description}}",
    .writes = MIG_LIST("users"),
    .up = up,
    .down = down,
};
