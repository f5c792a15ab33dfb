/* What each step does to a real server, in and out of a transaction, and with and without update pipelines. */
#include "steps_env.h"

static const effect effects[] = {
    {"[{\"_id\": 1}, {\"_id\": 2, \"a\": null}, {\"_id\": 3, \"a\": 0}]",
     "{\"addField\": {\"collection\": \"c\", \"field\": \"a\", \"value\": {\"b\": [1]}}}",
     "[{\"_id\": 1, \"a\": {\"b\": [1]}}, {\"_id\": 2, \"a\": null}, {\"_id\": 3, \"a\": 0}]", 1},
    {"[{\"_id\": 1}, {\"_id\": 2, \"a\": {}}, {\"_id\": 3, \"a\": {\"b\": 5, \"c\": 1}}]",
     "{\"addField\": {\"collection\": \"c\", \"field\": \"a.b\", \"value\": 7}}",
     "[{\"_id\": 1, \"a\": {\"b\": 7}}, {\"_id\": 2, \"a\": {\"b\": 7}}, {\"_id\": 3, \"a\": {\"b\": 5, \"c\": 1}}]",
     2},
    {"[{\"_id\": 1, \"x\": 1}, {\"_id\": 2}]",
     "{\"addField\": {\"collection\": \"c\", \"field\": \"a\", \"value\": 1, \"filter\": {\"x\": 1}}}",
     "[{\"_id\": 1, \"x\": 1, \"a\": 1}, {\"_id\": 2}]", 1},
    {"[{\"_id\": 1, \"a\": 1, \"b\": 2}, {\"_id\": 2, \"a\": null}, {\"_id\": 3}]",
     "{\"removeField\": {\"collection\": \"c\", \"field\": \"a\"}}",
     "[{\"_id\": 1, \"b\": 2}, {\"_id\": 2}, {\"_id\": 3}]", 2},
    {"[{\"_id\": 1, \"a\": {\"b\": 1, \"c\": 2}}]", "{\"removeField\": {\"collection\": \"c\", \"field\": \"a.b\"}}",
     "[{\"_id\": 1, \"a\": {\"c\": 2}}]", 1},
    {"[{\"_id\": 1, \"a\": 1}, {\"_id\": 2, \"a\": null}, {\"_id\": 3}]",
     "{\"renameField\": {\"collection\": \"c\", \"from\": \"a\", \"to\": \"b\"}}",
     "[{\"_id\": 1, \"b\": 1}, {\"_id\": 2, \"b\": null}, {\"_id\": 3}]", 2},
    {"[{\"_id\": 1, \"a\": {\"x\": 1}}]",
     "{\"renameField\": {\"collection\": \"c\", \"from\": \"a.x\", \"to\": \"b.y\"}}",
     "[{\"_id\": 1, \"a\": {}, \"b\": {\"y\": 1}}]", 1},
    {"[{\"_id\": 1, \"a\": [1, {\"$date\": \"2020-01-01T00:00:00Z\"}]}, {\"_id\": 2}, {\"_id\": 3, \"a\": null}]",
     "{\"copyField\": {\"collection\": \"c\", \"from\": \"a\", \"to\": \"b\"}}",
     "[{\"_id\": 1, \"a\": [1, {\"$date\": \"2020-01-01T00:00:00Z\"}], \"b\": [1, {\"$date\": "
     "\"2020-01-01T00:00:00Z\"}]}, "
     "{\"_id\": 2}, {\"_id\": 3, \"a\": null, \"b\": null}]",
     2},
    {"[{\"_id\": 1, \"a\": {\"x\": 1}, \"b\": {}}, {\"_id\": 2, \"a\": {\"x\": 2}}]",
     "{\"copyField\": {\"collection\": \"c\", \"from\": \"a.x\", \"to\": \"b.y\"}}",
     "[{\"_id\": 1, \"a\": {\"x\": 1}, \"b\": {\"y\": 1}}, {\"_id\": 2, \"a\": {\"x\": 2}, \"b\": {\"y\": 2}}]", 2},
    {"[{\"_id\": 1, \"n\": \"A B\"}, {\"_id\": 2, \"n\": 5}]",
     "{\"transform\": {\"collection\": \"c\", \"filter\": {\"_id\": 1}, \"pipeline\": [{\"$set\": {\"p\": {\"$split\": "
     "[\"$n\", "
     "\" \"]}}}, {\"$set\": {\"f\": {\"$arrayElemAt\": [\"$p\", 0]}}}, {\"$unset\": [\"p\", \"n\"]}]}}",
     "[{\"_id\": 1, \"f\": \"A\"}, {\"_id\": 2, \"n\": 5}]", 1},
    {"[{\"_id\": 1, \"n\": 1}, {\"_id\": 2, \"n\": 5}]",
     "{\"transform\": {\"collection\": \"c\", \"pipeline\": [{\"$replaceWith\": {\"_id\": \"$_id\", \"m\": {\"$add\": "
     "[\"$n\", 1]}}}]}}",
     "[{\"_id\": 1, \"m\": 2}, {\"_id\": 2, \"m\": 6}]", 2},
    {"[{\"_id\": 1, \"n\": 1}, {\"_id\": 2, \"n\": 5}]",
     "{\"update\": {\"collection\": \"c\", \"filter\": {\"n\": {\"$gt\": 2}}, \"update\": {\"$inc\": {\"n\": 1}, "
     "\"$set\": {\"x\": \"y\"}}}}",
     "[{\"_id\": 1, \"n\": 1}, {\"_id\": 2, \"n\": 6, \"x\": \"y\"}]", 1},
    {"[{\"_id\": 1, \"n\": [1, 2, 3]}]",
     "{\"update\": {\"collection\": \"c\", \"filter\": {\"n\": 2}, \"update\": {\"$set\": {\"n.$\": 9}}}}",
     "[{\"_id\": 1, \"n\": [1, 9, 3]}]", 1},
    {"[{\"_id\": 1, \"n\": 1}, {\"_id\": 2, \"n\": 5}]",
     "{\"delete\": {\"collection\": \"c\", \"filter\": {\"n\": 5}}}", "[{\"_id\": 1, \"n\": 1}]", 1},
    {"[{\"_id\": 1}, {\"_id\": 2}]", "{\"delete\": {\"collection\": \"c\", \"filter\": {}}}", "[]", 2},
    {"[{\"_id\": 1}]",
     "{\"insert\": {\"collection\": \"c\", \"documents\": [{\"_id\": 3, \"z\": 1, \"a\": 2, \"x.y\": 3}, {\"_id\": "
     "2}]}}",
     "[{\"_id\": 1}, {\"_id\": 2}, {\"_id\": 3, \"z\": 1, \"a\": 2, \"x.y\": 3}]", 2},
    {"[{\"_id\": 1, \"e\": \"a\", \"kept\": true}]",
     "{\"insert\": {\"collection\": \"c\", \"key\": [\"_id\"], \"documents\": [{\"_id\": 1, \"e\": \"new\"}, {\"_id\": "
     "2, \"e\": \"b\"}]}}",
     "[{\"_id\": 1, \"e\": \"a\", \"kept\": true}, {\"_id\": 2, \"e\": \"b\"}]", 2},
    {"[{\"_id\": 1, \"e\": \"a\", \"x\": {\"y\": 1}}]",
     "{\"insert\": {\"collection\": \"c\", \"key\": [\"e\", \"x.y\"], \"documents\": [{\"_id\": 7, \"e\": \"a\", "
     "\"x\": {\"y\": 1}}, "
     "{\"_id\": 8, \"e\": \"a\", \"x\": {\"y\": 2, \"z\": 3}}]}}",
     "[{\"_id\": 1, \"e\": \"a\", \"x\": {\"y\": 1}}, {\"_id\": 8, \"e\": \"a\", \"x\": {\"y\": 2, \"z\": 3}}]", 2},
    {"[{\"_id\": 1, \"n\": 1}]",
     "{\"command\": {\"command\": {\"update\": \"c\", \"updates\": [{\"q\": {}, \"u\": {\"$set\": {\"n\": 2}}, "
     "\"multi\": true}]}}}",
     "[{\"_id\": 1, \"n\": 2}]", 1},
};

