#include "migrations/implied.h"

#include <stdio.h>
#include <string.h>

#include "migrations/filter.h"

bool mig_step_guards(const mig_step *step, bson_t *array, mig_error *err) {
  return !step->def->guards || step->def->guards(step, array, err);
}

bool mig_steps_transactional(const mig_steps *steps, const char **first_illegal) {
  if (first_illegal) *first_illegal = NULL;
  for (size_t i = 0; i < steps->count; i++) {
    if (mig_step_transactional(&steps->items[i])) continue;
    if (first_illegal) *first_illegal = steps->items[i].def->name;
    return false;
  }
  return true;
}

/* What a guard is about, read from its arguments. */
typedef struct subject {
  const char *collection;
  bool existence, indexes, documents; /* of the collection; of its indexes; what is in its documents */
  bool any_field;                     /* a filter may look at any field */
  const bson_t *args;
} subject;

static bool starts(const char *text, const char *with) {
  return strncmp(text, with, strlen(with)) == 0;
}

static bool read_subject(const char *guard, const bson_t *args, subject *out) {
  *out = (subject){.args = args};
  out->existence = starts(guard, "collection");
  out->indexes = starts(guard, "index") || strcmp(guard, "noIndexConflict") == 0 ||
                 strcmp(guard, "keepsDocuments") == 0; /* of options, too: see look() */
  out->documents = !out->existence && !out->indexes;
  out->any_field = bson_has_field(args, "filter") || !(bson_has_field(args, "field") || bson_has_field(args, "fields"));
  return mig_bson_str(args, "collection", &out->collection);
}

static bool overlaps_written(const mig_step *step, const char *field) {
  for (const char *const *name = step->def->writes; *name; name++) {
    const char *written = NULL;
    if (mig_bson_str(step->args, *name, &written) && mig_fields_overlap(written, field)) return true;
  }
  return false;
}

/* The step writes a field that the guard looks at. */
static bool writes_field_of(const mig_step *step, const subject *s) {
  const char *field = NULL;
  bson_t fields;
  bson_iter_t it;
  if (!step->def->writes || s->any_field) return true;
  if (mig_bson_str(s->args, "field", &field)) return overlaps_written(step, field);
  if (!mig_bson_arr(s->args, "fields", &fields) || !bson_iter_init(&it, &fields)) return true;
  while (bson_iter_next(&it))
    if (!BSON_ITER_HOLDS_UTF8(&it) || overlaps_written(step, bson_iter_utf8(&it, NULL))) return true;
  return false;
}

typedef struct question {
  const mig_step *step;
  const subject *subject;
  bool changes;
} question;

static bool look(void *arg, const char *collection, mig_touch touch, mig_error *err) {
  question *q = arg;
  const subject *s = q->subject;
  (void)err;
  if (strcmp(collection, s->collection) != 0 || touch == MIG_TOUCH_READ) return true;
  if (touch == MIG_TOUCH_DROP)
    q->changes = true;
  else if (touch == MIG_TOUCH_METADATA)
    q->changes = q->changes || s->indexes;
  else if (s->documents)
    q->changes = q->changes || writes_field_of(q->step, s);
  else if (s->existence)
    q->changes = q->changes || !q->step->def->writes; /* an insert may bring the collection into being */
  return true;
}

static bool changed_before(const mig_steps *steps, size_t before, const subject *s, bool *changed, mig_error *err) {
  for (size_t i = 0; i < before; i++) {
    question q = {&steps->items[i], s, false};
    if (!mig_step_touches(&steps->items[i], look, &q, err)) return false;
    if (q.changes) {
      *changed = true;
      return true;
    }
  }
  *changed = false;
  return true;
}

static bool contains(const bson_t *array, const bson_t *guard) {
  bson_iter_t it;
  bson_t have;
  if (!bson_iter_init(&it, array)) return false;
  while (bson_iter_next(&it))
    if (mig_bson_iter_doc(&it, &have) && mig_bson_same(&have, guard)) return true;
  return false;
}

static bool add(bson_t *array, const bson_t *guard) {
  char buffer[16];
  const char *key;
  bson_uint32_to_string(bson_count_keys(array), &key, buffer, sizeof buffer);
  return contains(array, guard) || BSON_APPEND_DOCUMENT(array, key, guard);
}

static bool add_unchanged(const mig_steps *steps, size_t index, const bson_t *guards, bson_t *array, mig_error *err) {
  bson_iter_t it, inner;
  bson_t guard, args;
  if (!bson_iter_init(&it, guards)) return true;
  while (bson_iter_next(&it)) {
    subject s;
    bool changed = false;
    if (!mig_bson_iter_doc(&it, &guard) || !bson_iter_init(&inner, &guard) || !bson_iter_next(&inner) ||
        !mig_bson_iter_doc(&inner, &args) || !read_subject(bson_iter_key(&inner), &args, &s))
      return mig_fail(err, MIG_E_FAILED, "step %s brings a guard that makes no sense", steps->items[index].def->name);
    if (!changed_before(steps, index, &s, &changed, err)) return false;
    if (!changed) add(array, &guard);
  }
  return true;
}

bool mig_steps_guards(const mig_steps *steps, bson_t *array, mig_error *err) {
  bool ok = true;
  for (size_t i = 0; ok && i < steps->count; i++) {
    bson_t own = BSON_INITIALIZER;
    ok = mig_step_guards(&steps->items[i], &own, err) && add_unchanged(steps, i, &own, array, err);
    bson_destroy(&own);
  }
  return ok;
}
