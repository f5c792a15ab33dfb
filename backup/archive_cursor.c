/*
 * Reading documents out of a verified archive; each chunk is checked again as it is loaded. A thread loads the next
 * chunks while the caller is at this one.
 */
#include "backup/archive_internal.h"
#include "backup/chunk.h"
#include "backup/pipeline.h"

#define AHEAD 3u /* chunks: the one in use, one ready, one loading */

typedef struct loading {
  const mig_chunk *chunk;
  mig_chunk_reader *reader;
} loading;

struct mig_archive_cursor {
  const mig_archive *a;
  const mig_collection_entry *entry;
  mig_pipeline *pipeline; /* NULL where a single chunk is to be read: that one needs no thread */
  loading alone, *now;
  size_t next_chunk, end; /* of the chunks */
  size_t at;
};

static bool not_verified(const mig_archive *a, mig_error *err) {
  return mig_fail(err, MIG_E_ARCHIVE, "%s has not been verified yet", a->path);
}

static bool load_into(mig_chunk_reader *reader, const mig_archive *a, const mig_chunk *chunk, mig_error *err) {
  reader->loaded_before = true; /* by verify(), or nobody would come here */
  reader->crypt = a->crypt;
  return mig_chunk_load(reader, a->file, chunk, err);
}

static bool load(void *arg, unsigned worker, void *item, mig_error *err) {
  const mig_archive_cursor *c = arg;
  loading *l = item;
  (void)worker;
  if (!l->reader && !mig_chunk_reader_new(&l->reader, err)) return false;
  return load_into(l->reader, c->a, l->chunk, err);
}

static void clear(void *item) {
  mig_chunk_reader_free(((loading *)item)->reader);
}

bool mig_archive_chunk(const mig_archive *a, const mig_collection_entry *entry, size_t number,
                       struct mig_chunk_reader *reader, mig_error *err) {
  if (!a->verified) return not_verified(a, err);
  return load_into(reader, a, &entry->chunks[number], err);
}

bool mig_archive_documents(mig_archive *a, const mig_collection_entry *entry, size_t from_chunk,
                           mig_archive_cursor **out, mig_error *err) {
  return mig_archive_range(a, entry, from_chunk, SIZE_MAX, out, err);
}

bool mig_archive_range(const mig_archive *a, const mig_collection_entry *entry, size_t from_chunk, size_t count,
                       mig_archive_cursor **out, mig_error *err) {
  *out = NULL;
  if (!a->verified) return not_verified(a, err);
  mig_archive_cursor *c = mig_alloc(sizeof *c);
  if (!c) return mig_no_memory(err, "cursor");
  c->a = a;
  c->entry = entry;
  c->next_chunk = from_chunk;
  c->end = entry->chunk_count;
  if (from_chunk < c->end && count < c->end - from_chunk) c->end = from_chunk + count;
  const mig_pipeline_options o = {.workers = 1,
                                  .slots = AHEAD,
                                  .budget_bytes = MIG_ARCHIVE_READ_BYTES,
                                  .item_size = sizeof(loading),
                                  .work = load,
                                  .clear = clear,
                                  .arg = c};
  if (from_chunk + 1 < c->end && !mig_pipeline_open(&o, &c->pipeline, err)) {
    mig_free(c);
    return false;
  }
  *out = c;
  return true;
}

static void load_ahead(mig_archive_cursor *c) {
  loading *l = NULL;
  while (c->next_chunk < c->end && (l = mig_pipeline_try_take(c->pipeline))) {
    l->chunk = &c->entry->chunks[c->next_chunk++];
    mig_pipeline_put(c->pipeline, l, (size_t)l->chunk->raw_bytes);
  }
}

/* *now is NULL behind the last chunk. */
static bool next_chunk(mig_archive_cursor *c, mig_error *err) {
  void *item = NULL;
  if (c->now) mig_chunk_reader_rest(c->now->reader);
  if (c->now && c->pipeline) mig_pipeline_done(c->pipeline, c->now);
  c->now = NULL;
  c->at = 0;
  if (c->pipeline) {
    load_ahead(c);
    if (!mig_pipeline_next(c->pipeline, &item, err)) return false;
    load_ahead(c);
  } else if (c->next_chunk < c->end) {
    c->alone.chunk = &c->entry->chunks[c->next_chunk++];
    if (!load(c, 0, &c->alone, err)) return false;
    item = &c->alone;
  }
  c->now = item;
  return true;
}

mig_archive_next mig_archive_cursor_next(mig_archive_cursor *c, bson_t *doc, mig_error *err) {
  const uint8_t *data = NULL;
  size_t size = 0;
  bool bad = false;
  while (!c->now ||
         (!mig_chunk_next(c->now->reader->raw.data, c->now->reader->raw.size, &c->at, &data, &size, &bad) && !bad)) {
    if (!next_chunk(c, err)) return MIG_ARCHIVE_ERROR;
    if (!c->now) return MIG_ARCHIVE_END;
  }
  if (!bad && bson_init_static(doc, data, size)) return MIG_ARCHIVE_DOC;
  mig_fail(err, MIG_E_ARCHIVE, "%s: %s: a document cannot be read", c->a->path, c->entry->name);
  return MIG_ARCHIVE_ERROR;
}

void mig_archive_cursor_close(mig_archive_cursor *c) {
  if (!c) return;
  mig_pipeline_free(c->pipeline);
  clear(&c->alone);
  mig_free(c);
}
