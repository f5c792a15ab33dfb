/* One migration file: what is read from it, and where each mistake is said to be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "migrations/implied.h"
#include "validators/guard.h"

#define FILE_NAME "0001_x.json"

static char folder[64], back[4096];

static int setup(void **state) {
  (void)state;
  strcpy(folder, "/tmp/mig-load-XXXXXX");
  return getcwd(back, sizeof back) && mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int teardown(void **state) {
  char command[100];
  (void)state;
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  return chdir(back) || system(command);
}

static bool load_bytes(const char *text, size_t size, mig_migration **m, mig_error *err) {
  FILE *f = fopen(FILE_NAME, "wb"); /* not synced: some tests write thousands */
  assert_non_null(f);
  assert_int_equal(fwrite(text, 1, size, f), size);
  fclose(f);
  *err = (mig_error){0};
  return mig_migration_load(FILE_NAME, NULL, m, err);
}

static mig_migration *load_ok(const char *text) {
  mig_migration *m = NULL;
  mig_error err;
  if (!load_bytes(text, strlen(text), &m, &err)) fail_msg("%s | %s", err.what, err.why);
  return m;
}

static bool fails_with(const char *text, size_t size, const char *what) {
  mig_migration *m = NULL;
  mig_error err;
  bool failed = !load_bytes(text, size, &m, &err);
  bool same = failed && !m && err.code == MIG_E_INPUT && strcmp(err.what, what) == 0;
  if (!same) print_error("%s\n  expected %s\n  got      %s\n", text, what, failed ? err.what : "(accepted)");
  mig_migration_free(m);
  return same;
}

static void load_fails(const char *text, size_t size, const char *what) {
  assert_true(fails_with(text, size, what));
}

#define UP(steps) "{\"up\": [" steps "]}"
#define DROP      "{\"dropCollection\": {\"collection\": \"c\"}}"

static void a_whole_file_is_read(void **state) {
  (void)state;
  mig_migration *m =
      load_ok("{ \"version\": \"1.4.0\", \"description\": \"d\", \"author\": \"ops\",\n"
              "  \"transaction\": \"off\", \"snapshot\": \"always\", \"metadata\": {\"ticket\": 7},\n"
              "  \"guards\": [ {\"noDuplicates\": {\"collection\": \"users\", \"fields\": [\"email\"]}} ],\n"
              "  \"up\":   [ {\"addField\": {\"collection\": \"users\", \"field\": \"n\", \"value\": {\"e\": true}}},\n"
              "            {\"createIndex\": {\"collection\": \"users\", \"key\": {\"email\": 1}}} ],\n"
              "  \"down\": [ {\"removeField\": {\"collection\": \"users\", \"field\": \"n\"}} ],\n"
              "  \"verify\": [ {\"count\": {\"collection\": \"users\", \"equals\": 0}} ] }\n");
  assert_string_equal(m->name, "0001_x");
  assert_string_equal(m->order, "0001");
  assert_string_equal(m->version, "1.4.0");
  assert_string_equal(m->description, "d");
  assert_string_equal(m->author, "ops");
  assert_int_equal(m->transaction, MIG_TXN_OFF);
  assert_int_equal(m->snapshot, MIG_SNAPSHOT_ALWAYS);
  assert_true(m->reversible);
  assert_int_equal(m->up.count, 2);
  assert_int_equal(m->down.count, 1);
  assert_string_equal(m->up.items[0].def->name, "addField");
  assert_string_equal(m->up.items[0].where, "0001_x.json:4:14");
  assert_string_equal(m->up.items[1].where, "0001_x.json:5:14");
  assert_string_equal(m->down.items[0].where, "0001_x.json:6:14");
  assert_int_equal(bson_count_keys(m->guards), 1);
  assert_int_equal(bson_count_keys(m->verify), 1);
  assert_true(bson_has_field(m->metadata, "ticket"));
  mig_migration_free(m);
}

static void a_small_file_gets_the_defaults(void **state) {
  (void)state;
  mig_migration *m = load_ok(UP(DROP));
  assert_string_equal(m->version, "0001");
  assert_null(m->description);
  assert_int_equal(m->transaction, MIG_TXN_AUTO);
  assert_int_equal(m->snapshot, MIG_SNAPSHOT_AUTO);
  assert_false(m->reversible);
  assert_true(bson_empty(m->guards) && bson_empty(m->verify) && bson_empty(m->metadata));
  mig_migration_free(m);
}

static void the_checksum_is_that_of_the_bytes(void **state) {
  char hex[MIG_SHA256_HEX];
  const char *text = "// a comment counts too\n" UP(DROP);
  (void)state;
  mig_migration *m = load_ok(text);
  assert_true(mig_sha256_hex(text, strlen(text), hex, NULL));
  assert_string_equal(m->checksum, hex);
  mig_migration_free(m);
}

static void comments_are_allowed_outside_of_text(void **state) {
  (void)state;
  mig_migration *m = load_ok("// first\n/* and\n more */ { /**/ \"up\" /* x */ : [ // here\n"
                             "{\"dropCollection\": {\"collection\": \"a//b/*c*/\"}} /* , */ ] } // end");
  const char *collection = NULL;
  assert_true(mig_bson_str(m->up.items[0].args, "collection", &collection));
  assert_string_equal(collection, "a//b/*c*/");
  assert_string_equal(m->up.items[0].where, "0001_x.json:4:2");
  mig_migration_free(m);
}

/* Windows line ends, tabs and letters of several bytes: a column is a character. */
static void columns_count_characters(void **state) {
  (void)state;
  const char *text = "{\r\n\t\"description\": \"\xC3\xA9\xF0\x9F\x98\x80\", \"upp\": []}";
  load_fails(text, strlen(text), "0001_x.json:2:23: unknown key \"upp\"; did you mean \"up\"?");
}

