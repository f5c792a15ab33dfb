/* Totals, and the digest that says whether two snapshots hold the same data, however it was cut and packed. */
#include <stdlib.h>
#include <string.h>

#include "backup/manifest_internal.h"
#include "base/names.h"

/* The listCollections entry without info.uuid: a restored collection may have got another one. */
static bson_t *without_uuid(const bson_t *info) {
  static const char *const uuid[] = {"uuid", NULL};
  bson_t *out = bson_new(), inner;
  bson_iter_t it;
  if (!bson_iter_init(&it, info)) return out;
  while (bson_iter_next(&it)) {
    if (strcmp(bson_iter_key(&it), "info") == 0 && BSON_ITER_HOLDS_DOCUMENT(&it) && mig_bson_iter_doc(&it, &inner)) {
      bson_t *kept = mig_bson_without(&inner, uuid);
      BSON_APPEND_DOCUMENT(out, "info", kept);
      bson_destroy(kept);
    } else {
      bson_append_iter(out, NULL, 0, &it);
    }
  }
  return out;
}

typedef struct index_ref {
  const char *name;
  const uint8_t *data;
  uint32_t size;
} index_ref;

static int by_name_then_bytes(const void *a, const void *b) {
  const index_ref *x = a, *y = b;
  int order = strcmp(x->name, y->name);
  if (order) return order;
  if (x->size != y->size) return x->size < y->size ? -1 : 1;
  return memcmp(x->data, y->data, x->size);
}

/* A rebuilt index moves to the end of the server's list, so the specs are summed in the order of their names. */
static bool add_indexes(mig_hash *h, const bson_t *indexes, mig_error *err) {
  size_t count = bson_count_keys(indexes), n = 0;
  index_ref *refs = mig_alloc((count + 1) * sizeof *refs);
  bson_iter_t it;
  if (!refs) return mig_no_memory(err, "indexes");
  if (bson_iter_init(&it, indexes)) {
    while (n < count && bson_iter_next(&it)) {
      bson_t spec;
      if (!BSON_ITER_HOLDS_DOCUMENT(&it)) continue;
      bson_iter_document(&it, &refs[n].size, &refs[n].data);
      refs[n].name = "";
      if (bson_init_static(&spec, refs[n].data, refs[n].size)) mig_bson_str(&spec, "name", &refs[n].name);
      n++;
    }
  }
  if (n) qsort(refs, n, sizeof *refs, by_name_then_bytes);
  for (size_t i = 0; i < n; i++) mig_hash_add(h, refs[i].data, refs[i].size);
  mig_free(refs);
  return true;
}

static bool add_line(const mig_collection_entry *c, mig_hash *part, mig_buf *line, mig_error *err) {
  char info_sum[MIG_SHA256_HEX] = "-", index_sum[MIG_SHA256_HEX] = "-";
  if (c->info) {
    bson_t *info = without_uuid(c->info);
    mig_hash_add(part, bson_get_data(info), info->len);
    bson_destroy(info);
    mig_hash_hex(part, info_sum);
  }
  if (c->indexes) {
    if (!add_indexes(part, c->indexes, err)) return false;
    mig_hash_hex(part, index_sum);
  }
  char *name = mig_name_encode(c->name);
  if (!name) return mig_no_memory(err, "name");
  mig_buf_clear(line);
  bool ok = mig_buf_printf(line, err, "%s %s %llu %llu %s %s %s\n", name, mig_holds_name(c->holds),
                           (unsigned long long)c->documents, (unsigned long long)c->raw_bytes,
                           c->sha256[0] ? c->sha256 : "-", info_sum, index_sum);
  mig_free(name);
  return ok;
}

static int by_collection_name(const void *a, const void *b) {
  const mig_collection_entry *const *x = a, *const *y = b;
  return strcmp((*x)->name, (*y)->name);
}

static bool digest_of(const mig_manifest *m, char digest[static MIG_SHA256_HEX], mig_error *err) {
  static const char title[] = "mig-digest 1\n";
  mig_hash *whole = NULL, *part = NULL;
  mig_buf line = MIG_BUF(4096);
  bool ok = false;
  const mig_collection_entry **sorted = mig_alloc((m->collection_count + 1) * sizeof *sorted);
  if (!sorted) {
    mig_no_memory(err, "digest");
    goto done;
  }
  if (!mig_hash_new(&whole, err) || !mig_hash_new(&part, err)) goto done;
  for (size_t i = 0; i < m->collection_count; i++) sorted[i] = &m->collections[i];
  if (m->collection_count) qsort(sorted, m->collection_count, sizeof *sorted, by_collection_name);
  mig_hash_add(whole, title, sizeof title - 1);
  for (size_t i = 0; i < m->collection_count; i++) {
    if (!add_line(sorted[i], part, &line, err)) goto done;
    mig_hash_add(whole, line.data, line.size);
  }
  mig_hash_hex(whole, digest);
  ok = true;
done:
  mig_buf_free(&line);
  mig_hash_free(part);
  mig_hash_free(whole);
  mig_free(sorted);
  return ok;
}

bool mig_manifest_seal(mig_manifest *m, mig_error *err) {
  m->documents = m->raw_bytes = 0;
  for (size_t i = 0; i < m->collection_count; i++) {
    m->documents += m->collections[i].documents;
    m->raw_bytes += m->collections[i].raw_bytes;
  }
  return digest_of(m, m->digest, err);
}

bool mig_manifest_check_totals(const mig_manifest *m, mig_error *err) {
  uint64_t documents = 0, raw_bytes = 0;
  char digest[MIG_SHA256_HEX];
  for (size_t i = 0; i < m->collection_count; i++) {
    documents += m->collections[i].documents;
    raw_bytes += m->collections[i].raw_bytes;
  }
  if (documents != m->documents || raw_bytes != m->raw_bytes)
    return mig_fail(err, MIG_E_ARCHIVE, "the manifest's totals are not the sum of its collections");
  if (!digest_of(m, digest, err)) return false;
  if (strcmp(digest, m->digest) != 0) return mig_fail(err, MIG_E_ARCHIVE, "the manifest's total digest is wrong");
  return true;
}
