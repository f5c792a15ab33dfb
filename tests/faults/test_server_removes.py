"""What the server removes by itself, by a TTL index or from a capped collection, mig neither loses nor calls restored."""
import datetime
import time

import pymongo
import pytest

from cli_support import NEVER, one, picture, snapshots, three_lines, within
from wireproxy import Rule, WireProxy, call_first

OLD = datetime.datetime(2000, 1, 1, tzinfo=datetime.timezone.utc)
FAR = 40 * 365 * 86400
TTL = {"expireAfterSeconds": 3600}
EXPIRES = {
    "createIndex": {"createIndex": {"collection": "sessions", "key": {"at": 1}, "options": TTL}},
    "createUniqueConstraint": {"createUniqueConstraint": {"collection": "sessions", "key": {"u": 1}, "options": TTL}},
    "createIndexes": {"command": {"command": {"createIndexes": "sessions", "indexes": [
        {"key": {"n": 1}, "name": "n_1"}, {"key": {"at": 1}, "name": "at_1", **TTL}]}}},
    "collMod": {"command": {"command": {"collMod": "sessions", "index": {"keyPattern": {"late": 1}, **TTL}}}},
}
# Known only to some servers, or only for some collections: what the plan takes is the same for all.
MAY_REMOVE = [{"collMod": "sessions", "expireAfterSeconds": 10}, {"collMod": "sessions", "cappedSize": 4096},
              {"collMod": "sessions", "cappedMax": 3}, {"collMod": "sessions", "soonInvented": 1}]
KEEPS = [{"createIndex": {"collection": "sessions", "key": {"at": 1}}},
         {"dropIndex": {"collection": "sessions", "name": "late_1"}},
         {"command": {"command": {"collMod": "sessions", "index": {"name": "late_1", "hidden": True}}}},
         {"command": {"command": {"collMod": "sessions", "validator": {}, "validationLevel": "strict",
                                  "validationAction": "error", "comment": "x"}}}]


def sessions(p, count=50):
    """Old ones, and another collection for a step behind the one that lets them expire."""
    p.db.sessions.insert_many([{"_id": i, "at": OLD, "late": OLD, "u": OLD + datetime.timedelta(seconds=i), "n": i} for i in range(count)])
    p.db.sessions.create_index("late", name="late_1", expireAfterSeconds=FAR)
    p.db.other.insert_one({"_id": 1})


def behind(p, *steps, **more):
    p.write("0001_ttl", {"up": [*steps, {"update": {"collection": "other", "filter": {}, "update": {"$set": {"x": 1}}}}],
                         "verify": NEVER, **more})


def held_up(p, what):
    """The proxy's rule for the last step: before it reaches the server `what` happens."""
    return WireProxy(p.uri, [Rule("update", call_first(lambda body: what()), collection="other")])


@pytest.mark.parametrize("how", EXPIRES)
def test_documents_that_a_ttl_index_of_the_migration_removes_come_back_when_it_fails(project, how):
    p = project
    sessions(p)
    try:  # does this server know the command at all?
        p.db.command("collMod", "sessions", index={"keyPattern": {"late": 1}, "expireAfterSeconds": FAR + 1})
    except pymongo.errors.OperationFailure as e:
        if how == "collMod":
            pytest.skip(f"this server has no collMod of an index: {e}")
    before = p.digest("sessions", "other")
    behind(p, EXPIRES[how])
    monitor = []  # as the server's TTL monitor, which wakes once a minute

    def ttl_monitor():
        monitor.append(p.db.sessions.delete_many({"at": OLD, "_id": {"$lt": 40}}).deleted_count)
    with held_up(p, ttl_monitor) as proxy:
        p.mig("up", uri=proxy.uri, code=3)
    assert monitor == [40] and p.ledger("0001_ttl")["restored"] is True
    assert p.db.sessions.count_documents({}) == 50 and p.digest("sessions", "other") == before


