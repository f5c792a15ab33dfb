#include "backup/restore_segment.h"

#include <string.h>

#include "backup/chunk.h"
#include "backup/differences.h"
#include "backup/restore_ranges.h"
#include "base/hash.h"

struct mig_segment_reader {
  mig_buf live; /* documents, one after another; where not all had room, those that were not hashed yet */
  mig_hash *hash;
  mig_chunk_reader *chunk;
  uint64_t documents, bytes; /* read, all in all */
  bool all_here;             /* in `live` */
};

bool mig_segment_reader_new(mig_segment_reader **out, mig_error *err) {
  *out = NULL;
  mig_segment_reader *r = mig_alloc(sizeof *r);
  if (!r) return mig_no_memory(err, "live documents");
  r->live = MIG_BUF(MIG_SEGMENT_LIVE_BYTES);
  if (!mig_hash_new(&r->hash, err) || !mig_chunk_reader_new(&r->chunk, err)) {
    mig_segment_reader_free(r);
    return false;
  }
  *out = r;
  return true;
}

void mig_segment_reader_free(mig_segment_reader *r) {
  if (!r) return;
  mig_buf_free(&r->live);
  mig_hash_free(r->hash);
  mig_chunk_reader_free(r->chunk);
  mig_free(r);
}

static void begin(mig_segment_reader *r) {
  char unused[MIG_SHA256_HEX];
  mig_hash_hex(r->hash, unused); /* one that was given up may have left something in it */
  mig_buf_clear(&r->live);
  r->documents = r->bytes = 0;
  r->all_here = true;
}

/* *enough: no room any more, and there is more than the chunk has already. */
static bool take(mig_segment_reader *r, const mig_chunk *k, const bson_t *doc, bool *enough, mig_error *err) {
  r->documents++;
  r->bytes += doc->len;
  if (doc->len <= MIG_SEGMENT_LIVE_BYTES - r->live.size)
    return mig_buf_add(&r->live, bson_get_data(doc), doc->len, err);
  r->all_here = false;
  *enough = r->bytes > k->raw_bytes;
  mig_hash_add(r->hash, r->live.data, r->live.size);
  mig_buf_clear(&r->live);
  if (doc->len <= MIG_SEGMENT_LIVE_BYTES) return mig_buf_add(&r->live, bson_get_data(doc), doc->len, err);
  mig_hash_add(r->hash, bson_get_data(doc), doc->len);
  return true;
}

static bool read_live(mig_segment_reader *r, mig_work *w, const mig_segment_place *at, mig_error *err) {
  const mig_range range = mig_segments_range(at->entry, at->number, at->number + 1);
  mig_live_source live = {.total = at->entry->documents, .total_bytes = (int64_t)at->entry->raw_bytes, .range = &range};
  bson_t doc;
  mig_pull pulled = MIG_PULL_END;
  bool enough = false;
  begin(r);
  bool ok = mig_live_open(&live, w, at->collection, false, err);
  while (ok && !enough && (pulled = mig_live_next(&live, &doc, err)) == MIG_PULL_DOC)
    ok = take(r, &at->entry->chunks[at->number], &doc, &enough, err);
  mig_live_close(&live);
  return ok && pulled != MIG_PULL_ERROR;
}

static bool is_the_chunk(mig_segment_reader *r, const mig_chunk *k) {
  char sum[MIG_SHA256_HEX];
  if (r->documents != k->documents || r->bytes != k->raw_bytes) return false;
  mig_hash_add(r->hash, r->live.data, r->live.size);
  mig_hash_hex(r->hash, sum);
  return strcmp(sum, k->raw_sha256) == 0;
}

/* Documents one after another in memory. */
typedef struct side {
  const mig_buf *documents;
  size_t at;
  bson_t now;
  bool there;   /* `now` is one */
  bool ascends; /* so far, in an order that we know */
  mig_doc_id id;
} side;

