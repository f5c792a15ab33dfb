"""What a runner that is gone had sent is waited for, whoever recovers: another user of the database, another appName."""
import re
import time

import pymongo
import pytest

from cli_support import one, slow, three_lines, wait_for, within
from wireproxy import Rule, WireProxy, reply_with

SOME = 120  # documents that one update is at work on, for some seconds


def fill(p):
    p.db.users.insert_many([{"_id": i, "n": i} for i in range(SOME)])
    p.write("0001_change", {"transaction": "off", "up": [
        {"update": {"collection": "users", "filter": {}, "update": [{"$set": {"late": slow(p)}}]}}]})


def killed_in_its_update(p, uri):
    """The runner is gone; the server is still at work for it."""
    run = p.start("up", uri=uri)
    wait_for(lambda: (p.ledger("0001_change") or {}).get("run", {}).get("phase") == "steps" or run.poll() is not None, 60)
    time.sleep(0.7)
    run.kill()
    run.communicate()
    assert p.status("0001_change") == "running"


def hides(p):
    """Not every server does: one user's operations from another."""
    with pymongo.MongoClient(p.dba, serverSelectionTimeoutMS=20000) as dba:
        try:
            list(dba.admin.aggregate([{"$currentOp": {"allUsers": True}}]))
            pytest.skip("this server shows all operations to every user")
        except pymongo.errors.OperationFailure as e:
            assert e.code == 13


def stays_as_before(p):
    assert p.digest() == p.before
    time.sleep(0.15 * SOME)
    assert p.digest() == p.before, "written behind a restore that had said so"


@pytest.fixture
def both(users, tmp_path):
    """Two users who may do the same; neither sees what the other does."""
    from conftest import Project
    admin = pymongo.MongoClient(users["admin"], serverSelectionTimeoutMS=20000)
    p = Project(users["admin"], tmp_path)
    try:
        for name in ("deploy", "dba"):
            admin[p.name].command("createUser", name, pwd="only-a-test", roles=["readWrite", "dbAdmin"])
    except pymongo.errors.OperationFailure as e:
        p.close()
        pytest.skip(f"this server has no users of one database: {e}")
    for name in ("deploy", "dba"):
        setattr(p, name, re.sub(r"//[^@]*@", f"//{name}:only-a-test@", users["admin"]).replace("authSource=admin", f"authSource={p.name}"))
    fill(p)
    p.mig("up", "--dry-run", uri=p.deploy)
    p.before = p.digest()
    yield p
    for name in ("deploy", "dba"):
        admin[p.name].command("dropUser", name)
    p.close()


@pytest.fixture
def two(both):
    killed_in_its_update(both, both.deploy)
    return both


def test_a_user_who_sees_all_waits_for_what_another_had_sent(two):
    two.mig("recover", uri=two.uri)
    stays_as_before(two)


@pytest.mark.parametrize("command", ["recover", "up"])
def test_a_user_who_cannot_see_what_another_had_sent_puts_nothing_back(two, command):
    hides(two)
    session = two.db.migrationlocks.find_one({"_id": "mig"})["session"]
    for _ in range(2):  # once in the place of the dead runner, once after it
        result = two.mig(command, uri=two.dba, code=7)
        three_lines(result, f"deploy@{two.name}", "clusterMonitor")
        assert two.status("0001_change") == "running"
    left = two.db.migrationlocks.find_one({"_id": "mig"})
    assert left["session"] == session and not left["locked"], "by that the dead runner's own user ends what it had sent"
    two.mig("recover", uri=two.deploy)
    stays_as_before(two)


@pytest.mark.parametrize("journal", ["of a run", "of a restore by hand"])
def test_who_could_put_nothing_back_does_not_stand_in_the_way_of_who_can(both, journal):
    """root, without the snapshot, writes nothing; then the runner's own user comes, and sees no operations of root."""
    p = both
    kept = one(p.mig("snapshot", "create", "--json", uri=p.deploy), "snapshot")["snapshot"]
    if journal == "of a run":
        p.mig("up", uri=p.deploy, code=-9, MIG_CRASH_AT="step_batch:1")
    else:
        p.db.users.delete_many({"_id": {"$lt": 50}})
        p.mig("restore", kept, "--yes", uri=p.deploy, code=-9, MIG_CRASH_AT="restore_batch:1")
    store = p.folder / "snapshots"
    store.rename(p.folder / "elsewhere")
    for _ in range(2):
        p.mig("recover", uri=p.uri, code=4)
    store.exists() and store.rmdir()
    (p.folder / "elsewhere").rename(store)
    p.mig("recover", uri=p.deploy)
    assert p.digest() == p.before


