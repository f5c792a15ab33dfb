"""Indexes that a server is still building: they are not there yet, nothing else can be changed meanwhile, and they take their time.

FerretDB builds in one go, so that a mongod's builds are scripted here: what it lists, what it refuses meanwhile, and what ends a build.
"""
import threading
import time
import uuid

import bson
import pymongo
import pytest

from cli_support import one, three_lines, wait_for, with_validator
from wireproxy import Rule, WireProxy, error, reply_late, reply_with

N = 40
FAILS = {"insert": {"collection": "witness", "documents": [{"_id": 1}]}}  # it is there: the last step fails
BUSY = error(12587, "cannot perform operation: an index build is currently running, scripted")


@pytest.fixture
def ready(project):
    p = project
    p.db.users.insert_many([{"_id": i, "n": i, "m": i % 7, "email": f"u{i}"} for i in range(N)])
    p.db.witness.insert_one({"_id": 1})
    p.mig("doctor")
    return p


def listed(p, name="users"):
    return list(p.db.command("listIndexes", name)["cursor"]["firstBatch"])


def names(p, name="users"):
    return {i["name"] for i in listed(p, name)}


class Building:
    """A build of `spec` that a mongod is at, whoever asked for it. createIndexes of it joins; what comes of it is up to finish()."""

    def __init__(self, p, spec):
        self.p, self.spec, self.under_way, self.joined, self.dropped = p, spec, True, 0, 0
        self.rules = [Rule("listIndexes", self.tell, times=None),
                      Rule("createIndexes", self.join, collection="users", times=None, when=self.is_of_it),
                      Rule("dropIndexes", self.drop, collection="users", times=None, when=lambda b: self.under_way and b["index"] == spec["name"])]

    def is_of_it(self, body):
        return self.under_way and any(i["name"] == self.spec["name"] for i in body["indexes"])

    def tell(self, conn, message, body):
        name = body["listIndexes"]
        if name not in self.p.db.list_collection_names():
            conn.client.sendall(conn.ask(message))
            return
        indexes = listed(self.p, name)
        if self.under_way and name == "users":
            build = bson.Binary.from_uuid(uuid.uuid4())
            indexes.append({"spec": self.spec, "buildUUID": build} if body.get("includeBuildUUIDs") else self.spec)
        conn.answer(message, {"ok": 1.0, "cursor": {"id": bson.Int64(0), "ns": f"{self.p.name}.{name}", "firstBatch": indexes}})

    def join(self, conn, message, body):
        self.joined += 1
        self.finish(conn, message)

    def finish(self, conn, message):
        self.under_way = False
        conn.client.sendall(conn.ask(message))

    def drop(self, conn, message, body):
        self.dropped, self.under_way = self.dropped + 1, False
        conn.answer(message, {"ok": 1.0, "nIndexesWas": 2})


class Duplicate(Building):
    """Its commit fails, and so does every other attempt."""

    def is_of_it(self, body):
        return True

    def finish(self, conn, message):
        self.under_way = False
        conn.answer(message, error(11000, "E11000 duplicate key error, scripted"))


def unique_is_built(p, kind):
    """The snapshot has a unique index, which the server is now building anew."""
    p.db.users.create_index("email", unique=True)
    p.kept, p.id = p.digest(), one(p.mig("snapshot", "create", "--json"), "snapshot")["snapshot"]
    build = kind(p, next(i for i in listed(p) if i["name"] == "email_1"))
    p.db.users.drop_index("email_1")
    return build


@pytest.mark.parametrize("rows", ["the same", "others"])
def test_an_index_that_is_being_built_is_not_there_before_it_is(ready, rows):
    p = ready
    build = unique_is_built(p, Building)
    if rows == "others":
        p.db.users.update_many({"_id": {"$lt": 9}}, {"$set": {"n": -1}})
    with WireProxy(p.uri, build.rules) as proxy:
        p.mig("restore", p.id, "--yes", "--no-safety-snapshot", uri=proxy.uri)
    assert build.joined == 1 and not build.dropped, "it is the one that is wanted"
    assert p.digest() == p.kept


