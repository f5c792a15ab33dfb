#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* the four above must stand before cmocka.h */
#include <cmocka.h>

#include "archive_fixture.h"
#include "backup/json_out.h"
#include "backup/manifest_internal.h"

#define SUM "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void set(char **text, char *to) {
  mig_free(*text);
  *text = to;
}

static bson_t *id_of(int32_t n) {
  bson_t *d = bson_new();
  BSON_APPEND_INT32(d, "_id", n);
  return d;
}

static void add_chunk(mig_manifest *m, mig_collection_entry *c, size_t n, uint64_t *offset) {
  mig_chunk *k = &c->chunks[n];
  *k = (mig_chunk){.member = mig_member_of_chunk(m, c->name, n),
                   .offset = *offset,
                   .stored_bytes = 60,
                   .raw_bytes = 100,
                   .documents = 4,
                   .sha256 = SUM,
                   .raw_sha256 = SUM,
                   .first = id_of((int32_t)n * 4),
                   .last = id_of((int32_t)n * 4 + 3)};
  *offset += 1024;
  c->chunk_count++;
  c->documents += 4;
  c->raw_bytes += 100;
}

/* users: three chunks; gone: absent; v: metadata only */
static mig_manifest *sample(void) {
  mig_manifest *m = fixture_manifest("20261121T071500Z-x-000000");
  uint64_t offset = 2048;
  m->header_offset = 512;
  m->header_bytes = 300;
  memcpy(m->header_sha256, SUM, sizeof SUM);
  memcpy(m->archive_sha256, SUM, sizeof SUM);
  m->collections = mig_alloc(3 * sizeof *m->collections);
  m->collection_count = 3;
  static const char *const names[] = {"users", "gone", "v"};
  for (size_t i = 0; i < 3; i++) {
    mig_collection_entry *c = &m->collections[i];
    c->name = mig_strdup(names[i]);
    c->holds = i == 0 ? MIG_HOLDS_DOCUMENTS : i == 1 ? MIG_HOLDS_ABSENT : MIG_HOLDS_METADATA;
    if (i == 1) continue;
    c->type = mig_strdup(i ? "view" : "collection");
    c->info = fixture_info(names[i], c->type, false);
    c->indexes = fixture_indexes();
    if (i == 0) {
      memcpy(c->sha256, SUM, sizeof SUM);
      c->chunks = mig_alloc(3 * sizeof *c->chunks);
      for (size_t n = 0; n < 3; n++) add_chunk(m, c, n, &offset);
    }
    c->metadata_member = mig_member_of_metadata(m->database, c->name);
    c->metadata_offset = offset;
    c->metadata_bytes = 500;
    memcpy(c->metadata_sha256, SUM, sizeof SUM);
    offset += 1024;
  }
  return m;
}

static mig_buf text_of(const mig_manifest *m) {
  mig_buf b = MIG_BUF(MIG_MANIFEST_MAX_BYTES);
  mig_error err = {0};
  if (!mig_manifest_write(m, &b, &err)) fixture_print(&err);
  assert_true(b.size > 0);
  return b;
}

static bool parses(const mig_manifest *m, mig_error *err) {
  mig_buf b = text_of(m);
  mig_manifest *again = NULL;
  bool ok = mig_manifest_parse(mig_buf_text(&b), b.size, &again, err);
  assert_true(ok == (again != NULL));
  mig_manifest_free(again);
  mig_buf_free(&b);
  return ok;
}

