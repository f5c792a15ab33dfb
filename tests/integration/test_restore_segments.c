/* Collections of many small chunks: every kind of damage at every place of a chunk, found and mended by the chunk. */
#include "../unit/archive_fixture.h"
#include "restore_env.h"

#define DOCUMENTS   24
#define CHUNK_BYTES 250 /* four of these documents */
#define STEP        10  /* _ids are so far apart */

static bson_t *plain(int id, int v) {
  return BCON_NEW("_id", BCON_INT32(id), "v", BCON_INT32(v), "text", BCON_UTF8("some more text here"));
}

static void take_snapshot_of_many_chunks(env *e) {
  mig_error err;
  mig_archive *a = NULL;
  for (int i = 0; i < DOCUMENTS; i++) insert(e, "small", plain(i * STEP, i));
  e->chunk_bytes = CHUNK_BYTES;
  snapshot(e);
  CHECK(mig_archive_open(e->snapshot, &a, &err), err);
  assert_true(mig_archive_contents(a)->collections[0].chunk_count >= 6);
  mig_archive_free(a);
}

static void remove_one(env *e, int id) {
  run_command(e, BCON_NEW("delete", BCON_UTF8("small"), "deletes", "[", "{", "q", "{", "_id", BCON_INT32(id), "}",
                          "limit", BCON_INT32(1), "}", "]"));
}

static void put_one(env *e, int id, bson_t *doc) {
  run_command(e, BCON_NEW("update", BCON_UTF8("small"), "updates", "[", "{", "q", "{", "_id", BCON_INT32(id), "}", "u",
                          BCON_DOCUMENT(doc), "upsert", BCON_BOOL(true), "}", "]"));
  bson_destroy(doc);
}

typedef struct counts {
  int64_t missing, changed, extra;
  int64_t rewritten; /* of the changed: too large to be replaced in one command */
} counts;

/* The server's own view is the judge, before and after. */
static void assert_mended(env *e, const char *before, const counts *wanted, bool keeps, const char *what, int place) {
  mig_error err;
  mig_restore_report r;
  const mig_restore_options options = {.displaced_store = keeps ? e->store : NULL};
  if (!try_restore(e, &options, &r, &err)) fail_msg("%s at %d: %s (%s)", what, place, err.what, err.why);
  const mig_restore_collection *row = row_of(&r, "small");
  char *after = fingerprint(e);
  if (strcmp(before, after) != 0) fail_msg("%s at %d was not mended, and called restored", what, place);
  if (row->missing != wanted->missing || row->changed != wanted->changed || row->extra != wanted->extra)
    fail_msg("%s at %d: counted %lld missing, %lld changed, %lld extra", what, place, (long long)row->missing,
             (long long)row->changed, (long long)row->extra);
  assert_int_equal(r.written, wanted->missing + wanted->changed);
  assert_int_equal(r.removed, wanted->extra + wanted->rewritten);
  if (keeps) assert_int_equal(r.displaced_documents, wanted->changed + wanted->extra);
  for (size_t i = 0; r.displaced_path && i < 1; i++) unlink(r.displaced_path);
  mig_restore_report_clear(&r);
  mig_free(after);
}

static void a_document_removed_anywhere_in_a_chunk_comes_back(void **state) {
  env *e = *state;
  take_snapshot_of_many_chunks(e);
  char *before = fingerprint(e);
  for (int i = 0; i < DOCUMENTS; i++) {
    remove_one(e, i * STEP);
    assert_mended(e, before, &(counts){.missing = 1}, i % 2, "removed", i);
  }
  mig_free(before);
}

/* Of the same size, or only of another type or another order of fields: nothing but the bytes tells. */
static void a_document_changed_anywhere_in_a_chunk_comes_back(void **state) {
  env *e = *state;
  take_snapshot_of_many_chunks(e);
  char *before = fingerprint(e);
  for (int i = 0; i < DOCUMENTS; i++) {
    put_one(e, i * STEP, plain(i * STEP, -1));
    assert_mended(e, before, &(counts){.changed = 1}, i % 2, "changed", i);
  }
  const bool keeps_order = strstr(e->caps.product, "mongoeco") == NULL;
  for (int i = 0; keeps_order && i < DOCUMENTS; i += 3) {
    put_one(e, i * STEP,
            BCON_NEW("_id", BCON_INT32(i * STEP), "text", BCON_UTF8("some more text here"), "v", BCON_INT32(i)));
    assert_mended(e, before, &(counts){.changed = 1}, i % 2, "fields in another order", i);
    put_one(e, i * STEP,
            BCON_NEW("_id", BCON_INT32(i * STEP), "v", BCON_INT64(i), "text", BCON_UTF8("some more text")));
    assert_mended(e, before, &(counts){.changed = 1}, i % 2, "another type", i);
  }
  mig_free(before);
}

/* Before the first chunk, behind the last, in chunks, between two: there is a document more at each place. */
static void a_document_added_anywhere_goes(void **state) {
  env *e = *state;
  take_snapshot_of_many_chunks(e);
  char *before = fingerprint(e);
  for (int i = 0; i <= DOCUMENTS; i++) {
    insert(e, "small", plain(i * STEP - 1, i));
    assert_mended(e, before, &(counts){.extra = 1}, i % 2, "added", i);
  }
  mig_free(before);
}

