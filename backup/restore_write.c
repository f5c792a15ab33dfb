#include "backup/restore_parts.h"
#include "backup/restore_send.h"
#include "base/crash.h"

/* A command is one document of at most 16 MiB (and 16 KiB); a batch stays well below, a large document goes alone. */
#define BATCH_BYTES (6u << 20)

typedef struct batch {
  bson_t **documents, **lives; /* lives: of replacements, and only where they are guarded */
  size_t count, bytes;
} batch;

struct mig_writer {
  mig_work *w;
  mig_writer_options options;
  mig_send send;
  batch removes, replaces, inserts;
  uint32_t batch_documents;
  bool relaxed;
};

bool mig_writer_open(mig_work *w, const mig_writer_options *options, mig_writer **out, mig_error *err) {
  *out = NULL;
  mig_writer *wr = mig_alloc(sizeof *wr);
  if (!wr) return mig_no_memory(err, "a batch");
  wr->w = w;
  wr->options = *options;
  wr->send = (mig_send){.w = w, .collection = options->collection};
  wr->batch_documents = mig_batch_documents(w);
  *out = wr;
  return !options->guarded || mig_unchanged_for(w, options->collection, &wr->send.how, err);
}

static void batch_clear(batch *b) {
  for (size_t i = 0; i < b->count; i++) {
    bson_destroy(b->documents[i]);
    if (b->lives) bson_destroy(b->lives[i]);
  }
  b->count = b->bytes = 0;
}

void mig_writer_free(mig_writer *wr) {
  if (!wr) return;
  batch *const all[] = {&wr->removes, &wr->replaces, &wr->inserts};
  for (size_t i = 0; i < 3; i++) {
    batch_clear(all[i]);
    mig_free(all[i]->documents);
    mig_free(all[i]->lives);
  }
  mig_free(wr);
}

void mig_writer_counts(const mig_writer *wr, int64_t *written, int64_t *removed) {
  *written += wr->send.written;
  *removed += wr->send.removed;
}

/* Takes doc and live over; live is NULL where there is no guard. */
static bool push(mig_writer *wr, batch *b, bson_t *doc, bson_t *live, mig_error *err) {
  if (!b->documents) b->documents = mig_alloc(wr->batch_documents * sizeof(bson_t *));
  if (live && !b->lives) b->lives = mig_alloc(wr->batch_documents * sizeof(bson_t *));
  if (!doc || !b->documents || (live && !b->lives)) {
    bson_destroy(doc);
    bson_destroy(live);
    return mig_no_memory(err, "a batch");
  }
  b->documents[b->count] = doc;
  if (live) b->lives[b->count] = live;
  b->count++;
  b->bytes += doc->len + (live ? live->len : 0);
  const bool full =
      b->count == wr->batch_documents || wr->removes.bytes + wr->replaces.bytes + wr->inserts.bytes >= BATCH_BYTES;
  return !full || mig_writer_flush(wr, err);
}

/* Flushes first when this document would make a batch too large to send. */
static bool room_for(mig_writer *wr, size_t bytes, mig_error *err) {
  const size_t waiting = wr->removes.bytes + wr->replaces.bytes + wr->inserts.bytes;
  return !waiting || waiting + bytes < BATCH_BYTES || mig_writer_flush(wr, err);
}

bool mig_writer_insert(mig_writer *wr, const bson_t *doc, mig_error *err) {
  return room_for(wr, doc->len, err) && push(wr, &wr->inserts, bson_copy(doc), NULL, err);
}

bool mig_writer_remove(mig_writer *wr, const bson_t *live, mig_error *err) {
  mig_doc_id id;
  mig_doc_id_of(live, &id);
  if (!id.data)
    return mig_fail(err, MIG_E_UNSUPPORTED, "%s.%s: a document without an _id cannot be removed by itself",
                    mig_db_name(wr->w->db), wr->options.collection);
  return room_for(wr, live->len + id.size, err) && push(wr, &wr->removes, bson_copy(live), NULL, err);
}

