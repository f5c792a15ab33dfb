/*
 * history.h - the event log, filtered and in pages, newest first
 *
 *     mig_history_find(db, &query, &cursor, &total, err)  -->  mig_cursor_next ...  -->  mig_cursor_close(cursor)
 *
 * Only reads. A page is what limit and page say; *total (may be NULL) counts all that match.
 */
#ifndef MIG_RUN_HISTORY_H
#define MIG_RUN_HISTORY_H

#include "base/db.h"

typedef struct mig_history_query { /* NULL and 0: any */
  const char *migration;           /* name or version */
  const char *outcome, *direction, *by;
  int64_t since_unix_ms;
  int64_t limit, page; /* limit 0: 20; page from 1 on */
} mig_history_query;

bool mig_history_find(mig_db *db, const mig_history_query *query, mig_cursor **out, int64_t *total, mig_error *err);

#endif