#define EFFECTS (sizeof effects / sizeof *effects)

static void steps_do_what_they_say(void **state) {
  (void)state;
  effects_happen(effects, EFFECTS);
}

static void steps_do_the_same_without_update_pipelines(void **state) {
  mig_tri had = caps.has[MIG_CAP_UPDATE_PIPELINE];
  (void)state;
  for (size_t i = 0; i < EFFECTS; i++) {
    if (!strstr(effects[i].step, "copyField") && !strstr(effects[i].step, "transform")) continue;
    drop_c(NULL);
    seed(effects[i].before);
    caps.has[MIG_CAP_UPDATE_PIPELINE] = MIG_NO;
    run_ok(effects[i].step);
    caps.has[MIG_CAP_UPDATE_PIPELINE] = had;
    effect_is(effects[i].step, effects[i].after);
  }
}

static void steps_do_the_same_in_a_transaction(void **state) {
  (void)state;
  effects_happen_in_transactions(effects, EFFECTS);
}

/* Many batches, with a filter that the update itself makes true or false: none is missed, none is changed twice. */
static void many_batches_reach_every_document_once(void **state) {
  seen s = {0};
  mig_observer observer = {.arg = &s, .progress = see};
  mig_work w = {.db = db, .caps = &caps, .observer = &observer, .batch_documents = 70};
  mig_error err;
  (void)state;
  if (!cursors_go_on()) skip_because("this server cannot continue a cursor");
  seed_many(3000);
  assert_ok(run_with(&w, "{\"addField\": {\"collection\": \"c\", \"field\": \"n\", \"value\": 0}}", &err), err);
  assert_int_equal(count("c", "{\"n\": 0}"), 3000);
  assert_int_equal(w.counts.documents_written, 3000);
  assert_int_equal(s.done, 3000);
  assert_int_equal(s.calls, (3000 + 69) / 70);
  assert_string_equal(s.what, "addField c");
  assert_ok(run_with(&w,
                     "{\"update\": {\"collection\": \"c\", \"filter\": {\"n\": {\"$gte\": 0}}, \"update\": {\"$inc\": "
                     "{\"n\": 1}}}}",
                     &err),
            err);
  assert_int_equal(count("c", "{\"n\": 1}"), 3000);
  assert_ok(
      run_with(&w,
               "{\"transform\": {\"collection\": \"c\", \"pipeline\": [{\"$set\": {\"n\": {\"$add\": [\"$n\", 1]}}}]}}",
               &err),
      err);
  assert_int_equal(count("c", "{\"n\": 2}"), 3000);
  mig_caps old = caps;
  old.has[MIG_CAP_UPDATE_PIPELINE] = MIG_NO;
  w.caps = &old;
  assert_ok(
      run_with(&w,
               "{\"transform\": {\"collection\": \"c\", \"pipeline\": [{\"$set\": {\"n\": {\"$add\": [\"$n\", 1]}}}]}}",
               &err),
      err);
  assert_int_equal(count("c", "{\"n\": 3}"), 3000);
  assert_ok(run_with(&w, "{\"copyField\": {\"collection\": \"c\", \"from\": \"n\", \"to\": \"m\"}}", &err), err);
  assert_int_equal(count("c", "{\"m\": 3}"), 3000);
  assert_ok(run_with(&w, "{\"renameField\": {\"collection\": \"c\", \"from\": \"n\", \"to\": \"k\"}}", &err), err);
  assert_int_equal(count("c", "{\"k\": 3, \"n\": {\"$exists\": false}}"), 3000);
  assert_ok(run_with(&w, "{\"delete\": {\"collection\": \"c\", \"filter\": {\"x\": 1}}}", &err), err);
  assert_int_equal(count("c", "{}"), 2000);
  assert_int_equal(count("c", "{\"x\": 1}"), 0);
}

