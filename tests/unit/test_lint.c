/* What lint finds in a folder of files, how new files are called, and that every example of the docs is good. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "migrations/lint.h"
#include "migrations/naming.h"
#include "migrations/templates.h"
#include "validators/guard.h"

static char folder[64], back[4096], found[4000];

static int setup(void **state) {
  (void)state;
  strcpy(folder, "/tmp/mig-lint-XXXXXX");
  return getcwd(back, sizeof back) && mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int teardown(void **state) {
  char command[100];
  (void)state;
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  return chdir(back) || system(command);
}

static void write_file(const char *name, const char *text) {
  mig_error err = {0};
  if (!mig_fs_write_atomic(name, text, strlen(text), 0644, &err)) fail_msg("%s: %s", err.what, err.why);
}

static void note(void *arg, const mig_lint_finding *f) {
  size_t used = strlen(found);
  (void)arg;
  snprintf(found + used, sizeof found - used, "%s:%zu:%zu %s\n", f->path, f->line, f->column, f->rule->name);
  assert_true(f->what[0]);
}

static const char *lint(void) {
  mig_error err = {0};
  size_t files = 0;
  *found = 0;
  if (!mig_lint_folder(".", mig_guard_check_syntax, note, NULL, &files, &err)) fail_msg("%s", err.what);
  return found;
}

static const char *lint_text(const char *text) {
  write_file("0001_x.json", text);
  return lint();
}

#define D  "\"description\": \"d\", "
#define OW "\"metadata\": {\"lint\": {\"allow\": [\"one-way\"]}}, "

static void each_rule_finds_its_own(void **state) {
  static const struct {
    const char *text, *found;
  } cases[] = {
      {"{" D "\"up\": [{\"addField\": {\"collection\": \"u\", \"field\": \"a\", \"value\": 1}}], \"down\": "
       "[{\"removeField\": {\"collection\": \"u\", \"field\": \"a\"}}]}",
       ""},
      {"{\"up\": [{\"addField\": {\"collection\": \"u\", \"field\": \"a\", \"value\": 1}}]}",
       "./0001_x.json:1:1 no-description\n./0001_x.json:1:1 no-down\n"},
      {"{" D "\n \"up\": [\n  {\"removeField\": {\"collection\": \"u\", \"field\": \"a\"}}]}",
       "./0001_x.json:3:4 one-way\n"},
      {"{" D OW "\"up\": [{\"removeField\": {\"collection\": \"u\", \"field\": \"a\"}}]}", ""},
      {"{" D "\"metadata\": {\"lint\": {\"allow\": [\"onewy\"]}}, \"up\": [{\"dropIndex\": {\"collection\": \"u\", "
       "\"name\": \"a\"}}]}",
       "./0001_x.json:1:1 unknown-allow\n./0001_x.json:1:1 no-down\n"},
      {"{" D OW "\"snapshot\": \"off\", \"up\": [{\"removeField\": {\"collection\": \"u\", \"field\": \"a\"}}]}",
       "./0001_x.json:1:95 no-snapshot\n"},
      {"{" D OW "\"up\": [{\"delete\": {\"collection\": \"u\", \"filter\": {}}}]}", "./0001_x.json:1:76 delete-all\n"},
      {"{" D OW "\"up\": [{\"update\": {\"collection\": \"u\", \"filter\": {}, \"update\": {\"$set\": {\"a\": 1}}}}]}",
       "./0001_x.json:1:76 update-all\n"},
      {"{" D OW "\"up\": [{\"bulkUpdate\": {\"collection\": \"u\", \"updates\": [{\"filter\": {}, \"update\": "
       "{\"$set\": {\"a\": 1}}}]}}]}",
       "./0001_x.json:1:76 update-all\n"},
      {"{" D "\"up\": [{\"addFeld\": {}}]}", "./0001_x.json:1:30 unusable\n"},
      {"{" D "\"up\": [{\"addField\": {\"colection\": \"u\"}}]}", "./0001_x.json:1:43 unusable\n"},
      {"{" D "\"up\": [\n}", "./0001_x.json:2:1 unusable\n"},
      {"{" D "\"transaction\": \"required\", \"up\": [{\"dropCollection\": {\"collection\": \"u\"}}]}",
       "./0001_x.json:1:57 unusable\n"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    if (strcmp(lint_text(cases[i].text), cases[i].found) != 0)
      fail_msg("case %zu: %s\nfound: %s", i, cases[i].text, found);
}

#define UNIQUE                                                                                                         \
  "{\"createIndex\": {\"collection\": \"u\", \"key\": {\"a\": 1, \"b\": 1}, \"options\": {\"unique\": true}}}"
#define DOWN "\"down\": [{\"dropIndex\": {\"collection\": \"u\", \"name\": \"a_1_b_1\"}}]"

static void a_unique_index_wants_to_know_about_duplicates(void **state) {
  (void)state;
  assert_non_null(strstr(lint_text("{" D "\"up\": [" UNIQUE "], " DOWN "}"), "unguarded-unique"));
  assert_string_equal(lint_text("{" D "\"guards\": [{\"noDuplicates\": {\"collection\": \"u\", \"fields\": [\"b\", "
                                "\"a\"]}}], \"up\": [" UNIQUE "], " DOWN "}"),
                      "");
  assert_non_null(strstr(lint_text("{" D "\"guards\": [{\"noDuplicates\": {\"collection\": \"u\", \"fields\": "
                                   "[\"a\"]}}], \"up\": [" UNIQUE "], " DOWN "}"),
                         "unguarded-unique"));
  assert_non_null(strstr(lint_text("{" D "\"guards\": [{\"noDuplicates\": {\"collection\": \"other\", \"fields\": "
                                   "[\"a\", \"b\"]}}], \"up\": [" UNIQUE "], " DOWN "}"),
                         "unguarded-unique"));
  assert_string_equal(lint_text("{" D "\"up\": [{\"removeDuplicates\": {\"collection\": \"u\", \"fields\": [\"a\", "
                                "\"b\"], \"keep\": \"first\"}}, " UNIQUE "], " DOWN "}"),
                      "");
  assert_string_equal(lint_text("{" D "\"up\": [{\"createUniqueConstraint\": {\"collection\": \"u\", \"key\": "
                                "{\"a\": 1}}}], " DOWN "}"),
                      "");
  assert_string_equal(
      lint_text("{" D "\"up\": [{\"createCollection\": {\"collection\": \"u\"}}, " UNIQUE "], " DOWN "}"), "");
}

static void files_are_compared_with_each_other(void **state) {
  static const char *const good =
      "{" D "\"version\": \"7\", \"up\": [{\"createCollection\": {\"collection\": \"u\"}}], "
      "\"down\": [{\"dropCollection\": {\"collection\": \"u\"}}]}";
  (void)state;
  write_file("0001_x.json", good);
  write_file("1_y.json", good);
  write_file("0002_z.json", good);
  write_file("2026-01-01T00-00-00_t.json", "{" D "\"up\": [{\"createCollection\": {\"collection\": \"v\"}}], "
                                           "\"down\": [{\"dropCollection\": {\"collection\": \"v\"}}]}");
  write_file("notes.json", "{}");
  write_file("0002_module.c", "");
  write_file("module.c", "");
  lint();
  assert_non_null(strstr(found, "./1_y.json:1:1 same-number"));
  assert_non_null(strstr(found, "same-version"));
  assert_non_null(strstr(found, "mixed-names"));
  assert_non_null(strstr(found, "./notes.json:1:1 unusable"));
  assert_non_null(strstr(found, "./0002_z.json:1:1 same-number")); /* a module is counted, too */
  assert_non_null(strstr(found, "./module.c:1:1 unusable"));
}