static const struct {
  const char *text, *what;
} mistakes[] = {
    /* text that is no JSON */
    {"", "0001_x.json:1:1: the file is empty"},
    {" \n\t ", "0001_x.json:1:1: the file is empty"},
    {"// only a comment\n", "0001_x.json:2:1: expected \"{\", found the end of the file"},
    {"\xEF\xBB\xBF{}", "0001_x.json:1:1: the file begins with a byte order mark"},
    {"\xFF\xFE{", "0001_x.json:1:1: the file is UTF-16"},
    {"[1]", "0001_x.json:1:1: expected \"{\", found \"[\""},
    {"{\"up\": [" DROP "]} x", "0001_x.json:1:51: something stands behind the end of the object"},
    {"{\"up\": [" DROP "]}\n{}", "0001_x.json:2:1: something stands behind the end of the object"},
    {"{\"up\": [\n  " DROP ",\n]}", "0001_x.json:2:42: a comma with nothing behind it"},
    {"{\"up\": [\n  " DROP "\n  " DROP "]}", "0001_x.json:3:3: expected \",\" or \"]\", found \"{\""},
    {"{\"up\" [", "0001_x.json:1:7: expected \":\" after the key, found \"[\""},
    {"{up: []}", "0001_x.json:1:2: expected a key in double quotes, found \"u\""},
    {"{'up': []}", "0001_x.json:1:2: expected a key in double quotes, found \"'\""},
    {"{\"up\": }", "0001_x.json:1:8: expected a value, found \"}\""},
    {"{\"up\": tru}", "0001_x.json:1:8: expected a value, found tru"},
    {"{\"up\": NaN}", "0001_x.json:1:8: expected a value, found NaN"},
    {"{\"up\": 01}", "0001_x.json:1:8: this is not a number as JSON writes it"},
    {"{\"up\": 1.}", "0001_x.json:1:8: this is not a number as JSON writes it"},
    {"{\"up\": -}", "0001_x.json:1:8: this is not a number as JSON writes it"},
    {"{\"up\": \"abc}", "0001_x.json:1:8: this text has no closing quote"},
    {"{\"up\": \"ab\nc\"}", "0001_x.json:1:11: a line ends inside a text"},
    {"{\"up\": \"a\tc\"}", "0001_x.json:1:10: a control character inside a text"},
    {"{\"up\": \"a\\qc\"}", "0001_x.json:1:10: this escape is none of JSON's"},
    {"{\"up\": \"a\\u12g4\"}", "0001_x.json:1:10: \\u takes four hexadecimal digits"},
    {"{\"up\": \"a\\ud83d\"}", "0001_x.json:1:10: half of a surrogate pair is not a character"},
    {"{\"up\": [", "0001_x.json:1:9: expected a value, found the end of the file"},
    {"{\n /* never ends\n \"up\": []}", "0001_x.json:2:2: this comment has no end"},
    {"{ / \"up\": []}", "0001_x.json:1:3: unexpected \"/\""},
    {"{\"up\": \"\xC3(\"}", "0001_x.json:1:9: this byte is not UTF-8 (0xC3)"},
    /* equal keys, however they are spelled and wherever they are */
    {"{\"up\": [],\n \"up\": []}", "0001_x.json:2:2: the key \"up\" stands twice in this object"},
    {"{\"up\": [{\"insert\": {\"collection\": \"c\", \"documents\": [\n{\"a\": 1, \"b\": 2, \"\\u0061\": 3}]}}]}",
     "0001_x.json:2:18: the key \"a\" stands twice in this object"},
    {"{\"metadata\": {\"x\": {\"$type\": 1, \"$type\": 2}}}",
     "0001_x.json:1:33: the key \"$type\" stands twice in this object"},
    {"{\"metadata\": {\"x\": {\"$oid\": \"5f5f5f5f5f5f5f5f5f5f5f5f\", \"$oid\": \"5f5f5f5f5f5f5f5f5f5f5f5f\"}}}",
     "0001_x.json:1:57: the key \"$oid\" stands twice in this object"},
    {"{\"a\\u0000b\": 1}", "0001_x.json:1:2: a key with a zero byte inside"},
    {"{\"\\u007ftype\": 1}", "0001_x.json:1:2: a key that begins with a control character"},
    /* Extended JSON: what libbson refuses, and what it would misread */
    {"{\"metadata\": {\"x\": {\"$oid\": \"12\"}}}", "0001_x.json:1:20: this is not valid Extended JSON"},
    {"{\"metadata\": {\"x\": [1, {\"y\":\n {\"$date\": \"yesterday\"}}]}}",
     "0001_x.json:2:2: this is not valid Extended JSON"},
    {"{\"metadata\": {\"x\": [1, 9223372036854775808]}}",
     "0001_x.json:1:24: this whole number does not fit into 64 bits"},
    {"{\"metadata\": {\"x\": {\"$oid\": \"5f5f5f5f5f5f5f5f5f5f5f5f\", \"y\": 1}}}",
     "0001_x.json:1:20: this is not valid Extended JSON"},
    {"{\"metadata\": {\"x\": {\"y\": 1, \"$oid\": \"5f5f5f5f5f5f5f5f5f5f5f5f\"}}}",
     "0001_x.json:1:29: \"$oid\" must be the only key of its object"},
    {"{\"metadata\": {\"x\": {\"$date\": \"2020-02-31T00:00:00Z\"}}}",
     "0001_x.json:1:30: there is no such day in that month"},
    {"{\"metadata\": {\"x\": {\"$numberDouble\": \"1.5abc\"}}}",
     "0001_x.json:1:38: $numberDouble takes a number as text, such as \"1.5\", \"NaN\" or \"-Infinity\""},
    {"{\"metadata\": {\"x\": {\"$numberDecimal\": \"abc\"}}}",
     "0001_x.json:1:39: $numberDecimal takes a number as text, of at most 34 digits, such as \"1.50\""},
    {"{\"metadata\": {\"x\": 99999999999999999999}}", "0001_x.json:1:20: this whole number does not fit into 64 bits"},
    {"{\"metadata\": {\"x\": 9223372036854775808}}", "0001_x.json:1:20: this whole number does not fit into 64 bits"},
    {"{\"metadata\": {\"x\": [1, -9223372036854775809]}}",
     "0001_x.json:1:24: this whole number does not fit into 64 bits"},
    {"{\"metadata\": {\"x\": {\"$numberLong\": \" 12\"}}}",
     "0001_x.json:1:36: $numberInt and $numberLong take a whole number as text, such as \"42\""},
    {"{\"metadata\": {\"x\": {\"$regularExpression\": {\"pattern\": \"a\", \"options\": \"zz\"}}}}",
     "0001_x.json:1:71: options of a regular expression are of the letters i, m, s, x, l, u"},
    {"{\"metadata\": {\"x\": {\"$timestamp\": {\"t\": 5000000000, \"i\": 1}}}}",
     "0001_x.json:1:41: the parts of a $timestamp are whole numbers from 0 to 4294967295"},
    {"{\"metadata\": {\"x\": {\"$binary\": {\"base64\": \"AAAA\", \"subType\": \"100\"}}}}",
     "0001_x.json:1:62: subType takes one or two hexadecimal digits"},
    {"{\"metadata\": {\"x\": {\"$binary\": \"AAAA\", \"$type\": \"00\"}}}",
     "0001_x.json:1:32: $binary takes {\"base64\": ..., \"subType\": ...}"},
    {"{\"metadata\": {\"x\": {\"$undefined\": false}}}", "0001_x.json:1:35: $undefined takes true"},
    /* the file's own keys */
    {"{}", "0001_x.json:1:1: there is no \"up\""},
    {"{\n \"upp\": []}", "0001_x.json:2:2: unknown key \"upp\"; did you mean \"up\"?"},
    {"{\"zzzzzzzzz\": 1}", "0001_x.json:1:2: unknown key \"zzzzzzzzz\""},
    {"{\"up\": []}", "0001_x.json:1:2: \"up\" holds no step"},
    {"{\"up\": [" DROP "], \"down\": []}", "0001_x.json:1:51: \"down\" holds no step"},
    {"{\"up\": {}}", "0001_x.json:1:2: \"up\" must be a list of steps such as [{\"dropIndex\": {...}}], not { }"},
    {"{\"up\": [5]}", "0001_x.json:1:9: \"up\" must be a list of steps such as [{\"dropIndex\": {...}}], not 5"},
    {"{\"version\": 1.4, \"up\": [" DROP "]}",
     "0001_x.json:1:2: \"version\" must be text that is not empty, not 1.3999999999999999112"},
    {"{\"version\": \"\"}", "0001_x.json:1:2: \"version\" must be text that is not empty, not \"\""},
    {"{\"transaction\": \"of\"}",
     "0001_x.json:1:2: \"transaction\" must be \"auto\", \"required\" or \"off\", not \"of\""},
    {"{\"snapshot\": true}", "0001_x.json:1:2: \"snapshot\" must be \"auto\", \"always\" or \"off\", not true"},
    {"{\"guards\": {}}",
     "0001_x.json:1:2: \"guards\" must be a list of guards such as [{\"collectionExists\": {...}}], not { }"},
    {"{\"metadata\": []}", "0001_x.json:1:2: \"metadata\" must be a document, not [ ]"},
    {"{\"transaction\": \"required\",\n \"up\": [" DROP "]}",
     "0001_x.json:2:10: step \"dropCollection\" cannot run in a transaction, and this migration requires one"},
    /* steps */
    {"{\n\"up\": [\n  " DROP ",\n  {\"addFeild\": {}}\n]}",
     "0001_x.json:4:4: unknown step \"addFeild\"; did you mean \"addField\"?"},
    {UP("{\"zzzzzzzzzzzz\": {}}"), "0001_x.json:1:10: unknown step \"zzzzzzzzzzzz\""},
    {UP("{}"), "0001_x.json:1:9: a step is a document with one key, its name; here are 0"},
    {UP("{\"delete\": {}, \"insert\": {}}"),
     "0001_x.json:1:9: a step is a document with one key, its name; here are 2"},
    {UP("{\"delete\": 5}"), "0001_x.json:1:10: the arguments of step \"delete\" must be a document"},
    {UP("{\"delete\": {\"collection\": \"c\"}}"), "0001_x.json:1:10: step \"delete\" lacks the argument \"filter\""},
    {UP("{\"delete\": {\"collection\": \"c\",\n \"filtr\": {}}}"),
     "0001_x.json:2:2: unknown argument \"filtr\" of step \"delete\"; did you mean \"filter\"?"},
    {UP("{\"delete\": {\"collection\": \"migrationlogs\", \"filter\": {}}}"),
     "0001_x.json:1:21: argument \"collection\" of step \"delete\" must be a collection name, not \"migrationlogs\""},
    {UP("{\"addField\": {\"collection\": \"c\", \"field\": \"_id\", \"value\": 1}}"),
     "0001_x.json:1:42: step \"addField\" cannot change _id"},
    {UP("{\"addField\": {\"collection\": \"c\", \"field\": \"a\", \"value\": {\"b\": {\"$regex\": \"x\"}}}}"),
     "0001_x.json:1:72: a field of a stored document cannot be called \"$regex\""},
    {UP("{\"removeField\": {\"collection\": \"c\", \"field\": \"_id.a\"}}"),
     "0001_x.json:1:45: step \"removeField\" cannot change _id"},
    {UP("{\"renameField\": {\"collection\": \"c\", \"from\": \"a\", \"to\": \"a.b\"}}"),
     "0001_x.json:1:58: step \"renameField\": \"a\" and \"a.b\" overlap"},
    {UP("{\"copyField\": {\"collection\": \"c\", \"from\": \"a.0\", \"to\": \"b\"}}"),
     "0001_x.json:1:43: step \"copyField\": \"a.0\" holds an array position"},
    {UP("{\"transform\": {\"collection\": \"c\", \"pipeline\": [{\"$group\": {}}]}}"),
     "0001_x.json:1:57: the stage \"$group\" cannot change documents one by one"},
    {UP("{\"transform\": {\"collection\": \"c\", \"pipeline\": [{\"$unst\": \"a\"}]}}"),
     "0001_x.json:1:57: the stage \"$unst\" cannot change documents one by one; did you mean \"$unset\"?"},
    {UP("{\"transform\": {\"collection\": \"c\", \"pipeline\": [{\"$set\": {\"_id\": 1}}]}}"),
     "0001_x.json:1:57: step \"transform\" cannot change _id"},
    {UP("{\"transform\": {\"collection\": \"c\", \"pipeline\": [{\"$unset\": [\"a\", \"_id\"]}]}}"),
     "0001_x.json:1:57: step \"transform\" cannot change _id"},
    {UP("{\"update\": {\"collection\": \"c\", \"filter\": {}, \"update\": {\"$set\": {\"_id\": 1}}}}"),
     "0001_x.json:1:74: step \"update\" cannot change _id"},
    {UP("{\"update\": {\"collection\": \"c\", \"filter\": {}, \"update\": {\"$rename\": {\"a\": \"_id\"}}}}"),
     "0001_x.json:1:77: step \"update\" cannot change _id"},
    {UP("{\"update\": {\"collection\": \"c\", \"filter\": {}, \"update\": {\"$set\": 5}}}"),
     "0001_x.json:1:65: \"$set\" takes a document of fields"},
    {UP("{\"insert\": {\"collection\": \"c\", \"key\": [\"e\"], \"documents\": [{\"e\": 1}, {\"f\": 1}]}}"),
     "0001_x.json:1:78: this document lacks the key field \"e\""},
    {UP("{\"insert\": {\"collection\": \"c\", \"key\": [\"e\"], \"documents\": [{\"e\": 1}, {\"e\": 2}, {\"e\": 1, "
        "\"f\": 2}]}}"),
     "0001_x.json:1:88: this document has the same key as document 1 of the list"},
    {UP("{\"insert\": {\"collection\": \"c\", \"key\": [\"e\"], \"documents\": [{\"e\": 1, \"a.b\": 2}]}}"),
     "0001_x.json:1:77: with \"key\", a field cannot be called \"a.b\""},
    {UP("{\"createIndex\": {\"collection\": \"c\", \"key\": {\"a\": 1}, \"options\": {\"uniqe\": true}}}"),
     "0001_x.json:1:74: unknown index option \"uniqe\"; did you mean \"unique\"?"},
    {UP("{\"createIndex\": {\"collection\": \"c\", \"key\": {\"a\": 1}, \"options\": {\"name\": \"x\"}}}"),
     "0001_x.json:1:74: unknown index option \"name\""},
    {UP("{\"dropIndex\": {\"collection\": \"c\", \"name\": \"*\"}}"), "0001_x.json:1:43: \"*\" would drop every index"},
    {UP("{\"dropIndex\": {\"collection\": \"c\", \"name\": \"_id_\"}}"),
     "0001_x.json:1:43: the index on _id cannot be dropped"},
    {UP("{\"createCollection\": {\"collection\": \"c\", \"options\": {\"caped\": true}}}"),
     "0001_x.json:1:62: unknown collection option \"caped\"; did you mean \"capped\"?"},
    {UP("{\"renameCollection\": {\"from\": \"c\", \"to\": \"c\"}}"), "0001_x.json:1:44: the new name is the old one"},
    /* commands */
    {UP("{\"command\": {\"command\": {}}}"), "0001_x.json:1:22: the command is empty"},
    {UP("{\"command\": {\"command\": {\"dropDatabase\": 1}}}"),
     "0001_x.json:1:22: the command \"dropDatabase\" is refused"},
    {UP("{\"command\": {\"command\": {\"shutdown\": 1}}}"), "0001_x.json:1:22: the command \"shutdown\" is refused"},
    {UP("{\"command\": {\"command\": {\"commitTransaction\": 1}}}"),
     "0001_x.json:1:22: the command \"commitTransaction\" is refused"},
    {UP("{\"command\": {\"command\": {\"renameCollection\": \"a.b\", \"to\": \"a.c\"}}}"),
     "0001_x.json:1:22: the command \"renameCollection\" is refused"},
    {UP("{\"command\": {\"command\": {\"drop\": \"c\", \"$db\": \"other\"}}}"),
     "0001_x.json:1:22: the command \"$db\" is refused"},
    {UP("{\"command\": {\"command\": {\"drop\": \"c\", \"writeConcern\": {\"w\": 0}}}}"),
     "0001_x.json:1:22: the command \"writeConcern\" is refused"},
    {UP("{\"command\": {\"command\": {\"drop\": \"system.js\"}}}"),
     "0001_x.json:1:22: no migration may touch the collection \"system.js\""},
    {UP("{\"command\": {\"command\": {\"drop\": 1}}}"),
     "0001_x.json:1:22: the command \"drop\" does not name its collection as text"},
    {UP("{\"command\": {\"command\": {\"frobnicate\": \"c\"}}}"),
     "0001_x.json:1:22: nothing tells which collections the command \"frobnicate\" changes"},
    {UP("{\"command\": {\"command\": {\"aggregate\": \"c\", \"pipeline\": [{\"$out\": \"migrationlogs\"}], \"cursor\": "
        "{}}}}"),
     "0001_x.json:1:22: no migration may touch the collection \"migrationlogs\""},
    {UP("{\"command\": {\"command\": {\"aggregate\": \"c\", \"pipeline\": [{\"$out\": {\"db\": \"o\", \"coll\": "
        "\"x\"}}]}}}"),
     "0001_x.json:1:22: the command \"aggregate\" does not name its collection as text"},
    {UP("{\"command\": {\"command\": {\"aggregate\": \"c\", \"pipeline\": [{\"$merge\": {\"into\": {\"db\": "
        "\"o\"}}}]}}}"),
     "0001_x.json:1:22: the command \"aggregate\" does not name its collection as text"},
    {UP("{\"command\": {\"command\": {\"mapReduce\": \"c\", \"out\": {\"replace\": \"x\", \"db\": \"o\"}}}}"),
     "0001_x.json:1:22: the command \"mapReduce\" is refused"},
};

