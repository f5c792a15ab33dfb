"""kill -9 while an encrypted snapshot is taken, restored by itself, or restored by hand; and the key that is lost on the way."""
import functools
import json
import os
import subprocess

import pytest

from cli_support import one
from crash_support import DDL, FAILS, KILLED, STEPS, fill
from test_ranges import N, PUT_BACK, Finds, has_ranges, killed_in_the_load, left_over, plain

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
        assert p.mig("recover", code=None, **wrong).code == (7 if wrong else 4)  # it waits; or its snapshot cannot be read
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


@pytest.fixture
def large(locked):
    """An encrypted snapshot of four chunks, whose manifest tells no _id. Every command has the key."""
    p = locked
    p.db.things.insert_many(plain())
    p.digest_kept = p.digest("things")
    p.mig = functools.partial(p.mig, MIG_KEY_FILE=p.key)
    p.id = one(p.mig("snapshot", "create", "--json", "--only", "things", "--jobs", "2"), "snapshot")["snapshot"]
    return p


@pytest.mark.parametrize("at, jobs", [("restore_batch:2", "1"), ("restore_batch:4", "3")])
def test_a_killed_load_of_an_encrypted_one_goes_on_by_chunks(large, at, jobs):
    _, there = killed_in_the_load(large, at, jobs)
    stage, = left_over(large)
    with Finds(large.uri, stage) as proxy:
        result = one(large.mig("restore", large.id, *PUT_BACK, "--jobs", jobs, uri=proxy.uri), "restored")
        by_chunks = bool(proxy.bounded) and not proxy.whole
    assert result["written"] == N - there
    assert by_chunks == has_ranges(large)
    assert large.digest("things") == large.digest_kept and not left_over(large)


def test_damage_to_what_is_encrypted_is_looked_for_by_ranges_of_several_connections(large):
    large.db.things.update_one({"_id": 50000}, {"$set": {"text": "gone"}})
    with Finds(large.uri, "things") as proxy:
        result = large.mig("restore", large.id, *PUT_BACK, "--jobs", "2", "--verbose", uri=proxy.uri)
        by_chunks = bool(proxy.bounded) and not proxy.whole
    assert one(result, "restored")["written"] == 1
    assert by_chunks == has_ranges(large)
    assert large.digest("things") == large.digest_kept
    manifest = json.loads(subprocess.run(["tar", "xOf", large.store / f"{large.id}.mig.tar", "manifest.json"],
                                         capture_output=True, text=True, check=True).stdout)
    things, = manifest["collections"]
    assert len(things["chunks"]) >= 4
    for chunk in things["chunks"]:  # the empty document
        assert chunk["firstBson"] == chunk["lastBson"] == "BQAAAAA=" and not {"firstJson", "lastJson"} & chunk.keys()
    for told in (result, large.mig("snapshot", "show", large.id, "--json"), large.mig("snapshot", "verify", large.id, "--verbose")):
        assert "_id" not in told.out + told.err
