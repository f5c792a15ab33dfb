"""Connections that break in the middle, answers that come late or never, users who lose their rights.

What no server does on demand is scripted in the proxy; what a server does late is done late by a real one.
"""
import re
import secrets
import threading
import time

import pymongo
import pytest

from cli_support import slow, three_lines, wait_for
from wireproxy import (Rule, WireProxy, call_first, cut_in_reply, cut_in_request, deliver_late, error, lose_reply, lose_request, reply_late,
                       reply_with)

KILLED = -9
CUTS = [cut_in_request, cut_in_reply, lose_request, lose_reply]
CHANGE = {"transaction": "off",
          "up": [{"update": {"collection": "users", "filter": {}, "update": {"$set": {"marked": True}}}},
                 {"delete": {"collection": "users", "filter": {"n": {"$gte": 250}}}}]}

@pytest.fixture
def ready(project):
    p = project
    p.db.users.insert_many([{"_id": i, "n": i} for i in range(300)])
    p.write("0001_change", CHANGE)
    p.mig("doctor")
    p.before = p.digest()
    return p


@pytest.fixture
def large(ready):
    """More than one reply of the server holds."""
    ready.db.users.insert_many([{"_id": i, "n": i, "fill": secrets.token_hex(10_000)} for i in range(300, 700)])
    ready.before = ready.digest()
    return ready


def some(*values, of):
    """Parameters: these always, all the others in long runs."""
    return [v if v in values else pytest.param(v, marks=pytest.mark.long) for v in of]


def up(p, rules, codes, socket_ms=15000, **more):
    with WireProxy(p.uri, rules) as proxy:
        result = p.mig("up", uri=proxy.uri.replace("socketTimeoutMS=15000", f"socketTimeoutMS={socket_ms}"), code=None, timeout=400, **more)
    assert result.code in codes, result
    return result


def is_as_before(p, status="failed"):
    assert p.digest() == p.before
    assert p.status("0001_change") == status


def test_an_operation_that_outlives_its_connection_writes_nothing_behind_the_restore(ready):
    """The driver stops waiting, the server goes on updating: it is ended before anything is put back."""
    p = ready
    p.write("0001_change", {"transaction": "off", "up": [
        {"update": {"collection": "users", "filter": {"n": {"$lt": 60}}, "update": [{"$set": {"late": slow(p)}}]}}]})
    up(p, [], (1, 3), socket_ms=1000)  # 1: not a document of it was written
    is_as_before(p)
    time.sleep(8)  # longer than all of it would have taken: some 6 s; a machine may be thrice as fast as when it was measured
    is_as_before(p)


@pytest.mark.long
def test_an_operation_that_outlives_its_runner_writes_nothing_behind_the_recovery(ready):
    """kill -9 while the server is at work: recovery starts when that is over."""
    p = ready
    p.write("0001_change", {"transaction": "off", "up": [
        {"update": {"collection": "users", "filter": {"n": {"$lt": 60}}, "update": [{"$set": {"late": slow(p)}}]}}]})
    run = p.start("up")
    until = time.monotonic() + 60
    while not (p.ledger("0001_change") or {}).get("run", {}).get("phase") == "steps":
        assert time.monotonic() < until and run.poll() is None
        time.sleep(0.02)
    time.sleep(0.5)
    run.kill()
    run.communicate()
    p.mig("recover")
    is_as_before(p)
    time.sleep(10)
    is_as_before(p)


@pytest.mark.parametrize("late", some(1.5, of=[0.7, 1.5, 2]))
def test_a_request_that_arrives_after_its_runner_died_writes_nothing_behind_the_recovery(ready, late):
    """kill -9; the kernel, or a tunnel, still delivers what was sent while the next `mig` has already begun."""
    p = ready
    del p.env["MIG_TEST_LATE_MS"]
    deletes = Rule("delete", deliver_late(late), collection="users")
    with WireProxy(p.uri, [deletes]) as proxy:
        run = p.start("up", uri=proxy.uri)
        wait_for(lambda: deletes.seen)
        run.kill()
        run.communicate()
        p.mig("recover")
        is_as_before(p)
        time.sleep(late + 1)
    is_as_before(p)


