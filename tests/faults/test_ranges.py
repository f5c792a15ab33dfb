"""Collections read and compared in ranges of _id by several connections, and loads that go on where they were killed.

Servers without min and max (the embedded one) must come to the same results by one cursor; where they have them, the
wire shows that ranges were really used.
"""
import datetime
import random
import signal
import time

import bson
import pytest

from cli_support import one
from wireproxy import Rule, WireProxy, delay

KILLED = -9
PUT_BACK = ("--yes", "--no-safety-snapshot", "--json")


def text(r, size):
    return r.randbytes(size // 2).hex()


def mixed(count=9000):
    """_ids of many types, documents of very different sizes: pieces turn out larger than a sample lets expect."""
    r = random.Random(11)
    makes = [lambda i: i - 2000, lambda i: f"s{i}", lambda i: bson.ObjectId(), lambda i: {"a": i, "b": "x"},
             lambda i: datetime.datetime(2020, 1, 1) + datetime.timedelta(seconds=i), lambda i: i + 0.5,
             lambda i: bson.Int64(2**60 + i), lambda i: bson.Binary(b"%d" % i), lambda i: bson.Timestamp(i + 1, 1)]
    documents = [{"_id": makes[i % len(makes)](i), "text": text(r, 8000 if i % 9 == 1 else 900)} for i in range(count)]
    return documents + [{"_id": v} for v in (None, True, bson.MinKey(), bson.MaxKey(), bson.Decimal128("1.25"))]


N = 10000


def plain():
    """Some 16 MB: four chunks, five batches of a load."""
    r = random.Random(12)
    return [{"_id": i * 10, "key": f"k{i}", "text": text(r, 1560)} for i in range(N)]


def has_ranges(p):
    return {"check": "idRanges", "state": "yes", "note": ""} in p.mig("doctor", "--json", code=None).lines


class Finds(WireProxy):
    """Every find of a collection that goes by."""

    def __init__(self, uri, name):
        self.all = []
        super().__init__(uri, [Rule("find", None, collection=name, when=lambda body: self.all.append(body) or False)])

    @property
    def bounded(self):
        return [c for c in self.all if ("min" in c or "max" in c) and "limit" not in c]

    @property
    def whole(self):
        return [c for c in self.all if not {"min", "max", "limit", "filter"} & c.keys()]


@pytest.fixture
def kept(project):
    project.db.things.insert_many(plain())
    project.db.things.create_index("key", unique=True)
    project.digest_kept = project.digest()
    project.id = one(project.mig("snapshot", "create", "--json", "--jobs", "3"), "snapshot")["snapshot"]
    return project


def left_over(p):
    return [n for n in p.db.list_collection_names() if n.startswith(("migstage_", "migaside_"))]


def test_several_connections_give_the_archive_that_one_gives(project):
    project.db.things.insert_many(mixed())
    ranges, digests = has_ranges(project), []
    for jobs in ("1", "2", "5"):
        with Finds(project.uri, "things") as proxy:
            taken = one(project.mig("snapshot", "create", "--json", "--jobs", jobs, uri=proxy.uri), "snapshot")
            used = bool(proxy.bounded)
        digests.append((taken["digest"], taken["documents"], taken["rawBytes"]))
        assert used == (ranges and jobs != "1" and taken["consistency"] == "clusterTime"), jobs
    assert len(set(digests)) == 1 and digests[0][1] == 9005
    digest = project.digest()
    project.db.things.drop()
    project.mig("restore", taken["snapshot"], *PUT_BACK, "--jobs", "4")
    assert project.digest() == digest


DAMAGE = {
    "before the first chunk and behind the last": lambda c: c.insert_many(
        [{"_id": v, "key": repr(v)} for v in (-5, 10**9, None, "s", bson.MinKey(), bson.MaxKey())]),
    "between documents": lambda c: c.insert_many([{"_id": i * 10 + 5, "key": f"b{i}"} for i in range(0, N, 1111)]),
    "changed": lambda c: c.update_many({"_id": {"$mod": [11000, 70]}}, {"$set": {"text": "gone"}}),
    "deleted": lambda c: c.delete_many({"_id": {"$mod": [11000, 30]}}),
    "a whole stretch deleted": lambda c: c.delete_many({"_id": {"$gte": 22000, "$lt": 71000}}),
    "all": lambda c: c.update_many({}, {"$set": {"text": "all gone"}}),
    "all deleted": lambda c: c.delete_many({}),
    "an exchange of unique values": lambda c: (c.update_one({"_id": 10}, {"$set": {"key": "k"}}),
                                               c.update_one({"_id": 90000}, {"$set": {"key": "k1"}}),
                                               c.update_one({"_id": 10}, {"$set": {"key": "k9000"}})),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_anywhere_is_counted_and_mended_by_ranges_as_by_one_cursor(kept, damage):
    before = {d["_id"]: d for d in kept.db.things.find()}
    DAMAGE[damage](kept.db.things)
    after = {d["_id"]: d for d in kept.db.things.find()}
    wanted = {"missing": len(before.keys() - after.keys()), "extra": len(after.keys() - before.keys()),
              "changed": sum(before[i] != after[i] for i in before.keys() & after.keys())}
    with Finds(kept.uri, "things") as proxy:
        rows = [line for line in kept.mig("snapshot", "diff", kept.id, "--json", "--jobs", "3", code=6, uri=proxy.uri).lines
                if line.get("collection") == "things"]
        used = bool(proxy.bounded)
    assert used == (has_ranges(kept) and damage != "all deleted"), "an empty collection shows nothing of its server"
    assert {k: rows[0][k] for k in wanted} == wanted
    kept.mig("restore", kept.id, *PUT_BACK, "--jobs", "3")
    assert kept.digest() == kept.digest_kept and not left_over(kept)


def test_a_little_damage_is_written_without_a_second_look(kept):
    if not has_ranges(kept):
        pytest.skip("the server has no find with min and max")
    kept.db.things.update_one({"_id": 50000}, {"$set": {"text": "gone"}})
    with Finds(kept.uri, "things") as proxy:
        result = one(kept.mig("restore", kept.id, *PUT_BACK, "--jobs", "2", uri=proxy.uri), "restored")
    assert result["written"] == 1
    # a look at each of the four chunks, twice; what the first found in one is written without another look
    assert not proxy.whole and len(proxy.bounded) == 8, len(proxy.bounded)
    assert kept.digest() == kept.digest_kept


def test_documents_that_got_another_id_far_away_give_their_unique_values_back(kept):
    """What goes is written before what comes, whatever chunks they are in: the server refuses nothing."""
    for i in range(0, N * 10, 9000):
        moved = kept.db.things.find_one_and_delete({"_id": i})
        kept.db.things.insert_one({**moved, "_id": 10**8 - i})
    dropped = []
    with WireProxy(kept.uri, [Rule("dropIndexes", None, when=lambda body: dropped.append(body) or False)]) as proxy:
        result = one(kept.mig("restore", kept.id, *PUT_BACK, "--jobs", "2", uri=proxy.uri), "restored")
    assert (result["written"], result["removed"], dropped) == (12, 12, [])
    assert kept.digest() == kept.digest_kept


@pytest.mark.parametrize("at", ["restore_displaced:1", "restore_batch:1", "restore_batch:3"])
def test_killed_among_the_differences_that_the_look_has_kept_it_converges(kept, at):
    kept.db.things.update_many({"_id": {"$mod": [40, 0]}}, {"$set": {"text": "gone"}})
    kept.db.things.delete_many({"_id": {"$mod": [70, 10]}})
    kept.db.things.insert_many([{"_id": i * 10 + 5, "key": f"b{i}"} for i in range(0, N, 7)])
    assert kept.mig("restore", kept.id, *PUT_BACK, "--jobs", "2", code=None, MIG_CRASH_AT=at).code == KILLED
    assert kept.digest() != kept.digest_kept
    kept.mig("recover", "--yes")
    assert kept.digest() == kept.digest_kept and not left_over(kept)


def killed_in_the_load(p, at="restore_batch:3", jobs="2"):
    p.db.things.drop()
    killed = p.mig("restore", p.id, *PUT_BACK, "--jobs", jobs, code=None, MIG_CRASH_AT=at)
    assert killed.code == KILLED
    stage, = left_over(p)
    there, quiet = p.db[stage].count_documents({}), 0
    while quiet < 4:  # the server still works on what other connections had sent
        time.sleep(0.3)
        before, there = there, p.db[stage].count_documents({})
        quiet = quiet + 1 if there == before else 0
    assert there > 0
    return p.db[stage], there


@pytest.mark.parametrize("at, jobs", [("restore_batch:2", "1"), ("restore_batch:4", "3")])
def test_a_killed_load_goes_on_with_what_it_had_loaded(kept, at, jobs):
    _, there = killed_in_the_load(kept, at, jobs)
    result = one(kept.mig("restore", kept.id, *PUT_BACK, "--jobs", jobs), "restored")
    assert result["written"] == N - there
    assert kept.digest() == kept.digest_kept and not left_over(kept)


def test_recover_goes_on_with_it_too_however_often_it_is_killed(kept):
    _, first = killed_in_the_load(kept, "restore_batch:2")
    assert kept.mig("recover", "--yes", code=None, MIG_CRASH_AT="restore_batch:2").code == KILLED
    stage, = left_over(kept)
    assert kept.db[stage].count_documents({}) > first
    kept.mig("recover", "--yes")
    assert kept.digest() == kept.digest_kept and not left_over(kept)


MEDDLED = {
    "some of it": lambda c, ids: (c.update_one({"_id": ids[7]}, {"$set": {"text": "meddled"}}),
                                  c.delete_many({"_id": {"$in": ids[100:300]}}),
                                  c.insert_many([{"_id": ids[3] + 1}, {"_id": -1}, {"_id": "z"}])),
    "another index": lambda c, ids: c.create_index("text", name="alien"),
    "all of it": lambda c, ids: c.update_many({}, {"$set": {"text": "meddled"}}),
    "emptied": lambda c, ids: c.delete_many({}),
    "gone": lambda c, ids: c.drop(),
}


@pytest.mark.parametrize("how", MEDDLED)
def test_what_was_done_to_a_stage_in_between_is_mended(kept, how):
    stage, _ = killed_in_the_load(kept)
    MEDDLED[how](stage, [d["_id"] for d in stage.find({}, {"_id": 1}).sort("_id", 1)])
    kept.mig("restore", kept.id, *PUT_BACK)
    assert kept.digest() == kept.digest_kept and not left_over(kept)


def test_a_stage_with_other_options_is_made_anew(kept):
    stage, _ = killed_in_the_load(kept)
    stage.drop()
    try:
        kept.db.create_collection(stage.name, collation={"locale": "en", "strength": 2})
    except Exception as e:  # pylint: disable=broad-except
        pytest.skip(f"the server makes no collections with a collation: {e}")
    stage.insert_many(plain()[:4000])
    kept.mig("restore", kept.id, *PUT_BACK)
    assert kept.digest() == kept.digest_kept and not left_over(kept)


def test_killed_when_the_stage_was_complete_writes_no_document_again(kept):
    killed_in_the_load(kept, "restore_staged")
    result = one(kept.mig("restore", kept.id, *PUT_BACK), "restored")
    assert result["written"] == 0
    assert kept.digest() == kept.digest_kept and not left_over(kept)


def test_a_signal_leaves_the_stage_and_recover_goes_on_with_it(kept):
    kept.db.things.drop()
    with WireProxy(kept.uri, [Rule("insert", delay(0.5), nth=1, times=None, when=staged)]) as proxy:
        run = kept.start("restore", kept.id, *PUT_BACK, "--jobs", "1", uri=proxy.uri)
        deadline = time.monotonic() + 60
        while proxy.rules[0].seen < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=120)
    assert run.returncode == 7
    stage, = left_over(kept)
    assert 0 < kept.db[stage].count_documents({}) < N
    kept.mig("recover", "--yes")
    assert kept.digest() == kept.digest_kept and not left_over(kept)


def staged(body):
    return str(body.get("insert", "")).startswith("migstage_")


@pytest.mark.parametrize("value, code", [("0", 2), ("x", 2), ("2", 0), ("999", 0)])
def test_jobs_come_from_option_variable_or_file(project, value, code):
    project.db.few.insert_one({"_id": 1})
    project.id = one(project.mig("snapshot", "create", "--json"), "snapshot")["snapshot"]
    project.mig("snapshot", "verify", project.id, "--jobs", value, code=code)
    project.mig("snapshot", "verify", project.id, MIG_JOBS=value, code=code)
    path = project.folder / "mig.json"
    path.write_text('{"jobs": %s}' % (value if value.isdigit() else '"x"'))
    project.mig("snapshot", "verify", project.id, "--config", str(path), code=code)
