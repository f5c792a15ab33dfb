#include "backup/restore_segment.h"

#include <string.h>

#include "backup/chunk.h"
#include "backup/differences.h"
#include "backup/restore_ranges.h"
#include "base/hash.h"

struct mig_segment_reader {
  mig_buf live; /* documents, one after another; where not all had room, those that were not hashed yet */
  mig_hash *hash;
  uint64_t documents, bytes; /* read, all in all */
  bool all_here;             /* in `live` */
};

bool mig_segment_reader_new(mig_segment_reader **out, mig_error *err) {
  *out = NULL;
  mig_segment_reader *r = mig_alloc(sizeof *r);
  if (!r) return mig_no_memory(err, "live documents");
  r->live = MIG_BUF(MIG_SEGMENT_LIVE_BYTES);
  if (!mig_hash_new(&r->hash, err)) {
    mig_free(r);
    return false;
  }
  *out = r;
  return true;
}

void mig_segment_reader_free(mig_segment_reader *r) {
  if (!r) return;
  mig_buf_free(&r->live);
  mig_hash_free(r->hash);
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

/* The live documents that were read, as a stream. */
typedef struct stream {
  const mig_buf *documents;
  size_t at;
} stream;

static mig_pull stream_next(void *arg, bson_t *doc, mig_error *err) {
  stream *s = arg;
  const uint8_t *data = NULL;
  size_t size = 0;
  bool bad = false;
  if (!mig_chunk_next(s->documents->data, s->documents->size, &s->at, &data, &size, &bad) && !bad) return MIG_PULL_END;
  if (!bad && bson_init_static(doc, data, size)) return MIG_PULL_DOC;
  mig_fail(err, MIG_E_FAILED, "a live document that was read is damaged");
  return MIG_PULL_ERROR;
}

typedef struct keeping {
  mig_buf *kept;
  bool all; /* still */
} keeping;

static bool keep(void *arg, mig_difference what, const bson_t *archive, const bson_t *live, mig_error *err) {
  keeping *k = arg;
  return !k->all || mig_differences_add(k->kept, what, archive, live, &k->all, err);
}

/* The chunk's documents against these. */
static bool compare(const mig_segment_place *at, const mig_buf *documents, keeping *k, mig_compare_result *result,
                    mig_error *err) {
  mig_archive_cursor *archived = NULL;
  stream live = {documents, 0};
  if (!mig_archive_range(at->archive, at->entry, at->number, 1, &archived, err)) return false;
  const mig_compare c = {.archive = {archived, mig_archived_next},
                         .live = {&live, stream_next},
                         .window_bytes = MIG_SEGMENT_KEEP_BYTES,
                         .found = keep,
                         .arg = k};
  const bool ok = mig_compare_run(&c, result, err);
  mig_archive_cursor_close(archived);
  return ok;
}

/* Document by document; what is found is only used where the window was never full. */
static bool compare_here(mig_segment_reader *r, const mig_segment_place *at, mig_segment *out, bool *ascends,
                         mig_error *err) {
  keeping k = {&out->differences, true};
  mig_compare_result result;
  if (!compare(at, &r->live, &k, &result, err)) return false;
  const bool sure = !result.unsettled && !result.judged_early;
  *ascends = result.archive_ascends;
  if (sure && mig_compare_identical(&result))
    out->state = MIG_SEGMENT_SAME; /* in another order: nothing of it can be elsewhere */
  else if (sure && k.all)
    out->state = MIG_SEGMENT_KEPT;
  if (out->state != MIG_SEGMENT_KEPT) mig_buf_free(&out->differences);
  return true;
}

/* Compared with no documents at all, everything is missing and nothing has to wait: what is left is the order. */
static bool chunk_ascends(const mig_segment_place *at, bool *ascends, mig_error *err) {
  const mig_buf none = MIG_BUF(0);
  keeping nothing = {NULL, false};
  mig_compare_result result;
  const bool ok = compare(at, &none, &nothing, &result, err);
  *ascends = ok && result.archive_ascends;
  return ok;
}

bool mig_segment_read(mig_segment_reader *r, mig_work *w, const mig_segment_place *place, mig_segment *out,
                      bool *ordered, mig_error *err) {
  *out = (mig_segment){.state = MIG_SEGMENT_DIFFERS, .differences = MIG_BUF(MIG_SEGMENT_KEEP_BYTES)};
  *ordered = true;
  if (!read_live(r, w, place, err)) return false;
  if (is_the_chunk(r, &place->entry->chunks[place->number])) {
    out->state = MIG_SEGMENT_SAME;
    return true;
  }
  if (!r->documents) out->state = MIG_SEGMENT_EMPTY;
  bool ascends = false; /* false may also mean that not all of it was compared */
  if (r->documents && r->all_here && !compare_here(r, place, out, &ascends, err)) return false;
  if (out->state == MIG_SEGMENT_SAME || ascends) return true;
  return chunk_ascends(place, ordered, err);
}
