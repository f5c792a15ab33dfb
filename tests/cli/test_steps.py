"""Steps and guards from the command line: what is shown, refused, estimated, and brought back."""
import datetime
import pathlib

import pytest

from cli_support import add_users, picture, three_lines


def test_duplicates_that_were_removed_are_counted_and_in_the_snapshot(project):
    p = project
    p.db.users.insert_many([{"_id": i, "e": f"m{i % 4}", "n": i} for i in range(10)])
    before = p.digest()
    p.write("0001_once", {"up": [{"removeDuplicates": {"collection": "users", "fields": ["e"], "keep": "first"}},
                                 {"createUniqueConstraint": {"collection": "users", "key": {"e": 1}}}]})
    result = p.mig("up")
    assert "6 documents removed, 4 values kept once" in result.err
    assert sorted(p.db.users.distinct("_id")) == [0, 1, 2, 3] and p.db.users.index_information()["e_1"]["unique"]
    snapshot = p.ledger("0001_once")["snapshot"]["id"]
    p.mig("restore", snapshot, "--yes")
    assert p.digest() == before


# Each of these lists holds documents that are not equal in mails.to, or say nothing there.
NO_DUPLICATES = {
    "empty": [[], [], []],
    "texts": [["plain1"], ["plain2"], "s1", "s2"],
    "lists in lists": [[[{"to": 1}]], [[{"to": 2}]], [[]], [[]]],
    "elements without": [[{}], [{}], [{"cc": 1}], {}, {}, None, None],
    "more elements": [[{"to": "a"}], [{"to": "a"}, "plain"], [{"to": "a"}, {"cc": 1}], [{"to": "a"}, [{"to": "b"}]]],
    "another shape": [[{"to": "a"}], {"to": ["a"]}, {"to": "a"}, {"to": [["a"]]}, [{"to": ["a"]}]],
    "another order": [[{"to": "a"}, {"to": "b"}], [{"to": "b"}, {"to": "a"}]],
    "nothing but null": [[{"to": None}], [{"to": None}], {"to": None}, {"to": None}, {"to": []}, {"to": []}],
}


SAY_NOTHING = ("empty", "elements without", "nothing but null")  # includeMissing takes these for equal


@pytest.mark.parametrize("kind, more", [*((k, {}) for k in NO_DUPLICATES),
                                        *((k, {"includeMissing": True}) for k in NO_DUPLICATES if k not in SAY_NOTHING)])
def test_documents_that_differ_or_say_nothing_behind_a_dot_are_no_duplicates(project, kind, more):
    p = project
    p.db.users.insert_many([{"_id": i, "mails": m} for i, m in enumerate(NO_DUPLICATES[kind])] + [{"_id": 90}])
    before = p.digest()
    once = {"removeDuplicates": {"collection": "users", "fields": ["mails.to"], "keep": "first", **more}}
    p.write("0001_once", {"up": [once]})
    p.mig("up")
    assert p.digest() == before


def test_documents_that_are_equal_behind_a_dot_are_duplicates(project):
    p = project
    lists = [[{"to": "a", "n": 1}], [{"to": "a", "n": 2}], {"to": "b"}, {"to": "b", "n": 2}, [{"to": "a"}, {"to": "c"}],
             [{"to": "a", "n": 9}, {"to": "c"}], {"to": ["d"]}, {"to": ["d"]}]
    p.db.users.insert_many([{"_id": i, "mails": m} for i, m in enumerate(lists)])
    p.db.deep.insert_many([{"_id": i, "a": a} for i, a in enumerate(
        [{"b": [{"c": 1}]}, {"b": [{"c": 1}]}, [{"b": {"c": 1}}], [{"b": {"c": 1}}], {"b": {"c": 1}}, {"b": {"c": 1}},
         [{"b": [{"c": 1}, "x"]}], [{"b": [{"c": 1}]}], [{"b": [{"c": 1}, "y"]}], [{"b": "x"}], [{"b": "y"}]])])
    p.db.two.insert_many([{"_id": i, "k": "same", "a": a} for i, a in enumerate([["x"], ["y"], "x", "y", [], [], {}, None])])
    p.write("0001_once", {"up": [
        {"removeDuplicates": {"collection": c, "fields": f, "keep": "first"}}
        for c, f in (("users", ["mails.to"]), ("deep", ["a.b.c"]), ("two", ["k", "a.b"]))]})
    p.mig("up")
    assert sorted(p.db.users.distinct("_id")) == [0, 2, 4, 6]
    assert sorted(p.db.deep.distinct("_id")) == [0, 2, 4, 6, 7, 8, 9, 10]
    assert sorted(p.db.two.distinct("_id")) == [0, 1, 2, 3, 4, 6], "k is the same: of 4 and 5, and of 6 and 7, one stays"


