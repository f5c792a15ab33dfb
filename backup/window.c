#include "backup/window.h"

#include <string.h>

#define BUCKETS 32768u /* a full window holds some 100,000 small documents */

static uint64_t hash_of(const bson_t *doc) {
  mig_doc_id id;
  mig_doc_id_of(doc, &id);
  return mig_doc_id_hash(&id);
}

bool mig_waiting_doc(const mig_waiting *entry, bson_t *view) {
  return bson_init_static(view, entry->data, entry->size);
}

bool mig_window_add(mig_window *w, const bson_t *doc, uint64_t place, mig_error *err) {
  if (!w->buckets) w->buckets = mig_alloc(BUCKETS * sizeof(mig_waiting *));
  mig_waiting *entry = w->buckets ? mig_alloc(sizeof *entry + doc->len) : NULL;
  if (!entry) return mig_no_memory(err, "the comparison window");
  memcpy(entry->data, bson_get_data(doc), doc->len);
  entry->size = doc->len;
  entry->place = place;
  entry->hash = hash_of(doc);
  mig_waiting **bucket = &w->buckets[entry->hash % BUCKETS];
  entry->chain = *bucket;
  *bucket = entry;
  entry->before = w->last;
  if (w->last)
    w->last->after = entry;
  else
    w->first = entry;
  w->last = entry;
  w->bytes += sizeof *entry + entry->size;
  return true;
}

mig_waiting *mig_window_find(const mig_window *w, const bson_t *doc) {
  if (!w->first) return NULL;
  mig_doc_id id, other;
  bson_t view;
  mig_doc_id_of(doc, &id);
  const uint64_t hash = mig_doc_id_hash(&id);
  for (mig_waiting *e = w->buckets[hash % BUCKETS]; e; e = e->chain) {
    if (e->hash != hash || !mig_waiting_doc(e, &view)) continue;
    mig_doc_id_of(&view, &other);
    if (mig_doc_id_same(&id, &other)) return e;
  }
  return NULL;
}

void mig_window_remove(mig_window *w, mig_waiting *entry) {
  mig_waiting **link = &w->buckets[entry->hash % BUCKETS];
  while (*link != entry) link = &(*link)->chain;
  *link = entry->chain;
  if (entry->before)
    entry->before->after = entry->after;
  else
    w->first = entry->after;
  if (entry->after)
    entry->after->before = entry->before;
  else
    w->last = entry->before;
  w->bytes -= sizeof *entry + entry->size;
  mig_free(entry);
}

void mig_window_clear(mig_window *w) {
  while (w->first) mig_window_remove(w, w->first);
  mig_free(w->buckets);
  *w = (mig_window){NULL, NULL, NULL, 0};
}
