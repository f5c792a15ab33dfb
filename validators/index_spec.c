#include "validators/index_spec.h"

#include <string.h>

static bool number_of(const bson_iter_t *it, long double *out) {
  if (BSON_ITER_HOLDS_INT32(it))
    *out = bson_iter_int32(it);
  else if (BSON_ITER_HOLDS_INT64(it))
    *out = (long double)bson_iter_int64(it);
  else if (BSON_ITER_HOLDS_DOUBLE(it))
    *out = bson_iter_double(it);
  else
    return false;
  return true;
}

static bool same_bytes(const bson_iter_t *a, const bson_iter_t *b) {
  bson_t x = BSON_INITIALIZER, y = BSON_INITIALIZER;
  bson_append_iter(&x, "v", 1, a);
  bson_append_iter(&y, "v", 1, b);
  bool same = mig_bson_same(&x, &y);
  bson_destroy(&x);
  bson_destroy(&y);
  return same;
}

static bool same_ordered(const bson_t *a, const bson_t *b);

static bool same_value(const bson_iter_t *a, const bson_iter_t *b) {
  long double x, y;
  bson_t inner_a, inner_b;
  if (number_of(a, &x) && number_of(b, &y)) return !(x < y || x > y);
  if (bson_iter_type(a) == bson_iter_type(b) && mig_bson_iter_doc(a, &inner_a) && mig_bson_iter_doc(b, &inner_b))
    return same_ordered(&inner_a, &inner_b);
  return same_bytes(a, b);
}

static bool same_ordered(const bson_t *a, const bson_t *b) {
  bson_iter_t x, y;
  if (!bson_iter_init(&x, a) || !bson_iter_init(&y, b)) return false;
  for (;;) {
    bool more = bson_iter_next(&x);
    if (more != bson_iter_next(&y)) return false;
    if (!more) return true;
    if (strcmp(bson_iter_key(&x), bson_iter_key(&y)) != 0 || !same_value(&x, &y)) return false;
  }
}

/* Every field of `part` stands in `whole`, in any order. */
static bool within(const bson_t *part, const bson_t *whole) {
  bson_iter_t x, y;
  if (!bson_iter_init(&x, part)) return false;
  while (bson_iter_next(&x))
    if (!bson_iter_init_find(&y, whole, bson_iter_key(&x)) || !same_value(&x, &y)) return false;
  return true;
}

static bool is_one_of(const char *name, const char *const *list) {
  for (; *list; list++)
    if (strcmp(name, *list) == 0) return true;
  return false;
}

static bool is_text(const bson_iter_t *it) {
  return BSON_ITER_HOLDS_UTF8(it) && strcmp(bson_iter_utf8(it, NULL), "text") == 0;
}

bool mig_index_is_text(const bson_t *key) {
  bson_iter_t it;
  if (!bson_iter_init(&it, key)) return false;
  while (bson_iter_next(&it))
    if (is_text(&it)) return true;
  return false;
}

/* {a: 1, b: "text", c: "text"} as a server stores it: {a: 1, _fts: "text", _ftsx: 1}; weights gets b and c. */
static bson_t *stored_key(const bson_t *key, const bson_t *options, bson_t *weights) {
  bson_t *stored = bson_new(), given;
  bson_iter_t it;
  bool first = true, has_given = options && mig_bson_doc(options, "weights", &given);
  if (bson_has_field(key, "_fts") || !mig_index_is_text(key)) {
    bson_concat(stored, key);
    return stored;
  }
  for (bool more = bson_iter_init(&it, key) && bson_iter_next(&it); more; more = bson_iter_next(&it)) {
    if (!is_text(&it)) {
      bson_append_iter(stored, NULL, 0, &it);
      continue;
    }
    if (first) {
      BSON_APPEND_UTF8(stored, "_fts", "text");
      BSON_APPEND_INT32(stored, "_ftsx", 1);
    }
    first = false;
    if (!has_given || !bson_has_field(&given, bson_iter_key(&it))) BSON_APPEND_INT32(weights, bson_iter_key(&it), 1);
  }
  if (has_given) bson_concat(weights, &given);
  return stored;
}

static bool same_names(const bson_t *a, const bson_t *b) {
  bson_iter_t it;
  if (bson_count_keys(a) != bson_count_keys(b) || !bson_iter_init(&it, a)) return false;
  while (bson_iter_next(&it)) {
    bson_iter_t other; /* a weight's name is a path: no descent */
    if (!bson_iter_init_find(&other, b, bson_iter_key(&it))) return false;
  }
  return true;
}

static bool key_and_weights(const bson_t *index, const bson_t *key, const bson_t *options, bool values) {
  bson_t have, have_weights = BSON_INITIALIZER, view, weights = BSON_INITIALIZER;
  /* other makers' servers keep a text key as it was given */
  if (mig_bson_doc(index, "key", &have) && mig_index_is_text(&have) && !bson_has_field(&have, "_fts"))
    return same_ordered(key, &have);
  if (mig_bson_doc(index, "weights", &view)) bson_concat(&have_weights, &view);
  bson_t *stored = stored_key(key, options, &weights);
  bool same = mig_bson_doc(index, "key", &have) && same_ordered(stored, &have);
  if (same && !bson_empty(&weights))
    same = same_names(&weights, &have_weights) && (!values || within(&weights, &have_weights));
  bson_destroy(stored);
  bson_destroy(&weights);
  bson_destroy(&have_weights);
  return same;
}

bool mig_index_key_same(const bson_t *index, const bson_t *key, const bson_t *options) {
  return key_and_weights(index, key, options, false);
}