@pytest.mark.long  # the monitor may have just begun its minute
def test_documents_that_the_real_ttl_monitor_removes_come_back_when_the_migration_fails(project):
    p = project
    sessions(p)
    try:
        was = p.client.admin.command("setParameter", 1, ttlMonitorSleepSecs=1)["was"]
    except pymongo.errors.OperationFailure as e:
        pytest.skip(f"this server's TTL monitor cannot be hurried: {e}")
    before = p.digest("sessions", "other")
    behind(p, EXPIRES["createIndex"])

    def passes():
        return p.client.admin.command("serverStatus")["metrics"]["ttl"]["passes"]

    gone = []

    def wait_for_monitor():
        gone.append(within(10, lambda: p.db.sessions.count_documents({}) == 0))
    try:
        begun = passes()
        assert within(90, lambda: passes() > begun + 1), "the monitor does not run each second"
        with held_up(p, wait_for_monitor) as proxy:
            p.mig("up", uri=proxy.uri, code=3)
    finally:
        p.client.admin.command("setParameter", 1, ttlMonitorSleepSecs=was)
    assert gone == [True] and p.digest("sessions", "other") == before


def test_the_plan_copies_documents_just_where_the_server_may_remove_some(project):
    p = project
    sessions(p)
    removes = [*EXPIRES.values(), *({"command": {"command": c}} for c in MAY_REMOVE)]
    for step, documents in [*((s, 50) for s in removes), *((s, 0) for s in KEEPS)]:
        p.write("0001_ttl", {"up": [step]})
        assert one(p.mig("plan", "--json"), "migration")["snapshot"]["documents"] == documents, step


def test_a_ttl_index_leaves_the_guards_of_the_steps_behind_it_in_force(project):
    p = project
    p.db.sessions.insert_many([{"_id": i, "u": 1} for i in range(3)])
    p.write("0001_ttl", {"up": [EXPIRES["createIndex"],
                                {"createUniqueConstraint": {"collection": "sessions", "key": {"u": 1}}}]})
    assert "noDuplicates refuses" in p.mig("up", code=1).err
    assert list(p.db.sessions.index_information()) == ["_id_"] and not snapshots(p)


# ---- capped collections ---------------------------------------------------------------------------------------------


@pytest.fixture
def capped(project):
    """A ring of a hundred documents, and 250 old ones elsewhere."""
    p = project
    try:
        p.db.create_collection("ring", capped=True, size=1 << 20, max=100)
    except pymongo.errors.OperationFailure as e:
        pytest.skip(f"this server has no capped collections: {e}")
    if not next(c for c in p.db.list_collections() if c["name"] == "ring")["options"].get("capped"):
        pytest.skip("this server takes a capped collection and makes a plain one")
    p.db.ring.insert_one({"_id": "first", "n": 0})
    p.db.a.insert_many([{"_id": i, "at": OLD} for i in range(250)])
    return p


ARCHIVE = {"archiveDocuments": {"from": "a", "to": "ring", "field": "at", "olderThan": "2010-01-01"}}
MIGRATE = {"migrateCollection": {"from": "a", "to": "ring"}}
MAKE_RING = {"createCollection": {"collection": "ring", "options": {"capped": True, "size": 1 << 20, "max": 100}}}


@pytest.mark.parametrize("transaction", ["off", "auto"])
@pytest.mark.parametrize("step", [ARCHIVE, MIGRATE], ids=["archiveDocuments", "migrateCollection"])
def test_nothing_is_moved_or_copied_into_a_capped_collection(capped, step, transaction):
    p = capped
    before = picture(p)
    p.write("0001_a", {"transaction": transaction, "up": [step, {"dropCollection": {"collection": "a"}}]})
    three_lines(p.mig("plan", code=1), "keepsDocuments refuses", "ring is capped")
    assert picture(p) == before
    before = p.digest()
    p.write("0001_a", {"transaction": transaction, "up": [step]})
    three_lines(p.mig("up", code=1), "ring is capped")
    assert p.digest() == before and not snapshots(p)


@pytest.mark.parametrize("step", [ARCHIVE, MIGRATE], ids=["archiveDocuments", "migrateCollection"])
def test_nothing_is_moved_or_copied_into_a_collection_that_the_migration_makes_capped(capped, step):
    p = capped
    p.db.drop_collection("ring")
    before = p.digest()
    p.write("0001_a", {"up": [MAKE_RING, step]})
    three_lines(p.mig("up", code=3), "keepsDocuments refuses", "ring is capped")
    assert p.digest() == before and p.db.a.count_documents({}) == 250


