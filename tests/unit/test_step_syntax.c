/* Arguments of steps that are refused, where, and with which words; what steps touch and which guards they bring. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "migrations/implied.h"
#include "validators/guard.h"

static bson_t *json(const char *text) {
  bson_error_t error;
  bson_t *doc = bson_new_from_json((const uint8_t *)text, -1, &error);
  if (!doc) fail_msg("%s: %s", text, error.message);
  return doc;
}

typedef struct syntax_case {
  const char *step;
  const char *path; /* NULL: it is right */
  const char *what;
} syntax_case;

#define BULK(rest)   "{\"bulkUpdate\": {\"collection\": \"c\", \"updates\": " rest "}}"
#define DUPS(rest)   "{\"removeDuplicates\": {\"collection\": \"c\", " rest "}}"
#define TEXTS(rest)  "{\"sanitizeStrings\": {\"collection\": \"c\", " rest "}}"
#define REFS(rest)   "{\"updateReferences\": {\"collection\": \"c\", " rest "}}"
#define UNIQUE(rest) "{\"createUniqueConstraint\": {\"collection\": \"c\", " rest "}}"
#define MOVE(rest)   "{\"migrateCollection\": {\"from\": \"c\", " rest "}}"
#define OLD(rest)    "{\"archiveDocuments\": {\"from\": \"c\", " rest "}}"
#define RULE(rest)   "{\"setValidator\": {\"collection\": \"c\", " rest "}}"