def test_a_build_that_comes_to_nothing_is_no_restore(ready):
    p = ready
    build = unique_is_built(p, Duplicate)
    with WireProxy(p.uri, build.rules) as proxy:
        result = p.mig("restore", p.id, "--yes", "--no-safety-snapshot", "--strategy", "delta", uri=proxy.uri, code=None)
    assert result.code not in (0, 3) and "email_1" not in names(p), result
    three_lines(result, "1 indexes", "E11000")
    p.mig("restore", p.id, "--yes", "--no-safety-snapshot")
    assert p.digest() == p.kept


def test_a_build_that_the_snapshot_does_not_have_is_ended(ready):
    p = ready
    kept, snapshot = p.digest(), one(p.mig("snapshot", "create", "--json"), "snapshot")["snapshot"]
    build = Building(p, {"v": 2, "key": {"n": 1}, "name": "n_1"})
    with WireProxy(p.uri, build.rules) as proxy:
        p.mig("restore", snapshot, "--yes", "--no-safety-snapshot", uri=proxy.uri)
    assert build.dropped == 1 and not build.joined and p.digest() == kept


# ---- while an index is built a mongod (4.4 to 5.1) changes nothing else ----------------------------------------------

def two_new_indexes(p):
    p.before = p.digest()
    p.write("0001_indexes", {"transaction": "off", "up": [
        {"createIndex": {"collection": "users", "key": {"n": 1}}}, {"createIndex": {"collection": "users", "key": {"m": 1}}}, FAILS]})


def test_what_cannot_be_dropped_while_another_is_built_is_dropped_after_it(ready):
    """The other one is in the way as long as it is being built, and goes itself."""
    p = ready
    two_new_indexes(p)
    refused = Rule("dropIndexes", reply_with(BUSY), times=None, when=lambda b: b["index"] == "n_1" and "m_1" in names(p))
    with WireProxy(p.uri, [refused]) as proxy:
        result = p.mig("up", uri=proxy.uri, code=3)
    assert refused.seen == 1 and p.digest() == p.before, result
    assert "waits until" not in result.err


def test_what_is_being_built_by_others_is_waited_for_and_said_once(ready):
    p = ready
    two_new_indexes(p)
    refused = Rule("dropIndexes", reply_with(BUSY), times=8)
    with WireProxy(p.uri, [refused]) as proxy:
        result = p.mig("up", uri=proxy.uri, code=3)
    assert p.digest() == p.before and result.err.count("waits until") == 1, result
    assert result.err.count("drops the index") == 2, "each is said once"


def test_an_index_counts_as_dropped_when_it_is_no_longer_listed(ready):
    p = ready
    two_new_indexes(p)
    lies = Rule("dropIndexes", reply_with(error(27, "index not found with name [n_1]")), times=3, when=lambda b: b["index"] == "n_1")
    with WireProxy(p.uri, [lies]) as proxy:
        p.mig("up", uri=proxy.uri, code=3)
        drops = [name for name, _ in proxy.log if name == "dropIndexes"]
    assert p.digest() == p.before and len(drops) >= 4


def test_a_collection_whose_indexes_cannot_be_dropped_does_not_keep_back_the_others(ready):
    p = ready
    p.db.zebras.insert_many([{"_id": i} for i in range(9)])
    before = p.digest("zebras"), sorted(d["_id"] for d in p.db.users.find())
    p.write("0001_indexes", {"transaction": "off", "up": [
        {"createIndex": {"collection": "users", "key": {"n": 1}}},
        {"delete": {"collection": "users", "filter": {"_id": {"$lt": 5}}}},
        {"update": {"collection": "zebras", "filter": {}, "update": {"$set": {"striped": True}}}}, FAILS]})
    whole = p.digest("users", "zebras")
    with WireProxy(p.uri, [Rule("dropIndexes", reply_with(BUSY), times=None)]) as proxy:
        begun = time.monotonic()
        result = p.mig("up", uri=proxy.uri, code=4, MIG_TEST_PATIENCE_MS=1500)
        assert time.monotonic() - begun < 60, "in all rounds together"
        assert proxy.count("renameCollection") == 0, "no swap could pass, either"
    three_lines(result, "users is not as in the snapshot", "index build is currently running")
    assert (p.digest("zebras"), sorted(d["_id"] for d in p.db.users.find())) == before
    p.mig("recover")
    assert p.digest("users", "zebras") == whole