def test_the_place_in_an_array_is_no_field_to_compare_by(project):
    p = project
    p.db.users.insert_many([{"_id": i, "tags": [f"t{i}"]} for i in range(3)])
    before = p.digest()
    p.write("0001_once", {"up": [{"removeDuplicates": {"collection": "users", "fields": ["tags.0"], "keep": "first"}}]})
    p.mig("up")
    assert p.digest() == before


def test_a_unique_constraint_shows_the_duplicates_first(project):
    p = project
    p.db.users.insert_many([{"_id": i, "e": "same"} for i in range(3)])
    p.write("0001_once", {"up": [{"createUniqueConstraint": {"collection": "users", "key": {"e": 1}}}]})
    before = picture(p)
    three_lines(p.mig("plan", code=1), "noDuplicates refuses", '"same" (_id')
    assert picture(p) == before
    three_lines(p.mig("up", code=1), "1 value of e occurs more than once in users", "removeDuplicates")
    assert "e_1" not in p.db.users.index_information() and not p.store.exists()


def test_the_plan_estimates_what_each_step_would_write(project):
    p = project
    p.db.c.insert_many([{"_id": i, "e": i % 3, "s": " x", "at": datetime.datetime(2020, 1, 1)} for i in range(9)])
    steps = [({"removeDuplicates": {"collection": "c", "fields": ["e"], "keep": "first"}}, 6),
             ({"sanitizeStrings": {"collection": "c", "fields": ["s"], "operations": ["trim"]}}, 9),
             ({"updateReferences": {"collection": "c", "field": "e", "from": 1, "to": 7}}, 3),
             ({"bulkUpdate": {"collection": "c", "updates": [{"filter": {"e": 1}, "update": {"$set": {"a": 1}}},
                                                             {"filter": {"e": 2}, "update": {"$set": {"a": 1}}}]}}, 6),
             ({"migrateCollection": {"from": "c", "to": "d", "filter": {"e": 0}}}, 3),
             ({"archiveDocuments": {"from": "c", "to": "d", "field": "at", "olderThan": "2021-01-01"}}, 18)]
    before = picture(p)
    for step, expected in steps:
        p.write("0001_x", {"up": [step]})
        forecast = next(line for line in p.mig("plan", "--json").lines if "migration" in line)
        assert forecast["documents"] == expected, step
    assert picture(p) == before


def test_a_validator_that_documents_break_is_refused_with_their_ids(project):
    p = project
    add_users(p)
    p.db.users.update_one({"_id": 3}, {"$unset": {"email": 1}})
    rule = {"collection": "users", "validator": {"$jsonSchema": {"required": ["email"]}}}
    p.write("0001_rule", {"up": [{"setValidator": rule}]})
    three_lines(p.mig("up", code=1), "1 document of users does not match", "_id [ 3 ]")
    p.write("0001_rule", {"up": [{"setValidator": {**rule, "level": "moderate"}}]})
    p.mig("up")


@pytest.mark.parametrize("guard, why", [
    ({"notNull": {"collection": "users", "field": "extra"}}, "in 5 documents of users the field extra is null or missing"),
    ({"fieldType": {"collection": "users", "field": "age", "type": "string"}}, "the field age is not of type string"),
    ({"references": {"collection": "users", "field": "name", "to": "users._id"}}, "refers to nothing in users._id"),
    ({"schema": {"collection": "users", "schema": {"required": ["extra"]}}}, "5 documents of users do not obey"),
    ({"documentSize": {"collection": "users", "max": 10}}, "5 documents of users are larger than 10 bytes")])
def test_each_guard_refuses_before_and_undoes_after(project, guard, why):
    p = project
    add_users(p)
    before = p.digest()
    step = {"update": {"collection": "users", "filter": {}, "update": {"$set": {"touched": True}}}}
    p.write("0001_x", {"guards": [guard], "up": [step]})
    error = three_lines(p.mig("up", code=1), "refuses", why)
    assert "_id" in error[0] and p.digest() == before
    p.write("0001_x", {"verify": [guard], "up": [step]})
    result = p.mig("up", code=None)
    assert result.code in (1, 3) and why in result.err  # 1: the transaction was aborted, 3: restored
    assert p.digest() == before


# ---- the examples ----------------------------------------------------------------------------------------------------

