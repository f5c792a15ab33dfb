#include "base/work.h"

bool mig_checkpoint(mig_work *w, mig_error *err) {
  return !w->checkpoint || w->checkpoint(w->checkpoint_arg, err);
}

uint32_t mig_batch_documents(const mig_work *w) {
  return w->batch_documents ? w->batch_documents : 1000;
}

void mig_append_batch_size(bson_t *command, int64_t documents, int64_t raw_bytes, int64_t batch_bytes) {
  if (documents <= 0 || raw_bytes <= 0) return; /* nothing is known */
  const int64_t each = raw_bytes / documents + 1, count = batch_bytes / each;
  BSON_APPEND_INT32(command, "batchSize", (int32_t)(count < 2 ? 2 : count > 50000 ? 50000 : count));
}
