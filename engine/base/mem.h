/*
 * mem.h - allocation, and a growing byte buffer that declares its maximum
 *
 *     mig_buf b = MIG_BUF(16 << 20);  mig_buf_add(&b, p, n, err);  ... b.data, b.size ...  mig_buf_free(&b);
 *
 * Allocation may be made to fail on purpose by tests (see mig_alloc_hook); all allocation of ours goes through here.
 * Ownership: what mig_alloc and mig_strdup return is released with mig_free. mig_free(NULL) is fine.
 */
#ifndef MIG_BASE_MEM_H
#define MIG_BASE_MEM_H

#include "base/error.h"

void *mig_alloc(size_t size);              /* zeroed; NULL when there is none */
void *mig_realloc(void *old, size_t size); /* NULL leaves `old` as it was */
void mig_free(void *p);
char *mig_strdup(const char *text);               /* NULL for NULL */
char *mig_strndup(const char *text, size_t size); /* the first `size` bytes, which hold no zero */
char *mig_strdup_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

typedef struct mig_buf {
  uint8_t *data; /* always followed by a zero byte that is not counted */
  size_t size, capacity, maximum;
} mig_buf;

#define MIG_BUF(max_bytes) ((mig_buf){NULL, 0, 0, (max_bytes)})

bool mig_buf_add(mig_buf *b, const void *data, size_t size, mig_error *err); /* MIG_E_NO_MEMORY past the maximum */
bool mig_buf_reserve(mig_buf *b, size_t total, mig_error *err);
bool mig_buf_printf(mig_buf *b, mig_error *err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void mig_buf_clear(mig_buf *b); /* keeps the memory */
void mig_buf_free(mig_buf *b);
const char *mig_buf_text(const mig_buf *b); /* "" when empty */

/* Tests only: called before each allocation; returning false makes it fail. NULL switches it off. */
extern bool (*mig_alloc_hook)(size_t size);

#endif
