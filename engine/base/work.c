#include "base/work.h"

#include <poll.h>

#define LISTEN_MS 200

bool mig_checkpoint(mig_work *w, mig_error *err) {
  return !w->checkpoint || w->checkpoint(w->checkpoint_arg, err);
}

bool mig_wait_fd(mig_work *w, int fd, short events, mig_error *err) {
  struct pollfd one = {.fd = fd, .events = events};
  do
    if (!mig_checkpoint(w, err)) return false;
  while (poll(&one, 1, LISTEN_MS) <= 0);
  return true;
}

uint32_t mig_batch_documents(const mig_work *w) {
  return w->batch_documents ? w->batch_documents : 1000;
}

void mig_append_batch_size(bson_t *command, int64_t documents, int64_t raw_bytes, int64_t batch_bytes) {
  if (documents <= 0 || raw_bytes <= 0) return; /* nothing is known */
  const int64_t each = raw_bytes / documents + 1, count = batch_bytes / each;
  BSON_APPEND_INT32(command, "batchSize", (int32_t)(count < 2 ? 2 : count > 50000 ? 50000 : count));
}