def test_options_are_waited_for_too_and_nothing_is_swapped(ready):
    p = ready
    with_validator(p, "strict", {"n": {"$gte": 0}})
    if "validator" not in next(c for c in p.db.list_collections() if c["name"] == "strict")["options"]:
        pytest.skip("this server keeps no validators")
    p.db.strict.insert_one({"_id": 1, "n": 1})
    before = p.digest()
    p.write("0001_options", {"transaction": "off", "up": [
        {"setValidator": {"collection": "strict", "validator": {"n": {"$gte": -7}}}}, FAILS]})
    refused = Rule("collMod", reply_with(BUSY), nth=2, times=4)
    with WireProxy(p.uri, [refused]) as proxy:
        result = p.mig("up", uri=proxy.uri, code=3)
        assert proxy.count("renameCollection") == 0 and refused.seen == 6, result
    assert p.digest() == before and result.err.count("waits until") == 1


# ---- an index takes longer than any other answer ---------------------------------------------------------------------

class Slow(Building):
    """As a mongod: it is at it for so long, goes on when nobody waits any more, and ends it with the session."""

    def __init__(self, p, spec, seconds, tells=True):
        super().__init__(p, spec)
        self.under_way, self.seconds, self.until, self.done, self.kills, self.tells = False, seconds, None, False, 0, tells
        self.lock = threading.Lock()
        self.rules.append(Rule("killSessions", self.kill, times=None))

    def is_of_it(self, body):
        return not self.done and any(i["name"] == self.spec["name"] for i in body["indexes"])

    def tell(self, conn, message, body):
        if body.get("includeBuildUUIDs") and not self.tells:
            conn.answer(message, error(40415, "The BSON field listIndexes.includeBuildUUIDs is not recognized, scripted"))
        else:
            super().tell(conn, message, body)

    def join(self, conn, message, body):
        with self.lock:
            self.joined += 1
            self.until = mine = self.until or time.monotonic() + self.seconds
            self.under_way = True
        while time.monotonic() < mine:
            time.sleep(0.05)
            if self.until is not mine:
                conn.answer(message, error(11601, "operation was interrupted, scripted"))
                return
        with self.lock:
            self.done, self.under_way = True, False
        conn.client.sendall(conn.ask(message))

    def kill(self, conn, message, body):
        with self.lock:
            self.kills += 1
            self.until, self.under_way = None, False
        conn.client.sendall(conn.ask(message))


def with_timeout(proxy, ms):
    return proxy.uri.replace("socketTimeoutMS=15000", f"socketTimeoutMS={ms}")


@pytest.mark.parametrize("tells", [True, False], ids=["builds are told", "builds are not told"])
@pytest.mark.parametrize("how", ["step", "command"])
def test_a_step_may_build_an_index_for_longer_than_an_answer_is_waited_for(ready, how, tells):
    p = ready
    spec = {"v": 2, "key": {"n": 1}, "name": "n_1"}
    step = {"createIndex": {"collection": "users", "key": {"n": 1}}}
    if how == "command":
        step = {"command": {"command": {"createIndexes": "users", "indexes": [{"key": {"n": 1}, "name": "n_1"}]}}}
    p.write("0001_index", {"transaction": "off", "up": [step]})
    build = Slow(p, spec, 5, tells)
    with WireProxy(p.uri, build.rules) as proxy:
        result = p.mig("up", uri=with_timeout(proxy, 1500))
        sent = proxy.log.count(("createIndexes", "users"))
    assert p.status("0001_index") == "applied" and "n_1" in names(p)
    assert build.done and not build.kills and result.err.count("still be building") == 1, result
    assert not tells or sent == 2, "no more of the same pile up at the server"


