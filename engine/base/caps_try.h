/*
 * caps_try.h - the tries behind caps.h: each makes a scratch collection, uses one feature and looks what really
 * happened
 *
 * Fills what is still MIG_UNKNOWN in caps. A try refused for want of rights, or only for the moment, leaves
 * MIG_UNKNOWN; a connection that breaks, or memory that is short, is an error: neither says what the server can.
 * Scratch collections ("migprobe_*") of this and of interrupted tries are dropped.
 */
#ifndef MIG_BASE_CAPS_TRY_H
#define MIG_BASE_CAPS_TRY_H

#include "base/caps.h"

/* Reads one document of an existing collection at one cluster time. *has: the server said at which. Writes nothing. */
bool mig_caps_read_snapshot(mig_db *db, const char *collection, bool *has, mig_error *err);
/* What a try failed with says nothing, and there is no use in trying on. */
bool mig_caps_is_no_answer(const mig_error *err);
/* MIG_NO: it was done, and did not have it, or the server refused for good. err: of a try that could not be decided. */
mig_tri mig_caps_outcome(bool decided, bool has, const mig_error *err);
bool mig_caps_try(mig_db *db, mig_caps *caps, mig_error *err);

#endif
