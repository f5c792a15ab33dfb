#include "backup/spec.h"

#include <math.h>
#include <string.h>

#include "base/names.h"

static bool is_number(const bson_iter_t *it) {
  return BSON_ITER_HOLDS_INT32(it) || BSON_ITER_HOLDS_INT64(it) || BSON_ITER_HOLDS_DOUBLE(it);
}

static bool same_bytes(const bson_iter_t *a, const bson_iter_t *b) {
  bson_t x = BSON_INITIALIZER, y = BSON_INITIALIZER;
  const bool same = bson_append_iter(&x, "v", 1, a) && bson_append_iter(&y, "v", 1, b) && mig_bson_same(&x, &y);
  bson_destroy(&x);
  bson_destroy(&y);
  return same;
}

/* Beyond 2^53 not every whole number is a double: then one could stand for its neighbour. */
static bool same_as_whole(double x, int64_t y) {
  return x >= -9007199254740992.0 && x <= 9007199254740992.0 && y >= -INT64_C(9007199254740992) &&
         y <= INT64_C(9007199254740992) && !(x < (double)y) && !(x > (double)y);
}

/* NaN equals nothing but NaN: whoever asks with < and > takes it for equal to every number. */
static bool same_number(const bson_iter_t *a, const bson_iter_t *b) {
  const bool is_double = BSON_ITER_HOLDS_DOUBLE(a);
  if (!is_double && !BSON_ITER_HOLDS_DOUBLE(b)) return bson_iter_as_int64(a) == bson_iter_as_int64(b);
  if (!BSON_ITER_HOLDS_DOUBLE(b)) return same_as_whole(bson_iter_double(a), bson_iter_as_int64(b));
  if (!is_double) return same_as_whole(bson_iter_double(b), bson_iter_as_int64(a));
  const double x = bson_iter_double(a), y = bson_iter_double(b);
  if (isnan(x) || isnan(y)) return isnan(x) && isnan(y);
  return !(x < y) && !(x > y);
}

static bool same_fields_in_order(const bson_iter_t *a, const bson_iter_t *b) {
  bson_iter_t x, y;
  if (!bson_iter_recurse(a, &x) || !bson_iter_recurse(b, &y)) return false;
  for (;;) {
    const bool more = bson_iter_next(&x);
    if (more != bson_iter_next(&y)) return false;
    if (!more) return true;
    if (strcmp(bson_iter_key(&x), bson_iter_key(&y)) != 0 || !mig_spec_value_same(&x, &y)) return false;
  }
}

/* The depth of the recursion is bounded where documents come in: 200 levels by a server, 180 by mig_bson_valid. */
bool mig_spec_value_same(const bson_iter_t *a, const bson_iter_t *b) {
  if (is_number(a) && is_number(b)) return same_number(a, b);
  if (bson_iter_type(a) != bson_iter_type(b)) return false;
  if (BSON_ITER_HOLDS_DOCUMENT(a) || BSON_ITER_HOLDS_ARRAY(a)) return same_fields_in_order(a, b);
  return same_bytes(a, b);
}

static bool skipped(const char *key, const char *const *skip) {
  for (; skip && *skip; skip++)
    if (strcmp(key, *skip) == 0) return true;
  return false;
}

/* Every field of a that is not skipped is in b with the same value. */
static bool covered(const bson_t *a, const bson_t *b, const char *const *skip) {
  bson_iter_t x, y;
  if (!bson_iter_init(&x, a)) return false;
  while (bson_iter_next(&x)) {
    if (skipped(bson_iter_key(&x), skip)) continue;
    if (!bson_iter_init_find(&y, b, bson_iter_key(&x))) return false;
    /* a view's documents come out of its pipeline: 1 in it and 1.0 are different documents */
    if (strcmp(bson_iter_key(&x), "pipeline") == 0 ? !same_bytes(&x, &y) : !mig_spec_value_same(&x, &y)) return false;
  }
  return true;
}

bool mig_spec_same(const bson_t *a, const bson_t *b) {
  static const char *const skip[] = {"ns", NULL};
  return covered(a, b, skip) && covered(b, a, skip);
}

bool mig_index_name(const bson_t *spec, const char **name) {
  return mig_bson_str(spec, "name", name);
}

static bool is_true(const bson_t *spec, const char *key) {
  bson_iter_t it;
  return bson_iter_init_find(&it, spec, key) && bson_iter_as_bool(&it);
}

