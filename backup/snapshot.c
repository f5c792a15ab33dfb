#include "backup/snapshot.h"

#include <stdio.h>
#include <string.h>

#include "backup/snapshot_written.h"
#include "base/clock.h"
#include "base/names.h"

#define ROOM_FOR_METADATA     (4u << 20)
#define TRANSACTION_MAX_BYTES ((int64_t)1 << 30)  /* a transaction lives a minute: larger ones would end in between */
#define LARGE_BYTES           ((int64_t)32 << 30) /* from here on larger chunks keep the manifest small */

/* How far apart in time two documents of the snapshot may have been read; the best comes first. */
typedef enum consistency {
  AT_CLUSTER_TIME,
  IN_TRANSACTION,
  EACH_AT_ITS_TIME, /* a cluster time for each collection: less work for each, none is mixed in itself */
  PER_COLLECTION    /* a plain cursor for each */
} consistency;

static const char *consistency_name(consistency c) {
  return c == AT_CLUSTER_TIME ? "clusterTime" : c == IN_TRANSACTION ? "transaction" : "perCollection";
}

static consistency best(const mig_work *w, const mig_snapshot_plan *plan) {
  if (plan->with_documents == 0 || !w->caps) return PER_COLLECTION;
  if (mig_caps_has(w->caps, MIG_CAP_SNAPSHOT_READS)) return AT_CLUSTER_TIME;
  if (plan->with_documents > 1 && plan->raw_bytes <= TRANSACTION_MAX_BYTES &&
      mig_caps_has(w->caps, MIG_CAP_TRANSACTIONS))
    return IN_TRANSACTION;
  return PER_COLLECTION;
}

static mig_manifest *new_manifest(const mig_work *w, const mig_snapshot_options *o, const char *id, bool whole) {
  mig_manifest *m = mig_manifest_new(id, o->reason ? o->reason : "", mig_db_name(w->db));
  if (!m) return NULL;
  m->migration = mig_strdup(o->migration);
  m->direction = mig_strdup(o->direction);
  m->server_version = mig_strdup(w->caps ? w->caps->version : "");
  m->server_product = mig_strdup(w->caps ? w->caps->product : "");
  m->topology = mig_strdup(w->caps ? w->caps->topology : "");
  m->whole_database = whole;
  if (m->server_version && m->server_product && m->topology && !m->migration == !o->migration &&
      !m->direction == !o->direction)
    return m;
  mig_manifest_free(m);
  return NULL;
}

static bool begin_reading(mig_work *w, consistency c, mig_error *err) {
  if (c == AT_CLUSTER_TIME) return mig_db_snapshot_begin(w->db, err);
  if (c == IN_TRANSACTION) return mig_db_begin(w->db, err);
  return true;
}

static void end_reading(mig_work *w, consistency c) {
  if (c == AT_CLUSTER_TIME) mig_db_snapshot_end(w->db);
  if (c == IN_TRANSACTION) mig_db_abort(w->db); /* it only read */
}

static bool write_documents(mig_work *w, const mig_snapshot_item *item, consistency c, mig_archive_writer *archive,
                            mig_error *err) {
  if (c == EACH_AT_ITS_TIME && !mig_db_snapshot_begin(w->db, err)) return false;
  const bool ok = mig_snapshot_documents(w, item, c != PER_COLLECTION, archive, err);
  if (c == EACH_AT_ITS_TIME) mig_db_snapshot_end(w->db);
  return ok;
}

static bool write_collections(mig_work *w, const mig_snapshot_plan *plan, consistency c, mig_archive_writer *archive,
                              mig_error *err) {
  for (size_t i = 0; i < plan->count; i++) {
    const mig_snapshot_item *item = &plan->items[i];
    if (!mig_archive_collection(archive, item->name, item->holds, item->info, item->indexes, err)) return false;
    if (item->holds == MIG_HOLDS_DOCUMENTS && !write_documents(w, item, c, archive, err)) return false;
    if (!mig_archive_collection_end(archive, err)) return false;
  }
  return true;
}

static bool note_consistency(mig_work *w, consistency c, mig_manifest *m, mig_error *err) {
  m->consistency = mig_strdup(consistency_name(c));
  if (!m->consistency) return mig_no_memory(err, "manifest");
  if (c != AT_CLUSTER_TIME || mig_db_snapshot_time(w->db, &m->cluster_seconds, &m->cluster_increment)) return true;
  mig_fail(err, MIG_E_SERVER, "%s does not say at which time it read", mig_db_label(w->db));
  return false;
}

typedef struct attempt {
  mig_work *w;
  const mig_snapshot_options *options;
  const mig_snapshot_plan *plan;
  const char *id;
  mig_archive_writer *archive;
  bool reading_failed; /* rather than writing or a check of ours */
} attempt;

static bool read_and_write(attempt *a, consistency c, mig_error *err) {
  mig_manifest *m = mig_archive_manifest(a->archive);
  const bool alone = c == EACH_AT_ITS_TIME || c == PER_COLLECTION;
  mig_written_marks *watched = NULL;
  a->reading_failed = true;
  bool ok = (!alone || mig_written_watch(a->w, a->plan, &watched, err)) && begin_reading(a->w, c, err);
  if (ok) {
    ok = write_collections(a->w, a->plan, c, a->archive, err) && note_consistency(a->w, c, m, err);
    end_reading(a->w, c);
  }
  ok = ok && (!alone || mig_written_tell(a->w, watched, m, err));
  mig_written_free(watched);
  a->reading_failed = !ok;
  return ok && mig_snapshot_plan_unchanged(a->w, a->plan, err);
}

