"""Snapshots and restores of several chunks, which several threads and connections work on. Run with TSan, too."""
import random

import pytest

from cli_support import one, snapshots
from wireproxy import Rule, WireProxy, error, lose_reply, reply_with

KILLED = -9


def fill(p, count=9000):
    """Some 14 MB: more chunks than the pipeline has places for; and documents that are sent with special care."""
    r = random.Random(7)
    documents = [{"_id": i, "key": f"k{i}", "text": r.randbytes(700).hex()} for i in range(count)]
    documents[77]["$odd"] = {"a": 1}
    p.db.things.insert_many(documents)
    p.db.things.create_index("key", unique=True)
    p.db.few.insert_many([{"_id": i} for i in range(10)])
    return p.digest()


@pytest.fixture
def kept(project):
    project.digest_kept = fill(project)
    project.id = one(project.mig("snapshot", "create", "--json"), "snapshot")["snapshot"]
    return project


def staged(body):
    return str(body.get("insert", "")).startswith("migstage_")


def test_many_chunks_come_back_byte_for_byte(kept):
    shown = one(kept.mig("snapshot", "show", kept.id, "--json"), "snapshot")
    assert shown["documents"] == 9010
    kept.mig("snapshot", "verify", kept.id)
    kept.db.things.drop()
    kept.mig("restore", kept.id, "--yes", "--no-safety-snapshot")
    assert kept.digest() == kept.digest_kept
    kept.db.things.update_many({"_id": {"$mod": [100, 3]}}, {"$set": {"text": "gone"}})
    kept.db.things.delete_many({"_id": {"$mod": [100, 5]}})
    kept.mig("restore", kept.id, "--yes", "--no-safety-snapshot")
    assert kept.digest() == kept.digest_kept


def left_over(p):
    return [n for n in p.db.list_collection_names() if n.startswith(("migstage_", "migaside_"))]


@pytest.mark.parametrize("at", ["restore_batch:1", "restore_batch:3", "restore_staged", "restore_renamed"])
def test_a_load_by_several_connections_converges_after_a_kill(kept, at):
    kept.db.things.drop()
    killed = kept.mig("restore", kept.id, "--yes", "--no-safety-snapshot", code=None, MIG_CRASH_AT=at)
    assert killed.code == KILLED
    kept.mig("restore", kept.id, "--yes", "--no-safety-snapshot")
    assert kept.digest() == kept.digest_kept and not left_over(kept)


def test_a_refused_batch_is_tried_document_by_document(kept):
    kept.db.things.drop()
    with WireProxy(kept.uri, [Rule("insert", reply_with(error(2, "scripted refusal")), nth=2, when=staged)]) as proxy:
        kept.mig("restore", kept.id, "--yes", "--no-safety-snapshot", uri=proxy.uri)
        assert proxy.rules[0].seen > 2
    assert kept.digest() == kept.digest_kept and not left_over(kept)


def test_lost_replies_end_it_and_the_next_run_converges(kept):
    """All from the second on: a driver may repeat a write once by itself, where the server has retryable writes."""
    kept.db.things.drop()
    with WireProxy(kept.uri, [Rule("insert", lose_reply, nth=2, times=None, when=staged)]) as proxy:
        result = kept.mig("restore", kept.id, "--yes", "--no-safety-snapshot", uri=proxy.uri, code=None)
    assert result.code not in (0, 3), result
    assert "things" not in kept.db.list_collection_names(), "half a collection must not be seen"
    kept.mig("restore", kept.id, "--yes", "--no-safety-snapshot")
    assert kept.digest() == kept.digest_kept and not left_over(kept)


@pytest.mark.parametrize("at", [0.2, 0.5, 0.9])
def test_damage_in_any_chunk_is_found_whichever_thread_meets_it(kept, at):
    path = snapshots(kept)[0]
    data = bytearray(path.read_bytes())
    data[int(len(data) * at)] ^= 1
    path.write_bytes(data)
    result = kept.mig("snapshot", "verify", kept.id, code=6)
    assert "damaged" in result.err + result.out
    kept.db.things.delete_many({})
    before = kept.digest()
    assert kept.mig("restore", kept.id, "--yes", "--no-safety-snapshot", code=None).code == 1
    assert kept.digest() == before, "nothing may be written from a damaged archive"


def test_a_killed_snapshot_leaves_no_archive(project):
    fill(project)
    assert project.mig("snapshot", "create", code=None, MIG_CRASH_AT="snapshot_member:3").code == KILLED
    assert not snapshots(project)
    project.mig("snapshot", "create")
    assert len(snapshots(project)) == 1 and not project.partials()