static void names_go_on_as_the_folder_counts(void **state) {
  static const struct {
    const char *names[3], *next;
  } cases[] = {
      {{NULL}, "2026-11-21T07-15-00_x"},
      {{"0001_a.json", "m/0009_b.json"}, "0010_x"},
      {{"9-a.json", "7-b.json"}, "10-x"},
      {{"0099_a.json", "notes.txt"}, "0100_x"},
      {{"999_a.json"}, "1000_x"},
      {{"2026-01-01T00-00-00_a.json"}, "2026-11-21T07-15-00_x"},
      {{"2031-12-31T23-59-59_a.json"}, "2032-01-01T00-00-00_x"},
      {{"2026-11-21T07-15-00-a.json"}, "2026-11-21T07-15-01-x"},
      {{"20250122001-a.json"}, "20261121001-x"},
      {{"20261121001-a.json", "20261121002-b.json"}, "20261121003-x"},
      {{"20270101007-a.json"}, "20270101008-x"},
      {{"202501220001_a.json"}, "202611210001_x"},
      {{"20250122_a.json"}, "20261121_x"},
      {{"20261121_a.json"}, "20261122_x"},
      {{"20250122103000_a.json"}, "20261121071500_x"},
      {{"1690000000000-a.json"}, "1795245300000-x"},
      {{"0001_a.json", "2026-01-01T00-00-00_a.json"}, "2026-11-21T07-15-00_x"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    size_t n = 0;
    while (n < 3 && cases[i].names[n]) n++;
    char *name = mig_name_next(cases[i].names, n, INT64_C(1795245300000), "x"); /* 2026-11-21T07:15:00Z */
    assert_string_equal(name, cases[i].next);
    mig_free(name);
  }
}

static void every_template_is_clean(void **state) {
  (void)state;
  size_t tried = 0;
  for (const mig_embedded *t = mig_embedded_files; t->name; t++) {
    char name[60];
    const char *ending = strstr(t->name, ".json");
    if (strcmp(t->folder, "templates") != 0 || !ending) continue;
    snprintf(name, sizeof name, "%.*s", (int)(ending - t->name), t->name);
    char *text = mig_template_text(name, "what-it_does");
    tried++;
    assert_non_null(strstr(text, "\"What it does\""));
    if (*lint_text(text)) fail_msg("%s: %s", t->name, found);
    mig_free(text);
  }
  assert_true(tried >= 5);
}

/* As the documentation shows them: each alone in a migration, with its inverse where it has one. */
static void every_example_of_a_step_loads_and_lints(void **state) {
  (void)state;
  for (const mig_step_def *const *d = mig_step_table(); *d; d++) {
    mig_error err = {0};
    mig_step step;
    bson_error_t error;
    mig_buf text = MIG_BUF(10000);
    if (!(*d)->example) fail_msg("%s has no example", (*d)->name);
    bson_t *doc = bson_new_from_json((const uint8_t *)(*d)->example, -1, &error);
    if (!doc) fail_msg("%s: %s", (*d)->name, error.message);
    if (!mig_step_parse(doc, "", &step, &err)) fail_msg("%s: %s", (*d)->name, err.what);
    assert_string_equal(step.def->name, (*d)->name);
    bson_t *inverse = mig_step_inverse(&step);
    char *down = inverse ? mig_bson_json(inverse) : NULL;
    assert_true(mig_buf_printf(&text, &err, "{" D "%s\"up\": [%s]%s%s%s}",
                               down ? ""
                                    : "\"metadata\": {\"lint\": "
                                      "{\"allow\": [\"one-way\", \"no-down\"]}}, ",
                               (*d)->example, down ? ", \"down\": [" : "", down ? down : "", down ? "]" : ""));
    if (*lint_text(mig_buf_text(&text))) fail_msg("%s\n%s", mig_buf_text(&text), found);
    mig_free(down);
    bson_destroy(inverse);
    bson_destroy(doc);
    mig_step_clear(&step);
    mig_buf_free(&text);
  }
}

static void every_example_of_a_guard_loads(void **state) {
  (void)state;
  for (const mig_guard_def *const *d = mig_guard_table(); *d; d++) {
    mig_buf text = MIG_BUF(10000);
    mig_error err = {0};
    if (!(*d)->example) fail_msg("%s has no example", (*d)->name);
    if (strncmp((*d)->example + 2, (*d)->name, strlen((*d)->name)) != 0) fail_msg("%s: %s", (*d)->name, (*d)->example);
    assert_true(mig_buf_printf(&text, &err,
                               "{" D "\"guards\": [%s], \"verify\": [%s], \"up\": [{\"createCollection\": "
                               "{\"collection\": \"x\"}}], \"down\": [{\"dropCollection\": {\"collection\": \"x\"}}]}",
                               (*d)->example, (*d)->example));
    if (*lint_text(mig_buf_text(&text))) fail_msg("%s\n%s", mig_buf_text(&text), found);
    mig_buf_free(&text);
  }
}

static void the_examples_lint(void **state) {
  char path[5000];
  mig_error err = {0};
  size_t files = 0;
  (void)state;
  *found = 0;
  snprintf(path, sizeof path, "%s/../migrations/examples", MIG_TEST_SOURCE_DIR);
  if (!mig_lint_folder(path, mig_guard_check_syntax, note, NULL, &files, &err)) fail_msg("%s", err.what);
  if (*found) fail_msg("%s", found);
  assert_true(files >= 9);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      T(each_rule_finds_its_own),
      T(a_unique_index_wants_to_know_about_duplicates),
      T(files_are_compared_with_each_other),
      T(names_go_on_as_the_folder_counts),
      T(every_template_is_clean),
      T(every_example_of_a_step_loads_and_lints),
      T(every_example_of_a_guard_loads),
      T(the_examples_lint),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