/* 10 and 10.0 are one _id for the server, and two for us: in the place of the first and of every other document. */
static void an_id_of_another_type_at_the_edge_of_a_chunk_becomes_what_it_was(void **state) {
  env *e = *state;
  take_snapshot_of_many_chunks(e);
  char *before = fingerprint(e);
  for (int i = 0; i < DOCUMENTS; i++) {
    remove_one(e, i * STEP);
    insert(e, "small", BCON_NEW("_id", BCON_DOUBLE(i * STEP), "v", BCON_INT32(i)));
    assert_mended(e, before, &(counts){.missing = 1, .extra = 1}, true, "_id of another type", i);
  }
  mig_free(before);
}

/* From any document to any other: chunks that are gone, or changed, from the first to the last document. */
static void stretches_that_are_gone_or_changed_come_back(void **state) {
  env *e = *state;
  take_snapshot_of_many_chunks(e);
  char *before = fingerprint(e);
  for (int from = 0; from < DOCUMENTS; from += 3)
    for (int to = from + 1; to <= DOCUMENTS; to += 5) {
      run_command(e, BCON_NEW("delete", BCON_UTF8("small"), "deletes", "[", "{", "q", "{", "_id", "{", "$gte",
                              BCON_INT32(from * STEP), "$lt", BCON_INT32(to * STEP), "}", "}", "limit", BCON_INT32(0),
                              "}", "]"));
      assert_mended(e, before, &(counts){.missing = to - from}, from % 2, "a stretch gone", from * 100 + to);
      for (int i = from; i < to; i++) put_one(e, i * STEP, plain(i * STEP, 1000 + i));
      assert_mended(e, before, &(counts){.changed = to - from}, from % 2, "a stretch changed", from * 100 + to);
    }
  mig_free(before);
}

static unsigned next_random(unsigned *seed) {
  *seed = *seed * 1103515245u + 12345u;
  return *seed >> 16;
}

static void any_damage_is_counted_and_mended(void **state) {
  env *e = *state;
  take_snapshot_of_many_chunks(e);
  char *before = fingerprint(e);
  for (unsigned round = 1; round <= 40; round++) {
    unsigned seed = round;
    counts wanted = {0};
    const unsigned rare = 1 + next_random(&seed) % 12;
    for (int i = 0; i < DOCUMENTS; i++) {
      const unsigned what = next_random(&seed) % (3 * rare);
      if (what == 0) {
        remove_one(e, i * STEP);
        wanted.missing++;
      } else if (what == 1) {
        put_one(e, i * STEP, plain(i * STEP, (int)round * 1000 + i));
        wanted.changed++;
      } else if (what == 2) {
        for (int k = 1; k <= (int)(next_random(&seed) % 9); k++, wanted.extra++)
          insert(e, "small", plain(i * STEP + k, k));
      }
    }
    assert_mended(e, before, &wanted, round % 2, "damage of seed", (int)round);
  }
  mig_free(before);
}

/* What the look found is not looked for again: two looks read every document once each. */
static void what_differs_is_written_without_a_second_look_at_it(void **state) {
  env *e = *state;
  mig_error err;
  mig_restore_report r;
  take_snapshot_of_many_chunks(e);
  for (int i = 0; i < DOCUMENTS; i += 2) put_one(e, i * STEP, plain(i * STEP, -1));
  const mig_restore_options options = {.displaced_store = e->store};
  e->w.counts.documents_read = 0;
  CHECK(try_restore(e, &options, &r, &err), err);
  assert_int_equal(r.written, DOCUMENTS / 2);
  if (e->caps.has[MIG_CAP_ID_RANGES] == MIG_YES)
    assert_int_equal(e->w.counts.documents_read, 2 * DOCUMENTS);
  else
    skip_part("documents read", "ranges of _id");
  mig_restore_report_clear(&r);
}

static bson_t *filled(int id, char with, size_t bytes) {
  char *text = malloc(bytes + 1);
  memset(text, with, bytes);
  text[bytes] = 0;
  bson_t *doc = BCON_NEW("_id", BCON_INT32(id), "text", BCON_UTF8(text));
  free(text);
  return doc;
}

/* Twenty chunks of 1 MiB, half of each changed: 20 MiB of differences, more than are kept. */
static void more_differences_than_are_kept_are_mended(void **state) {
  env *e = *state;
  for (int i = 0; i < 200; i++) insert(e, "small", filled(i, 'a', 100000));
  e->chunk_bytes = 1u << 20;
  snapshot(e);
  char *before = fingerprint(e);
  for (int i = 0; i < 200; i += 2) put_one(e, i, filled(i, 'b', 100000));
  assert_mended(e, before, &(counts){.changed = 100}, true, "half of everything changed", 0);
  for (int i = 0; i < 200; i += 2) put_one(e, i, filled(i, 'b', 100000));
  assert_mended(e, before, &(counts){.changed = 100}, false, "half of everything changed", 1);
  mig_free(before);
}