def test_a_restore_may_build_an_index_for_longer_than_an_answer_is_waited_for(ready):
    p = ready
    p.db.users.create_index("n")
    before = p.digest()
    p.write("0001_index", {"transaction": "off", "up": [{"dropIndex": {"collection": "users", "name": "n_1"}}, FAILS]})
    build = Slow(p, next(i for i in listed(p) if i["name"] == "n_1"), 5)
    with WireProxy(p.uri, build.rules) as proxy:
        p.mig("up", uri=with_timeout(proxy, 1500), code=3)
        assert proxy.log.count(("createIndexes", "users")) == 2
    assert build.done and p.digest() == before


@pytest.mark.parametrize("timeout, code", [("socketTimeoutMS=0", 0), ("socketTimeoutMS=1500", 3), ("retryReads=true", 3)])
def test_only_indexes_are_waited_for_longer_unless_the_connection_string_says_never(ready, timeout, code):
    """The last one has no time-out of its own: mig's is made short."""
    p = ready
    before = p.digest()
    p.write("0001_change", {"transaction": "off", "up": [{"update": {"collection": "users", "filter": {}, "update": {"$set": {"late": True}}}}]})
    with WireProxy(p.uri, [Rule("update", reply_late(4), collection="users")]) as proxy:
        p.mig("up", uri=proxy.uri.replace("socketTimeoutMS=15000", timeout), code=code, MIG_TEST_SOCKET_MS=1500)
    assert (p.digest() == before) == (code == 3)


@pytest.mark.parametrize("tells", [True, False], ids=["builds are told", "builds are not told"])
def test_who_does_not_want_to_wait_for_an_index_any_more_ends_it(ready, tells):
    p = ready
    before = p.digest()
    p.write("0001_index", {"transaction": "off", "up": [{"createIndex": {"collection": "users", "key": {"n": 1}}}]})
    build = Slow(p, {"v": 2, "key": {"n": 1}, "name": "n_1"}, 60, tells)
    with WireProxy(p.uri, build.rules) as proxy:
        run = p.start("up", uri=with_timeout(proxy, 1500))
        wait_for(lambda: build.under_way, 60)
        time.sleep(3)
        begun = time.monotonic()
        run.terminate()
        out, err = run.communicate(timeout=60)
    assert run.returncode == 130 and time.monotonic() - begun < 30 and build.kills and not build.done, err
    assert p.digest() == before


# ---- and on a real mongod that can be told to hang -------------------------------------------------------------------

def test_a_real_build_that_hangs_is_joined_and_not_taken_for_an_index(ready):
    """Needs a mongod with enableTestCommands, as a replica set: then the build has two phases."""
    p = ready

    def hang(mode):
        p.client.admin.command("configureFailPoint", "hangAfterStartingIndexBuild", mode=mode)
    try:
        hang("off")
    except pymongo.errors.OperationFailure as e:
        pytest.skip(f"no fail points here: {e}")
    p.db.users.create_index("email", unique=True)
    kept, snapshot = p.digest(), one(p.mig("snapshot", "create", "--json"), "snapshot")["snapshot"]
    p.db.users.drop_index("email_1")
    hang("alwaysOn")
    try:
        other = pymongo.MongoClient(p.uri, appname="another")  # without a name it would be waited for as one of ours
        thread = threading.Thread(target=lambda: other[p.name].users.create_index("email", unique=True))
        thread.start()
        wait_for(lambda: "email_1" in names(p), 60)
        run = p.start("restore", snapshot, "--yes", "--no-safety-snapshot")
        time.sleep(4)
        waits = run.poll() is None
    finally:
        hang("off")
    thread.join(60)
    other.close()
    out, err = run.communicate(timeout=90)
    assert waits and run.returncode == 0, err
    assert p.digest() == kept
