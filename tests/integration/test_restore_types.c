/* Every BSON type and every odd document that the server stores comes back byte for byte. */
#include "backup/doc_id.h"
#include "restore_env.h"

#define BYTES(text) text, sizeof(text) - 1

typedef struct odd {
  const char *name;
  const char *bytes; /* elements after {"_id": <number>}, as they stand in BSON */
  size_t size;
} odd;

static const odd odds[] = {
    {"double", BYTES("\x01v\0\0\0\0\0\0\0\xf8\x3f")},
    {"negative zero", BYTES("\x01v\0\0\0\0\0\0\0\0\x80")},
    {"infinity", BYTES("\x01v\0\0\0\0\0\0\0\xf0\x7f")},
    {"negative infinity", BYTES("\x01v\0\0\0\0\0\0\0\xf0\xff")},
    {"NaN", BYTES("\x01v\0\0\0\0\0\0\0\xf8\x7f")},
    {"NaN with a payload", BYTES("\x01v\0\x2a\0\0\0\0\0\xf8\x7f")},
    {"negative NaN", BYTES("\x01v\0\0\0\0\0\0\0\xf8\xff")},
    {"signalling NaN", BYTES("\x01v\0\x01\0\0\0\0\0\xf0\x7f")},
    {"denormal double", BYTES("\x01v\0\x01\0\0\0\0\0\0\0")},
    {"empty string", BYTES("\x02v\0\x01\0\0\0\0")},
    {"string with a zero byte", BYTES("\x02v\0\x04\0\0\0a\0b\0")},
    {"string of four-byte characters", BYTES("\x02v\0\x05\0\0\0\xf0\x9f\x98\x80\0")},
    {"string that is not UTF-8", BYTES("\x02v\0\x03\0\0\0\xff\xfe\0")},
    {"empty document", BYTES("\x03v\0\x05\0\0\0\0")},
    {"empty array", BYTES("\x04v\0\x05\0\0\0\0")},
    {"array with keys that are no numbers", BYTES("\x04v\0\x0f\0\0\0\x0a"
                                                  "b\0\x10"
                                                  "a\0\x01\0\0\0\0")},
    {"binary", BYTES("\x05v\0\x02\0\0\0\0\x01\x02")},
    {"empty binary", BYTES("\x05v\0\0\0\0\0\0")},
    {"binary of the old subtype", BYTES("\x05v\0\x06\0\0\0\x02\x02\0\0\0\x01\x02")},
    {"old UUID", BYTES("\x05v\0\x10\0\0\0\x03"
                       "0123456789abcdef")},
    {"UUID", BYTES("\x05v\0\x10\0\0\0\x04"
                   "0123456789abcdef")},
    {"MD5", BYTES("\x05v\0\x10\0\0\0\x05"
                  "0123456789abcdef")},
    {"binary of a subtype of its own", BYTES("\x05v\0\x01\0\0\0\x80\x07")},
    {"undefined", BYTES("\x06v\0")},
    {"ObjectId", BYTES("\x07v\0"
                       "0123456789ab")},
    {"false", BYTES("\x08v\0\0")},
    {"true", BYTES("\x08v\0\x01")},
    {"first date", BYTES("\x09v\0\0\0\0\0\0\0\0\x80")},
    {"last date", BYTES("\x09v\0\xff\xff\xff\xff\xff\xff\xff\x7f")},
    {"date before 1970", BYTES("\x09v\0\xff\xff\xff\xff\xff\xff\xff\xff")},
    {"null", BYTES("\x0av\0")},
    {"regular expression", BYTES("\x0bv\0^a.*\0im\0")},
    {"regular expression, options unsorted", BYTES("\x0bv\0x\0xi\0")},
    {"empty regular expression", BYTES("\x0bv\0\0\0")},
    {"DBPointer", BYTES("\x0cv\0\x02\0\0\0c\0"
                        "0123456789ab")},
    {"code", BYTES("\x0dv\0\x02\0\0\0x\0")},
    {"symbol", BYTES("\x0ev\0\x02\0\0\0s\0")},
    {"code with scope", BYTES("\x0fv\0\x16\0\0\0\x02\0\0\0x\0\x0c\0\0\0\x10"
                              "a\0\x01\0\0\0\0")},
    {"smallest int32", BYTES("\x10v\0\0\0\0\x80")},
    {"largest int32", BYTES("\x10v\0\xff\xff\xff\x7f")},
    {"timestamp", BYTES("\x11v\0\x02\0\0\0\x01\0\0\0")},
    {"timestamp 0,0", BYTES("\x11v\0\0\0\0\0\0\0\0\0")},
    {"timestamp 0,0 further in", BYTES("\x03v\0\x10\0\0\0\x11t\0\0\0\0\0\0\0\0\0\0")},
    {"largest timestamp", BYTES("\x11v\0\xff\xff\xff\xff\xff\xff\xff\xff")},
    {"smallest int64", BYTES("\x12v\0\0\0\0\0\0\0\0\x80")},
    {"largest int64", BYTES("\x12v\0\xff\xff\xff\xff\xff\xff\xff\x7f")},
    {"decimal 0", BYTES("\x13v\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x40\x30")},
    {"decimal -0E-6176", BYTES("\x13v\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x80")},
    {"decimal 1.10 (its zero counts)", BYTES("\x13v\0\x6e\0\0\0\0\0\0\0\0\0\0\0\0\0\x3c\x30")},
    {"decimal NaN", BYTES("\x13v\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x7c")},
    {"decimal NaN with a payload", BYTES("\x13v\0\x12\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xfc")},
    {"decimal infinity", BYTES("\x13v\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x78")},
    {"decimal negative infinity", BYTES("\x13v\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xf8")},
    {"largest decimal", BYTES("\x13v\0\xff\xff\xff\xff\x63\x8e\x8d\x37\xc0\x87\xad\xbe\x09\xed\xff\x5f")},
    {"MinKey", BYTES("\xffv\0")},
    {"MaxKey", BYTES("\x7fv\0")},
    {"the same key twice", BYTES("\x10k\0\x01\0\0\0\x10k\0\x02\0\0\0")},
    {"the same key twice, further in", BYTES("\x03v\0\x13\0\0\0\x10k\0\x01\0\0\0\x10k\0\x02\0\0\0\0")},
    {"empty key", BYTES("\x10\0\x01\0\0\0")},
    {"key with a dot", BYTES("\x10"
                             "a.b\0\x01\0\0\0")},
    {"key that starts with a dollar", BYTES("\x10$a\0\x01\0\0\0")},
    {"key that is an operator", BYTES("\x03$set\0\x0c\0\0\0\x10"
                                      "a\0\x01\0\0\0\0")},
    {"dollar key after another", BYTES("\x10"
                                       "b\0\x01\0\0\0\x10$a\0\x01\0\0\0")},
    {"dollar key further in", BYTES("\x03v\0\x0d\0\0\0\x10$a\0\x01\0\0\0\0")},
    {"DBRef", BYTES("\x03v\0\x1a\0\0\0\x02$ref\0\x02\0\0\0c\0\x10$id\0\x01\0\0\0\0")},
    {"key of one dollar", BYTES("\x10$\0\x01\0\0\0")},
    {"keys __proto__ and constructor", BYTES("\x10__proto__\0\x01\0\0\0\x10"
                                             "constructor\0\x01\0\0\0")},
};

