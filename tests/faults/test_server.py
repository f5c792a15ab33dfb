"""Servers that refuse, lie, die or go away: exit 1, 3 or 4 as designed, never 0, and never a lost document."""
import secrets
import threading
import time

import pytest

from wireproxy import Rule, WireProxy, call_first, change_reply, error, lose_reply, lose_request, reply_with

CHANGE = {"transaction": "off",
          "up": [{"update": {"collection": "users", "filter": {}, "update": {"$set": {"marked": True}}}},
                 {"delete": {"collection": "users", "filter": {"n": {"$gte": 15}}}}]}


@pytest.fixture
def ready(project):
    p = project
    p.db.users.insert_many([{"_id": i, "n": i} for i in range(20)])
    p.write("0001_change", CHANGE)
    p.mig("doctor")
    p.before = p.digest()
    return p


def refused(p, rules, code, **more):
    with WireProxy(p.uri, rules) as proxy:
        result = p.mig("up", uri=proxy.uri, code=None, timeout=400, **more)
    assert result.code == code, result
    return result


def is_as_before(p):
    assert p.digest() == p.before
    assert p.status("0001_change") == "failed"


def test_write_errors_in_a_reply_that_says_ok(ready):
    lie = change_reply(lambda reply: {"ok": 1.0, "n": reply["n"], "writeErrors": [{"index": 0, "code": 121, "errmsg": "scripted"}]})
    refused(ready, [Rule("delete", lie, collection="users")], 3)
    is_as_before(ready)


def test_write_concern_error_in_a_reply_that_says_ok(ready):
    lie = change_reply(lambda reply: dict(reply, writeConcernError={"code": 64, "errmsg": "scripted: not replicated"}))
    result = refused(ready, [Rule("delete", lie, collection="users")], 3)
    assert "not replicated" in result.err
    is_as_before(ready)


def test_reply_of_a_step_lost(ready):
    refused(ready, [Rule("delete", lose_reply, collection="users")], 3)
    is_as_before(ready)


@pytest.mark.parametrize("action", [lose_reply, lose_request, "unacknowledged"], ids=["reply lost", "request lost", "unacknowledged"])
@pytest.mark.parametrize("status", ["applied", "failed"])
def test_last_record_of_a_run_is_written_for_sure_whatever_becomes_of_its_reply(ready, status, action):
    """Twice: a driver may repeat a write once by itself."""
    if action == "unacknowledged":
        action = change_reply(lambda reply: dict(reply, writeConcernError={"code": 64, "errmsg": "scripted: not replicated"}))

    def last(body):
        return body["updates"][0]["u"].get("$set", {}).get("status") == status
    rules = [Rule("update", action, collection="migrationlogs", when=last, times=2)]
    if status == "failed":
        rules.append(Rule("delete", reply_with(error(8000, "scripted")), collection="users"))
    result = refused(ready, rules, 0 if status == "applied" else 3)
    assert rules[0].seen, result
    if status == "failed":
        is_as_before(ready)
    assert ready.status("0001_change") == status
    assert [e["outcome"] for e in ready.db.migrationevents.find()] == ["applied" if status == "applied" else "restored"]


def test_step_refused_for_want_of_rights(ready):
    result = refused(ready, [Rule("delete", reply_with(error(13, "not authorized")), collection="users")], 3)
    assert "readWrite" in result.err
    is_as_before(ready)


@pytest.mark.parametrize("code", [10107, 11602, 91, 189])
def test_stepdown_in_a_step(ready, code):
    refused(ready, [Rule("delete", reply_with(error(code, "not primary")), collection="users", times=1)], 3)
    is_as_before(ready)


def test_cursor_dies_while_the_snapshot_is_read(ready):
    ready.db.users.insert_many([{"_id": i, "n": i, "fill": secrets.token_hex(10_000)} for i in range(20, 400)])  # more than a reply
    ready.before = ready.digest()
    dies = Rule("getMore", reply_with(error(43, "cursor id not found")), when=lambda body: body["collection"] == "users", times=None)
    result = refused(ready, [dies], 1)
    assert dies.seen and "users" in result.err
    is_as_before(ready)
    assert not list(ready.store.glob("*.mig.tar")) and ready.partials() == []


def test_snapshot_refused_changes_nothing(ready):
    refused(ready, [Rule("find", reply_with(error(13, "not authorized")), collection="users", times=None)], 1)
    is_as_before(ready)


def test_snapshot_that_cannot_be_read_at_one_time_is_read_again_and_says_so(ready):
    """A server forgets what it had at that time: each collection for itself then, from the start, and the manifest tells."""
    p = ready
    reads = Rule("find", reply_with(error(239, "SnapshotTooOld")), collection="users", when=lambda body: "readConcern" in body)
    with WireProxy(p.uri, [reads]) as proxy:
        result = p.mig("up", "--json", uri=proxy.uri)
    if not reads.seen:
        pytest.skip("this server has no snapshot reads")
    assert "each for itself" in result.err
    line = next(x for x in result.lines if x.get("migration"))
    shown = p.mig("snapshot", "show", line["snapshot"], "--json").lines
    assert any(x.get("consistency") == "perCollection" for x in shown), shown