@pytest.mark.parametrize("late", some(0.5, of=[0.5, 1.2]))
def test_a_request_that_arrives_after_its_connection_was_given_up_writes_nothing_behind_the_restore(ready, late):
    up(ready, [Rule("delete", deliver_late(1 + late), collection="users")], (3,), socket_ms=1000)
    is_as_before(ready)
    time.sleep(2)
    is_as_before(ready)


@pytest.mark.parametrize("action", CUTS, ids=lambda a: a.__name__)
@pytest.mark.parametrize("command", some("delete", of=["delete", "update"]))
def test_connection_cut_in_a_batch_is_restored(ready, command, action):
    up(ready, [Rule(command, action, collection="users")], (1, 3))  # 1: nothing was written yet
    is_as_before(ready)


@pytest.mark.parametrize("action", some(cut_in_reply, of=CUTS[1:]), ids=lambda a: a.__name__)
def test_connection_cut_in_a_getmore_of_the_snapshot_leaves_no_archive(large, action):
    cut = Rule("getMore", action, when=lambda body: body["collection"] == "users", times=None)
    up(large, [cut], (1,))
    assert cut.seen
    is_as_before(large)
    assert not list(large.store.glob("*.mig.tar")) and large.partials() == []


@pytest.mark.parametrize("action", some(cut_in_reply, of=CUTS[1:]), ids=lambda a: a.__name__)
def test_connection_cut_in_a_getmore_of_the_restore_is_restored_all_the_same(large, action):
    fails = Rule("delete", reply_with(error(8000)), collection="users")
    cut = Rule("getMore", action, when=lambda body: fails.seen and body["collection"] == "users", times=1)
    up(large, [fails, cut], (3,))
    assert cut.seen
    is_as_before(large)


@pytest.mark.parametrize("action", some(lose_request, lose_reply, of=CUTS), ids=lambda a: a.__name__)
@pytest.mark.parametrize("word", some("done", "restoring", of=["done", "restoring", "steps", "snapshot"]))
def test_connection_cut_at_a_journal_write_is_settled(ready, word, action):
    """Whichever way it ended, what is said is true, and recovery settles the rest."""
    def tells(body):
        return f"'{word}'" in str(body)
    fails = [] if word != "restoring" else [Rule("delete", reply_with(error(8000)), collection="users")]
    result = up(ready, [*fails, Rule("update", action, collection="migrationlogs", when=tells)], (0, 1, 3, 5, 7))
    status = ready.status("0001_change")
    if result.code == 0:
        assert status == "applied" and ready.db.users.count_documents({"marked": True}) == 250
        return
    three_lines(result)
    if status == "applied":  # it had taken effect, and nobody heard of it
        assert result.code in (5, 7) and ready.db.users.count_documents({"marked": True}) == 250
    ready.mig("recover")
    if ready.status("0001_change") != "applied":
        is_as_before(ready, ready.status("0001_change") and "failed")  # or no entry: not begun


def test_last_write_unknown_and_server_away_for_a_while_is_not_undone_when_it_had_taken_effect(ready):
    """The record was written, its answer lost, and then nobody answers for some seconds."""
    gone = {}

    def record_and_vanish(conn, message, body):
        gone["until"] = time.monotonic() + 4
        lose_reply(conn, message, body)

    def away(conn, message, body):
        if gone and time.monotonic() < gone["until"]:
            lose_request(conn, message, body)
        conn.client.sendall(conn.ask(message))

    rules = [Rule("update", record_and_vanish, collection="migrationlogs", when=lambda body: "'applied'" in str(body)), Rule(None, away, times=None)]
    result = up(ready, rules, (0, 7))
    ready.mig("recover")
    assert ready.status("0001_change") == "applied", result
    assert ready.db.users.count_documents({"marked": True}) == 250 == ready.db.users.count_documents({})