static void what_is_written_is_read_again(void **state) {
  (void)state;
  mig_error err = {0};
  mig_manifest *m = sample(), *again = NULL;
  set(&m->reason, mig_strdup("quotes \" \\ / \n \x01 \x7f euro \xE2\x82\xAC broken \xC3\x28 \xED\xA0\x80"));
  set(&m->database, mig_strdup("d\xC3\xA9j\xC3\xA0"));
  for (size_t i = 0; i < 3; i++) {
    mig_collection_entry *c = &m->collections[i];
    if (c->metadata_member) set(&c->metadata_member, mig_member_of_metadata(m->database, c->name));
    for (size_t n = 0; n < c->chunk_count; n++) set(&c->chunks[n].member, mig_member_of_chunk(m, c->name, n));
  }
  assert_true(mig_manifest_seal(m, &err));
  mig_buf text = text_of(m);
  if (!mig_manifest_parse(mig_buf_text(&text), text.size, &again, &err)) fixture_print(&err);
  assert_non_null(again);
  mig_buf second = text_of(again);
  assert_int_equal(text.size, second.size);
  assert_memory_equal(text.data, second.data, text.size);
  assert_string_equal(again->database, m->database);
  assert_int_equal(again->created_unix_ms, m->created_unix_ms);
  assert_int_equal(again->documents, 12);
  const mig_collection_entry *users = mig_manifest_find(again, "users");
  assert_int_equal(users->chunk_count, 3);
  assert_true(mig_bson_same(users->chunks[2].last, m->collections[0].chunks[2].last));
  assert_true(mig_bson_same(users->info, m->collections[0].info));
  assert_int_equal(mig_manifest_find(again, "gone")->holds, MIG_HOLDS_ABSENT);
  assert_null(mig_manifest_find(again, "nobody"));
  mig_manifest_free(again);
  mig_manifest_free(m);
  mig_buf_free(&second);
  mig_buf_free(&text);
}

static void collection_by_collection(mig_manifest *m) {
  set(&m->consistency, mig_strdup("perCollection"));
  m->cluster_seconds = m->cluster_increment = 0;
}

static void what_was_written_meanwhile_is_read_again(void **state) {
  (void)state;
  for (mig_written w = MIG_WRITTEN_UNKNOWN; w <= MIG_WRITTEN_SOMETHING; w++) {
    mig_error err = {0};
    mig_manifest *m = sample(), *again = NULL;
    collection_by_collection(m);
    m->collections[0].written = w;
    assert_true(mig_manifest_seal(m, &err));
    mig_buf text = text_of(m);
    assert_int_equal(strstr(mig_buf_text(&text), "writtenMeanwhile") != NULL, w != MIG_WRITTEN_UNKNOWN);
    assert_true(mig_manifest_parse(mig_buf_text(&text), text.size, &again, &err));
    assert_int_equal(mig_manifest_find(again, "users")->written, w);
    mig_manifest_free(again);
    mig_manifest_free(m);
    mig_buf_free(&text);
  }
}

typedef struct broken_rule {
  const char *rule;
  void (*breaks)(mig_manifest *m);
} broken_rule;

#define RULE(name, code)                                                                                               \
  static void name(mig_manifest *m) {                                                                                  \
    mig_collection_entry *users = &m->collections[0], *gone = &m->collections[1], *view = &m->collections[2];          \
    mig_chunk *k = &users->chunks[1];                                                                                  \
    (void)gone, (void)view, (void)k;                                                                                   \
    code;                                                                                                              \
  }
RULE(id_with_slash, set(&m->id, mig_strdup("../x")))
RULE(id_empty, set(&m->id, mig_strdup("")))
RULE(bad_database, set(&m->database, mig_strdup("a/b")))
RULE(unknown_consistency, set(&m->consistency, mig_strdup("best")))
RULE(time_without_cluster_time, m->cluster_seconds = 0)
RULE(cluster_time_without_claim, set(&m->consistency, mig_strdup("perCollection")))
RULE(written_at_one_time, users->written = MIG_WRITTEN_SOMETHING)
RULE(not_written_at_one_time, users->written = MIG_WRITTEN_NOTHING)
RULE(written_view, {
  collection_by_collection(m);
  view->written = MIG_WRITTEN_NOTHING;
})
RULE(before_1970, m->created_unix_ms = -1)
RULE(header_huge, m->header_bytes = 1 << 20)
RULE(header_later, m->header_offset = 4096)
RULE(collection_twice, set(&gone->name, mig_strdup("users")))
RULE(collection_name, set(&gone->name, mig_strdup("$x")))
RULE(chunk_name, set(&k->member, mig_strdup("app/users/000002.bson.zst")))
RULE(chunk_path, set(&k->member, mig_strdup("../users/000001.bson.zst")))
RULE(metadata_name, set(&view->metadata_member, mig_strdup("app/users/metadata.json")))
RULE(no_documents, k->documents = 0)
RULE(more_documents_than_fit, (k->documents = 30, users->documents = 38))
RULE(chunk_too_large, (k->raw_bytes = MIG_CHUNK_MAX_BYTES + 1, users->raw_bytes = k->raw_bytes + 200))
RULE(one_document_too_large, (k->documents = 1, k->raw_bytes = MIG_DOCUMENT_MAX_BYTES + 1, users->documents = 9,
                              users->raw_bytes = k->raw_bytes + 200))