bool mig_writer_replace(mig_writer *wr, const bson_t *doc, const bson_t *live, mig_error *err) {
  const bool guarded = wr->options.guarded;
  const bool plain = !mig_send_is_special(doc) && mig_send_fits_update(&wr->send, doc, guarded ? live : NULL);
  if (plain && !wr->options.delete_first)
    return room_for(wr, doc->len + live->len, err) &&
           push(wr, &wr->replaces, bson_copy(doc), guarded ? bson_copy(live) : NULL, err);
  /* killed in between, it is just missing */
  return room_for(wr, doc->len + live->len, err) && mig_writer_remove(wr, live, err) && mig_writer_insert(wr, doc, err);
}

static bool replace_again(mig_writer *wr, const batch *b, size_t i, mig_error *err) {
  return mig_send_replacements(&wr->send, &b->documents[i], b->lives ? &b->lives[i] : NULL, 1, err);
}

static bool insert_again(mig_writer *wr, bson_t *doc, mig_error *err) {
  return mig_send_is_special(doc) ? mig_send_special(&wr->send, doc, err) : mig_send_insert_again(&wr->send, doc, err);
}

/* A guard needs the live document beside its _id, which may be as large; what is too large goes by its _id alone. */
static bool flush_removes(mig_writer *wr, mig_error *err) {
  const batch *b = &wr->removes;
  const bool guarded = wr->options.guarded && (b->count > 1 || mig_send_fits_remove(&wr->send, b->documents[0]));
  return mig_send_removes(&wr->send, b->documents, b->count, guarded, err);
}

static bool relax(mig_writer *wr, mig_error *err) {
  if (wr->relaxed || !wr->options.relax) return true;
  wr->relaxed = true;
  return wr->options.relax(wr->options.relax_arg, err);
}

/* The server refused something of a batch: make room, then try each alone. What is refused again is remembered; the
 * compare pass tells what came of it, and a later round does it otherwise. */
static bool one_by_one(mig_writer *wr, const batch *b, bool insert, mig_error *err) {
  if (!relax(wr, err)) return false;
  for (size_t i = 0; i < b->count; i++) {
    if (insert ? insert_again(wr, b->documents[i], err) : replace_again(wr, b, i, err)) continue;
    char *id = mig_doc_id_json(b->documents[i]);
    mig_fail_at(err, "_id %s", id ? id : "?");
    mig_free(id);
    if (!mig_refused(err, wr->options.refused)) return false;
  }
  return true;
}

/* In the given sequence (it is part of a capped collection): runs of plain documents, the special ones alone. */
static bool flush_inserts(mig_writer *wr, mig_error *err) {
  const batch *b = &wr->inserts;
  bool ok = true;
  for (size_t i = 0, run; ok && i < b->count; i += run) {
    for (run = 0; i + run < b->count && !mig_send_is_special(b->documents[i + run]);) run++;
    if (run)
      ok = mig_send_inserts(&wr->send, &b->documents[i], run, err);
    else {
      run = 1;
      ok = mig_send_special(&wr->send, b->documents[i], err);
    }
  }
  return ok || (mig_refused(err, NULL) && one_by_one(wr, b, true, err));
}

bool mig_writer_flush(mig_writer *wr, mig_error *err) {
  batch *const all[] = {&wr->removes, &wr->replaces, &wr->inserts};
  if (!wr->removes.count && !wr->replaces.count && !wr->inserts.count) return true;
  if (wr->removes.count && !flush_removes(wr, err) && !mig_refused(err, wr->options.refused)) return false;
  if (wr->replaces.count &&
      !mig_send_replacements(&wr->send, wr->replaces.documents, wr->replaces.lives, wr->replaces.count, err) &&
      !(mig_refused(err, NULL) && one_by_one(wr, &wr->replaces, false, err)))
    return false;
  if (wr->inserts.count && !flush_inserts(wr, err)) return false;
  wr->w->counts.documents_written += (int64_t)(wr->replaces.count + wr->inserts.count + wr->removes.count);
  wr->w->counts.bytes_written += (int64_t)(wr->replaces.bytes + wr->inserts.bytes);
  for (size_t i = 0; i < 3; i++) batch_clear(all[i]);
  mig_crash_point(MIG_CRASH_RESTORE_BATCH);
  if (wr->options.what)
    mig_progress(wr->w->observer, wr->options.what, (uint64_t)(wr->send.written + wr->send.removed), wr->options.total);
  return true;
}