static void mistakes_are_named_with_line_and_column(void **state) {
  size_t wrong = 0;
  (void)state;
  for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++)
    wrong += !fails_with(mistakes[i].text, strlen(mistakes[i].text), mistakes[i].what);
  assert_int_equal(wrong, 0);
}

static void a_zero_byte_is_found(void **state) {
  (void)state;
  load_fails("{\n\"a\": \"x\0y\"}", 13, "0001_x.json:2:8: the file holds a zero byte: it is no text");
}

static void deep_nesting_is_refused(void **state) {
  char text[4000] = "{\"metadata\": ";
  (void)state;
  for (int i = 0; i < 300; i++) strcat(text, "{\"a\":");
  load_fails(text, strlen(text), "0001_x.json:1:459: nested deeper than 90 levels");
  strcpy(text, "{\"metadata\": {\"x\": ");
  for (int i = 0; i < 300; i++) strcat(text, "[");
  load_fails(text, strlen(text), "0001_x.json:1:108: nested deeper than 90 levels");
  strcpy(text, "{\"metadata\": ");
  for (int i = 0; i < 88; i++) strcat(text, "{\"a\":");
  strcat(text, "1");
  for (int i = 0; i < 88; i++) strcat(text, "}");
  strcat(text, ", "
               "\"up\": [" DROP "]}");
  mig_migration_free(load_ok(text));
}

