/* Where things stand: walks the text that json_source.c has checked and rewritten. */
#include "base/json_place.h"

#include <stdio.h>
#include <string.h>

#include "base/json_scan.h"

mig_place mig_place_at(const mig_buf *text, size_t offset, mig_place_mark *mark) {
  mig_place_mark from_start = {0, {1, 1}};
  mig_place_mark *m = mark ? mark : &from_start;
  for (; m->offset < offset && m->offset < text->size; m->offset++) {
    unsigned char c = text->data[m->offset];
    if (c == '\n') {
      m->place.line++;
      m->place.column = 1;
    } else if ((c & 0xC0) != 0x80) { /* not inside a character */
      m->place.column++;
    }
  }
  return m->place;
}

/* What is left of the path when it begins with this key; NULL when it does not. Keys may hold dots themselves. */
static const char *rest_after(const char *path, const mig_span *key) {
  char first = key->size && key->at[0] == MIG_SCAN_MARK ? '$' : key->size ? key->at[0] : 0;
  if (!key->size || strncmp(path + 1, key->at + 1, key->size - 1) != 0 || path[0] != first) return NULL;
  const char *rest = path + key->size;
  return *rest == '.' ? rest + 1 : *rest == 0 ? rest : NULL;
}

static const char *rest_after_index(const char *path, size_t index) {
  char text[24];
  int n = snprintf(text, sizeof text, "%zu", index);
  mig_span key = {text, (size_t)n};
  return rest_after(path, &key);
}

/* pos is at a value. Remembers in *best the offset of the longest match (least of the path left). */
static void find_in(mig_scan *scan, const char *path, size_t *best, size_t *left) {
  char open = scan->pos < scan->size ? scan->text[scan->pos] : 0;
  bool first = true;
  mig_span key;
  if (open != '{' && open != '[') return;
  for (size_t i = 0; mig_scan_next(scan, open, &first, &key) == MIG_SCAN_MEMBER; i++) {
    const char *rest = open == '{' ? rest_after(path, &key) : rest_after_index(path, i);
    size_t here = open == '{' ? (size_t)(key.at - scan->text) - 1 : scan->pos;
    if (rest && strlen(rest) < *left) {
      *left = strlen(rest);
      *best = here;
    }
    if (rest && *rest) {
      mig_scan inner = *scan;
      find_in(&inner, rest, best, left);
    }
    if (*left == 0 || !mig_scan_value(scan, NULL, 1)) return;
  }
}

mig_place mig_source_find(const mig_source *s, const char *json_path) {
  mig_scan scan = {.text = (char *)s->text.data, .size = s->text.size};
  mig_scan_space(&scan);
  size_t best = scan.pos, left = SIZE_MAX;
  if (*json_path) find_in(&scan, json_path, &best, &left);
  return mig_place_at(&s->text, best, NULL);
}

/* Moves to the value under a key of the root. */
static bool enter(mig_scan *scan, const char *name) {
  bool first = true;
  mig_span key;
  mig_scan_space(scan);
  while (mig_scan_next(scan, '{', &first, &key) == MIG_SCAN_MEMBER) {
    if (key.size == strlen(name) && memcmp(key.at, name, key.size) == 0) return true;
    if (!mig_scan_value(scan, NULL, 1)) return false;
  }
  return false;
}

void mig_source_items(const mig_source *s, const char *key, size_t count, mig_place *places) {
  mig_scan scan = {.text = (char *)s->text.data, .size = s->text.size};
  mig_place_mark mark = {0, {1, 1}};
  bool first = true;
  mig_span none;
  for (size_t i = 0; i < count; i++) places[i] = mark.place;
  if (!enter(&scan, key) || scan.text[scan.pos] != '[') return;
  for (size_t i = 0; i < count && mig_scan_next(&scan, '[', &first, &none) == MIG_SCAN_MEMBER; i++) {
    mig_scan inner = scan;
    bool inner_first = true;
    size_t at = scan.pos;
    if (scan.text[at] == '{' && mig_scan_next(&inner, '{', &inner_first, &none) == MIG_SCAN_MEMBER)
      at = (size_t)(none.at - scan.text) - 1;
    places[i] = mig_place_at(&s->text, at, &mark);
    if (!mig_scan_value(&scan, NULL, 1)) return;
  }
}
