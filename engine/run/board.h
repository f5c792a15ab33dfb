/*
 * board.h - where everything stands: files against ledger, the run that is going on, the lease
 *
 *     mig_board_load(e, &board, err)  -->  board.rows[i] ...  -->  mig_board_clear(&board)
 *
 * Only reads. What `mig status`, `mig validate`, the metrics and the server show. Rows are in order; what they point to
 * belongs to the board and to the engine.
 */
#ifndef MIG_RUN_BOARD_H
#define MIG_RUN_BOARD_H

#include "run/select.h"

#define MIG_PROGRESS_TEXT 340

typedef struct mig_board_row {
  mig_finding finding;
  const char *name, *version; /* never NULL */
  bool going;                 /* running, and its runner holds the lease */
  bool in_progress;           /* and the board's progress is that of this row, in its present phase */
  char problem[320];          /* what is wrong and what to do; empty when nothing is */
} mig_board_row;

typedef struct mig_board {
  mig_board_row *rows;
  size_t count;
  int64_t by_status[MIG_STATUS_REVERTED + 1];
  int64_t problems;    /* rows with one, and an interrupted restore by hand */
  int64_t duration_ms; /* of the last runs of all applied ones */
  bool restore_waits;  /* a restore by hand was interrupted */
  bool lease_live;     /* somebody holds the lease, and is not known to be gone */
  mig_lease_state lease;
  mig_progress_state progress; /* of whoever holds the lease; fence 0: nothing is known */
  mig_ledger *ledger;
} mig_board;

/* "43% (update users, 10,300 of 24,000)", or "update users, 10,300" where no total is known. */
void mig_progress_text(const mig_progress_state *p, char text[static MIG_PROGRESS_TEXT]);

bool mig_board_load(mig_engine *e, mig_board *out, mig_error *err);
void mig_board_clear(mig_board *b);
/* When it came to its present status (running: since when); 0 when it never did. */
int64_t mig_board_when(const mig_finding *f);

#endif
