"""Others write in the last moment before a restore takes a collection away: it is in the collection, or saved and named."""
import pytest

from conftest import documents_in
from wireproxy import Rule, WireProxy, call_first

LATE = {"_id": "late", "n": 66}


def saved(p, name="late"):
    """Archives of displaced documents which hold it."""
    return [a for a in sorted((p.folder / "snapshots").glob("*displaced*.tar")) if name in documents_in(a)]


def late(p, name="users"):
    return call_first(lambda _: p.db[name].insert_one(dict(LATE)))


def filled(p):
    p.db.users.insert_many([{"_id": i, "n": i} for i in range(50)])
    p.db.users.create_index("n", name="by_n")
    before = p.digest()
    return p.mig("snapshot", "create", "--json").lines[0]["snapshot"], before


def nothing_lost(p, result):
    assert not [n for n in p.db.list_collection_names() if n.startswith("mig") and n not in
                ("migrationlogs", "migrationevents", "migrationlocks")], "something is left aside"
    if p.db.users.find_one({"_id": "late"}) is None:
        archives = saved(p)
        assert archives, f"a document is lost\n{result!r}"
        assert all(str(a) in result.out + result.err for a in archives), result


def takes_away(body):
    """The commands by which the collection users goes: dropped, renamed, or another one put into its place."""
    return body.get("drop") == "users" or any(str(body.get(k, "")).endswith(".users") for k in ("renameCollection", "to"))


@pytest.mark.parametrize("nth", [1, 2], ids=["before the first command", "before the second"])
def test_written_just_before_a_swap_takes_the_collection_away(project, nth):
    p = project
    snapshot, before = filled(p)
    p.db.users.update_many({}, {"$set": {"n": 0}})
    rule = Rule(None, late(p), when=takes_away, nth=nth)
    with WireProxy(p.uri, [rule]) as proxy:
        result = p.mig("restore", snapshot, "--yes", "--strategy", "swap", uri=proxy.uri)
    assert rule.seen >= nth
    nothing_lost(p, result)
    p.db.users.delete_one({"_id": "late"})
    assert p.digest() == before


def test_written_just_before_a_collection_that_should_not_be_there_goes(project):
    """The undo of a migration which made the collection `users`."""
    p = project
    p.db.other.insert_many([{"_id": i} for i in range(5)])
    before = p.digest()
    p.write("0001_make", {"transaction": "off", "up": [
        {"createCollection": {"collection": "users"}},
        {"insert": {"collection": "users", "documents": [{"_id": 1}]}},
        {"insert": {"collection": "other", "documents": [{"_id": 9}, {"_id": 1}]}}]})
    rule = Rule(None, late(p), when=takes_away)
    with WireProxy(p.uri, [rule]) as proxy:
        result = p.mig("up", uri=proxy.uri, code=3)
    assert rule.seen
    nothing_lost(p, result)
    assert p.digest() == before


@pytest.mark.parametrize("point", ["restore_aside", "restore_renamed"])
@pytest.mark.parametrize("strategy", ["swap", "delta"])
def test_killed_with_a_collection_aside_loses_nothing(project, point, strategy):
    """Others write in the last moment, and the restore is killed before it has looked at what it took away."""
    p = project
    snapshot, before = filled(p)
    p.db.users.update_many({}, {"$set": {"n": 0}})
    with WireProxy(p.uri, [Rule(None, late(p), when=takes_away)]) as proxy:
        killed = p.mig("restore", snapshot, "--yes", "--strategy", "swap", uri=proxy.uri, code=None, MIG_CRASH_AT=point)
    assert killed.code == -9
    result = p.mig("restore", snapshot, "--yes", "--strategy", strategy)
    nothing_lost(p, result)
    p.db.users.delete_one({"_id": "late"})
    assert p.digest() == before
