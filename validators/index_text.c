/* Indexes in guards' arguments and in messages. Comparing them is index_spec.c. */
#include <stdio.h>
#include <string.h>

#include "validators/index_spec.h"
#include "validators/query.h"

const mig_arg mig_index_args[] = {
    {"collection", MIG_ARG_COLLECTION, true, "whose indexes are looked at"},
    {"name", MIG_ARG_STRING, false, "the index's name; instead of key"},
    {"key", MIG_ARG_KEY, false, "the index's key; instead of name"},
    {"options", MIG_ARG_DOCUMENT, false, "options that it has; it may have more"},
    {0},
};

bool mig_index_args_check(const bson_t *args, mig_error *err) {
  bool name = bson_has_field(args, "name"), key = bson_has_field(args, "key");
  if (name && key) return mig_guard_bad(err, "key", "give \"name\" or \"key\", not both");
  return name || key || mig_guard_bad(err, NULL, "give \"name\" or \"key\": which index is meant");
}

bool mig_index_asked_for(const bson_t *indexes, const bson_t *args, bson_t *found, const char **option) {
  const char *name = NULL, *there = NULL, *lacking = NULL;
  bson_t key, options, index;
  bson_iter_t it;
  bool by_name = mig_bson_str(args, "name", &name);
  bool has_options = mig_bson_doc(args, "options", &options);
  *option = NULL;
  if ((!by_name && !mig_bson_doc(args, "key", &key)) || !bson_iter_init(&it, indexes)) return false;
  while (bson_iter_next(&it)) {
    if (!mig_bson_iter_doc(&it, &index)) continue;
    if (by_name ? !mig_bson_str(&index, "name", &there) || strcmp(there, name) != 0
                : !mig_index_key_same(&index, &key, has_options ? &options : NULL))
      continue;
    lacking = has_options ? mig_index_option_lacking(&index, &options) : NULL;
    if (lacking && *option) continue; /* the first one is shown */
    if (!bson_init_static(found, bson_get_data(&index), index.len)) continue;
    if (!lacking) {
      *option = NULL;
      return true;
    }
    *option = lacking;
  }
  return false;
}

static size_t add(char *text, size_t size, size_t used, const char *part) {
  int n = used < size ? snprintf(text + used, size - used, "%s", part) : 0;
  return used + (n > 0 ? (size_t)n : 0);
}

void mig_index_default_name(const bson_t *key, char *text, size_t size) {
  bson_iter_t it;
  size_t used = 0;
  *text = 0;
  if (!bson_iter_init(&it, key)) return;
  while (bson_iter_next(&it)) {
    char value[64];
    int64_t n = 0;
    if (BSON_ITER_HOLDS_UTF8(&it))
      snprintf(value, sizeof value, "_%.60s", bson_iter_utf8(&it, NULL));
    else if (mig_bson_int(key, bson_iter_key(&it), &n))
      snprintf(value, sizeof value, "_%lld", (long long)n);
    else
      snprintf(value, sizeof value, "_%lld", (long long)bson_iter_as_int64(&it));
    used = add(text, size, used, used ? "_" : "");
    used = add(text, size, used, bson_iter_key(&it));
    used = add(text, size, used, value);
  }
  if (strcmp(text, "_id_1") == 0) snprintf(text, size, "_id_");
}

void mig_index_describe(const bson_t *index, char *text, size_t size) {
  const char *name = "(without a name)";
  char json[200] = "{}";
  bson_t key;
  mig_bson_str(index, "name", &name);
  if (mig_bson_doc(index, "key", &key)) mig_guard_json(&key, json, sizeof json);
  snprintf(text, size, "%s %s", name, json);
}

void mig_index_names(const bson_t *indexes, char *text, size_t size) {
  bson_iter_t it;
  bson_t index;
  size_t used = 0, shown = 0;
  uint32_t count = bson_count_keys(indexes);
  if (!count) snprintf(text, size, "it has none");
  if (!count || !bson_iter_init(&it, indexes)) return;
  while (bson_iter_next(&it) && used + 160 < size) {
    const char *name = NULL;
    char part[128];
    if (!mig_bson_iter_doc(&it, &index) || !mig_bson_str(&index, "name", &name)) continue;
    snprintf(part, sizeof part, "%s%.100s", shown ? ", " : "it has ", name);
    used = add(text, size, used, part);
    shown++;
  }
  char more[32];
  snprintf(more, sizeof more, " and %zu more", (size_t)count - shown);
  if (shown < count) add(text, size, used, more);
}

void mig_index_asked(const bson_t *args, char *text, size_t size) {
  const char *name = "";
  bson_t key;
  if (mig_bson_str(args, "name", &name))
    snprintf(text, size, "%s", name);
  else if (mig_bson_doc(args, "key", &key))
    mig_guard_json(&key, text, size);
  else
    snprintf(text, size, "?");
}

void mig_index_option(const bson_t *index_or_options, const char *option, char *text, size_t size) {
  bson_iter_t it;
  if (index_or_options && bson_iter_init_find(&it, index_or_options, option))
    mig_guard_value(&it, text, size);
  else
    snprintf(text, size, "not set");
}