static bool finish(attempt *a, mig_snapshot_info *out, mig_error *err) {
  if (!(out->id = mig_strdup(a->id))) return mig_no_memory(err, "id");
  if (!mig_checkpoint(a->w, err) || !mig_archive_finish(a->archive, &out->path, out->sha256, &out->bytes, err))
    return false;
  mig_snapshot_describe(mig_archive_manifest(a->archive), out);
  return true;
}

static bson_t *written_of(const mig_manifest *m) {
  bson_t *names = NULL;
  for (size_t i = 0; i < m->collection_count; i++) {
    const mig_collection_entry *c = &m->collections[i];
    char key[16];
    if (c->written == MIG_WRITTEN_UNKNOWN) continue;
    if (!names) names = bson_new();
    if (c->written == MIG_WRITTEN_NOTHING) continue;
    snprintf(key, sizeof key, "%u", bson_count_keys(names));
    BSON_APPEND_UTF8(names, key, c->name);
  }
  return names;
}

void mig_snapshot_describe(const mig_manifest *m, mig_snapshot_info *out) {
  if (out->written) bson_destroy(out->written);
  out->written = written_of(m);
  out->raw_bytes = m->raw_bytes;
  out->documents = m->documents;
  memcpy(out->digest, m->digest, sizeof out->digest);
  snprintf(out->consistency, sizeof out->consistency, "%s", m->consistency);
}

static bool try_once(attempt *a, consistency c, mig_snapshot_info *out, mig_error *err) {
  mig_archive_options how = a->options->archive;
  if (how.jobs == 0) how.jobs = a->w->jobs;
  a->reading_failed = false;
  if (how.chunk_bytes == 0 && a->plan->raw_bytes > LARGE_BYTES) how.chunk_bytes = MIG_CHUNK_MAX_BYTES;
  mig_manifest *m = new_manifest(a->w, a->options, a->id, a->plan->whole_database);
  if (!m) return mig_no_memory(err, "manifest");
  bool ok = mig_archive_begin(a->options->store, m, &how, &a->archive, err) && read_and_write(a, c, err) &&
            finish(a, out, err);
  mig_archive_writer_free(a->archive);
  a->archive = NULL;
  return ok;
}

void mig_snapshot_say_stored(const mig_observer *observer, const char *database) {
  mig_say(observer, MIG_WARNING,
          "%s." MIG_STORED
          ", the functions stored in the server, is not in the snapshot, and no restore brings it back: "
          "keep a copy by other means",
          database);
}

/* One step down: what asks less of the server's history. A transaction has none to speak of. */
static consistency next_best(const attempt *a, consistency c) {
  return c == AT_CLUSTER_TIME && a->plan->with_documents > 1 ? EACH_AT_ITS_TIME : PER_COLLECTION;
}

/* Too old a snapshot, too long a transaction, a read that one does not allow: one step down, from the start, so that
 * what was read in one way is never mixed with what was read in another. */
static bool take(attempt *a, mig_snapshot_info *out, mig_error *err) {
  mig_error local = {0};
  consistency c = best(a->w, a->plan);
  const mig_counts before = a->w->counts;
  bool ok = try_once(a, c, out, &local);
  while (!ok && c != PER_COLLECTION && a->reading_failed && local.code == MIG_E_SERVER) {
    const consistency next = next_best(a, c);
    mig_say(a->w->observer, MIG_WARNING, "reading %s did not work (%s): each for itself now%s",
            c == EACH_AT_ITS_TIME ? "a collection at one time" : "all collections at one time",
            local.why[0] ? local.why : local.what, next == EACH_AT_ITS_TIME ? ", each at one time" : "");
    mig_snapshot_info_clear(out);
    a->w->counts = before;
    c = next;
    ok = try_once(a, c, out, &local);
  }
  if (!ok && err) *err = local;
  return ok;
}

bool mig_snapshot_take(mig_work *w, const mig_snapshot_options *options, mig_snapshot_info *out, mig_error *err) {
  mig_snapshot_plan plan = {0};
  char *id = NULL;
  *out = (mig_snapshot_info){0};
  if (mig_db_in_transaction(w->db))
    return mig_fail(err, MIG_E_FAILED, "a snapshot of %s cannot be taken inside a transaction", mig_db_name(w->db));
  bool ok = mig_snapshot_plan_make(w, options->whole_database, options->wants, options->want_count, &plan, err) &&
            mig_store_space(options->store, (uint64_t)plan.raw_bytes + ROOM_FOR_METADATA, err) &&
            mig_store_new_id(options->label, &id, err);
  if (ok) {
    attempt a = {.w = w, .options = options, .plan = &plan, .id = id};
    ok = take(&a, out, err);
    out->stored_left = plan.stored_left;
    if (ok && plan.stored_left) mig_snapshot_say_stored(w->observer, mig_db_name(w->db));
  }
  mig_snapshot_plan_clear(&plan);
  mig_free(id);
  if (!ok) mig_snapshot_info_clear(out);
  return ok;
}

void mig_snapshot_info_clear(mig_snapshot_info *info) {
  mig_free(info->id);
  mig_free(info->path);
  if (info->written) bson_destroy(info->written);
  *info = (mig_snapshot_info){0};
}
