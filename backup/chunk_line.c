#include "backup/chunk_line.h"

#include "backup/pipeline.h"

struct mig_chunk_line {
  mig_chunk_line_options options;
  mig_pipeline *pipeline;            /* NULL until there are two chunks */
  mig_packer *packers[MIG_JOBS_MAX]; /* one for each thread; the first also without threads */
  mig_packed *filling;               /* an item of the pipeline, or `alone` */
  mig_packed alone;
  size_t sent; /* chunks of the collection */
};

static bool pack(void *arg, unsigned worker, void *item, mig_error *err) {
  mig_chunk_line *l = arg;
  return mig_chunk_pack(l->packers[worker], item, err);
}

static bool finish(void *arg, void *item, mig_error *err) {
  mig_chunk_line *l = arg;
  return l->options.write(l->options.arg, item, err);
}

static void clear(void *item) {
  mig_packed_free(item);
}

bool mig_chunk_line_open(const mig_chunk_line_options *options, mig_chunk_line **out, mig_error *err) {
  *out = NULL;
  mig_chunk_line *l = mig_alloc(sizeof *l);
  if (!l) return mig_no_memory(err, "chunk");
  l->options = *options;
  const unsigned jobs = mig_jobs(options->jobs);
  l->options.jobs = jobs > 2 ? jobs - 1 : jobs; /* the caller's reading is the rest */
  if (!mig_packer_new(options->level, options->crypt, &l->packers[0], err)) {
    mig_chunk_line_free(l);
    return false;
  }
  *out = l;
  return true;
}

void mig_chunk_line_free(mig_chunk_line *l) {
  if (!l) return;
  mig_pipeline_free(l->pipeline);
  for (unsigned i = 0; i < MIG_JOBS_MAX; i++) mig_packer_free(l->packers[i]);
  mig_packed_free(&l->alone);
  mig_free(l);
}

static bool start_threads(mig_chunk_line *l, mig_error *err) {
  const mig_pipeline_options o = {.workers = l->options.jobs,
                                  .budget_bytes = l->options.budget_bytes,
                                  .item_size = sizeof(mig_packed),
                                  .work = pack,
                                  .finish = finish,
                                  .clear = clear,
                                  .arg = l};
  for (unsigned i = 1; i < l->options.jobs; i++)
    if (!mig_packer_new(l->options.level, l->options.crypt, &l->packers[i], err)) return false;
  return mig_pipeline_open(&o, &l->pipeline, err);
}

static bool write_alone(mig_chunk_line *l, mig_error *err) {
  return mig_chunk_pack(l->packers[0], &l->alone, err) && l->options.write(l->options.arg, &l->alone, err);
}

/* The chunk that is filling goes its way. */
static bool send(mig_chunk_line *l, bool last, mig_error *err) {
  mig_packed *c = l->filling;
  if (!c) return true;
  l->filling = NULL;
  if (!l->options.name(l->options.arg, l->sent++, &c->info.member, err)) return false;
  if (c != &l->alone) {
    mig_pipeline_put(l->pipeline, c, c->raw.size);
    return true;
  }
  if (!write_alone(l, err)) return false;
  if (last) return true;
  mig_packed_free(&l->alone); /* from here on all chunks are the pipeline's */
  return start_threads(l, err);
}

static bool begin_chunk(mig_chunk_line *l, mig_error *err) {
  void *item = &l->alone;
  if (l->pipeline && !mig_pipeline_take(l->pipeline, &item, err)) return false;
  l->filling = item;
  mig_packed_start(l->filling);
  return true;
}

bool mig_chunk_line_document(mig_chunk_line *l, const uint8_t *bson, size_t size, mig_error *err) {
  if (l->filling && l->filling->raw.size + size > l->options.chunk_bytes && !send(l, false, err)) return false;
  if (!l->filling && !begin_chunk(l, err)) return false;
  mig_packed *c = l->filling;
  c->last_at = c->raw.size;
  c->documents++;
  return mig_buf_add(&c->raw, bson, size, err);
}

bool mig_chunk_line_end(mig_chunk_line *l, mig_error *err) {
  const bool sent = send(l, true, err);
  l->sent = 0;
  return sent && (!l->pipeline || mig_pipeline_drain(l->pipeline, err));
}