#define ODD_COUNT (sizeof odds / sizeof *odds)

static bson_t *odd_doc(int id, const odd *o) {
  uint8_t data[512] = {0};
  const uint32_t size = (uint32_t)(4 + 9 + o->size + 1);
  assert_true(size <= sizeof data);
  data[0] = (uint8_t)size;
  data[1] = (uint8_t)(size >> 8);
  memcpy(data + 4, "\x10_id\0", 5);
  data[9] = (uint8_t)id;
  memcpy(data + 13, o->bytes, o->size);
  bson_t *doc = bson_new_from_data(data, size);
  if (!doc) fail_msg("%s: not a document", o->name);
  return doc;
}

/* Puts a document there with exactly these bytes: plainly, else literally by a pipeline; false: this server cannot. */
static bool store(env *e, const char *collection, const bson_t *doc, char *lacks, size_t size) {
  mig_error err;
  bson_t found;
  bool there = false;
  bson_t *by_id = bson_new(), *find;
  assert_true(mig_doc_id_filter(by_id, doc));
  find = BCON_NEW("find", BCON_UTF8(collection), "filter", BCON_DOCUMENT(by_id));
  bool ok = try_insert(e, collection, doc, &err);
  snprintf(lacks, size, "%s", ok ? "it stores other bytes" : err.why);
  for (int attempt = 0; attempt < 2; attempt++) {
    mig_error ignored;
    CHECK(mig_db_first(e->db, find, &found, &there, &err), err);
    ok = there && mig_bson_same(&found, doc);
    bson_destroy(&found);
    if (ok || attempt) break;
    try_command(e,
                BCON_NEW("update", BCON_UTF8(collection), "updates", "[", "{", "q", BCON_DOCUMENT(by_id), "u", "[", "{",
                         "$replaceWith", "{", "$literal", BCON_DOCUMENT(doc), "}", "}", "]", "upsert", BCON_BOOL(true),
                         "}", "]"),
                &ignored);
  }
  if (!ok)
    run_command(e, BCON_NEW("delete", BCON_UTF8(collection), "deletes", "[", "{", "q", BCON_DOCUMENT(by_id), "limit",
                            BCON_INT32(0), "}", "]"));
  bson_destroy(find);
  bson_destroy(by_id);
  return ok;
}