def test_a_restore_by_hand_that_may_not_be_looked_at_says_what_a_run_says(both):
    p = both
    hides(p)
    kept = one(p.mig("snapshot", "create", "--json", uri=p.deploy), "snapshot")["snapshot"]
    p.db.users.delete_many({"_id": {"$lt": 50}})
    p.mig("restore", kept, "--yes", uri=p.deploy, code=-9, MIG_CRASH_AT="restore_batch:1")
    for _ in range(2):
        three_lines(p.mig("recover", uri=p.dba, code=7), f"deploy@{p.name}", "clusterMonitor")
    assert not p.db.migrationevents.count_documents({"direction": "restore"}), "nothing was tried"
    p.mig("recover", uri=p.deploy)
    assert p.digest() == p.before


def test_a_run_that_had_written_nothing_is_settled_by_any_user(both):
    p = both
    p.mig("up", uri=p.deploy, code=-9, MIG_CRASH_AT="snapshot_written:1")
    assert p.status("0001_change") == "running"
    p.mig("up", uri=p.dba)
    assert p.status("0001_change") == "applied"


def test_a_session_is_named_just_as_long_as_something_may_be_left_in_it(project):
    fill(project)
    project.mig("up")
    assert "session" not in project.db.migrationlocks.find_one({"_id": "mig"})


def build_of_another(p):
    """As a mongod tells of it: by no program, and to no user."""
    return {"type": "op", "desc": "IndexBuildsCoordinatorMongod-9", "active": True, "opid": 4711, "op": "command", "secs_running": 3000,
            "ns": f"{p.name}.others", "command": {"createIndexes": "others", "indexes": [{"name": "n_1", "key": {"n": 1}}], "$db": p.name}}


def test_an_index_build_of_another_program_holds_up_no_recovery(project):
    p = project
    fill(p)
    p.mig("doctor")
    before = p.digest()
    p.mig("up", code=-9, MIG_CRASH_AT="step_batch:1")
    reply = reply_with({"ok": 1, "cursor": {"id": 0, "ns": "admin.$cmd.aggregate", "firstBatch": [build_of_another(p)]}})
    looks = Rule("aggregate", reply, when=lambda body: "$currentOp" in str(body.get("pipeline")), times=None)
    with WireProxy(p.uri, [looks]) as proxy:
        begun = time.monotonic()
        p.mig("recover", uri=proxy.uri)
        assert looks.seen and time.monotonic() - begun < 60
    assert p.digest() == before


@pytest.mark.parametrize("strategy", ["delta", "swap"])
def test_an_index_build_of_a_dead_runner_leaves_no_index(project, strategy):
    """The server goes on with it when nobody waits for it any more."""
    p = project
    for first in range(0, 120000, 20000):
        p.db.users.insert_many([{"_id": i, "n": i * 7919 % 100003, "s": "x" * 200 + str(i * 7919 % 100003)} for i in range(first, first + 20000)])
    drop = [{"delete": {"collection": "users", "filter": {"_id": {"$gt": 20}}}}] if strategy == "swap" else []
    p.write("0001_index", {"transaction": "off", "up": [*drop, {"createIndex": {"collection": "users", "key": {"s": 1, "n": -1}}}]})
    p.mig("doctor")
    before = p.digest()

    def builds():
        ops = p.client.admin.aggregate([{"$currentOp": {}}])
        return [op for op in ops if "createIndexes" in op.get("command", {}) and op.get("ns") == f"{p.name}.users"]
    try:
        builds()
    except pymongo.errors.OperationFailure as e:
        pytest.skip(f"this server does not tell what it does: {e}")
    run = p.start("up")
    seen = within(60, lambda: builds() or run.poll() is not None)
    run.kill()
    run.communicate()
    if seen is True or p.status("0001_index") != "running":
        pytest.skip("this server does not tell of its index builds, or was too quick")
    p.mig("recover")
    assert p.digest() == before
    assert within(60, lambda: not builds()) and p.digest() == before


def test_a_runner_with_another_appname_is_waited_for_though_its_lease_has_gone(project):
    p = project
    fill(p)
    p.mig("doctor")
    p.before = p.digest()
    killed_in_its_update(p, p.uri + ("&" if "?" in p.uri else "/?") + "appName=ci")
    p.db.migrationlocks.delete_one({"_id": "mig"})  # as its TTL index does when it has run out
    p.mig("recover", uri=p.uri + ("&" if "?" in p.uri else "/?") + "appName=ops")
    stays_as_before(p)
