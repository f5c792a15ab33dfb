/* Reading documents out of a verified archive; each chunk is checked again as it is loaded. */
#include "backup/archive_internal.h"
#include "backup/chunk.h"

struct mig_archive_cursor {
  const mig_archive *a;
  const mig_collection_entry *entry;
  mig_chunk_reader *reader;
  size_t next_chunk, at;
};

bool mig_archive_documents(mig_archive *a, const mig_collection_entry *entry, size_t from_chunk,
                           mig_archive_cursor **out, mig_error *err) {
  *out = NULL;
  if (!a->verified) return mig_fail(err, MIG_E_ARCHIVE, "%s has not been verified yet", a->path);
  mig_archive_cursor *c = mig_alloc(sizeof *c);
  if (!c) return mig_no_memory(err, "cursor");
  c->a = a;
  c->entry = entry;
  c->next_chunk = from_chunk;
  if (!mig_chunk_reader_new(&c->reader, err)) {
    mig_free(c);
    return false;
  }
  *out = c;
  return true;
}

mig_archive_next mig_archive_cursor_next(mig_archive_cursor *c, bson_t *doc, mig_error *err) {
  const uint8_t *data = NULL;
  size_t size = 0;
  bool bad = false;
  while (!mig_chunk_next(c->reader->raw.data, c->reader->raw.size, &c->at, &data, &size, &bad) && !bad) {
    if (c->next_chunk >= c->entry->chunk_count) return MIG_ARCHIVE_END;
    const mig_chunk *k = &c->entry->chunks[c->next_chunk];
    c->at = 0;
    if (!mig_chunk_load(c->reader, c->a->fd, c->a->path, k, err)) {
      c->reader->raw.size = 0;
      return MIG_ARCHIVE_ERROR;
    }
    c->next_chunk++;
  }
  if (!bad && bson_init_static(doc, data, size)) return MIG_ARCHIVE_DOC;
  mig_fail(err, MIG_E_ARCHIVE, "%s: %s: a document cannot be read", c->a->path, c->entry->name);
  return MIG_ARCHIVE_ERROR;
}

void mig_archive_cursor_close(mig_archive_cursor *c) {
  if (!c) return;
  mig_chunk_reader_free(c->reader);
  mig_free(c);
}
