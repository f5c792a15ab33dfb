/*
 * Restructures collections: the lines inside each order move to a collection of their own.
 *
 *     orders {_id, lines: [{sku, qty, price}, ...]}  -->  orders {_id, lineCount, total}, order_lines {_id: "order/n",
 * order, ...}
 *
 * No transaction: it makes a collection. A copy of `orders` is taken at half-way, to show how, and dropped again.
 */
#include <inttypes.h>
#include <mig.h>
#include <stdio.h>

static bool move_lines(mig_ctx *ctx, mig_doc order, mig_doc *after, void *arg) {
  int64_t *moved = arg;
  mig_doc lines, line;
  double total = 0;
  if (!mig_doc_inner(order, "lines", &lines)) return true;
  size_t count = mig_doc_count(lines);
  for (size_t i = 0; i < count; i++, (*moved)++) {
    char at[24], id[80];
    int64_t quantity = 0, number = 0;
    double price = 0;
    snprintf(at, sizeof at, "%zu", i);
    if (!mig_doc_inner(lines, at, &line) || !mig_doc_int(line, "qty", &quantity) ||
        !mig_doc_double(line, "price", &price) || !mig_doc_int(order, "_id", &number))
      return mig_ctx_fail(ctx, "line %zu of an order has no qty or price", i);
    total += (double)quantity * price;
    snprintf(id, sizeof id, "%" PRId64 "/%zu", number, i);
    if (!mig_ctx_insert(
            ctx, "order_lines",
            mig_ctx_merge(ctx, mig_ctx_doc(ctx, "{'_id': %s, 'order': %v, 'line': %i}", id, order, "_id", (int)i),
                          line)))
      return false;
  }
  *after = mig_ctx_merge(ctx, order, mig_ctx_doc(ctx, "{'lineCount': %i, 'total': %f}", (int)count, total));
  return true;
}

static bool up(mig_ctx *ctx) {
  int64_t moved = 0, found = 0;
  char copy[MIG_BACKUP_ID];
  if (!mig_ctx_step(ctx, mig_ctx_doc(ctx, "{'createCollection': {'collection': 'order_lines'}}")) ||
      !mig_ctx_transform(ctx, "orders", mig_ctx_doc(ctx, "{'lines': {'$exists': true}}"), move_lines, &moved) ||
      !mig_ctx_count(ctx, "order_lines", MIG_ALL, &found))
    return false;
  if (found != moved) return mig_ctx_fail(ctx, "%" PRId64 " lines moved, %" PRId64 " found", moved, found);
  return mig_ctx_backup(ctx, "orders", copy) &&
         mig_ctx_step(ctx, mig_ctx_doc(ctx, "{'removeField': {'collection': 'orders', 'field': 'lines'}}")) &&
         mig_ctx_drop_backup(ctx, copy);
}

static bool gather(mig_ctx *ctx, mig_doc group, void *arg) {
  (void)arg;
  return mig_ctx_step(ctx, mig_ctx_doc(ctx,
                                       "{'update': {'collection': 'orders', 'filter': {'_id': %v},"
                                       " 'update': {'$set': {'lines': %v}, '$unset': {'lineCount': '', 'total': ''}}}}",
                                       group, "_id", group, "lines"));
}

static bool down(mig_ctx *ctx) {
  mig_doc by_order = mig_ctx_doc(ctx, "{'aggregate': 'order_lines', 'pipeline': [{'$sort': {'order': 1, 'line': 1}},"
                                      " {'$group': {'_id': '$order', 'lines': {'$push':"
                                      "   {'sku': '$sku', 'qty': '$qty', 'price': '$price'}}}}]}");
  return mig_ctx_query(ctx, by_order, gather, NULL) &&
         mig_ctx_step(
             ctx, mig_ctx_doc(ctx, "{'update': {'collection': 'orders', 'filter': {'lineCount': 0},"
                                   " 'update': {'$set': {'lines': []}, '$unset': {'lineCount': '', 'total': ''}}}}")) &&
         mig_ctx_step(ctx, mig_ctx_doc(ctx, "{'dropCollection': {'collection': 'order_lines'}}"));
}

const mig_module mig_module_descriptor = {
    .abi = MIG_MODULE_ABI,
    .version = "1.12.0",
    .description = "Order lines in a collection of their own",
    .writes = MIG_LIST("orders", "order_lines"),
    .guards = MIG_LIST("{'collectionExists': {'collection': 'orders'}}",
                       "{'collectionAbsent': {'collection': 'order_lines'}}"),
    .verify = MIG_LIST("{'count': {'collection': 'orders', 'filter': {'lines': {'$exists': true}}, 'equals': 0}}"),
    .transaction = "off",
    .up = up,
    .down = down,
};
