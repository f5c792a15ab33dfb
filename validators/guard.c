/* Checking and running any guard: everything that does not depend on which one it is. */
#include "validators/guard.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/names.h"

static void hint_names(mig_error *err) {
  char text[480] = "known guards:";
  for (const mig_guard_def *const *g = mig_guard_table(); *g; g++) {
    size_t used = strlen(text);
    if (used + strlen((*g)->name) + 2 < sizeof text)
      snprintf(text + used, sizeof text - used, "%s%s", g == mig_guard_table() ? " " : ", ", (*g)->name);
  }
  mig_hint(err, "%s", text);
}

static bool fail_unknown(const char *name, const char *json_path, mig_error *err) {
  const char *near = NULL;
  for (const mig_guard_def *const *g = mig_guard_table(); *g; g++) {
    const char *candidates[] = {(*g)->name, near, NULL};
    const char *nearest = mig_name_nearest(name, candidates);
    if (nearest) near = nearest;
  }
  if (near)
    mig_fail(err, MIG_E_INPUT, "unknown guard \"%.100s\"; did you mean \"%s\"?", name, near);
  else
    mig_fail(err, MIG_E_INPUT, "unknown guard \"%.100s\"", name);
  hint_names(err);
  if (err) mig_at_path(err, json_path, name);
  return false;
}

/* The one key of the document: which guard, and a view of its arguments. */
static bool open_guard(const bson_t *guard, const char *json_path, const mig_guard_def **def, bson_t *args,
                       mig_error *err) {
  bson_iter_t it;
  uint32_t keys = bson_count_keys(guard);
  if (keys != 1 || !bson_iter_init(&it, guard) || !bson_iter_next(&it)) {
    mig_fail(err, MIG_E_INPUT, "a guard has exactly one key, its name; here are %u", keys);
    mig_hint(err, "write one document for each: {\"collectionExists\": {\"collection\": \"users\"}}, {...}");
    if (err) mig_at_path(err, json_path, "");
    return false;
  }
  const char *name = bson_iter_key(&it);
  *def = mig_guard_find(name);
  if (!*def) return fail_unknown(name, json_path, err);
  if (BSON_ITER_HOLDS_DOCUMENT(&it) && mig_bson_iter_doc(&it, args)) return true;
  mig_fail(err, MIG_E_INPUT, "guard %s: its arguments must be a document", name);
  mig_hint(err, "%s: %s", name, (*def)->help);
  if (err) mig_at_path(err, json_path, name);
  return false;
}

static bool check_args(const mig_guard_def *def, const bson_t *args, const char *json_path, mig_error *err) {
  mig_error local = {0}; /* the path is needed even where the caller does not care for the error */
  char path[sizeof local.json_path];
  snprintf(path, sizeof path, "%s%s%s", json_path, *json_path ? "." : "", def->name);
  bool ok = mig_args_check("guard", def->name, def->args, args, path, &local);
  if (ok && def->check && !def->check(args, &local)) {
    ok = mig_fail_at(&local, "guard %s", def->name);
    char argument[sizeof local.json_path];
    memcpy(argument, local.json_path, sizeof argument);
    mig_at_path(&local, path, argument);
  }
  if (!ok && err) *err = local;
  return ok;
}

bool mig_guard_check_syntax(const bson_t *guard, const char *json_path, mig_error *err) {
  const mig_guard_def *def = NULL;
  bson_t args;
  if (!json_path) json_path = "";
  return open_guard(guard, json_path, &def, &args, err) && check_args(def, &args, json_path, err);
}

bool mig_guard_reads(const bson_t *guard, const char *collection) {
  const mig_guard_def *def = NULL;
  const char *own = NULL;
  char other[MIG_GUARD_COLLECTION] = "";
  bson_t args;
  mig_error ignored;
  if (!open_guard(guard, "", &def, &args, &ignored)) return false;
  return (mig_bson_str(&args, "collection", &own) && strcmp(own, collection) == 0) ||
         (def->also_reads && def->also_reads(&args, other) && strcmp(other, collection) == 0);
}

bool mig_guard_run(const mig_guard_env *env, const bson_t *guard, mig_guard_result *out, mig_error *err) {
  const mig_guard_def *def = NULL;
  bson_t args;
  memset(out, 0, sizeof *out);
  if (!open_guard(guard, "", &def, &args, err) || !check_args(def, &args, "", err)) return false;
  out->holds = true;
  out->offenders = -1;
  if (!def->run(env, &args, out, err)) {
    mig_guard_result_clear(out);
    return mig_fail_at(err, "guard %s", def->name);
  }
  if (out->holds) {
    mig_guard_result_clear(out);
    out->holds = true;
  }
  return true;
}

void mig_guard_result_clear(mig_guard_result *r) {
  if (!r) return;
  if (r->ids) bson_destroy(r->ids);
  if (r->query) bson_destroy(r->query);
  memset(r, 0, sizeof *r);
}

/* How many bytes the character at `text` has; 0 if it is none, or one that moves a terminal's cursor. */
static size_t character(const unsigned char *text) {
  size_t size = *text < 0x80 ? 1 : *text >= 0xF0 ? 4 : *text >= 0xE0 ? 3 : 2;
  if (*text < 0x20 || *text == 0x7F) return 0;
  for (size_t i = 1; i < size; i++)
    if ((text[i] & 0xC0) != 0x80) return 0;
  return bson_utf8_validate((const char *)text, size, false) ? size : 0;
}

/* Names come from servers and may hold anything, and a text that was cut may end in half a character. */
static void set_text(char *text, size_t size, const char *fmt, va_list ap) {
  int n = vsnprintf(text, size, fmt, ap);
  if (n >= 0 && (size_t)n >= size) {
    size_t cut = size - 4;
    while (cut && ((unsigned char)text[cut] & 0xC0) == 0x80) cut--;
    memcpy(text + cut, "...", 4);
  }
  for (unsigned char *p = (unsigned char *)text; *p;) {
    size_t step = character(p);
    if (!step) *p = '?';
    p += step ? step : 1;
  }
}

bool mig_guard_refuse(mig_guard_result *r, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  set_text(r->why, sizeof r->why, fmt, ap);
  va_end(ap);
  r->holds = false;
  return true;
}

void mig_guard_hint(mig_guard_result *r, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  set_text(r->hint, sizeof r->hint, fmt, ap);
  va_end(ap);
}

bool mig_guard_bad(mig_error *err, const char *argument, const char *fmt, ...) {
  char what[sizeof err->what];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(what, sizeof what, fmt, ap);
  va_end(ap);
  mig_fail(err, MIG_E_INPUT, "%s", what);
  if (err) mig_at_path(err, "", argument ? argument : "");
  return false;
}
