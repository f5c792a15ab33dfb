#include "base/observer.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

void mig_say(const mig_observer *o, mig_level level, const char *fmt, ...) {
  if (!o || !o->message) return;
  char fixed[1024]; /* most messages; longer ones (a query, say) are allocated, or cut when memory is short */
  va_list ap, again;
  va_start(ap, fmt);
  va_copy(again, ap);
  int n = vsnprintf(fixed, sizeof fixed, fmt, ap);
  va_end(ap);
  char *longer = n >= (int)sizeof fixed ? mig_alloc((size_t)n + 1) : NULL;
  if (longer) vsnprintf(longer, (size_t)n + 1, fmt, again);
  va_end(again);
  char *text = longer ? longer : fixed;
  mig_redact(text);
  mig_plain(text);
  o->message(o->arg, level, text);
  mig_free(longer);
}

void mig_progress(const mig_observer *o, const char *what, uint64_t done, uint64_t total) {
  if (!o || !o->progress) return;
  char text[256]; /* names of collections and what modules say of themselves are in it */
  snprintf(text, sizeof text, "%s", what);
  mig_plain(text);
  o->progress(o->arg, text, done, total);
}