/* Values that mean the same as leaving the option out. */
static bool is_default(const bson_iter_t *it) {
  const char *name = bson_iter_key(it);
  const char *text = BSON_ITER_HOLDS_UTF8(it) ? bson_iter_utf8(it, NULL) : NULL;
  static const char *const flags[] = {"unique", "sparse", "hidden", "background", "dropDups", NULL};
  if (is_one_of(name, flags)) return !bson_iter_as_bool(it);
  if (strcmp(name, "collation") == 0) {
    bson_t collation;
    const char *locale = "";
    return mig_bson_iter_doc(it, &collation) && mig_bson_str(&collation, "locale", &locale) &&
           strcmp(locale, "simple") == 0;
  }
  if (strcmp(name, "storageEngine") == 0) return true; /* how it is stored; DocumentDB adds one of its own */
  if (strcmp(name, "default_language") == 0) return text && strcmp(text, "english") == 0;
  if (strcmp(name, "language_override") == 0) return text && strcmp(text, "language") == 0;
  return false;
}

static bool same_option(const bson_iter_t *asked, const bson_t *index) {
  static const char *const flags[] = {"unique", "sparse", "hidden", NULL};
  static const char *const any_order[] = {"partialFilterExpression", "wildcardProjection", NULL};
  static const char *const parts[] = {"collation", "weights", NULL}; /* the server adds to what was given */
  bson_iter_t there;
  bson_t a, b;
  const char *name = bson_iter_key(asked);
  if (!bson_iter_init_find(&there, index, name)) return is_default(asked);
  if (is_one_of(name, flags)) return bson_iter_as_bool(asked) == bson_iter_as_bool(&there);
  bool documents = mig_bson_iter_doc(asked, &a) && mig_bson_iter_doc(&there, &b);
  if (documents && is_one_of(name, parts)) return within(&a, &b);
  if (documents && is_one_of(name, any_order)) return bson_count_keys(&a) == bson_count_keys(&b) && within(&a, &b);
  return same_value(asked, &there);
}

/* Not properties of the index that stands there: how it was to be built, what it is called, versions a server chose. */
static const char *const passing[] = {
    "v", "ns", "name", "key", "background", "dropDups", "textIndexVersion", "2dsphereIndexVersion", NULL};

const char *mig_index_option_lacking(const bson_t *index, const bson_t *options) {
  bson_iter_t it;
  if (!bson_iter_init(&it, options)) return NULL;
  while (bson_iter_next(&it))
    if (!is_one_of(bson_iter_key(&it), passing) && !same_option(&it, index)) return bson_iter_key(&it);
  return NULL;
}

/* An option left out means its default, and a server's answer spells those out. */
static bool same_collation(const bson_t *asked, const bson_t *index) {
  static const struct {
    const char *name;
    int64_t value;
  } defaults[] = {{"strength", 3}, {"caseLevel", 0}, {"numericOrdering", 0}};
  bson_t there;
  bson_iter_t it;
  const char *locale = NULL;
  if (asked && mig_bson_str(asked, "locale", &locale) && strcmp(locale, "simple") == 0) asked = NULL;
  bool has = bson_iter_init_find(&it, index, "collation") && !is_default(&it) && mig_bson_iter_doc(&it, &there);
  if (!asked || !has) return !asked && !has;
  for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++) {
    if (bson_has_field(asked, defaults[i].name) || !bson_iter_init_find(&it, &there, defaults[i].name)) continue;
    if (bson_iter_as_int64(&it) != defaults[i].value) return false;
  }
  return within(asked, &there);
}

/* Looks at those of the named options that either side has. NULL: they agree. */
static const char *differing(const bson_t *index, const bson_t *options, const char *const *only,
                             const char *const *except) {
  const bson_t *sides[] = {options, index}, *others[] = {index, options};
  for (int i = 0; i < 2; i++) {
    bson_iter_t it;
    if (!bson_iter_init(&it, sides[i])) continue;
    while (bson_iter_next(&it)) {
      const char *name = bson_iter_key(&it);
      if ((only && !is_one_of(name, only)) || (except && is_one_of(name, except)) || is_one_of(name, passing)) continue;
      if (!same_option(&it, others[i])) return name;
    }
  }
  return NULL;
}

mig_index_match mig_index_compare(const bson_t *index, const mig_index_wish *wish, const char **option) {
  static const char *const signature[] = {"unique", "sparse", "partialFilterExpression", "wildcardProjection", NULL};
  static const char *const seen[] = {
      "unique", "sparse", "partialFilterExpression", "wildcardProjection", "collation", "weights", "hidden", NULL};
  bson_t none = BSON_INITIALIZER;
  const bson_t *options = wish->options ? wish->options : &none;
  mig_index_match match = MIG_INDEX_OTHER_OPTIONS;
  *option = NULL;
  if (!mig_index_key_same(index, wish->key, options)) {
    match = MIG_INDEX_OTHER_KEY;
    *option = "key";
  } else if (!same_collation(wish->collation, index)) {
    match = MIG_INDEX_OTHER_COLLATION;
    *option = "collation";
  } else if ((*option = differing(index, options, signature, NULL))) {
    match = MIG_INDEX_OTHER_SIGNATURE;
  } else if (!key_and_weights(index, wish->key, options, true)) {
    *option = "weights";
  } else {
    *option = differing(index, options, NULL, seen);
  }
  bson_destroy(&none);
  return *option ? match : MIG_INDEX_SAME;
}