static const syntax_case cases[] = {
    {BULK("[{\"filter\": {}, \"update\": {\"$set\": {\"a\": 1}}, \"upsert\": true}]"), NULL, NULL},
    {BULK("[]"), "bulkUpdate.updates", "the list is empty"},
    {BULK("[{\"filter\": {}}]"), "bulkUpdate.updates.0", "update"},
    {BULK("[{\"filter\": {}, \"update\": {\"a\": 1}}]"), "bulkUpdate.updates.0.update", "update"},
    {BULK("[{\"filter\": {}, \"update\": {\"$set\": {\"a\": 1}}}, {\"filter\": {}, \"update\": {\"$set\": "
          "{\"_id\": 1}}}]"),
     "bulkUpdate.updates.1.update.$set._id", "cannot change _id"},
    {BULK("[{\"filter\": {}, \"update\": {\"$set\": {\"a\": 1}}, \"many\": true}]"), "bulkUpdate.updates.0.many",
     "many"},
    {DUPS("\"fields\": [\"a\", \"b.c\"], \"keep\": {\"sort\": {\"t\": -1, \"_id\": 1}}"), NULL, NULL},
    {DUPS("\"fields\": [\"a\"]"), "removeDuplicates", "keep"},
    {DUPS("\"fields\": [\"a\"], \"keep\": \"newest\""), "removeDuplicates.keep", "\"first\", \"last\" or"},
    {DUPS("\"fields\": [\"a\"], \"keep\": {\"sort\": {}}"), "removeDuplicates.keep", "\"keep\" is"},
    {DUPS("\"fields\": [\"a\"], \"keep\": {\"sort\": {\"t\": 2}}"), "removeDuplicates.keep.sort", "\"keep\" is"},
    {DUPS("\"fields\": [\"a\"], \"keep\": {\"sort\": {\"t\": 1}, \"limit\": 1}"), "removeDuplicates.keep", "is"},
    {DUPS("\"fields\": [\"a\", \"a\"], \"keep\": \"first\""), "removeDuplicates.fields", "stands there twice"},
    {DUPS("\"fields\": [\"_id\"], \"keep\": \"first\""), "removeDuplicates.fields", "same _id"},
    {TEXTS("\"fields\": [\"a\"], \"operations\": [\"trim\", \"nfc\"]"), NULL, NULL},
    {TEXTS("\"fields\": [\"a\"], \"operations\": []"), "sanitizeStrings.operations", "1 to 16"},
    {TEXTS("\"fields\": [\"a\"], \"operations\": [\"trimm\"]"), "sanitizeStrings.operations.0",
     "did you mean \"trim\"?"},
    {TEXTS("\"fields\": [\"a\"], \"operations\": [5]"), "sanitizeStrings.operations.0", "unknown operation"},
    {TEXTS("\"fields\": [\"a\", \"a.b\"], \"operations\": [\"trim\"]"), "sanitizeStrings.fields", "overlap"},
    {TEXTS("\"fields\": [\"_id\"], \"operations\": [\"trim\"]"), "sanitizeStrings.fields", "_id"},
    {TEXTS("\"fields\": [\"a.0.b\"], \"operations\": [\"trim\"]"), "sanitizeStrings.fields", "array position"},
    {REFS("\"field\": \"a\", \"from\": 1, \"to\": \"x\""), NULL, NULL},
    {REFS("\"field\": \"a\", \"from\": {\"$ref\": \"u\", \"$id\": 1}, \"to\": {\"$ref\": \"v\", \"$id\": 1}"), NULL,
     NULL},
    {REFS("\"field\": \"_id\", \"from\": 1, \"to\": 2"), "updateReferences.field", "_id"},
    {REFS("\"field\": \"a\", \"from\": [1], \"to\": 2"), "updateReferences.from", "one reference"},
    {REFS("\"field\": \"a\", \"from\": 1, \"to\": null"), "updateReferences.to", "one reference"},
    {REFS("\"field\": \"a\", \"from\": 1, \"to\": {\"$numberLong\": \"1\"}"), "updateReferences.to", "the same"},
    {REFS("\"field\": \"a\", \"from\": 1, \"to\": {\"$x\": 1}"), "updateReferences.to.$x", "cannot be called"},
    {UNIQUE("\"key\": {\"a\": 1}, \"options\": {\"sparse\": true}"), NULL, NULL},
    {UNIQUE("\"key\": {\"a\": 1}, \"options\": {\"unique\": false}"), "createUniqueConstraint.options.unique",
     "is unique"},
    {UNIQUE("\"key\": {\"$**\": 1}"), "createUniqueConstraint.key", "cannot be looked for"},
    {UNIQUE("\"key\": {\"a\": \"text\"}"), "createUniqueConstraint.key", "cannot be looked for"},
    {UNIQUE("\"key\": {\"a\": 1}, \"options\": {\"uniqe\": true}"), "createUniqueConstraint.options.uniqe",
     "did you mean \"unique\"?"},
    {MOVE("\"to\": \"d\", \"pipeline\": [{\"$unwind\": \"$a\"}]"), NULL, NULL},
    {MOVE("\"to\": \"c\""), "migrateCollection.to", "same collection"},
    {MOVE("\"to\": \"migrationlogs\""), "migrateCollection.to", "collection"},
    {MOVE("\"to\": \"d\", \"pipeline\": [{\"$group\": {\"_id\": 1}}]"), "migrateCollection.pipeline.0.$group",
     "by itself"},
    {MOVE("\"to\": \"d\", \"pipeline\": [{\"$out\": \"e\"}]"), "migrateCollection.pipeline.0.$out", "by itself"},
    {MOVE("\"to\": \"d\", \"pipeline\": [{\"$st\": {}}]"), "migrateCollection.pipeline.0.$st", "did you mean"},
    {OLD("\"to\": \"d\", \"field\": \"t\", \"olderThan\": {\"$date\": \"2024-01-01T00:00:00Z\"}"), NULL, NULL},
    {OLD("\"to\": \"d\", \"field\": \"t\", \"olderThan\": \"90 days\""), NULL, NULL},
    {OLD("\"to\": \"c\", \"field\": \"t\", \"olderThan\": \"90 days\""), "archiveDocuments.to", "same collection"},
    {OLD("\"to\": \"d\", \"field\": \"t\", \"olderThan\": \"5 m\""), "archiveDocuments.olderThan",
     "neither a date nor an age"},
    {OLD("\"to\": \"d\", \"field\": \"t\", \"olderThan\": 90"), "archiveDocuments.olderThan", "neither"},
    {RULE("\"validator\": {}"), NULL, NULL},
    {RULE("\"validator\": {\"a\": 1}, \"level\": \"soft\""), "setValidator.level", "\"strict\", \"moderate\""},
    {RULE("\"validator\": {\"a\": 1}, \"action\": \"log\""), "setValidator.action", "\"error\" or \"warn\""},
};