bool mig_index_is_own(const bson_t *spec) {
  bson_t key;
  int64_t direction = 0;
  if (is_true(spec, "clustered")) return true;
  return mig_bson_doc(spec, "key", &key) && bson_count_keys(&key) == 1 && mig_bson_int(&key, "_id", &direction) &&
         direction == 1;
}

bool mig_index_is_unique(const bson_t *spec) {
  return !mig_index_is_own(spec) && is_true(spec, "unique");
}

bool mig_index_find(const bson_t *indexes, const char *name, bson_t *view) {
  bson_iter_t it;
  const char *other = NULL;
  if (!indexes || !bson_iter_init(&it, indexes)) return false;
  while (bson_iter_next(&it))
    if (mig_bson_iter_doc(&it, view) && mig_index_name(view, &other) && strcmp(name, other) == 0) return true;
  return false;
}

bool mig_index_in(const bson_t *indexes, const bson_t *spec) {
  bson_t other;
  const char *name = NULL;
  return mig_index_name(spec, &name) && mig_index_find(indexes, name, &other) && mig_spec_same(spec, &other);
}

void mig_options_of(const bson_t *info, bson_t *view) {
  static const uint8_t empty[] = {5, 0, 0, 0, 0};
  if (!info || !mig_bson_doc(info, "options", view)) bson_init_static(view, empty, sizeof empty);
}

static const char *text_or(const bson_t *options, const char *key, const char *otherwise) {
  const char *text = otherwise;
  mig_bson_str(options, key, &text);
  return text;
}

bool mig_options_has_validator(const bson_t *options) {
  bson_t validator;
  return mig_bson_doc(options, "validator", &validator) && !bson_empty(&validator);
}

bool mig_options_validator_same(const bson_t *a, const bson_t *b) {
  bson_iter_t x, y;
  const bool has = mig_options_has_validator(a);
  if (has != mig_options_has_validator(b)) return false;
  if (has && !(mig_bson_find(a, "validator", &x) && mig_bson_find(b, "validator", &y) && same_bytes(&x, &y)))
    return false;
  /* without a validator they wait for the next one */
  return strcmp(text_or(a, "validationLevel", "strict"), text_or(b, "validationLevel", "strict")) == 0 &&
         strcmp(text_or(a, "validationAction", "error"), text_or(b, "validationAction", "error")) == 0;
}

bool mig_options_only_levels(const bson_t *a, const bson_t *b) {
  return !mig_options_has_validator(a) && !mig_options_has_validator(b) && !mig_options_validator_same(a, b);
}

static bool images(const bson_t *options, const char *path) {
  bool on = false;
  mig_bson_bool(options, path, &on);
  return on;
}

bool mig_options_images_same(const bson_t *a, const bson_t *b) {
  return images(a, "recordPreImages") == images(b, "recordPreImages") &&
         images(a, "changeStreamPreAndPostImages.enabled") == images(b, "changeStreamPreAndPostImages.enabled");
}

/* Fields of `create` that are no options; servers of old kept all that they were given. */
static const char *const command_fields[] = {
    "create",    "writeConcern",         "maxTimeMS", "comment",     "apiVersion",
    "apiStrict", "apiDeprecationErrors", "uuid",      "autoIndexId", NULL};

bson_t *mig_options_to_send(const bson_t *options, const char *const *more) {
  bson_t *options_only = mig_bson_without(options, command_fields);
  bson_t *out = options_only && more ? mig_bson_without(options_only, more) : options_only;
  if (out != options_only) bson_destroy(options_only);
  return out;
}

bool mig_spec_steers(const bson_t *spec) {
  bson_iter_t it;
  if (!bson_iter_init(&it, spec)) return true;
  while (bson_iter_next(&it))
    if (mig_name_steers_command(bson_iter_key(&it))) return true;
  return false;
}

bool mig_options_fixed_same(const bson_t *a, const bson_t *b) {
  static const char *const elsewhere[] = {
      "validator", "validationLevel", "validationAction", "recordPreImages", "changeStreamPreAndPostImages", "capped",
      NULL};
  bson_t *x = mig_options_to_send(a, elsewhere), *y = mig_options_to_send(b, elsewhere);
  const bool same = x && y && images(a, "capped") == images(b, "capped") && covered(x, y, NULL) && covered(y, x, NULL);
  bson_destroy(x);
  bson_destroy(y);
  return same;
}
