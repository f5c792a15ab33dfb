"""What others write to a collection between the snapshot and the step that drops it is in an archive, and named."""
import pytest

from conftest import documents_in
from wireproxy import Rule, WireProxy, call_first

DROP = {"dropCollection": {"collection": "users"}}
REPLACE = {"renameCollection": {"from": "other", "to": "users", "dropTarget": True}}
GOOD = [{"collectionExists": {"collection": "touched"}}]
BAD = [{"count": {"collection": "touched", "filter": {}, "equals": 99}}]
OWN = ("migrationlogs", "migrationevents", "migrationlocks")


def filled(p, step, verify):
    p.db.users.insert_many([{"_id": i, "v": "u"} for i in range(20)])
    p.db.users.create_index("v", name="by_v")
    p.db.other.insert_many([{"_id": f"o{i}"} for i in range(3)])
    p.db.touched.insert_one({"_id": 1})
    p.write("0001_drop", {"transaction": "off", "verify": verify, "up": [
        {"update": {"collection": "touched", "filter": {}, "update": {"$set": {"x": 1}}}}, step]})
    return p.digest()


def others_write(p):
    def write(_):
        p.db.users.insert_one({"_id": "late", "v": "late"})
        p.db.users.update_one({"_id": 2}, {"$set": {"v": "changed"}})
    return Rule(None, call_first(write), when=lambda body: body.get("update") == "touched")


def saved(p):
    found = {}
    for archive in sorted((p.folder / "snapshots").glob("*displaced*.tar")):
        found.update(documents_in(archive))
    return {name: d["v"] for name, d in found.items() if d.get("v") in ("late", "changed")}


def nothing_aside(p):
    return not [n for n in p.db.list_collection_names() if n.startswith("mig") and n not in OWN]


@pytest.mark.parametrize("step", [DROP, REPLACE], ids=["dropCollection", "renameCollection"])
@pytest.mark.parametrize("verify", [GOOD, BAD], ids=["applied", "undone"])
def test_what_others_wrote_after_the_snapshot_is_saved_before_the_collection_goes(project, step, verify):
    p = project
    before = filled(p, step, verify)
    rule = others_write(p)
    with WireProxy(p.uri, [rule]) as proxy:
        result = p.mig("up", uri=proxy.uri, code=0 if verify is GOOD else 3)
    assert rule.seen
    assert saved(p) == {"late": "late", 2: "changed"}, result
    assert "2 documents are saved in" in result.err
    assert nothing_aside(p)
    if verify is BAD:
        assert p.digest() == before
    else:
        assert p.db.users.count_documents({}) == (0 if step is DROP else 3)


@pytest.mark.parametrize("step", [DROP, REPLACE], ids=["dropCollection", "renameCollection"])
@pytest.mark.parametrize("point", ["restore_aside", "restore_dropped"])
def test_killed_while_the_collection_is_aside_recover_puts_it_back_and_loses_nothing(project, point, step):
    p = project
    before = filled(p, step, GOOD)
    rule = others_write(p)
    with WireProxy(p.uri, [rule]) as proxy:
        killed = p.mig("up", uri=proxy.uri, code=None, MIG_CRASH_AT=point)
    assert rule.seen and killed.code == -9, killed
    p.mig("recover", "--yes")
    assert p.digest() == before
    assert saved(p) == {"late": "late", 2: "changed"}
    assert nothing_aside(p)


def test_a_collection_that_nobody_else_wrote_to_is_dropped_without_an_archive(project):
    p = project
    filled(p, DROP, GOOD)
    p.mig("up")
    assert "users" not in p.db.list_collection_names() and nothing_aside(p)
    assert not list((p.folder / "snapshots").glob("*displaced*"))


def test_what_the_migration_itself_wrote_before_it_drops_is_not_saved(project):
    p = project
    p.db.users.insert_many([{"_id": i, "v": "u"} for i in range(20)])
    p.write("0001_drop", {"transaction": "off", "up": [
        {"update": {"collection": "users", "filter": {}, "update": {"$set": {"v": "changed"}}}}, DROP]})
    p.mig("up")
    assert "users" not in p.db.list_collection_names() and nothing_aside(p)
    assert not list((p.folder / "snapshots").glob("*displaced*"))
