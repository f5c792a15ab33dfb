"""Collections with a shard key, which no snapshot holds: they are never dropped, replaced or renamed. (What a mongos says is scripted.)"""

import pytest

from cli_support import three_lines
from wireproxy import Rule, WireProxy, reply_with

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
