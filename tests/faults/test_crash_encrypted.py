"""kill -9 while an encrypted snapshot is taken, restored by itself, or restored by hand; and the key that is lost on the way."""
import os

import pytest

from crash_support import DDL, FAILS, KILLED, STEPS, fill

DATA = ("restore_begin", "restore_displaced", "restore_batch", "restore_index", "restore_done")


@pytest.fixture
def locked(project):
    fill(project)
    project.key = project.folder / "key"
    project.key.write_bytes(os.urandom(32))
    project.key.chmod(0o600)
    return project


def data(p):
    return p.digest("users", "old", "plain", "fresh")


@pytest.mark.parametrize("point", DATA)
def test_killed_while_a_failed_migration_is_put_back(locked, point):
    p, key = locked, {"MIG_KEY_FILE": locked.key}
    before = p.digest()
    p.write("0001_change", {"up": STEPS + DDL + FAILS})
    assert p.mig("up", code=None, MIG_CRASH_AT=point, **key).code == KILLED
    torn = data(p)
    for wrong in ({}, {"MIG_KEY_FILE": "nothere"}):
        assert p.mig("recover", code=None, **wrong).code in (2, 4)
        assert data(p) == torn, "without the key nothing is written"
    p.mig("recover", code=None, MIG_CRASH_AT=point, **key)  # killed again, where it gets so far
    p.mig("recover", **key)
    assert p.digest() == before and p.status("0001_change") == "failed"
    for made in p.store.glob("*.mig.tar"):
        p.mig("snapshot", "verify", made, **key)
        p.mig("snapshot", "verify", made, code=2)  # displaced documents, too, are never in the clear


@pytest.mark.parametrize("strategy", ["delta", "swap"])
@pytest.mark.parametrize("point", ["restore_begin", "restore_batch", "restore_done"])
def test_killed_while_restoring_by_hand(locked, point, strategy):
    p, key = locked, {"MIG_KEY_FILE": locked.key}
    before = p.digest()
    made = p.mig("snapshot", "create", "--json", **key).lines[0]["snapshot"]
    p.db.users.delete_many({"n": {"$lt": 100}})
    p.db.users.update_many({"n": {"$gte": 290}}, {"$set": {"other": 1}})
    p.db.old.drop()
    done = p.mig("restore", made, "--yes", "--strategy", strategy, code=None, MIG_CRASH_AT=point, **key)
    assert done.code == KILLED, done
    torn = data(p)
    p.mig("up", code=None)
    assert p.mig("recover", code=None).code != 0
    assert data(p) == torn
    p.mig("recover", **key)
    assert p.digest() == before


@pytest.mark.parametrize("point", ["snapshot_member:2", "snapshot_written", "snapshot_published"])
def test_killed_while_taking_one_leaves_a_whole_one_or_none(locked, point):
    p, key = locked, {"MIG_KEY_FILE": locked.key}
    assert p.mig("snapshot", "create", code=None, MIG_CRASH_AT=point, **key).code == KILLED
    for made in p.store.glob("*.mig.tar"):
        p.mig("snapshot", "verify", made, **key)
    p.mig("snapshot", "create", **key)
    assert p.partials() == []