/* Values of all types, ordered by the server, are all found. */
static void documents_with_any_kind_of_id_are_reached(void **state) {
  mig_work w = {.db = db, .caps = &caps, .batch_documents = 2};
  mig_error err;
  (void)state;
  if (!cursors_go_on()) skip_because("this server cannot continue a cursor");
  seed("[{\"_id\": 1}, {\"_id\": 1.5}, {\"_id\": \"a\"}, {\"_id\": {\"$oid\": \"5f5f5f5f5f5f5f5f5f5f5f5f\"}}, "
       "{\"_id\": {\"a\": 1}}, {\"_id\": "
       "null}, {\"_id\": true}, {\"_id\": {\"$date\": \"2020-01-01T00:00:00Z\"}}, {\"_id\": {\"$numberLong\": "
       "\"9007199254740993\"}}, {\"_id\": "
       "{\"$uuid\": \"73ffd264-44b3-4c69-90e8-e7d1dfc035d4\"}}, {\"_id\": {\"$minKey\": 1}}, {\"_id\": {\"$maxKey\": "
       "1}}, {\"_id\": "
       "{\"$numberDouble\": \"NaN\"}}, {\"_id\": {\"$numberDecimal\": \"2.50\"}}]");
  assert_ok(run_with(&w, "{\"addField\": {\"collection\": \"c\", \"field\": \"n\", \"value\": 1}}", &err), err);
  assert_int_equal(count("c", "{\"n\": 1}"), 14);
  assert_int_equal(w.counts.documents_written, 14);
}

