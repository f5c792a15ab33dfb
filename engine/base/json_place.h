/*
 * json_place.h - from an offset in a text to line and column, counted on from an earlier answer
 *
 * Used by json_source.h only.
 */
#ifndef MIG_BASE_JSON_PLACE_H
#define MIG_BASE_JSON_PLACE_H

#include "base/json_source.h"

typedef struct mig_place_mark {
  size_t offset; /* must not be behind the next one asked for */
  mig_place place;
} mig_place_mark;

/* mark (may be NULL) begins as {0, {1, 1}} and is moved to the offset. */
mig_place mig_place_at(const mig_buf *text, size_t offset, mig_place_mark *mark);

#endif