static void mistakes_are_found_where_they_stand(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    mig_error err = {0};
    mig_step step;
    bson_t *doc = json(cases[i].step);
    bool ok = mig_step_parse(doc, "", &step, &err);
    bson_destroy(doc);
    mig_step_clear(&step);
    if (ok != !cases[i].path) fail_msg("%s: %s", cases[i].step, ok ? "taken" : err.what);
    if (ok) continue;
    char all[sizeof err.what + sizeof err.why + 8];
    snprintf(all, sizeof all, "%s | %s", err.what, err.why);
    if (strcmp(err.json_path, cases[i].path) != 0) fail_msg("%s: at \"%s\"", cases[i].step, err.json_path);
    if (!strstr(all, cases[i].what)) fail_msg("%s: %s", cases[i].step, all);
    assert_int_equal(err.code, MIG_E_INPUT);
  }
}

static bool note(void *arg, const char *collection, mig_touch touch, mig_error *err) {
  static const char *const names[] = {"reads", "indexes of", "writes", "replaces"};
  char *text = arg;
  size_t used = strlen(text);
  (void)err;
  snprintf(text + used, 300 - used, "%s%s %s", used ? ", " : "", names[touch], collection);
  return true;
}

static const struct {
  const char *step, *touches, *guards;
  bool transactional, destroys;
} facts[] = {
    {BULK("[{\"filter\": {}, \"update\": {\"$set\": {\"a\": 1}}}]"), "writes c",
     "{\"collectionExists\": {\"collection\": \"c\"}}", true, true},
    {BULK("[{\"filter\": {}, \"update\": {\"$set\": {\"a\": 1}}, \"upsert\": true}]"), "writes c", NULL, true, true},
    {DUPS("\"fields\": [\"a\"], \"keep\": \"first\""), "writes c", "{\"collectionExists\": {\"collection\": \"c\"}}",
     true, true},
    {UNIQUE("\"key\": {\"a\": 1}"), "indexes of c", "{\"noDuplicates\": {\"collection\": \"c\", \"fields\": [\"a\"]}}",
     false, false},
    {UNIQUE("\"key\": {\"a\": 1}, \"options\": {\"expireAfterSeconds\": 9}"), "indexes of c, writes c",
     "{\"noDuplicates\": {\"collection\": \"c\", \"fields\": [\"a\"]}}", false, false},
    {MOVE("\"to\": \"d\""), "reads c, writes d", "{\"collectionExists\": {\"collection\": \"c\"}}", true, false},
    {OLD("\"to\": \"d\", \"field\": \"t\", \"olderThan\": \"1 d\""), "writes c, writes d",
     "{\"collectionExists\": {\"collection\": \"c\"}}", true, true},
    {RULE("\"validator\": {\"a\": 1}"), "indexes of c",
     "{\"matches\": {\"collection\": \"c\", \"filter\": {\"a\": 1}, \"expect\": \"all\"}}", false, false},
    {RULE("\"validator\": {\"a\": 1}, \"level\": \"moderate\""), "indexes of c",
     "{\"collectionExists\": {\"collection\": \"c\"}}", false, false},
};

static void steps_say_what_they_touch_and_which_guards_they_bring(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
    mig_error err = {0};
    mig_step step;
    char touched[300] = "";
    bson_t *doc = json(facts[i].step), guards = BSON_INITIALIZER, last;
    bson_iter_t it;
    assert_true(mig_step_parse(doc, "", &step, &err));
    assert_true(mig_step_touches(&step, note, touched, &err) && mig_step_guards(&step, &guards, &err));
    assert_string_equal(touched, facts[i].touches);
    assert_int_equal(mig_step_transactional(&step), facts[i].transactional);
    assert_int_equal(step.def->destroys, facts[i].destroys);
    if (facts[i].guards) { /* the last one it brings; and all are guards that there are */
      bson_t *wanted = json(facts[i].guards);
      assert_true(bson_iter_init(&it, &guards));
      while (bson_iter_next(&it)) {
        assert_true(mig_bson_iter_doc(&it, &last));
        if (!mig_guard_check_syntax(&last, "", &err)) fail_msg("%s", err.what);
      }
      assert_true(mig_bson_same(&last, wanted));
      bson_destroy(wanted);
    } else {
      assert_true(bson_empty(&guards));
    }
    bson_destroy(&guards);
    bson_destroy(doc);
    mig_step_clear(&step);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(mistakes_are_found_where_they_stand),
      cmocka_unit_test(steps_say_what_they_touch_and_which_guards_they_bring),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