@pytest.mark.parametrize("write", [{"$set": {"n": 7}}, None], ids=["a document is changed in its place", "nothing is written"])
def test_what_others_write_while_collections_are_read_one_by_one_is_named(project, write):
    p, read = project, []
    for name in ("one", "two"):
        p.db[name].insert_many([{"_id": i, "n": i} for i in range(20)])

    def meddle(connection, message, body):
        """Somebody else's write into the first collection when the second is about to be read."""
        read.append(body["find"])
        if write and len(read) == 2:
            p.db[read[0]].update_one({"_id": 3}, write)
        connection.client.sendall(connection.ask(message))

    def is_ours(body):
        return body["find"] in ("one", "two")

    rules = [Rule("find", reply_with(error(239, "SnapshotTooOld")), times=None, when=lambda b: is_ours(b) and "readConcern" in b),
             Rule("find", meddle, times=None, when=lambda b: is_ours(b) and "readConcern" not in b)]
    with WireProxy(p.uri, rules) as proxy:
        result = p.mig("snapshot", "create", "--json", uri=proxy.uri)
    line = next(x for x in result.lines if "snapshot" in x)
    named = read[:1] if write else []
    assert len(set(read[:2])) == 2 and line["consistency"] == "perCollection" and line["writtenMeanwhile"] == named
    assert ("was written to while its snapshot was taken" in result.err) == bool(write)
    shown = {x["collection"]: x["writtenMeanwhile"] for x in p.mig("snapshot", "show", line["snapshot"], "--json").lines if "collection" in x}
    assert {name for name, written in shown.items() if written} == set(named) and len(shown) == 2
    assert ("written to while it was read" in p.mig("snapshot", "show", line["snapshot"]).out) == bool(write)
    p.mig("snapshot", "verify", line["snapshot"])


def test_server_away_for_a_while_during_the_restore(ready):
    """Everything is cut for some seconds once the restore begins; then the server is back."""
    gone = {"until": None}

    def cut(connection, message, body):
        if gone["until"] is None:
            gone["until"] = time.monotonic() + 4
        if time.monotonic() < gone["until"]:
            return lose_request(connection, message, body)
        connection.client.sendall(connection.ask(message))

    rules = [Rule("delete", reply_with(error(8000, "scripted")), collection="users")]
    rules += [Rule(name, cut, times=None, when=lambda body: rules[0].seen) for name in
              ("update", "find", "insert", "aggregate", "listCollections", "listIndexes")]
    refused(ready, rules, 3)
    is_as_before(ready)


def test_server_gone_for_good_says_not_restored_and_recover_puts_it_right(ready):
    rules = [Rule("delete", reply_with(error(8000, "scripted")), collection="users")]
    rules += [Rule(name, reply_with(error(13, "not authorized")), times=None, when=lambda body: rules[0].seen)
              for name in ("insert", "delete", "update")]
    result = refused(ready, rules, 4)
    assert "recover" in result.err and "NOT" in result.err
    assert ready.status("0001_change") == "running"
    ready.mig("recover")
    is_as_before(ready)


def test_duplicate_key_in_the_middle_of_a_restore(ready):
    """Two documents have exchanged unique values: putting one back collides with the other for a moment."""
    p = ready
    p.db.users.create_index("n", unique=True, name="n_unique")
    p.write("0001_change", {"transaction": "off", "up": [
        {"delete": {"collection": "users", "filter": {"_id": 3}}},
        {"delete": {"collection": "users", "filter": {"_id": 4}}},
        {"insert": {"collection": "users", "documents": [{"_id": 3, "n": 4}, {"_id": 4, "n": 3}]}},
        {"insert": {"collection": "users", "documents": [{"_id": 5, "n": 99}]}}]})
    p.before = p.digest()
    p.mig("up", code=3)
    is_as_before(p)


def test_others_write_between_snapshot_and_restore(ready):
    """Their documents are not in the snapshot; they are saved beside it and named."""
    p = ready

    def others(body):
        p.db.users.insert_one({"_id": "theirs", "n": -1})
        p.db.users.update_one({"_id": 1}, {"$set": {"note": "theirs, too"}})

    rules = [Rule("delete", call_first(others), collection="users"),
             Rule("aggregate", reply_with(error(8000, "scripted")), when=lambda body: rules[0].seen, times=1),
             Rule("update", reply_with(error(8000, "scripted")), collection="migrationlogs", times=0)]
    p.write("0001_change", dict(CHANGE, verify=[{"count": {"collection": "users", "filter": {}, "equals": 0}}]))
    with WireProxy(p.uri, rules[:1]) as proxy:
        result = p.mig("up", "--json", uri=proxy.uri, code=3)
    is_as_before(p)
    line = next(x for x in result.lines if x.get("migration"))
    assert line["displacedDocuments"] >= 2
    show = p.mig("snapshot", "show", line["displaced"], "--json").lines
    assert any(x.get("collection") == "users" and x["documents"] >= 2 for x in show)


def test_a_slow_server_is_waited_for_but_not_for_ever(ready):
    hang = threading.Event()

    def never(connection, message, body):
        hang.wait(60)
        lose_request(connection, message, body)

    with WireProxy(ready.uri, [Rule("delete", never, collection="users")]) as proxy:
        uri = proxy.uri.replace("socketTimeoutMS=15000", "socketTimeoutMS=1500")
        began = time.monotonic()
        result = ready.mig("up", uri=uri, code=3, timeout=200)
        hang.set()
    assert time.monotonic() - began < 60, result
    is_as_before(ready)
