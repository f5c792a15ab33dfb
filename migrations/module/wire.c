#include "migrations/module/wire.h"

#include <string.h>

bool mig_wire_take(mig_buf *in, bson_t **out, mig_error *err) {
  *out = NULL;
  if (in->size < 4) return true;
  size_t size = (size_t)in->data[0] | (size_t)in->data[1] << 8 | (size_t)in->data[2] << 16 | (size_t)in->data[3] << 24;
  if (size < 5 || size > MIG_WIRE_MAX)
    return mig_fail(err, MIG_E_FAILED, "what the module sent makes no sense: a message of %zu bytes", size);
  if (in->size < size) return true;
  if (!mig_bson_valid(in->data, size))
    return mig_fail(err, MIG_E_FAILED, "what the module sent makes no sense: it is not BSON");
  *out = bson_new_from_data(in->data, size);
  if (!*out) return mig_no_memory(err, "message of a module");
  memmove(in->data, in->data + size, in->size - size);
  in->size -= size;
  return true;
}
