/*
 * api.h - the handlers behind the table of routes, one file a family, and what they share
 */
#ifndef MIG_SERVER_API_H
#define MIG_SERVER_API_H

#include "server/server_internal.h"

/* api_migrations.c */
mig_handler mig_api_status, mig_api_history, mig_api_create, mig_api_up, mig_api_down;
/* api_lock.c */
mig_handler mig_api_lock, mig_api_release;
/* api_snapshots.c */
mig_handler mig_api_snapshots, mig_api_verify, mig_api_restore;
/* api_system.c */
mig_handler mig_api_health, mig_api_metrics, mig_api_session, mig_api_runs, mig_api_run, mig_api_asset;

/* A whole number of the query within limits, or `fallback`. */
bool mig_api_number(const mig_request *q, const char *name, int64_t fallback, int64_t most, int64_t *out,
                    mig_error *err);
/* Hands work to the worker: 202, Location, and the run resource as it is now. */
bool mig_api_accept(const mig_request *q, const mig_order *order, mig_answer *a, mig_error *err);
/* An argument that names one of several (NULL-terminated); absent is fine. */
bool mig_api_choice(const mig_request *q, const char *name, const char *const *choices, mig_error *err);

#endif