EXAMPLES = pathlib.Path(__file__).parents[2] / "migrations" / "examples"
INDEXES = {"0005_index-compound": ("orders", "customer_1_createdAt_-1", {"key": [("customer", 1), ("createdAt", -1)]}),
           "0006_index-text": ("articles", "words", {"weights": {"title": 5, "body": 1}}),
           "0007_index-unique": ("accounts", "email_1", {"unique": True}),
           "0008_index-ttl": ("sessions", "seenAt_1", {"expireAfterSeconds": 2592000}),
           "0009_index-partial": ("orders", "open_by_due", {"partialFilterExpression": {"status": "open"}})}


@pytest.mark.parametrize("name", INDEXES)
def test_each_kind_of_index_is_built_and_dropped(project, name):
    p = project
    collection, index, wanted = INDEXES[name]
    now = datetime.datetime.now(datetime.timezone.utc)
    p.db[collection].insert_many([{"_id": i, "customer": i % 2, "createdAt": now, "dueAt": now, "status": "open", "title": "t",
                                   "body": "b", "email": f"m{i % 3} ", "lastLogin": i, "seenAt": now} for i in range(4)])
    p.write(name, (EXAMPLES / f"{name}.json").read_text())
    p.mig("up")
    built = p.db[collection].index_information()[index]
    for option, value in wanted.items():
        assert (dict(built[option]) if isinstance(value, dict) else built[option]) == value
    if name == "0007_index-unique":
        assert sorted((d["_id"], d["email"]) for d in p.db.accounts.find()) == [(1, "m1"), (2, "m2"), (3, "m0")]
    p.mig("down")
    assert list(p.db[collection].index_information()) == ["_id_"]


# ---- lint ------------------------------------------------------------------------------------------------------------

def test_lint_needs_no_server_and_tells_by_its_exit_code(project):
    p = project
    p.write("0001_good", {"description": "d", "up": [{"createCollection": {"collection": "a"}}],
                          "down": [{"dropCollection": {"collection": "a"}}]})
    nowhere = "mongodb://127.0.0.1:1/none"
    assert p.mig("lint", "--strict", uri=nowhere).out == "1 file, 0 errors, 0 warnings\n"
    p.write("0002_warn", {"description": "d", "up": [{"createCollection": {"collection": "größe"}}]})
    out = p.mig("lint", uri=nowhere).out
    assert "migrations/0002_warn.json:1:1: warning" in out and '{ "dropCollection" : { "collection" : "größe" } }' in out
    p.mig("lint", "--strict", uri=nowhere, code=6)
    p.write("0003_bad", '{\n  "up": [{"delet": {}}]\n}')
    result = p.mig("lint", "--json", uri=nowhere, code=6)
    found = [line for line in result.lines if "rule" in line]
    assert [(f["rule"], f["level"], f["line"]) for f in found] == [("no-down", "warning", 1), ("unusable", "error", 2)]
    assert result.lines[-2] == {"files": 3, "errors": 1, "warnings": 1} and result.lines[-1]["exit"] == 6
    assert p.mig("lint", "migrations/0001_good.json", uri=nowhere).out == "1 file, 0 errors, 0 warnings\n"
    shown = p.mig("lint", "--github", uri=nowhere, code=6).out.splitlines()
    assert "größe" in shown[0] and shown[1].startswith(
        "::error file=migrations/0003_bad.json,line=2,col=11,title=unusable::unknown step")
    p.mig("lint", "--dir", "nothing-here", code=2)


@pytest.mark.parametrize("template", ["add-field", "data-transform", "schema-change", "seed-data", "index"])
def test_what_create_writes_passes_lint_and_runs_up_and_down(project, template):
    p = project
    p.db.users.insert_many([{"_id": i, "mail": f"u{i}"} for i in range(3)])
    p.db.orders.insert_many([{"_id": i, "price": i, "quantity": 2, "number": i, "customer": i} for i in range(3)])
    before = p.digest("users", "orders")
    p.mig("create", "change-it", "--template", template)
    assert p.mig("lint", "--strict").out == "1 file, 0 errors, 0 warnings\n"
    p.mig("up")
    assert p.digest("users", "orders", "roles") != before
    p.mig("down")
    if template != "schema-change":  # that one leaves an empty validator behind on some servers
        assert p.digest("users", "orders") == before


def test_create_goes_on_with_the_numbering_of_the_folder(project):
    p = project
    p.write("0041_x", {"description": "d", "up": [{"createCollection": {"collection": "a"}}]})
    p.mig("create", "next-one")
    p.mig("create", "and-another")
    assert sorted(f.name for f in p.migrations.iterdir()) == ["0041_x.json", "0042_next-one.json", "0043_and-another.json"]
