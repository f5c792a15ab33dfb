/* What every step has in common: found by name, parsed from its document, asked what it touches. */
#include "migrations/step.h"

#include <stdio.h>
#include <string.h>

#include "base/names.h"

#define MAX_STEPS 64

const mig_step_def *mig_step_find(const char *name) {
  for (const mig_step_def *const *d = mig_step_table(); *d; d++)
    if (strcmp((*d)->name, name) == 0) return *d;
  return NULL;
}

static bool unknown(const char *name, const char *json_path, mig_error *err) {
  const char *names[MAX_STEPS + 1] = {NULL};
  const mig_step_def *const *table = mig_step_table();
  for (size_t i = 0; i < MAX_STEPS && table[i]; i++) names[i] = table[i]->name;
  const char *near = mig_name_nearest(name, names);
  if (near)
    mig_fail(err, MIG_E_INPUT, "unknown step \"%.100s\"; did you mean \"%s\"?", name, near);
  else
    mig_fail(err, MIG_E_INPUT, "unknown step \"%.100s\"", name);
  mig_hint(err, "`mig help steps` lists them all");
  return mig_at_path(err, json_path, name);
}

static bool check(const mig_step *step, const char *path, mig_error *err) {
  mig_error local = {0}; /* the path is needed even where the caller does not care for the error */
  if (!step->def->check || step->def->check(step, &local)) return true;
  char inside[sizeof local.json_path];
  memcpy(inside, local.json_path, sizeof inside);
  mig_at_path(&local, path, inside);
  if (err) *err = local;
  return false;
}

bool mig_step_parse(const bson_t *doc, const char *json_path, mig_step *out, mig_error *err) {
  bson_iter_t it;
  bson_t args;
  char path[256];
  memset(out, 0, sizeof *out);
  if (bson_count_keys(doc) != 1 || !bson_iter_init(&it, doc) || !bson_iter_next(&it)) {
    mig_fail(err, MIG_E_INPUT, "a step is a document with one key, its name; here are %u", bson_count_keys(doc));
    mig_hint(err, "write {\"addField\": {...}}, {\"createIndex\": {...}}: one document for each step");
    return mig_at_path(err, json_path, "");
  }
  const char *name = bson_iter_key(&it);
  out->def = mig_step_find(name);
  if (!out->def) return unknown(name, json_path, err);
  snprintf(path, sizeof path, "%s%s%s", json_path, *json_path ? "." : "", name);
  if (!BSON_ITER_HOLDS_DOCUMENT(&it) || !mig_bson_iter_doc(&it, &args)) {
    mig_fail(err, MIG_E_INPUT, "the arguments of step \"%s\" must be a document", name);
    return mig_at_path(err, path, "");
  }
  bool ok = mig_args_check("step", name, out->def->args, &args, path, err);
  if (ok) {
    out->args = bson_copy(&args);
    ok = check(out, path, err);
  }
  if (!ok) mig_step_clear(out);
  return ok;
}

void mig_step_clear(mig_step *step) {
  if (!step) return;
  bson_destroy(step->args);
  mig_free(step->where);
  memset(step, 0, sizeof *step);
}

bool mig_step_transactional(const mig_step *step) {
  return step->def->is_transactional ? step->def->is_transactional(step) : step->def->transactional;
}

bson_t *mig_step_inverse(const mig_step *step) {
  bson_t *out = bson_new();
  if (step->def->inverse && step->def->inverse(step, out)) return out;
  bson_destroy(out);
  return NULL;
}

bool mig_step_touches(const mig_step *step, mig_touch_fn fn, void *arg, mig_error *err) {
  const char *collection = NULL;
  if (step->def->touches) return step->def->touches(step, fn, arg, err);
  if (!mig_bson_str(step->args, "collection", &collection))
    return mig_fail(err, MIG_E_FAILED, "step %s does not say which collection it touches", step->def->name);
  return fn(arg, collection, step->def->touch, err);
}