RULE(raw_overflow, (k->raw_bytes = INT64_MAX, users->raw_bytes = INT64_MAX))
RULE(stored_zero, k->stored_bytes = 0)
RULE(stored_more_than_bound, k->stored_bytes = 1000)
RULE(offset_not_at_block, k->offset++)
RULE(offset_backwards, k->offset = 2048)
RULE(offset_huge, k->offset = (uint64_t)INT64_MAX / 512 * 512)
RULE(metadata_empty, view->metadata_bytes = 0)
RULE(metadata_huge, view->metadata_bytes = (uint64_t)1 << 40)
RULE(sum_of_documents, users->documents++)
RULE(sum_of_bytes, users->raw_bytes--)
RULE(view_with_documents, view->documents = 1)
RULE(no_collection_sum, users->sha256[0] = 0)
RULE(sum_of_a_view, memcpy(view->sha256, SUM, sizeof SUM))
RULE(sum_in_capitals, memcpy(k->sha256, "ABC", 3))
RULE(id_document_with_two, BSON_APPEND_INT32(k->first, "a", 1))
RULE(id_document_of_another, (bson_destroy(k->last), k->last = bson_new(), BSON_APPEND_INT32(k->last, "id", 1)))
RULE(type_of_another, set(&view->type, mig_strdup("collection")))
RULE(order_of_another, users->natural_order = true)
RULE(index_without_name, BSON_APPEND_DOCUMENT(users->indexes, "2", users->info))
RULE(index_not_numbered, BSON_APPEND_INT32(users->indexes, "x", 1))

static void every_rule_is_kept(void **state) {
  (void)state;
#define R(name)                                                                                                        \
  { #name, name }
  static const broken_rule rules[] = {
      R(id_with_slash),
      R(id_empty),
      R(bad_database),
      R(unknown_consistency),
      R(time_without_cluster_time),
      R(cluster_time_without_claim),
      R(written_at_one_time),
      R(not_written_at_one_time),
      R(written_view),
      R(before_1970),
      R(header_huge),
      R(header_later),
      R(collection_twice),
      R(collection_name),
      R(chunk_name),
      R(chunk_path),
      R(metadata_name),
      R(no_documents),
      R(more_documents_than_fit),
      R(chunk_too_large),
      R(one_document_too_large),
      R(raw_overflow),
      R(stored_zero),
      R(stored_more_than_bound),
      R(offset_not_at_block),
      R(offset_backwards),
      R(offset_huge),
      R(metadata_empty),
      R(metadata_huge),
      R(sum_of_documents),
      R(sum_of_bytes),
      R(view_with_documents),
      R(no_collection_sum),
      R(sum_of_a_view),
      R(sum_in_capitals),
      R(id_document_with_two),
      R(id_document_of_another),
      R(index_without_name),
      R(index_not_numbered),
      R(type_of_another),
      R(order_of_another),
  };
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
    mig_error err = {0};
    mig_manifest *m = sample();
    rules[i].breaks(m);
    assert_true(mig_manifest_seal(m, &err)); /* a forger would have the digests right */
    if (parses(m, &err)) fail_msg("%s was accepted", rules[i].rule);
    assert_int_equal(err.code, MIG_E_ARCHIVE);
    mig_manifest_free(m);
  }
}