def test_late_answers_are_waited_for_up_to_the_timeout(ready):
    up(ready, [Rule("delete", reply_late(2), collection="users")], (0,), socket_ms=8000)
    assert ready.status("0001_change") == "applied"


def test_nobody_is_waited_for_for_ever(ready):
    """Every message after the first write is swallowed and its connection kept open."""
    quiet, stop = Rule("delete", lambda *_: None, collection="users", times=0), threading.Event()

    def swallow(conn, message, body):
        stop.wait(300)
        lose_request(conn, message, body)

    began = time.monotonic()
    with WireProxy(ready.uri, [quiet, Rule(None, swallow, times=None, when=lambda body: quiet.seen)]) as proxy:
        result = ready.mig("up", uri=proxy.uri.replace("socketTimeoutMS=15000", "socketTimeoutMS=500") + "&serverSelectionTimeoutMS=1000"
                           "&connectTimeoutMS=500", code=None, timeout=280)
    stop.set()
    assert result.code == 4 and time.monotonic() - began < 240, result
    three_lines(result, "recover")
    ready.mig("recover")
    is_as_before(ready)


@pytest.mark.parametrize("code", some(10107, 189, of=[10107, 13435, 11600, 11602, 189, 91, 6, 7, 89, 9001]))
def test_stepdown_is_never_a_false_success(ready, code):
    rules = [Rule("delete", reply_with(error(code, "not primary")), collection="users")]
    up(ready, rules, (3,))
    is_as_before(ready)


def test_stepdown_in_the_restore_is_waited_for(ready):
    fails = Rule("delete", reply_with(error(8000)), collection="users")
    others = [Rule(name, reply_with(error(10107, "not primary")), collection="users", when=lambda body: fails.seen, times=2)
              for name in ("update", "insert")]
    up(ready, [fails, *others], (3,))
    assert any(rule.seen for rule in others)
    is_as_before(ready)


def test_write_conflict_storm_outside_a_transaction_is_a_clean_failure(ready):
    up(ready, [Rule("update", reply_with(error(112, "WriteConflict")), collection="users", times=None)], (1, 3, 4))
    ready.mig("recover")
    is_as_before(ready)


@pytest.mark.long
def test_write_conflict_storm_in_a_transaction_ends(txn_project):
    p = txn_project
    p.db.users.insert_many([{"_id": i, "n": i} for i in range(300)])
    p.write("0001_change", {**CHANGE, "transaction": "required"})
    p.mig("doctor")
    p.before = p.digest()
    storm = Rule("delete", reply_with(error(112, "WriteConflict", ["TransientTransactionError"])), collection="users", times=8)
    result = up(p, [storm], (0, 1))
    assert storm.seen >= 8
    if result.code:  # a server that tells of conflicts only at the commit, without saying that they pass
        is_as_before(p)
    else:
        assert p.status("0001_change") == "applied"


# ---- users, on a server that knows them ------------------------------------------------------------------------------

ALL = ["find", "insert", "update", "remove", "createCollection", "createIndex", "dropIndex", "dropCollection", "collMod", "listCollections",
       "listIndexes", "collStats", "renameCollectionSameDB"]


@pytest.fixture
def guarded(users, tmp_path):
    """A project whose user's rights the test sets; only mongod keeps its word on these."""
    from conftest import Project
    admin = pymongo.MongoClient(users["admin"], serverSelectionTimeoutMS=20000)
    p = Project(users["admin"], tmp_path)

    def rights(actions):
        command = "updateRole" if rights.made else "createRole"
        admin[p.name].command(command, "some", privileges=[{"resource": {"db": p.name, "collection": ""}, "actions": actions}], roles=[])
        rights.made = True
    rights.made = False
    try:
        rights(ALL)
        admin[p.name].command("createUser", "limited", pwd="only-a-test", roles=["some"])
    except pymongo.errors.OperationFailure as e:
        p.close()
        pytest.skip(f"this server has no roles of one's own: {e}")
    p.rights, p.limited = rights, re.sub(r"//[^@]*@", "//limited:only-a-test@", users["admin"]).replace("authSource=admin", f"authSource={p.name}")
    p.db.users.insert_many([{"_id": i, "n": i} for i in range(300)])
    p.write("0001_change", CHANGE)
    p.mig("up", "--dry-run", uri=p.limited)
    p.before = p.digest()
    yield p
    admin[p.name].command("dropUser", "limited")
    admin[p.name].command("dropRole", "some")
    p.close()