static void a_missing_file_is_an_error(void **state) {
  mig_migration *m = NULL;
  mig_error err = {0};
  (void)state;
  assert_false(mig_migration_load("0009_none.json", NULL, &m, &err));
  assert_null(m);
  assert_non_null(strstr(err.what, "0009_none.json"));
}

static bool refuse_guard(const bson_t *guard, const char *json_path, mig_error *err) {
  (void)guard;
  mig_fail(err, MIG_E_INPUT, "no such guard");
  snprintf(err->json_path, sizeof err->json_path, "%s.nope", json_path);
  return false;
}

static void guards_are_checked_by_the_layer_above(void **state) {
  mig_migration *m = NULL;
  mig_error err = {0};
  const char *text = "{\"up\": [" DROP "],\n \"verify\": [{\"a\": {}}, {\"nope\": {}}]}";
  (void)state;
  assert_true(mig_fs_write_atomic(FILE_NAME, text, strlen(text), 0600, &err));
  assert_false(mig_migration_load(FILE_NAME, refuse_guard, &m, &err));
  assert_string_equal(err.what, "0001_x.json:2:13: no such guard"); /* the nearest part of its path that there is */
}

/* The update document of a step, as canonical Extended JSON. */
static void update_reads_as(const char *filter, const char *canonical) {
  char text[2000];
  snprintf(text, sizeof text, UP("{\"delete\": {\"collection\": \"c\", \"filter\": %s}}"), filter);
  mig_migration *m = load_ok(text);
  bson_t view;
  assert_true(mig_bson_doc(m->up.items[0].args, "filter", &view));
  char *json = bson_as_canonical_extended_json(&view, NULL);
  assert_string_equal(json, canonical);
  bson_free(json);
  mig_migration_free(m);
}