static void the_totals_and_the_digest_are_checked(void **state) {
  (void)state;
  mig_error err = {0};
  mig_manifest *m = sample();
  assert_true(mig_manifest_seal(m, &err));
  assert_true(parses(m, &err));
  m->documents++;
  assert_false(parses(m, &err));
  m->documents--;
  m->raw_bytes--;
  assert_false(parses(m, &err));
  m->raw_bytes++;
  m->digest[5] = m->digest[5] == 'a' ? 'b' : 'a';
  assert_false(parses(m, &err));
  mig_manifest_free(m);
}

static void digest_of(const char *what, void (*change)(mig_manifest *m), bool differs) {
  mig_error err = {0};
  mig_manifest *one = sample(), *other = sample();
  change(other);
  assert_true(mig_manifest_seal(one, &err) && mig_manifest_seal(other, &err));
  if ((strcmp(one->digest, other->digest) != 0) != differs) fail_msg("%s: the digest is wrong", what);
  mig_manifest_free(one);
  mig_manifest_free(other);
}

RULE(nothing, (void)m)
RULE(other_packing, (k->stored_bytes++, m->header_sha256[0] = 'f', m->cluster_increment++))
RULE(other_order, {
  mig_collection_entry first = *users;
  *users = *view;
  *view = first;
})
static void other_uuid(mig_manifest *m) {
  bson_iter_t it;
  bson_subtype_t subtype;
  uint32_t size;
  const uint8_t *bytes;
  assert_true(mig_bson_find(m->collections[0].info, "info.uuid", &it));
  bson_iter_binary(&it, &subtype, &size, &bytes);
  ((uint8_t *)(uintptr_t)bytes)[3] ^= 1;
}
static void other_index_order(mig_manifest *m) {
  bson_t *swapped = bson_new();
  fixture_index(swapped, "0", "int32", "int32_1", true);
  fixture_index(swapped, "1", "_id", "_id_", false);
  bson_destroy(m->collections[0].indexes);
  m->collections[0].indexes = swapped;
}
static void other_index_type(mig_manifest *m) {
  bson_t *other = bson_new();
  fixture_index(other, "0", "_id", "_id_", false);
  fixture_index(other, "1", "int32", "int32_1", false);
  bson_destroy(m->collections[0].indexes);
  m->collections[0].indexes = other;
}
RULE(other_content, users->sha256[0] = 'f')
RULE(other_count, users->documents++)
RULE(other_name, set(&view->name, mig_strdup("w")))
RULE(other_holds, gone->holds = MIG_HOLDS_METADATA)
RULE(other_options, BSON_APPEND_INT32(view->info, "more", 1))

static void the_digest_is_of_the_data_and_of_nothing_else(void **state) {
  (void)state;
  digest_of("nothing", nothing, false);
  digest_of("packing", other_packing, false);
  digest_of("order of collections", other_order, false);
  digest_of("UUID", other_uuid, false);
  digest_of("order of indexes", other_index_order, false);
  digest_of("type of a number in an index", other_index_type, true);
  digest_of("documents", other_content, true);
  digest_of("count", other_count, true);
  digest_of("name", other_name, true);
  digest_of("holds", other_holds, true);
  digest_of("options", other_options, true);
}

static void no_byte_of_the_text_can_change(void **state) {
  (void)state;
  mig_error err = {0};
  mig_manifest *m = sample(), *again = NULL;
  assert_true(mig_manifest_seal(m, &err));
  mig_buf text = text_of(m);
  size_t tail = text.size - MIG_MANIFEST_TAIL_BYTES; /* archiveSha256's digits: for the archive to check */
  for (size_t i = 0; i < text.size; i++) {
    if (i >= tail && i < tail + 64) continue;
    for (unsigned mask = 1; mask < 256; mask <<= 1) {
      text.data[i] ^= (uint8_t)mask;
      if (mig_manifest_parse(mig_buf_text(&text), text.size, &again, &err)) fail_msg("byte %zu was changed", i);
      assert_int_equal(err.code, MIG_E_ARCHIVE);
      text.data[i] ^= (uint8_t)mask;
    }
  }
  for (size_t n = 0; n < text.size; n++) assert_false(mig_manifest_parse(mig_buf_text(&text), n, &again, &err));
  assert_true(mig_buf_add(&text, "\n", 1, &err));
  assert_false(mig_manifest_parse(mig_buf_text(&text), text.size, &again, &err));
  mig_buf_free(&text);
  mig_manifest_free(m);
}

