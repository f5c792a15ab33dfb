#include "backup/sink.h"

#include "backup/blob_internal.h"

bool mig_sink_write(mig_sink *s, const void *data, size_t size, mig_error *err) {
  return s->kind->write(s, data, size, err);
}

bool mig_sink_patch(mig_sink *s, uint64_t offset, const void *data, size_t size, mig_error *err) {
  return s->kind->patch(s, offset, data, size, err);
}

bool mig_sink_settle(mig_sink *s, mig_error *err) {
  return s->kind->settle(s, err);
}

const char *mig_sink_path(const mig_sink *s) {
  return s->kind->path(s);
}

bool mig_sink_publish(mig_sink *s, const char *id, char **path, mig_error *err) {
  *path = NULL;
  return s->kind->publish(s, id, path, err);
}

void mig_sink_free(mig_sink *s) {
  if (s) s->kind->free(s);
}
