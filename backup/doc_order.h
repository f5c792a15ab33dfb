/*
 * doc_order.h - a total order of _id values, for sorting: the server's own where no collation is at work
 *
 * Unlike mig_doc_id_order, this always answers: numbers compare by value (a decimal as near as a long double comes),
 * documents and arrays element by element. What has the same value, or no order of its own (code, regular expressions),
 * is 0: the caller breaks such ties by bytes. For what a server with a collation sorts otherwise, the order is only
 * some order: readers must not lean on it (compare.h does not).
 */
#ifndef MIG_BACKUP_DOC_ORDER_H
#define MIG_BACKUP_DOC_ORDER_H

#include <bson/bson.h>

int mig_value_order(const bson_iter_t *a, const bson_iter_t *b);

#endif
