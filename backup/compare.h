/*
 * compare.h - finds how two streams of documents differ, in bounded memory and without trusting an order
 *
 *     mig_compare_run(&compare, &result, err)   --> compare.found() for every difference, counts in result
 *
 * Both streams are expected in the server's _id order. Documents that have no partner yet wait in a window; a
 * document whose partner comes leaves it at once, so equal streams use no memory. As long as the window has room
 * nothing unmatched is judged before both streams have ended, which is right for any order. Only when it is full are
 * documents judged that a match, or ids of types whose order we know, show to be behind both streams. If that does
 * not help either, the comparison says so (unsettled) and judges nothing more.
 * found() is called for extra documents before missing ones wherever the window allows.
 * Trust: none in either stream. An id that occurs twice is two documents.      Memory: window_bytes and one document.
 */
#ifndef MIG_BACKUP_COMPARE_H
#define MIG_BACKUP_COMPARE_H

#include "backup/doc_id.h"

typedef enum mig_pull { MIG_PULL_DOC, MIG_PULL_END, MIG_PULL_ERROR } mig_pull;

typedef struct mig_source {
  void *arg;
  mig_pull (*next)(void *arg, bson_t *doc, mig_error *err); /* doc: a view, valid until the next call */
} mig_source;

typedef enum mig_difference {
  MIG_DIFF_MISSING,  /* live is NULL */
  MIG_DIFF_CHANGED,  /* the same _id bytes, other content */
  MIG_DIFF_EXTRA,    /* archive is NULL */
  MIG_DIFF_UNSETTLED /* live, but nobody knows whether it has a partner; archive is NULL */
} mig_difference;

typedef bool (*mig_difference_fn)(void *arg, mig_difference what, const bson_t *archive, const bson_t *live,
                                  mig_error *err);

typedef struct mig_compare {
  mig_source archive, live;
  size_t window_bytes;     /* 0: MIG_COMPARE_WINDOW_BYTES */
  mig_difference_fn found; /* may be NULL */
  void *arg;
} mig_compare;

#define MIG_COMPARE_WINDOW_BYTES (34u << 20) /* two of the largest documents */
#define MIG_COMPARE_IDS          5

typedef struct mig_compare_result {
  int64_t same, missing, changed, extra;
  bool unsettled; /* the differences did not fit, or were judged in an order that proved wrong: counts are not exact */
  bool judged_early; /* the window was full at times: then differences are as sure as the order; mig_lookup_run is surer
                      */
  bool out_of_order; /* partners did not come in the same sequence: matters where the sequence is part of the data */
  char ids[MIG_COMPARE_IDS][128]; /* the first differing _ids as JSON */
  size_t id_count;
} mig_compare_result;

bool mig_compare_run(const mig_compare *compare, mig_compare_result *out, mig_error *err);
/* One difference more. */
bool mig_compare_count(mig_compare_result *out, mig_difference what, const bson_t *archive, const bson_t *live,
                       mig_error *err);
/* Adds what was found in another part of the same collection. */
void mig_compare_add(mig_compare_result *sum, const mig_compare_result *part);
bool mig_compare_identical(const mig_compare_result *r); /* no difference of any kind but perhaps the sequence */

#endif