static void hostile_text_is_refused(void **state) {
  (void)state;
  static const char *const texts[] = {
      "",
      "null",
      "[]",
      "{}",
      "{\"format\":1}",
      "{\"format\":2,\"features\":[]}",
      "{\"format\":\"1\"}",
      "{\"format\":1,\"features\":[\"encryption\"]}",
      "{\"format\":1,\"features\":[],\"collections\":7}",
      "\xFF\xFE",
      "{\"format\":1e99}",
      "{\"$oid\":\"x\"}",
      "{\"a\":{\"$binary\":{\"base64\":\"!\",\"subType\":\"zz\"}}}",
  };
  mig_manifest *m = NULL;
  mig_error err;
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    assert_false(mig_manifest_parse(texts[i], strlen(texts[i]), &m, &err));
    assert_int_equal(err.code, MIG_E_ARCHIVE);
    assert_null(m);
  }
  size_t size = 1 << 20;
  char *deep = malloc(size);
  memset(deep, '[', size);
  memcpy(deep, "{\"a\":", 5);
  assert_false(mig_manifest_parse(deep, size, &m, &err));
  for (size_t i = 5; i + 1 < size; i += 2) memcpy(deep + i, i == 5 ? "[1" : ",1", 2);
  assert_false(mig_manifest_parse(deep, size, &m, &err)); /* refused before it grows in memory */
  free(deep);
  mig_manifest_free(NULL);
}

static void a_newer_format_says_what_to_do(void **state) {
  (void)state;
  mig_manifest *m = NULL;
  mig_error err;
  static const char newer[] = "{\"format\":2,\"features\":[]}";
  assert_false(mig_manifest_parse(newer, sizeof newer - 1, &m, &err));
  assert_non_null(strstr(err.what, "format 2"));
  assert_non_null(strstr(err.hint, "newer mig"));
}

static void ids_are_copied_byte_for_byte(void **state) {
  (void)state;
  for (unsigned n = 0; n < FIXTURE_DOCUMENTS; n++) {
    bson_t *doc = fixture_document(n), *back = NULL;
    bson_t *id = mig_bson_id(bson_get_data(doc), doc->len);
    mig_buf text = MIG_BUF(1 << 20);
    mig_error err;
    assert_non_null(id);
    assert_int_equal(bson_count_keys(id), n == 5 ? 0 : 1);
    if (n != 5) assert_memory_equal(bson_get_data(id) + 4, bson_get_data(doc) + 4, id->len - 5); /* _id is first */
    assert_true(mig_json_bson(&text, id, &err));
    text.data[text.size - 1] = 0; /* without the quotes */
    assert_true(mig_json_unbson(mig_buf_text(&text) + 1, &back, &err));
    assert_true(mig_bson_same(id, back));
    bson_destroy(back);
    bson_destroy(id);
    bson_destroy(doc);
    mig_buf_free(&text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_written_is_read_again),
      cmocka_unit_test(what_was_written_meanwhile_is_read_again),
      cmocka_unit_test(every_rule_is_kept),
      cmocka_unit_test(the_totals_and_the_digest_are_checked),
      cmocka_unit_test(the_digest_is_of_the_data_and_of_nothing_else),
      cmocka_unit_test(no_byte_of_the_text_can_change),
      cmocka_unit_test(hostile_text_is_refused),
      cmocka_unit_test(a_newer_format_says_what_to_do),
      cmocka_unit_test(ids_are_copied_byte_for_byte),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
