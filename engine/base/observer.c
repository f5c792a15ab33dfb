#include "base/observer.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/error.h"

void mig_say(const mig_observer *o, mig_level level, const char *fmt, ...) {
  if (!o || !o->message) return;
  char text[2048];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  mig_redact(text);
  o->message(o->arg, level, text);
}

void mig_progress(const mig_observer *o, const char *what, uint64_t done, uint64_t total) {
  if (o && o->progress) o->progress(o->arg, what, done, total);
}
