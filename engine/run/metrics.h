/*
 * metrics.h - the state of the database's migrations as Prometheus text (format 0.0.4)
 *
 *     mig_buf text;  mig_metrics_text(e, &text, err);  ... text.data, text.size ...  mig_buf_free(&text);
 *
 * For the textfile collector (--metrics-file) and for /metrics of `mig serve`. Only reads: files, ledger, events,
 * lease, and the store's folder. Counters are counted from the event log, so that they mean the same in every process
 * and never go back. Names are escaped; nothing secret is in them.
 */
#ifndef MIG_RUN_METRICS_H
#define MIG_RUN_METRICS_H

#include "run/engine.h"

/* *out is initialised in any case; free it with mig_buf_free. */
bool mig_metrics_text(mig_engine *e, mig_buf *out, mig_error *err);
/* What can be said when the database does not answer: mig_up 0. */
bool mig_metrics_down(mig_buf *out, mig_error *err);

#endif
