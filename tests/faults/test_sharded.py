"""Collections with a shard key, which no snapshot holds: they are never dropped, replaced or renamed. (What a mongos says is scripted.)"""
import pytest

from cli_support import three_lines
from wireproxy import Rule, WireProxy, change_reply, error, reply_with

SHARDED = {"ok": 1.0, "ns": "x", "sharded": True, "count": 5, "size": 200}


def sharded():
    return Rule("collStats", reply_with(SHARDED), collection="users", times=None)


@pytest.fixture
def filled(project):
    project.db.users.insert_many([{"_id": i, "n": i} for i in range(5)])
    project.mig("doctor")
    project.before = project.digest()
    return project


@pytest.mark.parametrize("step", [{"dropCollection": {"collection": "users"}}, {"renameCollection": {"from": "users", "to": "people"}},
                                  {"command": {"command": {"aggregate": "orders", "pipeline": [{"$out": "users"}], "cursor": {}}}}], ids=lambda s: next(iter(s)))
def test_no_step_drops_replaces_or_renames_one(filled, step):
    p = filled
    p.write("0001_step", {"up": [step], "transaction": "off"})
    with WireProxy(p.uri, [sharded()]) as proxy:
        three_lines(p.mig("up", code=1, uri=proxy.uri), "users is sharded", "shard key")
    assert p.digest() == p.before and not list(p.store.glob("*.tar"))


@pytest.mark.parametrize("strategy", ["swap", None])
def test_no_restore_puts_a_new_collection_in_its_place(filled, strategy):
    p = filled
    snapshot = p.mig("snapshot", "create", "--json").lines[0]["snapshot"]
    p.db.users.update_many({}, {"$set": {"n": 7}})
    with WireProxy(p.uri, [sharded()]) as proxy:
        result = p.mig("restore", snapshot, "--yes", *(["--strategy", strategy] if strategy else []), uri=proxy.uri, code=1 if strategy else 0)
    if strategy:
        three_lines(result, "users is sharded", "--as")
        assert p.db.users.count_documents({"n": 7}) == 5
    else:
        assert p.digest() == p.before
    p.mig("recover")


def test_one_whose_documents_differ_too_much_for_bounded_memory_is_put_back_all_the_same(project):
    """_ids whose order nobody but the server knows, and more that differs than is compared at once: no new collection may take its place."""
    p = project
    text = "x" * 10_000
    for first in range(0, 9000, 500):
        p.db.users.insert_many([{"_id": {"k": i}, "n": i, "text": text} for i in range(first, first + 500)])
    p.db.others.insert_many([{"_id": i, "n": i} for i in range(10)])
    p.mig("doctor")
    before = p.digest()
    p.write("0001_fails", {"transaction": "off", "up": [
        {"update": {"collection": "others", "filter": {}, "update": {"$inc": {"n": 1}}}},
        {"delete": {"collection": "users", "filter": {"n": {"$gt": 2000, "$lt": 7000}}}},
        {"insert": {"collection": "others", "documents": [{"_id": 1}]}}]})
    with WireProxy(p.uri, [sharded()]) as proxy:
        p.mig("up", uri=proxy.uri, code=3)
    assert p.digest() == before


@pytest.mark.parametrize("code", [189, 133])
@pytest.mark.parametrize("strategy", ["swap", None])
def test_a_server_that_cannot_say_it_now_is_not_taken_to_say_no(filled, code, strategy):
    p = filled
    snapshot = p.mig("snapshot", "create", "--json").lines[0]["snapshot"]
    if strategy:
        p.db.users.update_many({}, {"$set": {"n": 7}})
        p.before = p.digest()
    else:
        p.write("0001_step", {"up": [{"dropCollection": {"collection": "users"}}], "transaction": "off"})
    with WireProxy(p.uri, [Rule("collStats", reply_with(error(code)), collection="users", times=None)]) as proxy:
        p.mig(*(["restore", snapshot, "--yes", "--strategy", "swap"] if strategy else ["up"]), uri=proxy.uri, code=1)
    assert p.digest() == p.before and not p.db.migrationlocks.count_documents({"_id": "mig.restore"})


def test_a_mongos_must_say_it(filled):
    p = filled
    p.write("0001_step", {"up": [{"dropCollection": {"collection": "users"}}], "transaction": "off"})
    refuse = Rule("collStats", reply_with(error(13)), collection="users", times=None)
    as_mongos = Rule("hello", change_reply(lambda reply: {**reply, "msg": "isdbgrid"}), times=None)
    with WireProxy(p.uri, [refuse, as_mongos]) as proxy:
        result = p.mig("up", uri=proxy.uri, code=1)
    three_lines(result, "does not say whether users is sharded", "collStats")
    assert p.digest() == p.before