static void query_operators_stay_operators(void **state) {
  (void)state;
  update_reads_as("{\"a\": {\"$regex\": \"^x\", \"$options\": \"i\"}}",
                  "{ \"a\" : { \"$regex\" : \"^x\", \"$options\" : \"i\" } }");
  update_reads_as("{\"a\": {\"$regex\": \"^x\"}}", "{ \"a\" : { \"$regex\" : \"^x\" } }");
  update_reads_as("{\"a\": {\"$regex\": \"^x\", \"$ne\": \"xy\"}}",
                  "{ \"a\" : { \"$regex\" : \"^x\", \"$ne\" : \"xy\" } }");
  update_reads_as("{\"a\": {\"\\u0024regex\": \"^x\"}}", "{ \"a\" : { \"$regex\" : \"^x\" } }");
  update_reads_as("{\"a\": {\"$type\": \"string\"}}", "{ \"a\" : { \"$type\" : \"string\" } }");
  update_reads_as("{\"a\": {\"$type\": \"date\"}}", "{ \"a\" : { \"$type\" : \"date\" } }");
  update_reads_as("{\"a\": {\"$type\": 2}}", "{ \"a\" : { \"$type\" : { \"$numberInt\" : \"2\" } } }");
  update_reads_as("{\"a\": {\"$type\": [\"date\", 2]}}",
                  "{ \"a\" : { \"$type\" : [ \"date\", { \"$numberInt\" : \"2\" } ] } }");
  update_reads_as(
      "{\"a\": {\"$in\": [{\"$regularExpression\": {\"pattern\": \"x\", \"options\": \"i\"}}]}}",
      "{ \"a\" : { \"$in\" : [ { \"$regularExpression\" : { \"pattern\" : \"x\", \"options\" : \"i\" } } ] } }");
  update_reads_as("{\"$expr\": {\"$eq\": [{\"$type\": \"$a\"}, \"int\"]}}",
                  "{ \"$expr\" : { \"$eq\" : [ { \"$type\" : \"$a\" }, \"int\" ] } }");
  update_reads_as("{\"a\": {\"$elemMatch\": {\"$regex\": \"x\"}}}",
                  "{ \"a\" : { \"$elemMatch\" : { \"$regex\" : \"x\" } } }");
}