static bool third_time_fails(void *arg, mig_error *err) {
  int *left = arg;
  return (*left)-- > 0 || mig_fail(err, MIG_E_LEASE, "the lease is lost");
}

static void a_failed_checkpoint_stops_before_the_next_batch(void **state) {
  int left = 2;
  mig_work w = {
      .db = db, .caps = &caps, .batch_documents = 10, .checkpoint = third_time_fails, .checkpoint_arg = &left};
  mig_error err;
  (void)state;
  if (!cursors_go_on()) skip_because("this server cannot continue a cursor");
  seed_many(100);
  assert_false(run_with(&w, "{\"addField\": {\"collection\": \"c\", \"field\": \"n\", \"value\": 0}}", &err));
  assert_int_equal(err.code, MIG_E_LEASE);
  assert_int_equal(count("c", "{\"n\": 0}"), 20);
}

static void renaming_onto_a_field_that_is_there_loses_nothing(void **state) {
  mig_error err;
  (void)state;
  seed("[{\"_id\": 1, \"a\": 1}, {\"_id\": 2, \"a\": 1, \"b\": 2}]");
  run_fails("{\"renameField\": {\"collection\": \"c\", \"from\": \"a\", \"to\": \"b\"}}", &err);
  assert_non_null(strstr(err.what, "1 documents have both a and b"));
  collection_is("c", "[{\"_id\": 1, \"a\": 1}, {\"_id\": 2, \"a\": 1, \"b\": 2}]");
}

static void copying_over_a_part_of_the_path_loses_nothing(void **state) {
  static const char *const before =
      "[{\"_id\": 1, \"a\": 1, \"b\": 5}, {\"_id\": 2, \"a\": 1, \"b\": [{\"y\": 1}]}, {\"_id\": 3, \"a\": 1}]";
  mig_tri had = caps.has[MIG_CAP_UPDATE_PIPELINE];
  mig_error err;
  (void)state;
  seed(before);
  run_fails("{\"copyField\": {\"collection\": \"c\", \"from\": \"a\", \"to\": \"b.z\"}}", &err);
  assert_non_null(strstr(err.what, "in 2 documents a part of the path a or b.z is not a document"));
  collection_is("c", before);
  caps.has[MIG_CAP_UPDATE_PIPELINE] = MIG_NO;
  run_fails("{\"copyField\": {\"collection\": \"c\", \"from\": \"a\", \"to\": \"b.z\"}}", &err);
  caps.has[MIG_CAP_UPDATE_PIPELINE] = had;
  collection_is("c", before);
}

static void adding_below_a_value_that_is_no_document_is_the_servers_error(void **state) {
  mig_error err;
  (void)state;
  seed("[{\"_id\": 1, \"a\": 5}]");
  run_fails("{\"addField\": {\"collection\": \"c\", \"field\": \"a.b\", \"value\": 1}}", &err);
  assert_int_equal(err.code, MIG_E_SERVER);
  assert_non_null(strstr(err.what, "update migtest_"));
  assert_non_null(strstr(err.what, ".c failed"));
  collection_is("c", "[{\"_id\": 1, \"a\": 5}]");
}

static void a_field_inside_an_array_is_not_silently_kept(void **state) {
  mig_error err;
  (void)state;
  seed("[{\"_id\": 1, \"a\": [{\"b\": 1}, {\"b\": 2}]}]");
  run_fails("{\"removeField\": {\"collection\": \"c\", \"field\": \"a.b\"}}", &err);
  assert_true(strstr(err.what, "1 of 1 documents could not be changed") || err.code == MIG_E_SERVER);
  collection_is("c", "[{\"_id\": 1, \"a\": [{\"b\": 1}, {\"b\": 2}]}]");
}

