"""A migration that only looks: nothing is saved of what it does not change, and nothing of others is ever taken back."""
import pytest

from cli_support import NEVER, free, snapshots, three_lines
from wireproxy import Rule, WireProxy, call_first

LOOKS = {"transaction": "off", "up": [{"command": {"command": {"count": "users"}}}]}


@pytest.fixture
def looking(project):
    """Documents of two collections; the migration reads one of them."""
    project.db.users.insert_many([{"_id": i} for i in range(5)])
    project.db.orders.insert_many([{"_id": i, "paid": False} for i in range(5)])
    project.write("0001_look", LOOKS)
    project.mig("doctor")
    return project


def others(p):
    """What an application does meanwhile."""
    p.db.orders.update_many({}, {"$set": {"paid": True}})
    p.db.orders.insert_one({"_id": 100})
    p.db.fresh.insert_one({"_id": 1})


def test_it_is_applied_with_a_snapshot_of_nothing(looking):
    p = looking
    plan = p.mig("plan", "--json").lines
    assert [x["estimate"]["snapshotDocuments"] for x in plan if "estimate" in x] in ([], [0])
    p.mig("up")
    assert p.status("0001_look") == "applied"
    saved, = snapshots(p)
    shown = p.mig("snapshot", "show", saved, "--json").lines
    assert not [x for x in shown if x.get("collection") or x.get("collections")], shown
    assert not any(x.get("wholeDatabase") for x in shown), shown


def test_what_others_write_meanwhile_stays_when_it_fails(looking):
    p = looking
    p.write("0001_look", {**LOOKS, "verify": NEVER})
    with WireProxy(p.uri, [Rule("count", call_first(lambda body: others(p)))]) as proxy:
        result = p.mig("up", code=1, uri=proxy.uri)
    three_lines(result)
    assert p.db.orders.count_documents({"paid": True}) == 5 and p.db.orders.find_one({"_id": 100}) and p.db.fresh.find_one()
    entry = p.ledger("0001_look")
    assert entry["status"] == "failed" and entry["restored"] is False and free(p)


@pytest.mark.parametrize("point", ["step_begin", "step_end", "record_before"])
def test_what_others_write_stays_when_its_runner_died(looking, point):
    p = looking
    p.mig("up", code=None, MIG_CRASH_AT=point)
    assert p.status("0001_look") == "running"
    others(p)
    before = p.digest()
    p.mig("recover")
    assert p.digest() == before
    entry = p.ledger("0001_look")
    assert entry["status"] == "failed" and entry["restored"] is False and free(p)
    p.mig("up")
    assert p.status("0001_look") == "applied" and p.digest() == before
