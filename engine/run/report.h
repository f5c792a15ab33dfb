/*
 * report.h - what is told of runs, errors, ledger, lease and restores, as documents
 *
 *     bson_t line = BSON_INITIALIZER;   mig_report_result(&line, result);   ...   bson_destroy(&line);
 *
 * One shape for `mig --json` and for the REST API; both are contracts. Each function appends its fields to `line`.
 */
#ifndef MIG_RUN_REPORT_H
#define MIG_RUN_REPORT_H

#include "run/board.h"
#include "run/emergency.h"

/* "error": {code, what, why, hint, serverCode}; why and hint are never empty. */
void mig_report_error(bson_t *line, const mig_error *err);
void mig_report_result(bson_t *line, const mig_result *r);
void mig_report_forecast(bson_t *line, const mig_forecast *f);
void mig_report_row(bson_t *line, const mig_board *b, const mig_board_row *row);
void mig_report_totals(bson_t *line, const mig_board *b);
void mig_report_lease(bson_t *line, const mig_lease_state *s);
/* What differs, or differed, in one collection. */
void mig_report_difference(bson_t *line, const mig_restore_collection *c);
void mig_report_restore(bson_t *line, const mig_emergency_report *r, bool dry_run);

#endif