/* Far more live documents than the chunk has, between two chunks; what is read of them is bounded. */
static void megabytes_between_two_chunks_go(void **state) {
  env *e = *state;
  take_snapshot_of_many_chunks(e);
  char *before = fingerprint(e);
  for (int i = 1; i < 10; i++) insert(e, "small", filled(3 * STEP + i, 'x', 2u << 20));
  assert_mended(e, before, &(counts){.extra = 9}, true, "18 MiB between two chunks", 0);
  for (int i = 1; i < 10; i++) insert(e, "small", filled(DOCUMENTS * STEP + i, 'x', 2u << 20));
  assert_mended(e, before, &(counts){.extra = 9}, true, "18 MiB behind the last chunk", 0);
  mig_free(before);
}

static void the_largest_documents_come_back(void **state) {
  env *e = *state;
  const size_t large = 15u << 20;
  for (int i = 0; i < 4; i++) insert(e, "small", filled(i * STEP, 'a', i == 1 ? 7u << 20 : large));
  for (int i = 4; i < 8; i++) insert(e, "small", plain(i * STEP, i));
  snapshot(e);
  char *before = fingerprint(e);
  assert_mended(e, before, &(counts){0}, true, "nothing", 0);
  for (int i = 0; i < 4; i++) {
    put_one(e, i * STEP, filled(i * STEP, 'b', i == 1 ? 7u << 20 : large));
    assert_mended(e, before, &(counts){.changed = 1, .rewritten = i == 3}, i % 2, "a large document changed", i);
    remove_one(e, i * STEP);
    assert_mended(e, before, &(counts){.missing = 1}, true, "a large document removed", i);
  }
  insert(e, "small", filled(STEP + 1, 'c', large));
  remove_one(e, 5 * STEP);
  assert_mended(e, before, &(counts){.extra = 1, .missing = 1}, true, "a large document added", 0);
  mig_free(before);
}

/* An archive whose chunks ascend and whose documents do not: by ranges, a document would be missing in the one and
 * extra in the other. The archive's `_ids` of one chunk: first, one of the next chunk, last. */
static void documents_out_of_order_in_a_chunk_are_not_taken_for_damage(void **state) {
  static const int order[] = {0, 40, 20, 30, 10, 50, 60, 70, 80};
  env *e = *state;
  mig_error err;
  mig_archive *a = NULL;
  mig_archive_writer *w = NULL;
  char sum[MIG_SHA256_HEX], *path = NULL;
  uint64_t bytes = 0;
  for (int i = 0; i <= 80; i += 10) insert(e, "small", plain(i, i));
  snapshot(e);
  CHECK(mig_archive_open(e->snapshot, &a, &err), err);
  const mig_collection_entry *entry = &mig_archive_contents(a)->collections[0];
  mig_manifest *m = fixture_manifest("unordered");
  mig_free(m->database);
  m->database = mig_strdup(e->database);
  const mig_archive_options options = {.chunk_bytes = 200};
  CHECK(mig_archive_begin(e->store, m, &options, &w, &err), err);
  CHECK(mig_archive_collection(w, "small", MIG_HOLDS_DOCUMENTS, entry->info, entry->indexes, &err), err);
  for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
    bson_t *doc = plain(order[i], order[i]);
    CHECK(mig_archive_document(w, bson_get_data(doc), doc->len, &err), err);
    bson_destroy(doc);
  }
  CHECK(mig_archive_collection_end(w, &err) && mig_archive_finish(w, &path, sum, &bytes, &err), err);
  mig_archive_writer_free(w);
  mig_archive_free(a);
  mig_free(e->snapshot);
  e->snapshot = path;
  char *before = fingerprint(e);
  assert_mended(e, before, &(counts){0}, true, "nothing", 0);
  for (int i = 0; i <= 80; i += 10) {
    put_one(e, i, plain(i, -1));
    assert_mended(e, before, &(counts){.changed = 1}, true, "changed, out of order", i);
    remove_one(e, i);
    assert_mended(e, before, &(counts){.missing = 1}, true, "removed, out of order", i);
  }
  mig_free(before);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RESTORE_TEST(a_document_removed_anywhere_in_a_chunk_comes_back),
      RESTORE_TEST(a_document_changed_anywhere_in_a_chunk_comes_back),
      RESTORE_TEST(a_document_added_anywhere_goes),
      RESTORE_TEST(an_id_of_another_type_at_the_edge_of_a_chunk_becomes_what_it_was),
      RESTORE_TEST(stretches_that_are_gone_or_changed_come_back),
      RESTORE_TEST(any_damage_is_counted_and_mended),
      RESTORE_TEST(what_differs_is_written_without_a_second_look_at_it),
      RESTORE_TEST(more_differences_than_are_kept_are_mended),
      RESTORE_TEST(megabytes_between_two_chunks_go),
      RESTORE_TEST(the_largest_documents_come_back),
      RESTORE_TEST(documents_out_of_order_in_a_chunk_are_not_taken_for_damage),
  };
  return run_restore_tests("restore_segments", tests, sizeof tests / sizeof *tests);
}