@pytest.mark.parametrize("missing", ["find", "insert", "update", "remove", "listIndexes", "listCollections"])
def test_a_right_that_is_missing_is_told_before_or_after_and_nothing_is_lost(guarded, missing):
    p = guarded
    p.rights([a for a in ALL if a != missing])
    result = p.mig("up", uri=p.limited, code=None)
    assert result.code in (0, 1, 3, 4), result
    if result.code:
        three_lines(result)
    p.rights(ALL)
    p.mig("recover", uri=p.limited)
    if result.code:
        assert p.digest() == p.before and p.status("0001_change") in (None, "failed")
    p.mig("up", uri=p.limited)
    assert p.db.users.count_documents({"marked": True}) == 250


def has_roles(p, *roles):
    pymongo.MongoClient(p.uri)[p.name].command("updateRole", "some", privileges=[], roles=list(roles))


def test_the_readwrite_role_is_enough_for_a_restore(guarded):
    """It does not allow to write past a validator, and restores do that where they may."""
    p = guarded
    has_roles(p, "readWrite")
    p.write("0001_change", {**CHANGE, "verify": [{"count": {"collection": "users", "filter": {}, "equals": 7}}]})
    p.mig("up", uri=p.limited, code=3)
    is_as_before(p)


def many_chunks(p, *roles):
    """The migration's user has what these roles allow; a collection of several chunks is gone, and a step fails then."""
    p.db.big.insert_many([{"_id": i, "text": secrets.token_hex(500)} for i in range(9000)])
    p.before = p.digest()
    has_roles(p, *roles)
    p.write("0001_change", {"transaction": "off", "up": [{"dropCollection": {"collection": "big"}}],
                            "verify": [{"count": {"collection": "users", "filter": {}, "equals": 7}}]})


def test_the_readwrite_role_is_enough_for_a_dropped_collection_of_many_chunks(guarded):
    """Several connections at once send its documents, past validators where they may."""
    many_chunks(guarded, "readWrite")
    guarded.mig("up", uri=guarded.limited, code=3)
    is_as_before(guarded)


def test_the_readwrite_role_is_enough_to_go_on_with_a_load_that_was_killed(guarded):
    p = guarded
    many_chunks(p, "readWrite", "dbAdmin")
    assert p.mig("up", "--jobs", "1", uri=p.limited, code=None, MIG_CRASH_AT="restore_batch:2").code == KILLED
    has_roles(p, "readWrite")
    stage, = [n for n in p.db.list_collection_names() if n.startswith("migstage_")]
    assert 0 < p.db[stage].count_documents({}) < 9000
    said = p.mig("recover", "--yes", uri=p.limited)
    assert "had loaded are there already" in said.err, said
    is_as_before(p)


@pytest.mark.parametrize("lost", [["remove"], ["update"], ["insert", "update", "remove"], ["find"], ALL[1:]], ids=lambda x: "+".join(x)[:20])
def test_rights_lost_in_the_middle_are_a_restore_or_a_cry_for_help(guarded, lost):
    p = guarded
    with WireProxy(p.uri, [Rule("delete", call_first(lambda body: p.rights([a for a in ALL if a not in lost] or ["find"])), collection="users")]) as proxy:
        uri = p.limited.split("@")[0] + "@" + proxy.uri.split("//")[1] + f"&authSource={p.name}"
        result = p.mig("up", uri=uri, code=None, timeout=300)
    assert result.code in (3, 4), result
    three_lines(result)
    if result.code == 4:
        assert p.status("0001_change") == "running"
    p.rights(ALL)
    p.mig("recover", uri=p.limited)
    is_as_before(p)