static void extended_json_is_read_by_its_types(void **state) {
  (void)state;
  update_reads_as("{\"a\": 1, \"b\": 3000000000, \"c\": 1.0, \"d\": -0.5, \"e\": 1e3}",
                  "{ \"a\" : { \"$numberInt\" : \"1\" }, \"b\" : { \"$numberLong\" : \"3000000000\" }, \"c\" : { "
                  "\"$numberDouble\" : "
                  "\"1.0\" }, \"d\" : { \"$numberDouble\" : \"-0.5\" }, \"e\" : { \"$numberDouble\" : \"1000.0\" } }");
  update_reads_as("{\"a\": {\"$date\": \"2020-02-29T00:00:00Z\"}, \"b\": {\"$oid\": \"5f5f5f5f5f5f5f5f5f5f5f5f\"}}",
                  "{ \"a\" : { \"$date\" : { \"$numberLong\" : \"1582934400000\" } }, \"b\" : { \"$oid\" : "
                  "\"5f5f5f5f5f5f5f5f5f5f5f5f\" } }");
  update_reads_as(
      "{\"a\": {\"$uuid\": \"73ffd264-44b3-4c69-90e8-e7d1dfc035d4\"}, \"b\": {\"$gt\": {\"$numberDecimal\": "
      "\"1.50\"}}}",
      "{ \"a\" : { \"$binary\" : { \"base64\" : \"c//SZESzTGmQ6OfR38A11A==\", \"subType\" : \"04\" } }, \"b\" : { "
      "\"$gt\" : { \"$numberDecimal\" : \"1.50\" } } }");
  update_reads_as(
      "{\"a\": {\"$timestamp\": {\"t\": 1, \"i\": 2}}, \"b\": {\"$minKey\": 1}, \"c\": {\"$numberDouble\": \"NaN\"}}",
      "{ \"a\" : { \"$timestamp\" : { \"t\" : 1, \"i\" : 2 } }, \"b\" : { \"$minKey\" : 1 }, \"c\" : { "
      "\"$numberDouble\" : \"NaN\" } }");
  update_reads_as("{\"\\u00e9\\n\\\"\\/\": \"\\ud83d\\ude00\"}", "{ \"\xC3\xA9\\n\\\"/\" : \"\xF0\x9F\x98\x80\" }");
}

typedef struct touched {
  char text[300];
} touched;

static bool note(void *arg, const char *collection, mig_touch touch, mig_error *err) {
  touched *t = arg;
  size_t used = strlen(t->text);
  (void)err;
  snprintf(t->text + used, sizeof t->text - used, "%s%s:%c", used ? " " : "", collection, "RMDX"[touch]);
  return true;
}

static void touches_are(const char *step, const char *expected, bool transactional) {
  char text[1000];
  touched t = {""};
  snprintf(text, sizeof text, UP("%s"), step);
  mig_migration *m = load_ok(text);
  assert_true(mig_step_touches(&m->up.items[0], note, &t, NULL));
  assert_string_equal(t.text, expected);
  const char *illegal = NULL;
  assert_int_equal(mig_steps_transactional(&m->up, &illegal), transactional);
  assert_int_equal(illegal == NULL, transactional);
  mig_migration_free(m);
}

static void steps_declare_what_they_touch(void **state) {
  (void)state;
  touches_are("{\"addField\": {\"collection\": \"c\", \"field\": \"a\", \"value\": 1}}", "c:D", true);
  touches_are("{\"createIndex\": {\"collection\": \"c\", \"key\": {\"a\": 1}}}", "c:M", false);
  touches_are("{\"dropIndex\": {\"collection\": \"c\", \"name\": \"a_1\"}}", "c:M", false);
  touches_are("{\"createCollection\": {\"collection\": \"c\"}}", "c:X", false);
  touches_are(DROP, "c:X", false);
  touches_are("{\"renameCollection\": {\"from\": \"a\", \"to\": \"b\"}}", "a:X b:X", false);
  touches_are("{\"insert\": {\"collection\": \"c\", \"documents\": [{}]}}", "c:D", true);
  touches_are("{\"command\": {\"command\": {\"update\": \"c\", \"updates\": []}}}", "c:D", true);
  touches_are("{\"command\": {\"command\": {\"collMod\": \"c\"}}}", "c:M", false);
  touches_are("{\"command\": {\"command\": {\"aggregate\": \"c\", \"pipeline\": [], \"cursor\": {}}}}", "c:R", true);
  touches_are("{\"command\": {\"command\": {\"aggregate\": \"c\", \"pipeline\": [{\"$out\": \"o\"}]}}}", "c:R o:X",
              false);
  touches_are("{\"command\": {\"command\": {\"aggregate\": \"c\", \"pipeline\": [{\"$merge\": {\"into\": \"o\"}}]}}}",
              "c:R o:D", false);
  touches_are("{\"command\": {\"command\": {\"aggregate\": \"c\", \"pipeline\": [{\"$merge\": \"o\"}]}}}", "c:R o:D",
              false);
  touches_are("{\"command\": {\"command\": {\"mapReduce\": \"c\", \"out\": {\"merge\": \"o\"}}}}", "c:R o:X", false);
  touches_are("{\"command\": {\"command\": {\"frobnicate\": 1}, \"collections\": [\"a\", \"b\"]}}", "a:X b:X", false);
}