static void a_transform_cannot_change_ids(void **state) {
  mig_error err;
  (void)state;
  seed("[{\"_id\": 1}, {\"_id\": 2}]");
  run_fails("{\"transform\": {\"collection\": \"c\", \"pipeline\": [{\"$replaceWith\": {\"_id\": {\"$add\": [\"$_id\", "
            "10]}}}]}}",
            &err);
  assert_non_null(strstr(err.why, "_id"));
  collection_is("c", "[{\"_id\": 1}, {\"_id\": 2}]");
}

/* DocumentDB's own update pipeline leaves two of them. */
static void a_replaced_document_has_one_id(void **state) {
  (void)state;
  seed("[{\"_id\": 1, \"a\": {\"b\": 1}}, {\"_id\": 2, \"a\": {\"_id\": 2, \"b\": 2}}]");
  run_ok("{\"transform\": {\"collection\": \"c\", \"pipeline\": [{\"$replaceRoot\": {\"newRoot\": \"$a\"}}]}}");
  collection_is("c", "[{\"_id\": 1, \"b\": 1}, {\"_id\": 2, \"b\": 2}]");
}

static void replacing_by_nothing_loses_nothing(void **state) {
  mig_error err;
  (void)state;
  seed("[{\"_id\": 1, \"a\": 1, \"n\": null}]");
  run_fails("{\"transform\": {\"collection\": \"c\", \"pipeline\": [{\"$replaceWith\": \"$nothing\"}]}}", &err);
  run_fails("{\"transform\": {\"collection\": \"c\", \"pipeline\": [{\"$replaceWith\": \"$n\"}]}}", &err);
  run_fails("{\"transform\": {\"collection\": \"c\", \"pipeline\": [{\"$replaceWith\": \"$a\"}]}}", &err);
  collection_is("c", "[{\"_id\": 1, \"a\": 1, \"n\": null}]");
}

static void an_upsert_inserts_once(void **state) {
  static const char *const step = "{\"update\": {\"collection\": \"c\", \"filter\": {\"_id\": 9}, \"update\": "
                                  "{\"$set\": {\"a\": 1}}, \"upsert\": true}}";
  (void)state;
  seed("[{\"_id\": 1}]");
  run_ok(step);
  run_ok(step);
  collection_is("c", "[{\"_id\": 1}, {\"_id\": 9, \"a\": 1}]");
  run_ok("{\"update\": {\"collection\": \"c\", \"filter\": {\"_id\": 10}, \"update\": {\"$set\": {\"a\": 1}}}}");
  assert_int_equal(count("c", "{}"), 2);
}

static void a_keyed_insert_can_be_repeated(void **state) {
  static const char *const step = "{\"insert\": {\"collection\": \"c\", \"key\": [\"name\"], \"documents\": "
                                  "[{\"name\": \"a\", \"n\": 1}, {\"name\": \"b\", \"n\": 2}]}}";
  mig_work w = {.db = db, .caps = &caps};
  mig_error err;
  (void)state;
  assert_ok(run_with(&w, step, &err), err);
  assert_int_equal(w.counts.documents_written, 2);
  assert_ok(run_with(&w, step, &err), err);
  assert_int_equal(w.counts.documents_written, 2);
  assert_int_equal(count("c", "{}"), 2);
  assert_int_equal(count("c", "{\"name\": \"b\", \"n\": 2}"), 1);
}

static void inserted_documents_without_id_get_one(void **state) {
  mig_work w = {.db = db, .caps = &caps, .batch_documents = 2};
  mig_error err;
  (void)state;
  assert_ok(
      run_with(&w, "{\"insert\": {\"collection\": \"c\", \"documents\": [{\"n\": 1}, {\"n\": 2}, {\"n\": 3}]}}", &err),
      err);
  assert_int_equal(count("c", "{\"_id\": {\"$type\": {\"$numberInt\": \"7\"}}}"), 3); /* an ObjectId */
  assert_int_equal(w.counts.documents_written, 3);
}

