#include "migrations/steps/leaf.h"

#include <stdio.h>
#include <string.h>

typedef struct walk {
  mig_leaf_fn fn;
  void *arg;
  mig_error *err;
  char path[MIG_LEAF_PATH]; /* of the value that is looked at */
} walk;

static bool push(walk *w, size_t used, const char *part, size_t size) {
  int n = snprintf(w->path + used, sizeof w->path - used, "%s%.*s", used ? "." : "", (int)size, part);
  if (n >= 0 && (size_t)n < sizeof w->path - used) return true;
  w->path[used] = 0;
  return mig_fail(w->err, MIG_E_UNSUPPORTED, "the path %.100s... is longer than %d bytes", w->path, MIG_LEAF_PATH);
}

static bool below(walk *w, const bson_iter_t *at, const char *rest);

static bool each_element(walk *w, const bson_iter_t *at, const char *rest) {
  size_t used = strlen(w->path);
  bson_t list;
  bson_iter_t it;
  bool ok = true;
  if (!mig_bson_iter_doc(at, &list) || !bson_iter_init(&it, &list)) return true;
  while (ok && bson_iter_next(&it)) {
    const char *index = bson_iter_key(&it);
    ok = push(w, used, index, strlen(index)) && (rest ? below(w, &it, rest) : w->fn(w->arg, w->path, &it, w->err));
    w->path[used] = 0;
  }
  return ok;
}

/* rest: the parts of the path that are still to go; NULL at its end. */
static bool below(walk *w, const bson_iter_t *at, const char *rest) {
  size_t used = strlen(w->path);
  bson_t doc;
  bson_iter_t it;
  if (BSON_ITER_HOLDS_ARRAY(at)) return each_element(w, at, rest);
  if (!rest) return w->fn(w->arg, w->path, at, w->err);
  if (!BSON_ITER_HOLDS_DOCUMENT(at) || !mig_bson_iter_doc(at, &doc) || !bson_iter_init(&it, &doc)) return true;
  size_t size = strcspn(rest, ".");
  if (!bson_iter_find_w_len(&it, rest, (int)size)) return true;
  bool ok = push(w, used, rest, size) && below(w, &it, rest[size] ? rest + size + 1 : NULL);
  w->path[used] = 0;
  return ok;
}

bool mig_leaves(const bson_t *doc, const char *path, mig_leaf_fn fn, void *arg, mig_error *err) {
  walk w = {.fn = fn, .arg = arg, .err = err};
  size_t size = strcspn(path, ".");
  bson_iter_t it;
  if (!bson_iter_init(&it, doc) || !bson_iter_find_w_len(&it, path, (int)size)) return true;
  return push(&w, 0, path, size) && below(&w, &it, path[size] ? path + size + 1 : NULL);
}
