#include "base/work.h"

bool mig_checkpoint(mig_work *w, mig_error *err) {
  return !w->checkpoint || w->checkpoint(w->checkpoint_arg, err);
}

uint32_t mig_batch_documents(const mig_work *w) {
  return w->batch_documents ? w->batch_documents : 1000;
}
