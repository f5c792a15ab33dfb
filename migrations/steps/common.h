/*
 * common.h - what the steps share: reading their arguments, guards they bring, and running one command
 *
 * Views and strings point into the step's arguments, which were checked by their table.
 */
#ifndef MIG_MIGRATIONS_STEPS_COMMON_H
#define MIG_MIGRATIONS_STEPS_COMMON_H

#include "migrations/batch.h"
#include "migrations/filter.h"
#include "migrations/step.h"

extern const char *const mig_writes_field[]; /* {"field"}: for mig_step_def.writes */

const char *mig_step_str(const mig_step *step, const char *name);        /* "" when not given */
bool mig_step_flag(const mig_step *step, const char *name);              /* false when not given */
void mig_step_doc(const mig_step *step, const char *name, bson_t *view); /* empty when not given; lists too */
mig_batch mig_step_batch(const mig_step *step, const bson_t *filter);

/* For check(): the argument at `path` is refused. Always false. */
bool mig_step_refuse(mig_error *err, const char *path, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The argument names no part of _id. */
bool mig_step_not_id(const mig_step *step, const char *name, mig_error *err);
/* from and to are different, neither inside the other. */
bool mig_step_two_fields(const mig_step *step, mig_error *err);
/* A value that will be stored holds no key that begins with '$' (but $ref, $id and $db). */
bool mig_step_storable(const bson_iter_t *value, const char *path, mig_error *err);

/* Appends {"guard": args}. */
void mig_guard_append(bson_t *array, const char *guard, const bson_t *args);
void mig_guard_on_collection(bson_t *array, const char *guard, const char *collection);
void mig_guard_on_field(bson_t *array, const char *guard, const mig_step *step, const char *field);
/* A mig_step_def.guards: collectionExists. */
bool mig_guards_collection_exists(const mig_step *step, bson_t *array, mig_error *err);

bool mig_step_count(const mig_step *step, mig_work *w, const bson_t *filter, int64_t *documents, mig_error *err);
/* A mig_step_def.estimate: how many documents match the argument "filter". */
bool mig_estimate_filter(const mig_step *step, mig_work *w, int64_t *documents, mig_error *err);
/* Each document that matched was changed; one that was not lies outside of what the server's operator can reach. */
bool mig_step_all_changed(const mig_step *step, const mig_work *w, const mig_batch_result *result, mig_error *err);
/* What to do where the step failed because it would create a collection in the transaction (before 4.4). */
void mig_step_hint_creates(mig_error *err);
/* One command on the database; an index may take longer than any other answer. reply: to be destroyed in any case. */
bool mig_step_send(mig_work *w, mig_access access, const bson_t *command, bson_t *reply, mig_error *err);
/* Checkpoint, one command on the database, crash point. */
bool mig_step_run_command(mig_work *w, const bson_t *command, mig_error *err);

/* A collection that a step drops, out of everybody's way first: what others wrote since the snapshot is saved before it
 * goes (services.h). put: *gone false: drop it as it is. */
bool mig_step_put_aside(mig_work *w, const char *collection, bool *gone, mig_error *err);
bool mig_step_settle_aside(mig_work *w, const char *collection, mig_error *err);

#endif
