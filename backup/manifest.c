/* The model: memory, members in order, totals and the digest. */
#include "backup/manifest.h"

#include <stdlib.h>
#include <string.h>

#include "backup/manifest_internal.h"
#include "base/clock.h"
#include "base/names.h"
#include "base/version.h"

const char *mig_holds_name(mig_holds holds) {
  return holds == MIG_HOLDS_DOCUMENTS ? "documents" : holds == MIG_HOLDS_METADATA ? "metadata" : "absent";
}

mig_manifest *mig_manifest_new(const char *id, const char *reason, const char *database) {
  mig_manifest *m = mig_alloc(sizeof *m);
  if (!m) return NULL;
  m->id = mig_strdup(id);
  m->tool = mig_strdup("mig " MIG_VERSION);
  m->reason = mig_strdup(reason);
  m->database = mig_strdup(database);
  m->created_unix_ms = mig_now_unix_ms();
  if (m->id && m->tool && m->reason && m->database) return m;
  mig_manifest_free(m);
  return NULL;
}

static void free_bson(bson_t *doc) {
  if (doc) bson_destroy(doc);
}

static void free_collection(mig_collection_entry *c) {
  for (size_t i = 0; i < c->chunk_count; i++) {
    mig_free(c->chunks[i].member);
    free_bson(c->chunks[i].first);
    free_bson(c->chunks[i].last);
  }
  mig_free(c->chunks);
  mig_free(c->metadata_member);
  free_bson(c->indexes);
  free_bson(c->info);
  mig_free(c->type);
  mig_free(c->name);
}

void mig_manifest_free(mig_manifest *m) {
  if (!m) return;
  for (size_t i = 0; i < m->collection_count; i++) free_collection(&m->collections[i]);
  mig_free(m->collections);
  char *texts[] = {m->id,        m->tool,           m->reason,         m->database, m->migration,
                   m->direction, m->server_version, m->server_product, m->topology, m->consistency};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) mig_free(texts[i]);
  mig_free(m);
}

const mig_collection_entry *mig_manifest_find(const mig_manifest *m, const char *collection) {
  for (size_t i = 0; i < m->collection_count; i++)
    if (strcmp(m->collections[i].name, collection) == 0) return &m->collections[i];
  return NULL;
}

const mig_collection_entry *mig_manifest_named(const mig_manifest *m, const char *name) {
  const mig_collection_entry *e = mig_manifest_find(m, name);
  const char *inside = e ? NULL : mig_name_inside(m->database, name);
  return inside ? mig_manifest_find(m, inside) : e;
}

bool mig_member_next(const mig_manifest *m, mig_member_walk *walk, mig_member *out) {
  if (!walk->after_header) {
    walk->after_header = true;
    *out = (mig_member){
        .name = MIG_HEADER_MEMBER, .offset = m->header_offset, .bytes = m->header_bytes, .sha256 = m->header_sha256};
    return true;
  }
  while (walk->collection < m->collection_count && m->collections[walk->collection].holds == MIG_HOLDS_ABSENT)
    walk->collection++;
  if (walk->collection >= m->collection_count) return false;
  const mig_collection_entry *c = &m->collections[walk->collection];
  if (walk->chunk < c->chunk_count) {
    const mig_chunk *k = &c->chunks[walk->chunk++];
    *out = (mig_member){k->member, k->offset, k->stored_bytes, k->sha256, c, k};
  } else {
    walk->collection++;
    walk->chunk = 0;
    *out = (mig_member){c->metadata_member, c->metadata_offset, c->metadata_bytes, c->metadata_sha256, c, NULL};
  }
  return true;
}

static char *member_name(const char *database, const char *collection, const char *last) {
  char *db = mig_name_encode(database), *coll = mig_name_encode(collection);
  char *name = db && coll ? mig_strdup_printf("%s/%s/%s", db, coll, last) : NULL;
  mig_free(coll);
  mig_free(db);
  return name;
}

char *mig_member_of_chunk(const mig_manifest *m, const char *collection, size_t number) {
  char *last = mig_strdup_printf("%06zu.bson.zst%s", number, m->encryption.used ? ".aes" : "");
  char *name = last ? member_name(m->database, collection, last) : NULL;
  mig_free(last);
  return name;
}

char *mig_member_of_metadata(const char *database, const char *collection) {
  return member_name(database, collection, "metadata.json");
}

bson_t *mig_bson_id(const uint8_t *document, size_t size) {
  bson_t doc;
  bson_iter_t it;
  if (!bson_init_static(&doc, document, size)) return NULL;
  if (!bson_iter_init_find(&it, &doc, "_id")) return bson_new();
  /* The element is copied as bytes: appending through libbson would normalise what it reads. */
  size_t start = bson_iter_offset(&it);
  size_t end = bson_iter_next(&it) ? bson_iter_offset(&it) : size - 1;
  if (start < 4 || end <= start || end >= size) return NULL;
  size_t element = end - start;
  uint8_t *bytes = mig_alloc(element + 5);
  if (!bytes) return NULL;
  uint32_t length = BSON_UINT32_TO_LE((uint32_t)(element + 5));
  memcpy(bytes, &length, 4);
  memcpy(bytes + 4, document + start, element);
  bson_t *id = bson_new_from_data(bytes, element + 5);
  mig_free(bytes);
  return id;
}