static void an_insert_over_an_id_that_is_there_fails(void **state) {
  mig_error err;
  (void)state;
  seed("[{\"_id\": 1, \"a\": 1}]");
  run_fails("{\"insert\": {\"collection\": \"c\", \"documents\": [{\"_id\": 1, \"a\": 2}]}}", &err);
  assert_int_equal(err.server_code, 11000);
  collection_is("c", "[{\"_id\": 1, \"a\": 1}]");
}

static bool has_index(const char *name) {
  mig_error err = {0};
  bson_t indexes;
  bson_iter_t it;
  bool found = false;
  assert_ok(mig_db_indexes(db, "c", &indexes, &err), err);
  assert_true(bson_iter_init(&it, &indexes));
  while (bson_iter_next(&it)) {
    bson_t index;
    const char *have = NULL;
    if (mig_bson_iter_doc(&it, &index) && mig_bson_str(&index, "name", &have) && strcmp(have, name) == 0) found = true;
  }
  bson_destroy(&indexes);
  return found;
}

static void indexes_are_built_and_dropped_by_the_usual_names(void **state) {
  mig_error err;
  (void)state;
  seed("[{\"_id\": 1, \"email\": \"a\", \"age\": 1}, {\"_id\": 2, \"email\": \"b\"}]");
  run_ok("{\"createIndex\": {\"collection\": \"c\", \"key\": {\"email\": 1, \"age\": -1}, \"options\": {\"unique\": "
         "true}}}");
  assert_true(has_index("email_1_age_-1"));
  run_ok("{\"createIndex\": {\"collection\": \"c\", \"key\": {\"age\": 1}, \"name\": \"mine\"}}");
  assert_true(has_index("mine"));
  run_ok("{\"dropIndex\": {\"collection\": \"c\", \"name\": \"mine\"}}");
  run_ok("{\"dropIndex\": {\"collection\": \"c\", \"name\": \"email_1_age_-1\"}}");
  assert_false(has_index("mine") || has_index("email_1_age_-1"));
  run_fails("{\"dropIndex\": {\"collection\": \"c\", \"name\": \"mine\"}}", &err);
  assert_int_equal(err.code, MIG_E_SERVER);
}

static void a_unique_index_over_duplicates_fails(void **state) {
  mig_error err;
  (void)state;
  seed("[{\"_id\": 1, \"email\": \"a\"}, {\"_id\": 2, \"email\": \"a\"}]");
  run_fails("{\"createIndex\": {\"collection\": \"c\", \"key\": {\"email\": 1}, \"options\": {\"unique\": true}}}",
            &err);
  assert_int_equal(err.code, MIG_E_SERVER);
  assert_false(has_index("email_1"));
}

static void a_created_collection_keeps_its_validator(void **state) {
  mig_error err = {0};
  bson_t entry;
  bson_iter_t it;
  bool found = false;
  (void)state;
  if (!mig_caps_has(&caps, MIG_CAP_VALIDATOR)) skip_because("this server has no validators");
  run_ok("{\"createCollection\": {\"collection\": \"c\", \"options\": {\"validator\": {\"n\": {\"$exists\": true}}, "
         "\"validationLevel\": "
         "\"strict\"}}}");
  assert_ok(mig_db_collection_info(db, "c", &entry, &found, &err), err);
  assert_true(found && mig_bson_find(&entry, "options.validator", &it));
  bson_destroy(&entry);
  run_fails("{\"insert\": {\"collection\": \"c\", \"documents\": [{\"m\": 1}]}}", &err);
  run_fails("{\"createCollection\": {\"collection\": \"c\"}}", &err);
}

/* An option that the server takes and forgets is an error, not a surprise later. */
static void an_option_is_kept_or_refused(void **state) {
  mig_work w = {.db = db, .caps = &caps};
  mig_error err;
  bson_t entry;
  bson_iter_t it;
  bool found = false;
  (void)state;
  bool ok = run_with(
      &w, "{\"createCollection\": {\"collection\": \"c\", \"options\": {\"capped\": true, \"size\": 4096}}}", &err);
  if (ok) {
    assert_ok(mig_db_collection_info(db, "c", &entry, &found, &err), err);
    assert_true(found && mig_bson_find(&entry, "options.capped", &it));
    bson_destroy(&entry);
  } else {
    assert_true(err.code == MIG_E_UNSUPPORTED || err.code == MIG_E_SERVER);
  }
}