static void store_all(env *e, const char *collection) {
  for (size_t i = 0; i < ODD_COUNT; i++) {
    char lacks[200];
    bson_t *doc = odd_doc((int)i, &odds[i]);
    if (!store(e, collection, doc, lacks, sizeof lacks)) skip_part(odds[i].name, lacks);
    bson_destroy(doc);
  }
}

static void restore_by(env *e, mig_strategy strategy, const char *before) {
  const mig_restore_options options = {.strategy = strategy, .displaced_store = e->store};
  mig_restore_report r = restore_like(e, &options, before);
  mig_restore_report_clear(&r);
}

static void odd_documents_that_were_removed_come_back(void **state) {
  env *e = *state;
  store_all(e, "odd");
  snapshot(e);
  char *before = fingerprint(e);
  run_json(e, "{\"delete\":\"odd\",\"deletes\":[{\"q\":{},\"limit\":0}]}");
  restore_by(e, MIG_STRATEGY_DELTA, before);
  mig_free(before);
}

static void odd_documents_that_were_changed_come_back(void **state) {
  env *e = *state;
  store_all(e, "odd");
  snapshot(e);
  char *before = fingerprint(e);
  for (size_t i = 0; i < ODD_COUNT; i++)
    run_command(e, BCON_NEW("update", "odd", "updates", "[", "{", "q", "{", "_id", BCON_INT32((int)i), "}", "u", "{",
                            "damaged", BCON_INT32(1), "}", "}", "]"));
  restore_by(e, MIG_STRATEGY_DELTA, before);
  mig_free(before);
}

static void odd_documents_come_back_by_swap_too(void **state) {
  env *e = *state;
  store_all(e, "odd");
  snapshot(e);
  char *before = fingerprint(e);
  run_json(e, "{\"delete\":\"odd\",\"deletes\":[{\"q\":{\"_id\":{\"$gt\":10}},\"limit\":0}]}");
  restore_by(e, MIG_STRATEGY_SWAP, before);
  run_json(e, "{\"drop\":\"odd\"}");
  restore_by(e, MIG_STRATEGY_AUTO, before);
  mig_free(before);
}

/* Each odd document becomes the next one, so that every kind is written over every other. */
static void odd_documents_are_displaced_and_compared_exactly(void **state) {
  env *e = *state;
  char lacks[200];
  store_all(e, "odd");
  snapshot(e);
  char *before = fingerprint(e);
  run_json(e, "{\"delete\":\"odd\",\"deletes\":[{\"q\":{},\"limit\":0}]}");
  for (size_t i = 0; i < ODD_COUNT; i++) {
    bson_t *doc = odd_doc((int)i, &odds[(i + 1) % ODD_COUNT]);
    if (!store(e, "odd", doc, lacks, sizeof lacks)) skip_part(odds[(i + 1) % ODD_COUNT].name, lacks);
    bson_destroy(doc);
  }
  restore_by(e, MIG_STRATEGY_AUTO, before);
  mig_free(before);
}

static void an_id_that_does_not_stand_first_keeps_its_place(void **state) {
  env *e = *state;
  char lacks[200];
  bson_t *doc = BCON_NEW("a", BCON_INT32(1), "_id", BCON_INT32(1), "b", BCON_INT32(2));
  if (!store(e, "odd", doc, lacks, sizeof lacks)) skip_part("_id in the middle", lacks);
  insert(e, "odd", BCON_NEW("_id", BCON_INT32(2)));
  snapshot(e);
  char *before = fingerprint(e);
  run_json(e, "{\"delete\":\"odd\",\"deletes\":[{\"q\":{},\"limit\":0}]}");
  restore_by(e, MIG_STRATEGY_AUTO, before);
  bson_destroy(doc);
  mig_free(before);
}