static void array_is(const bson_t *array, const char *expected) {
  char text[2000];
  bson_t doc = BSON_INITIALIZER;
  BSON_APPEND_ARRAY(&doc, "g", array);
  snprintf(text, sizeof text, "{ \"g\" : %s }", expected);
  char *json = mig_bson_json(&doc);
  assert_string_equal(json, text);
  mig_free(json);
  bson_destroy(&doc);
}

static void implied_guards_are(const char *steps, const char *expected) {
  char text[2000];
  mig_error err = {0};
  bson_t array = BSON_INITIALIZER;
  snprintf(text, sizeof text, UP("%s"), steps);
  mig_migration *m = load_ok(text);
  if (!mig_steps_guards(&m->up, &array, &err)) fail_msg("%s", err.what);
  array_is(&array, expected);
  bson_destroy(&array);
  mig_migration_free(m);
}

#define ADD_EMAIL "{\"addField\": {\"collection\": \"u\", \"field\": \"email\", \"value\": 1}}"
#define ADD_OTHER "{\"addField\": {\"collection\": \"u\", \"field\": \"other\", \"value\": 1}}"
#define UNIQUE    "{\"createIndex\": {\"collection\": \"u\", \"key\": {\"email\": 1}, \"options\": {\"unique\": true}}}"
#define EXISTS    "{ \"collectionExists\" : { \"collection\" : \"u\" } }"
#define NO_CONFLICT                                                                                                    \
  "{ \"noIndexConflict\" : { \"collection\" : \"u\", \"key\" : { \"email\" : 1 }, \"options\" : { \"unique\" : true "  \
  "} } }"
#define NO_DUPLICATES "{ \"noDuplicates\" : { \"collection\" : \"u\", \"fields\" : [ \"email\" ] } }"

static void steps_bring_their_guards_once(void **state) {
  (void)state;
  implied_guards_are(ADD_EMAIL "," ADD_OTHER, "[ " EXISTS " ]");
  implied_guards_are(UNIQUE, "[ " EXISTS ", " NO_CONFLICT ", " NO_DUPLICATES " ]");
  implied_guards_are("{\"insert\": {\"collection\": \"u\", \"documents\": [{}]}}", "[ ]");
  implied_guards_are(
      "{\"renameField\": {\"collection\": \"u\", \"from\": \"a\", \"to\": \"b\", \"filter\": {\"x\": 1}}}",
      "[ " EXISTS ", { \"fieldExists\" : { \"collection\" : \"u\", \"field\" : \"a\", \"filter\" : { \"x\" : 1 } } }, "
      "{ \"fieldAbsent\" : { \"collection\" : \"u\", \"field\" : \"b\", \"filter\" : { \"x\" : 1 } } } ]");
  implied_guards_are(
      "{\"createIndex\": {\"collection\": \"u\", \"key\": {\"email\": 1}, \"options\": {\"unique\": true, \"sparse\": "
      "true, \"partialFilterExpression\": {\"a\": 1}}}}",
      "[ " EXISTS ", { \"noIndexConflict\" : { \"collection\" : \"u\", \"key\" : { \"email\" : 1 }, \"options\" : { "
      "\"unique\" : true, \"sparse\" : true, \"partialFilterExpression\" : { \"a\" : 1 } } } }, { \"noDuplicates\" : "
      "{ \"collection\" : \"u\", \"fields\" : [ \"email\" ], \"filter\" : { \"a\" : 1 }, \"sparse\" : true } } ]");
  implied_guards_are("{\"dropIndex\": {\"collection\": \"u\", \"name\": \"x\"}}",
                     "[ { \"indexExists\" : { \"collection\" : \"u\", \"name\" : \"x\" } } ]");
  implied_guards_are("{\"renameCollection\": {\"from\": \"u\", \"to\": \"v\"}}",
                     "[ " EXISTS ", { \"collectionAbsent\" : { \"collection\" : \"v\" } } ]");
  implied_guards_are("{\"renameCollection\": {\"from\": \"u\", \"to\": \"v\", \"dropTarget\": true}}",
                     "[ " EXISTS " ]");
}

static void guards_on_what_an_earlier_step_changes_are_left_out(void **state) {
  (void)state;
  /* the field is written by the step before: its values cannot be judged yet */
  implied_guards_are(ADD_EMAIL "," UNIQUE, "[ " EXISTS ", " NO_CONFLICT " ]");
  /* another field: they can */
  implied_guards_are(ADD_OTHER "," UNIQUE, "[ " EXISTS ", " NO_CONFLICT ", " NO_DUPLICATES " ]");
  /* any field may be written */
  implied_guards_are(
      "{\"update\": {\"collection\": \"u\", \"filter\": {}, \"update\": {\"$set\": {\"a\": 1}}}}," UNIQUE,
      "[ " EXISTS ", " NO_CONFLICT " ]");
  implied_guards_are("{\"createCollection\": {\"collection\": \"u\"}}," ADD_EMAIL "," UNIQUE,
                     "[ { \"collectionAbsent\" : { \"collection\" : \"u\" } } ]");
  implied_guards_are("{\"insert\": {\"collection\": \"u\", \"documents\": [{}]}}," ADD_EMAIL, "[ ]");
  implied_guards_are("{\"renameField\": {\"collection\": \"u\", \"from\": \"a\", \"to\": \"b\"}},"
                     "{\"renameField\": {\"collection\": \"u\", \"from\": \"b\", \"to\": \"c\"}}",
                     "[ " EXISTS
                     ", { \"fieldExists\" : { \"collection\" : \"u\", \"field\" : \"a\" } }, { \"fieldAbsent\" : { "
                     "\"collection\" : \"u\", \"field\" : \"b\" } }, { \"fieldAbsent\" : { \"collection\" : \"u\", "
                     "\"field\" : \"c\" } } ]");
  implied_guards_are("{\"dropIndex\": {\"collection\": \"u\", \"name\": \"email_1\"}}," UNIQUE,
                     "[ { \"indexExists\" : { \"collection\" : \"u\", \"name\" : \"email_1\" } }, " EXISTS
                     ", " NO_DUPLICATES " ]");
  implied_guards_are("{\"renameCollection\": {\"from\": \"x\", \"to\": \"u\"}}," UNIQUE,
                     "[ { \"collectionExists\" : { \"collection\" : \"x\" } }, { \"collectionAbsent\" : { "
                     "\"collection\" : \"u\" } } ]");
}

