#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
  const char *name;
  int exit_code;
} codes[MIG_CODE_COUNT] = {
    [MIG_OK] = {"ok", 0},
    [MIG_E_FAILED] = {"failed", 1},
    [MIG_E_USAGE] = {"usage", 2},
    [MIG_E_INPUT] = {"input", 2},
    [MIG_E_GUARD] = {"guard", 1},
    [MIG_E_SERVER] = {"server", 1},
    [MIG_E_NETWORK] = {"network", 1},
    [MIG_E_STORE] = {"store", 1},
    [MIG_E_ARCHIVE] = {"archive", 1},
    [MIG_E_UNSUPPORTED] = {"unsupported", 1},
    [MIG_E_NO_MEMORY] = {"noMemory", 1},
    [MIG_E_RESTORED] = {"restored", 3},
    [MIG_E_NOT_RESTORED] = {"notRestored", 4},
    [MIG_E_LEASE] = {"lease", 5},
    [MIG_E_CHECK] = {"check", 6},
    [MIG_E_UNFINISHED] = {"unfinished", 7},
    [MIG_E_INTERRUPTED] = {"interrupted", 130},
};

int mig_code_exit(mig_code code) {
  return (unsigned)code < MIG_CODE_COUNT ? codes[code].exit_code : 1;
}

const char *mig_code_name(mig_code code) {
  return (unsigned)code < MIG_CODE_COUNT ? codes[code].name : "failed";
}

void mig_error_clear(mig_error *err) {
  if (err) memset(err, 0, sizeof *err);
}

static void set_text(char *out, size_t size, const char *fmt, va_list ap) {
  vsnprintf(out, size, fmt, ap);
  mig_redact(out);
  mig_plain(out);
}

bool mig_fail(mig_error *err, mig_code code, const char *what_fmt, ...) {
  if (!err) return false;
  char what[sizeof err->what]; /* the arguments may be parts of *err itself */
  va_list ap;
  va_start(ap, what_fmt);
  set_text(what, sizeof what, what_fmt, ap);
  va_end(ap);
  mig_error_clear(err);
  err->code = code;
  memcpy(err->what, what, sizeof what);
  return false;
}

bool mig_why(mig_error *err, const char *fmt, ...) {
  if (!err) return false;
  char text[sizeof err->why];
  va_list ap;
  va_start(ap, fmt);
  set_text(text, sizeof text, fmt, ap);
  va_end(ap);
  memcpy(err->why, text, sizeof text);
  return false;
}

bool mig_hint(mig_error *err, const char *fmt, ...) {
  if (!err) return false;
  char text[sizeof err->hint];
  va_list ap;
  va_start(ap, fmt);
  set_text(text, sizeof text, fmt, ap);
  va_end(ap);
  memcpy(err->hint, text, sizeof text);
  return false;
}

bool mig_fail_at(mig_error *err, const char *prefix_fmt, ...) {
  if (!err) return false;
  char text[sizeof err->what];
  va_list ap;
  va_start(ap, prefix_fmt);
  set_text(text, sizeof text, prefix_fmt, ap);
  va_end(ap);
  size_t used = strlen(text), room = sizeof text - used;
  if (room > 3) snprintf(text + used, room, ": %.*s", (int)(room - 3), err->what); /* cut at the end if need be */
  mig_plain(text); /* what was cut may have been in the middle of a character */
  memcpy(err->what, text, sizeof text);
  return false;
}

bool mig_at_path(mig_error *err, const char *path, const char *key) {
  if (!err) return false;
  char text[2 * sizeof err->json_path];
  const int most = sizeof err->json_path - 2; /* of each part; a path that long is cut */
  snprintf(text, sizeof text, "%.*s%s%.*s", most, path, *path && *key ? "." : "", most, key);
  text[sizeof err->json_path - 1] = 0;
  memcpy(err->json_path, text, sizeof err->json_path);
  return false;
}

bool mig_no_memory(mig_error *err, const char *what) {
  mig_fail(err, MIG_E_NO_MEMORY, "out of memory (%s)", what);
  return mig_hint(err, "free some memory and run the command again; nothing was half-written");
}

bool mig_fail_errno(mig_error *err, const char *what_fmt, ...) {
  int saved = errno;
  if (!err) return false;
  char what[sizeof err->what];
  va_list ap;
  va_start(ap, what_fmt);
  set_text(what, sizeof what, what_fmt, ap);
  va_end(ap);
  mig_fail(err, MIG_E_STORE, "%s", what);
  mig_why(err, "%s", strerror(saved));
  if (saved == ENOSPC || saved == EDQUOT) mig_hint(err, "free some space there, or choose another place with --store");
  if (saved == EACCES || saved == EPERM || saved == EROFS)
    mig_hint(err, "give the user that runs mig the right to use it, or choose another place");
  return false;
}

/* A user part ends at the last '@' before the end of the authority: passwords may hold an unescaped '@'. */
void mig_redact(char *text) {
  for (char *p = text; (p = strstr(p, "://")) != NULL;) {
    p += 3;
    size_t authority = strcspn(p, "/?# \t\r\n\"'<>");
    char *at = NULL;
    for (size_t i = 0; i < authority; i++)
      if (p[i] == '@') at = p + i;
    if (at && at - p >= 3) {
      memcpy(p, "***", 3);
      memmove(p + 3, at, strlen(at) + 1);
    } else if (at) {
      memset(p, '*', (size_t)(at - p));
    }
  }
}

/* Bytes of the UTF-8 character at p; 0 when there is none, or it is a control character. */
static size_t printable(const unsigned char *p) {
  static const struct {
    unsigned char lead, mask, from, to; /* of the byte behind the lead: no overlong forms, surrogates, C1 */
    size_t bytes;
  } forms[] = {{0xC2, 0xFF, 0xA0, 0xBF, 2}, {0xE0, 0xFF, 0xA0, 0xBF, 3}, {0xED, 0xFF, 0x80, 0x9F, 3},
               {0xC0, 0xFE, 0xFF, 0x00, 2}, {0xF0, 0xFF, 0x90, 0xBF, 4}, {0xF4, 0xFF, 0x80, 0x8F, 4},
               {0xC0, 0xE0, 0x80, 0xBF, 2}, {0xE0, 0xF0, 0x80, 0xBF, 3}, {0xF0, 0xFC, 0x80, 0xBF, 4}};
  if (*p < 0x80) return *p >= 0x20 && *p != 0x7F;
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    if ((*p & forms[i].mask) != forms[i].lead) continue;
    if (p[1] < forms[i].from || p[1] > forms[i].to) return 0;
    for (size_t k = 2; k < forms[i].bytes; k++)
      if ((p[k] & 0xC0) != 0x80) return 0;
    return forms[i].bytes;
  }
  return 0;
}

void mig_plain(char *text) {
  for (unsigned char *p = (unsigned char *)text; *p;) {
    size_t bytes = printable(p);
    if (bytes == 0) {
      *p = *p == '\n' || *p == '\r' || *p == '\t' ? ' ' : '?';
      bytes = 1;
    }
    p += bytes;
  }
}