static bson_t *document_of(int id, uint32_t size, char fill) {
  const uint32_t text = size - (4 + 9 + 3 + 4 + 1 + 1);
  char *filler = malloc(text + 1);
  memset(filler, fill, text);
  filler[text] = 0;
  bson_t *doc = BCON_NEW("_id", BCON_INT32(id), "f", BCON_UTF8(filler));
  free(filler);
  assert_int_equal(doc->len, size);
  return doc;
}

/* mongoeco puts as many documents into a reply as there are, past what a message may hold. */
static bool can_read(env *e, const char *collection) {
  mig_error err;
  mig_cursor *c = NULL;
  const bson_t *doc = NULL;
  mig_next next = MIG_NEXT_ERROR;
  bson_t *find = BCON_NEW("find", BCON_UTF8(collection));
  if (mig_db_query(e->db, find, &c, &err))
    while ((next = mig_cursor_next(c, &doc, &err)) == MIG_NEXT_DOC) continue;
  if (next == MIG_NEXT_ERROR) skip_part("several large documents", err.why);
  mig_cursor_close(c);
  bson_destroy(find);
  return next == MIG_NEXT_END;
}

static void documents_of_the_largest_size_come_back(void **state) {
  env *e = *state;
  char lacks[200];
  for (int id = 0; id < 4; id++) {
    bson_t *doc = document_of(id, 16u << 20, 'a');
    mig_error err;
    if (!try_insert(e, "large", doc, &err)) {
      snprintf(lacks, sizeof lacks, "%.190s", err.why);
      skip_part("a document of 16 MiB", lacks);
      bson_t *smaller = document_of(id, 15u << 20, 'a');
      insert(e, "large", smaller);
    }
    bson_destroy(doc);
  }
  insert_numbered(e, "large", 100, 50, 0);
  if (!can_read(e, "large")) return;
  snapshot(e);
  char *before = fingerprint(e);
  run_json(e, "{\"update\":\"large\",\"updates\":[{\"q\":{\"_id\":0},\"u\":{\"small\":1}}]}");
  run_json(e, "{\"delete\":\"large\",\"deletes\":[{\"q\":{\"_id\":{\"$gte\":2}},\"limit\":0}]}");
  insert(e, "large", document_of(7, 15u << 20, 'b'));
  insert(e, "large", document_of(8, 15u << 20, 'b'));
  insert(e, "large", document_of(9, 15u << 20, 'b'));
  restore_by(e, MIG_STRATEGY_AUTO, before);
  run_json(e, "{\"drop\":\"large\"}");
  restore_by(e, MIG_STRATEGY_AUTO, before);
  mig_free(before);
}

static void deeply_nested_documents_come_back(void **state) {
  env *e = *state;
  mig_error err;
  bson_t *doc = BCON_NEW("x", BCON_INT32(1));
  for (int depth = 0; depth < 90; depth++) {
    bson_t *outer = BCON_NEW("d", BCON_DOCUMENT(doc));
    bson_destroy(doc);
    doc = outer;
  }
  bson_t *with_id = BCON_NEW("_id", BCON_INT32(1), "d", BCON_DOCUMENT(doc));
  if (!try_insert(e, "deep", with_id, &err)) skip_part("90 levels", err.why);
  insert(e, "deep", BCON_NEW("_id", BCON_INT32(2)));
  snapshot(e);
  char *before = fingerprint(e);
  run_json(e, "{\"update\":\"deep\",\"updates\":[{\"q\":{},\"u\":{\"$set\":{\"z\":1}},\"multi\":true}]}");
  restore_by(e, MIG_STRATEGY_AUTO, before);
  run_json(e, "{\"drop\":\"deep\"}");
  restore_by(e, MIG_STRATEGY_AUTO, before);
  bson_destroy(doc);
  bson_destroy(with_id);
  mig_free(before);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RESTORE_TEST(odd_documents_that_were_removed_come_back),
      RESTORE_TEST(odd_documents_that_were_changed_come_back),
      RESTORE_TEST(odd_documents_come_back_by_swap_too),
      RESTORE_TEST(odd_documents_are_displaced_and_compared_exactly),
      RESTORE_TEST(an_id_that_does_not_stand_first_keeps_its_place),
      RESTORE_TEST(documents_of_the_largest_size_come_back),
      RESTORE_TEST(deeply_nested_documents_come_back),
  };
  return run_restore_tests("restore_types", tests, sizeof tests / sizeof *tests);
}
