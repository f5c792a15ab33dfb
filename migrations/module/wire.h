/*
 * wire.h - what a module's process and mig say to each other: BSON documents, one after the other, over a socket
 *
 *     {run: "describe" | "up" | "down", path}        mig begins
 *     {op: "step" | "query" | ..., ...} --> {ok: true, ...} | {ok: false, what, why}       the module asks, as often as
 * it likes {op: "log" | "progress", ...}                  no answer {op: "end", ok, what, module?}                 its
 * last word
 *
 * Trust: for mig everything that comes is untrusted: a module may have written all over its memory.
 */
#ifndef MIG_MIGRATIONS_MODULE_WIRE_H
#define MIG_MIGRATIONS_MODULE_WIRE_H

#include "base/bsonx.h"

#define MIG_WIRE_MAX ((size_t)64 << 20) /* of one message: a command of two documents of 16 MiB and some more */

/* Takes the first whole message out of the buffer: *out is NULL while it has not come entirely. MIG_E_FAILED: nonsense.
 */
bool mig_wire_take(mig_buf *in, bson_t **out, mig_error *err);

#endif