static void each_step_keeps_all_its_guards_for_the_moment_before_it_runs(void **state) {
  bson_t array = BSON_INITIALIZER;
  (void)state;
  mig_migration *m = load_ok(UP(ADD_EMAIL "," UNIQUE));
  assert_true(mig_step_guards(&m->up.items[1], &array, NULL));
  array_is(&array, "[ " EXISTS ", " NO_CONFLICT ", " NO_DUPLICATES " ]");
  bson_destroy(&array);
  mig_migration_free(m);
}

static long allocations_left;

static bool fail_when_used_up(size_t size) {
  (void)size;
  return allocations_left-- > 0;
}

static void a_load_that_runs_out_of_memory_fails_cleanly(void **state) {
  const char *text = "{\"up\": [" ADD_EMAIL "," UNIQUE
                     ", {\"insert\": {\"collection\": \"c\", \"key\": [\"a\"], \"documents\": [{\"a\": "
                     "1}]}}], \"down\": [" DROP "], \"description\": \"x\"}";
  mig_migration *m = NULL;
  mig_error err = {0};
  (void)state;
  assert_true(mig_fs_write_atomic(FILE_NAME, text, strlen(text), 0600, &err));
  for (long n = 0; n < 1000 && !m; n++) {
    allocations_left = n;
    mig_alloc_hook = fail_when_used_up;
    bool ok = mig_migration_load(FILE_NAME, NULL, &m, &err);
    mig_alloc_hook = NULL;
    assert_int_equal(ok, m != NULL);
    if (!ok && err.code != MIG_E_NO_MEMORY) fail_msg("allocation %ld: %s", n, err.what);
  }
  assert_non_null(m);
  mig_migration_free(m);
}

/* Every prefix and every changed byte of a good file: an error or a migration, and nothing worse. */
static void damaged_files_never_crash(void **state) {
  const char *good = "{\"up\": [ /* c */ {\"insert\": {\"collection\": \"c\", \"documents\": [{\"a\": {\"$date\": "
                     "\"2020-01-01T00:00:00Z\"},"
                     "\"\\u00e9\\\"\": {\"$numberDouble\": \"1.5\"}}]}}, {\"delete\": {\"collection\": \"c\", "
                     "\"filter\": {\"a\": {\"$type\":"
                     "[\"date\"]}}}}], \"transaction\": \"off\"} // end";
  size_t size = strlen(good);
  char *text = malloc(size + 1);
  static const char bytes[] = {'\0', '"', '\\', '{',    '}',    '[', ']', ',', ':',
                               '/',  '*', '\n', '\x7f', '\xC3', '$', '0', 'u'};
  (void)state;
  for (size_t i = 0; i <= size; i++) {
    mig_migration *m = NULL;
    mig_error err;
    load_bytes(good, i, &m, &err);
    mig_migration_free(m);
  }
  for (size_t i = 0; i < size; i++) {
    for (size_t b = 0; b < sizeof bytes; b++) {
      mig_migration *m = NULL;
      mig_error err;
      memcpy(text, good, size + 1);
      text[i] = bytes[b];
      if (load_bytes(text, size, &m, &err))
        mig_migration_free(m);
      else
        assert_true(strncmp(err.what, FILE_NAME ":", strlen(FILE_NAME) + 1) == 0);
    }
  }
  free(text);
}

static void the_examples_load(void **state) {
  char **names = NULL, path[4200];
  size_t count = 0, migrations = 0;
  mig_error err = {0};
  (void)state;
  snprintf(path, sizeof path, "%s/../migrations/examples", MIG_TEST_SOURCE_DIR);
  assert_true(mig_fs_list(path, &names, &count, &err));
  for (size_t i = 0; i < count; i++) {
    mig_migration *m = NULL;
    if (!strstr(names[i], ".json")) continue;
    snprintf(path, sizeof path, "%s/../migrations/examples/%s", MIG_TEST_SOURCE_DIR, names[i]);
    if (!mig_migration_load(path, mig_guard_check_syntax, &m, &err)) fail_msg("%s | %s", err.what, err.why);
    assert_non_null(m->description);
    mig_migration_free(m);
    migrations++;
  }
  mig_fs_names_free(names, count);
  assert_true(migrations >= 4);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      T(a_whole_file_is_read),
      T(a_small_file_gets_the_defaults),
      T(the_checksum_is_that_of_the_bytes),
      T(comments_are_allowed_outside_of_text),
      T(columns_count_characters),
      T(mistakes_are_named_with_line_and_column),
      T(a_zero_byte_is_found),
      T(deep_nesting_is_refused),
      T(a_missing_file_is_an_error),
      T(guards_are_checked_by_the_layer_above),
      T(query_operators_stay_operators),
      T(extended_json_is_read_by_its_types),
      T(steps_declare_what_they_touch),
      T(steps_bring_their_guards_once),
      T(guards_on_what_an_earlier_step_changes_are_left_out),
      T(each_step_keeps_all_its_guards_for_the_moment_before_it_runs),
      T(a_load_that_runs_out_of_memory_fails_cleanly),
      T(damaged_files_never_crash),
      T(the_examples_load),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
