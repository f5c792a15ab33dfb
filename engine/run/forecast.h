/*
 * forecast.h - a dry run: plans and guards, nothing written, not even a ledger or an index
 *
 * A guard on a collection that an earlier pending migration would change cannot be judged yet and is left out, which
 * the observer is told. Refusals make it fail with MIG_E_GUARD after all forecasts were given.
 */
#ifndef MIG_RUN_FORECAST_H
#define MIG_RUN_FORECAST_H

#include "run/select.h"

bool mig_forecast_run(mig_engine *e, mig_direction direction, const mig_choice *choices, size_t count,
                      const mig_listener *listener, mig_error *err);

#endif