@pytest.mark.parametrize("step", [ARCHIVE, MIGRATE], ids=["archiveDocuments", "migrateCollection"])
def test_a_collection_that_is_made_capped_behind_the_guard_gets_nothing(capped, step):
    p = capped
    p.db.drop_collection("ring")
    p.db.ring.insert_one({"_id": "first"})
    p.write("0001_a", {"transaction": "off", "up": [step]})

    def somebody(body):
        p.db.command("convertToCapped", "ring", size=1 << 20)
        made.append(True)
    made = []
    rule = Rule(None, call_first(somebody), when=lambda b: "migrationlogs" in b.values() and "'steps'" in str(b))
    with WireProxy(p.uri, [rule]) as proxy:
        result = p.mig("up", uri=proxy.uri, code=None)
    assert made == [True]
    three_lines(result, ".ring is capped", "oldest documents")
    assert p.db.a.count_documents({}) == 250 and p.db.ring.distinct("_id") == ["first"]


def test_a_capped_collection_that_the_migration_replaces_first_is_no_obstacle(capped):
    p = capped
    p.write("0001_a", {"up": [{"dropCollection": {"collection": "ring"}}, ARCHIVE]})
    p.mig("up")
    assert p.db.ring.count_documents({}) == 250 and p.db.a.count_documents({}) == 0


def test_nothing_is_archived_where_a_ttl_index_removes_it_but_copies_may_go_there(project):
    p = project
    p.db.a.insert_many([{"_id": i, "at": OLD} for i in range(20)])
    p.db.ring.create_index("at", name="at_1", expireAfterSeconds=FAR)
    before = p.digest()
    p.write("0001_a", {"up": [ARCHIVE]})
    three_lines(p.mig("up", code=1), "ring has a TTL index", "dropIndex")
    assert p.digest() == before and not snapshots(p)
    p.write("0001_a", {"up": [{"dropIndex": {"collection": "ring", "name": "at_1"}},
                              {"createIndex": {"collection": "ring", "key": {"at": 1}, "options": TTL}}, ARCHIVE]})
    three_lines(p.mig("up", code=3), "keepsDocuments refuses", "ring has a TTL index")
    assert p.digest() == before
    p.write("0001_a", {"up": [MIGRATE]})
    p.mig("up")
    p.write("0002_b", {"up": [{"delete": {"collection": "ring", "filter": {}}},
                              {"dropIndex": {"collection": "ring", "name": "at_1"}}, ARCHIVE]})
    p.mig("up")
    assert p.db.ring.count_documents({}) == 20 and p.db.a.count_documents({}) == 0


@pytest.mark.parametrize("step", [{"insert": {"collection": "ring", "documents": [{"_id": 1}]}},
                                  {"update": {"collection": "ring", "filter": {}, "update": {"$set": {"n": 1}}}}],
                         ids=["insert", "update"])
def test_a_capped_collection_is_written_to_outside_a_transaction(capped, step):
    p = capped
    p.write("0001_a", {"transaction": "required", "up": [step]})
    three_lines(p.mig("up", code=1), "requires a transaction")
    p.write("0001_a", {"up": [step]})
    begun = time.monotonic()
    p.mig("up")
    assert time.monotonic() - begun < 60, "it was tried again and again"
    assert p.db.migrationevents.find_one({"outcome": "applied"})["transaction"] == "not-supported"
    assert p.db.ring.count_documents({"$or": [{"_id": 1}, {"n": 1}]}) == 1


def test_the_plan_says_that_a_capped_collection_is_the_reason_for_no_transaction(capped, transactional_uri):
    p = capped
    if p.uri != transactional_uri:
        pytest.skip("this server has no transactions at all")
    p.write("0001_a", {"up": [{"insert": {"collection": "ring", "documents": [{"_id": 1}]}}]})
    assert "ring is capped" in p.mig("plan").out