static bool advance(side *s, mig_error *err) {
  const mig_doc_id before = s->id;
  const uint8_t *data = NULL;
  size_t size = 0;
  int order = 0;
  bool bad = false;
  s->there = mig_chunk_next(s->documents->data, s->documents->size, &s->at, &data, &size, &bad);
  if (bad || (s->there && !bson_init_static(&s->now, data, size)))
    return mig_fail(err, MIG_E_FAILED, "a document that was read is damaged");
  if (!s->there) return true;
  mig_doc_id_of(&s->now, &s->id);
  s->ascends = s->ascends && s->id.data && (!before.data || (mig_doc_id_order(&before, &s->id, &order) && order < 0));
  return true;
}

typedef struct keeping {
  mig_buf *kept;
  bool all; /* still */
} keeping;

static bool keep(keeping *k, mig_difference what, const side *archive, const side *live, mig_error *err) {
  if (!k->all) return true;
  return mig_differences_add(k->kept, what, archive ? &archive->now : NULL, live ? &live->now : NULL, &k->all, err);
}

/* Where both have a document, and not the same bytes. *known false: nobody knows here which of them comes first. */
static bool merge_two(side *archive, side *live, keeping *k, bool *known, mig_error *err) {
  int order = 0;
  *known = mig_doc_id_order(&archive->id, &live->id, &order);
  if (!*known) return true;
  if (order < 0) return keep(k, MIG_DIFF_MISSING, archive, NULL, err) && advance(archive, err);
  if (order > 0) return keep(k, MIG_DIFF_EXTRA, NULL, live, err) && advance(live, err);
  const bool changed = mig_doc_id_same(&archive->id, &live->id); /* else 1 and 1.0: two, though one for the server */
  return (changed ? keep(k, MIG_DIFF_CHANGED, archive, live, err)
                  : keep(k, MIG_DIFF_EXTRA, NULL, live, err) && keep(k, MIG_DIFF_MISSING, archive, NULL, err)) &&
         advance(archive, err) && advance(live, err);
}

/* What it finds is right where both sides ascended to their ends. The archive's is always read to its end. */
static bool merge(side *archive, side *live, keeping *k, mig_error *err) {
  bool known = true;
  bool ok = advance(archive, err) && advance(live, err);
  while (ok && known && archive->there && live->there)
    ok = mig_bson_same(&archive->now, &live->now) ? advance(archive, err) && advance(live, err)
                                                  : merge_two(archive, live, k, &known, err);
  if (!known) k->all = false;
  while (ok && archive->there) ok = keep(k, MIG_DIFF_MISSING, archive, NULL, err) && advance(archive, err);
  while (ok && known && live->there) ok = keep(k, MIG_DIFF_EXTRA, NULL, live, err) && advance(live, err);
  return ok;
}

/* Document by document: from here on the chunk is in memory, too. */
static bool compare(mig_segment_reader *r, const mig_segment_place *at, mig_segment *out, bool *ordered,
                    mig_error *err) {
  const mig_buf none = MIG_BUF(0);
  const bool here = r->all_here && r->documents > 0; /* else it is only about the order of the chunk */
  side archive = {.documents = &r->chunk->raw, .ascends = true};
  side live = {.documents = here ? &r->live : &none, .ascends = true};
  keeping k = {&out->differences, here};
  bool ok = mig_archive_chunk(at->archive, at->entry, at->number, r->chunk, err);
  mig_buf_free(&r->chunk->stored);
  ok = ok && merge(&archive, &live, &k, err);
  *ordered = archive.ascends;
  const bool kept = ok && k.all && archive.ascends && live.ascends;
  if (kept) ok = mig_differences_pack(&out->differences, err);
  if (kept && ok)
    out->state = MIG_SEGMENT_KEPT;
  else
    mig_buf_free(&out->differences);
  mig_chunk_reader_rest(r->chunk);
  return ok;
}

bool mig_segment_read(mig_segment_reader *r, mig_work *w, const mig_segment_place *place, mig_segment *out,
                      bool *ordered, mig_error *err) {
  *out = (mig_segment){.state = MIG_SEGMENT_DIFFERS, .differences = MIG_BUF(MIG_DIFFERENCES_BYTES)};
  *ordered = true;
  if (!read_live(r, w, place, err)) return false;
  if (is_the_chunk(r, &place->entry->chunks[place->number])) {
    out->state = MIG_SEGMENT_SAME;
    return true;
  }
  if (!r->documents) out->state = MIG_SEGMENT_EMPTY;
  return compare(r, place, out, ordered, err);
}
