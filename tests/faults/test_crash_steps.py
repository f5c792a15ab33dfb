"""kill -9 in the middle of each step that works in batches: after `mig recover` all is exactly as before, and `mig up`
then does the whole of it; and no document is ever in neither place while it is archived."""
import datetime

import pymongo
import pytest

from test_crash import crash, settle

N = 2300  # more than two batches
OLD = datetime.datetime(2020, 1, 1)


def fill(p, n=N):
    p.db.c.insert_many([{"_id": i, "h": i % (n // 2), "s": f"  Text {i} ", "r": [i % 3, "x"], "at": OLD,
                         "nested": [{"s": " a "}, {"s": "b"}]} for i in range(n)])
    p.db.c.create_index("h", name="by_h")
    p.db.roles.insert_one({"_id": "old", "name": "admin", "level": 1})


def half(p):
    return p.db.c.count_documents({}) == N // 2


# step, a crash point that falls in the middle of it, and what is so when it is done
STEPS = {
    "bulkUpdate": ({"collection": "c", "updates": [{"filter": {}, "update": {"$set": {"a": 1}}},
                                                   {"filter": {"h": {"$gte": 5}}, "update": {"$inc": {"a": 1}}}]},
                   "step_batch:4", lambda p: p.db.c.count_documents({"a": 2}) == N - 10),
    "removeDuplicates": ({"collection": "c", "fields": ["h"], "keep": "last"}, "step_batch:1", half),
    "sanitizeStrings": ({"collection": "c", "fields": ["s", "nested.s"], "operations": ["trim", "collapse"]},
                        "step_batch:2", lambda p: p.db.c.count_documents({"s": {"$regex": "^T.*[0-9]$"}}) == N),
    "updateReferences": ({"collection": "c", "field": "r", "from": 1, "to": 9}, "step_batch:1",
                         lambda p: p.db.c.count_documents({"r": 1}) == 0 and p.db.c.count_documents({"r": 9}) == 767),
    "migrateCollection": ({"from": "c", "to": "d", "pipeline": [{"$project": {"s": 1}}]}, "step_batch:2",
                          lambda p: p.db.d.count_documents({}) == N == p.db.c.count_documents({})),
    "archiveDocuments": ({"from": "c", "to": "d", "field": "at", "olderThan": "1 year"}, "step_batch:2",
                         lambda p: p.db.d.count_documents({}) == N and p.db.c.count_documents({}) == 0),
    "insert": ({"collection": "roles", "key": ["name"],
                "documents": [{"name": "admin", "level": 9}] + [{"name": f"r{i}"} for i in range(1200)]}, "step_batch:1",
               lambda p: p.db.roles.count_documents({}) == 1201 and p.db.roles.find_one({"name": "admin"})["level"] == 1),
    "createUniqueConstraint": ({"collection": "c", "key": {"s": 1}}, "step_batch:1",
                               lambda p: p.db.c.index_information()["s_1"]["unique"]),
    "setValidator": ({"collection": "c", "validator": {"s": {"$type": "string"}}}, "step_batch:1",
                     lambda p: next(p.db.list_collections(filter={"name": "c"}))["options"]["validator"]),
}


@pytest.mark.parametrize("name", STEPS)
def test_killed_in_the_middle_of_a_step(project, name):
    p = project
    arguments, point, done = STEPS[name]
    fill(p)
    if name == "setValidator":  # where there was none, an empty one would be listed after the restore, which says the same
        p.db.command("collMod", "c", validator={"_id": {"$exists": True}}, validationLevel="moderate", validationAction="error")
    before = p.digest()
    p.write("0001_change", {"transaction": "off", "up": [{name: arguments}]})
    assert crash(p, point, "up")
    assert p.digest() != before, "it died in the middle, with a part of it written"
    assert settle(p, before, None) == "failed"
    assert p.digest() == before
    p.mig("up")
    assert done(p) and p.status("0001_change") == "applied"


# mongod keeps the transaction of a dead client for a minute, and recover waits for it: one here, the others in long runs
@pytest.mark.parametrize("name", ["archiveDocuments"] + [pytest.param(n, marks=pytest.mark.long) for n in STEPS if n not in (
    "archiveDocuments", "createUniqueConstraint", "setValidator")])
def test_killed_in_the_middle_of_a_step_in_a_transaction(txn_project, name):
    p = txn_project
    p.db.create_collection("d")
    try:
        p.db.command("collMod", "d", validator={})
    except pymongo.errors.PyMongoError:
        pytest.skip("the server with transactions here is for small data only (and has no collMod)")
    arguments, point, done = STEPS[name]
    fill(p)
    before = p.digest()
    p.write("0001_change", {"transaction": "required", "up": [{name: arguments}]})
    assert crash(p, point, "up")
    assert p.digest() == before, "nothing of it is seen before it is committed"
    assert settle(p, before, None) == "failed"
    p.mig("up")
    assert done(p) and p.status("0001_change") == "applied"


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_killed_while_archiving_every_document_is_somewhere(project, batch):
    p = project
    fill(p)
    before = p.digest()
    p.write("0001_change", {"transaction": "off", "up": [{"archiveDocuments": STEPS["archiveDocuments"][0]}]})
    assert crash(p, f"step_batch:{batch}", "up")
    here, there = set(p.db.c.distinct("_id")), set(p.db.d.distinct("_id"))
    assert here | there == set(range(N))
    assert len(there) == min(N, (batch + 1) // 2 * 1000) and len(here) == N - min(N, batch // 2 * 1000)
    assert settle(p, before, None) == "failed"
