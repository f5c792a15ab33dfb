#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool (*mig_alloc_hook)(size_t size);

void *mig_alloc(size_t size) {
  if (mig_alloc_hook && !mig_alloc_hook(size)) return NULL;
  return calloc(1, size ? size : 1);
}

void *mig_realloc(void *old, size_t size) {
  if (mig_alloc_hook && !mig_alloc_hook(size)) return NULL;
  return realloc(old, size ? size : 1);
}

void mig_free(void *p) {
  free(p);
}

char *mig_strdup(const char *text) {
  if (!text) return NULL;
  size_t size = strlen(text) + 1;
  char *copy = mig_alloc(size);
  if (copy) memcpy(copy, text, size);
  return copy;
}

char *mig_strndup(const char *text, size_t size) {
  char *copy = mig_alloc(size + 1);
  if (copy) memcpy(copy, text, size);
  return copy;
}

char *mig_strdup_printf(const char *fmt, ...) {
  va_list ap, again;
  va_start(ap, fmt);
  va_copy(again, ap);
  int n = vsnprintf(NULL, 0, fmt, ap);
  va_end(ap);
  char *text = n < 0 ? NULL : mig_alloc((size_t)n + 1);
  if (text) vsnprintf(text, (size_t)n + 1, fmt, again);
  va_end(again);
  return text;
}

bool mig_buf_reserve(mig_buf *b, size_t total, mig_error *err) {
  if (total > b->maximum) {
    mig_fail(err, MIG_E_NO_MEMORY, "more than %zu bytes where at most that many are allowed", b->maximum);
    return mig_hint(err, "this is a limit of mig, not of your machine");
  }
  if (total + 1 <= b->capacity) return true;
  size_t wanted = b->capacity < 256 ? 256 : b->capacity;
  while (wanted < total + 1) wanted = wanted > (b->maximum + 1) / 2 ? b->maximum + 1 : wanted * 2;
  uint8_t *grown = mig_realloc(b->data, wanted);
  if (!grown) return mig_no_memory(err, "buffer");
  b->data = grown;
  b->capacity = wanted;
  b->data[b->size] = 0;
  return true;
}

bool mig_buf_add(mig_buf *b, const void *data, size_t size, mig_error *err) {
  size_t total = size > SIZE_MAX - 1 - b->size ? SIZE_MAX - 1 : b->size + size;
  if (!mig_buf_reserve(b, total, err)) return false;
  if (size) memcpy(b->data + b->size, data, size);
  b->size = total;
  b->data[total] = 0;
  return true;
}

bool mig_buf_printf(mig_buf *b, mig_error *err, const char *fmt, ...) {
  va_list ap, again;
  va_start(ap, fmt);
  va_copy(again, ap);
  int n = vsnprintf(NULL, 0, fmt, ap);
  va_end(ap);
  bool ok = n >= 0 && mig_buf_reserve(b, b->size + (size_t)n, err);
  if (ok) {
    vsnprintf((char *)b->data + b->size, (size_t)n + 1, fmt, again);
    b->size += (size_t)n;
  }
  va_end(again);
  return ok;
}

void mig_buf_clear(mig_buf *b) {
  b->size = 0;
  if (b->data) b->data[0] = 0;
}

void mig_buf_free(mig_buf *b) {
  if (!b) return;
  mig_free(b->data);
  *b = MIG_BUF(b->maximum);
}

const char *mig_buf_text(const mig_buf *b) {
  return b->data ? (const char *)b->data : "";
}