static void collections_are_renamed_and_dropped(void **state) {
  mig_error err;
  (void)state;
  if (!mig_caps_has(&caps, MIG_CAP_RENAME_DROP_TARGET)) skip_because("this server cannot rename collections");
  seed("[{\"_id\": 1}]");
  run_ok("{\"renameCollection\": {\"from\": \"c\", \"to\": \"d\"}}");
  assert_false(exists("c"));
  collection_is("d", "[{\"_id\": 1}]");
  seed("[{\"_id\": 2}]");
  run_fails("{\"renameCollection\": {\"from\": \"c\", \"to\": \"d\"}}", &err);
  collection_is("d", "[{\"_id\": 1}]");
  run_ok("{\"renameCollection\": {\"from\": \"c\", \"to\": \"d\", \"dropTarget\": true}}");
  collection_is("d", "[{\"_id\": 2}]");
  run_ok("{\"dropCollection\": {\"collection\": \"d\"}}");
  assert_false(exists("d"));
}

static void commands_run_as_they_are(void **state) {
  mig_error err;
  (void)state;
  seed("[{\"_id\": 1, \"n\": 1}, {\"_id\": 2, \"n\": 2}]");
  run_ok("{\"command\": {\"command\": {\"find\": \"c\"}}}");
  run_ok("{\"command\": {\"command\": {\"delete\": \"c\", \"deletes\": [{\"q\": {\"n\": 2}, \"limit\": 0}]}}}");
  collection_is("c", "[{\"_id\": 1, \"n\": 1}]");
  run_fails("{\"command\": {\"command\": {\"insert\": \"c\", \"documents\": [{\"_id\": 1}, {\"_id\": 3}], \"ordered\": "
            "false}}}",
            &err);
  assert_int_equal(err.server_code, 11000);
  run_fails("{\"command\": {\"command\": {\"noSuchCommand\": 1}, \"collections\": [\"c\"]}}", &err);
  assert_int_equal(err.code, MIG_E_SERVER);
}

static void an_aggregation_can_write_a_collection(void **state) {
  static const char *const step = "{\"command\": {\"command\": {\"aggregate\": \"c\", \"pipeline\": [{\"$match\": "
                                  "{\"n\": 2}}, {\"$out\": \"d\"}], \"cursor\": {}}}}";
  mig_work w = {.db = db, .caps = &caps};
  mig_error err;
  (void)state;
  seed("[{\"_id\": 1, \"n\": 1}, {\"_id\": 2, \"n\": 2}]");
  if (!run_with(&w, step, &err)) {
    if (strstr(err.why, "Unsupported aggregation stage")) skip_because("this server has no $out");
    fail_msg("%s | %s", err.what, err.why);
  }
  collection_is("d", "[{\"_id\": 2, \"n\": 2}]");
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, drop_c, drop_c)
  const struct CMUnitTest tests[] = {
      T(steps_do_what_they_say),
      T(steps_do_the_same_without_update_pipelines),
      T(steps_do_the_same_in_a_transaction),
      T(many_batches_reach_every_document_once),
      T(documents_with_any_kind_of_id_are_reached),
      T(a_failed_checkpoint_stops_before_the_next_batch),
      T(renaming_onto_a_field_that_is_there_loses_nothing),
      T(copying_over_a_part_of_the_path_loses_nothing),
      T(adding_below_a_value_that_is_no_document_is_the_servers_error),
      T(a_field_inside_an_array_is_not_silently_kept),
      T(a_transform_cannot_change_ids),
      T(a_replaced_document_has_one_id),
      T(replacing_by_nothing_loses_nothing),
      T(an_upsert_inserts_once),
      T(a_keyed_insert_can_be_repeated),
      T(inserted_documents_without_id_get_one),
      T(an_insert_over_an_id_that_is_there_fails),
      T(indexes_are_built_and_dropped_by_the_usual_names),
      T(a_unique_index_over_duplicates_fails),
      T(a_created_collection_keeps_its_validator),
      T(an_option_is_kept_or_refused),
      T(collections_are_renamed_and_dropped),
      T(commands_run_as_they_are),
      T(an_aggregation_can_write_a_collection),
  };
  test_uri();
  return cmocka_run_group_tests(tests, open_db, close_db);
}
