/*
 * A set of indexes from a table: compound, partial, unique, TTL. One that is there already makes it fail before
 * anything is built, so that down drops just what up has built.
 *
 * By the TTL index the server removes documents, so they stand in .writes and are in the snapshot; without it .indexes
 * would do, and no document would be copied.
 */
#include <mig.h>

static const struct {
  const char *name, *step;
} indexes[] = {
    {"customer_placed", "{'createIndex': {'collection': 'orders', 'name': 'customer_placed',"
                        " 'key': {'customer': 1, 'placedAt': -1}}}"},
    {"open_orders", "{'createIndex': {'collection': 'orders', 'name': 'open_orders', 'key': {'placedAt': 1},"
                    " 'options': {'partialFilterExpression': {'status': 'open'}}}}"},
    {"number_unique", "{'createIndex': {'collection': 'orders', 'name': 'number_unique', 'key': {'number': 1},"
                      " 'options': {'unique': true}}}"},
    {"drafts_expire", "{'createIndex': {'collection': 'orders', 'name': 'drafts_expire', 'key': {'draftedAt': 1},"
                      " 'options': {'expireAfterSeconds': 2592000}}}"},
};

#define COUNT (sizeof indexes / sizeof *indexes)

static bool up(mig_ctx *ctx) {
  for (size_t i = 0; i < COUNT; i++) {
    bool absent = false;
    mig_doc guard = mig_ctx_doc(ctx, "{'indexAbsent': {'collection': 'orders', 'name': %s}}", indexes[i].name);
    if (!mig_ctx_check(ctx, guard, &absent, NULL)) return false;
    if (!absent) return mig_ctx_fail(ctx, "%s is there already", indexes[i].name);
  }
  for (size_t i = 0; i < COUNT; i++) {
    mig_ctx_progress(ctx, indexes[i].name, i, COUNT);
    if (!mig_ctx_step(ctx, mig_ctx_doc(ctx, indexes[i].step))) return false;
  }
  return true;
}

static bool down(mig_ctx *ctx) {
  for (size_t i = COUNT; i-- > 0;)
    if (!mig_ctx_step(ctx, mig_ctx_doc(ctx, "{'dropIndex': {'collection': 'orders', 'name': %s}}", indexes[i].name)))
      return false;
  return true;
}

const mig_module mig_module_descriptor = {
    .abi = MIG_MODULE_ABI,
    .version = "1.11.0",
    .description = "The indexes that orders are read by",
    .writes = MIG_LIST("orders"),
    .indexes = MIG_LIST("orders"),
    .guards = MIG_LIST("{'collectionExists': {'collection': 'orders'}}",
                       "{'noDuplicates': {'collection': 'orders', 'fields': ['number']}}"),
    .up = up,
    .down = down,
};
