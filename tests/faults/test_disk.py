"""A store that is full, breaks, vanishes or reads in pieces: no partial archive has a final name, no old snapshot is harmed.

The disk is preloaded (tests/harness/faultfs.c); a size limit of the process stands for a real full disk.
"""
import errno
import os
import resource
import shutil
import subprocess

import pytest

import scenarios
from cli_support import three_lines
from conftest import Result, server_uri
from counts import count
from crash_support import archives, archives_are_whole, picture
from module_support import module
from scenarios import Ready
from test_torture import clean, disk
from wireproxy import Rule, WireProxy, call_first, error, reply_with



@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    made = {}

    def make(scenario):
        if scenario not in made:
            made[scenario] = Ready(scenario, server_uri("MIG_TEST_URI"), tmp_path_factory.mktemp(scenario.__name__))
        return made[scenario]
    yield make
    for r in made.values():
        r.project.close()


def run(r, fail, log, call=None, **more):
    log.unlink(missing_ok=True)
    r.state.put(r.project)
    env = disk(r.project.folder, fail, log, **more)
    if call:
        env["MIG_FS_CALL"] = call
    result = r.project.mig(*r.command, code=None, **env)
    return result, log.read_text().splitlines() if log.exists() else []


def old_snapshots_are_whole(r):
    old = {f.name: f.read_bytes() for f in r.state.store.glob("*.mig.tar")} if r.state.store.exists() else {}
    archives_are_whole(r.project, old)


SCENARIOS = [scenarios.snapshot_create, pytest.param(scenarios.up_fails, marks=pytest.mark.long),
             pytest.param(scenarios.restore_by_delta, marks=pytest.mark.long)]


def places(count, request, sample=3):
    if request.config.getoption("--run-long"):
        return range(1, count + 1)
    return sorted({1, count // 2 + 1, count})[:sample]


@pytest.mark.parametrize("call,number", [("write,pwrite", errno.ENOSPC), ("write,pwrite", errno.EDQUOT), ("fsync", errno.EIO), ("rename", errno.EIO),
                                         ("open", errno.EACCES), ("pread,read", errno.EIO), ("statvfs", errno.EIO)])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.__name__)
def test_a_disk_that_fails_from_some_moment_on(scenario, call, number, ready, request, tmp_path):
    """From the nth call on for good, as a full or dead disk does (once only: test_torture.py)."""
    r, log = ready(scenario), tmp_path / "log"
    calls = run(r, "0", log, call)[1]
    assert calls, f"{call} is not called at all"
    for nth in places(len(calls), request):
        result, said = run(r, f"{nth}:{number}:+", log, call)
        assert any(line.endswith("FAILED") for line in said)
        if result.code == 0:
            assert scenario is not scenarios.snapshot_create or call in ("open", "pread,read"), result
        complete = archives(r.project)
        clean(r, result, f"{call} fails with {errno.errorcode[number]} from call {nth} of {len(calls)} on")
        assert complete.keys() <= archives(r.project).keys()
        count(f"{r.name}: {call} fails with {errno.errorcode[number]} from some call on")


def test_a_real_limit_on_the_size_of_files(ready, request):
    """EFBIG at every size up to that of the archive; the signal that comes with it does not kill.

    Without the driver's counters in shared memory: it makes them before main(), where a limit below 8 KiB ends the program.
    """
    r = ready(scenarios.snapshot_create)
    r.state.put(r.project)
    before = archives(r.project)
    r.project.mig(*r.command)
    size = max(len(data) for name, data in archives(r.project).items() if name not in before)
    step = 512 if request.config.getoption("--run-long") else size // 6
    for limit in range(0, size, step):
        r.state.put(r.project)
        done = subprocess.run([os.environ["MIG_BIN"], *r.command], cwd=r.project.folder, text=True, capture_output=True, timeout=120,
                              env=r.project.environment(MONGOC_DISABLE_SHM=1), stdin=subprocess.DEVNULL,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
        result = Result(done)
        assert result.code == 1, result
        three_lines(result)
        assert archives(r.project) == before and picture(r.project)[0] == r.before[0]
        assert r.project.partials() == []
        count(f"{r.name}: a limit on the size of files")


@pytest.mark.parametrize("scenario", [scenarios.snapshot_create, scenarios.up_fails], ids=lambda s: s.__name__)
def test_reads_and_writes_in_pieces_change_nothing(scenario, ready, tmp_path):
    r = ready(scenario)
    result, calls = run(r, "0", tmp_path / "log", MIG_FS_SHORT=1)
    assert result.code == r.result.code, result
    assert len(calls) > 1000
    assert picture(r.project) in r.allowed
    old_snapshots_are_whole(r)


def test_a_store_that_vanishes_in_the_run_is_a_cry_for_help_and_recovery_when_it_is_back(project, tmp_path):
    p = project
    p.db.users.insert_many([{"_id": i, "n": i} for i in range(50)])
    p.write("0001_change", {"transaction": "off", "up": [
        {"update": {"collection": "users", "filter": {}, "update": {"$set": {"marked": True}}}},
        {"delete": {"collection": "users", "filter": {"n": {"$gte": 9}}}}]})
    p.mig("doctor")
    before, away = p.digest(), tmp_path / "away"

    def vanish(body):
        if p.store.exists():
            shutil.move(p.store, away)
    gone = Rule("delete", call_first(vanish), collection="users")
    with WireProxy(p.uri, [gone, Rule("update", reply_with(error(8000)), collection="migrationlogs", when=lambda body: "'done'" in str(body))]) as proxy:
        result = p.mig("up", code=None, uri=proxy.uri)
    assert result.code == 4, result
    three_lines(result, "NOT", "recover")
    assert p.mig("recover", code=None).code == 4  # still away
    shutil.rmtree(p.store, ignore_errors=True)  # an empty one may have been made
    shutil.move(away, p.store)
    p.mig("recover")
    assert p.digest() == before and p.status("0001_change") == "failed"


def test_a_snapshot_swapped_between_its_making_and_the_restore_is_not_restored(project):
    """Somebody puts another whole archive in its place: its SHA-256 is not the one in the journal."""
    p = project
    p.db.users.insert_many([{"_id": i} for i in range(5)])
    other = p.mig("snapshot", "create", "--json").lines[0]["path"]
    p.db.users.insert_many([{"_id": i} for i in range(5, 50)])
    p.write("0001_change", {"transaction": "off", "up": [{"delete": {"collection": "users", "filter": {}}}],
                            "verify": [{"count": {"collection": "users", "filter": {}, "equals": 7}}]})
    p.mig("doctor")
    kept = {}

    def swap(body):
        new = next(f for f in p.store.glob("*0001_change*.mig.tar"))
        kept[new] = new.read_bytes()
        shutil.copyfile(other, new)
    with WireProxy(p.uri, [Rule("delete", call_first(swap), collection="users")]) as proxy:
        result = p.mig("up", code=4, uri=proxy.uri)
    three_lines(result, "not the snapshot")
    assert p.db.users.count_documents({}) == 0  # nothing of the wrong one
    for path, data in kept.items():
        path.write_bytes(data)
    p.mig("recover")
    assert p.db.users.count_documents({}) == 50


def test_the_folder_of_an_exports_files_is_synced_before_it_gets_its_name(project, tmp_path):
    p = project
    p.db.users.insert_one({"_id": 1})
    kept = p.mig("snapshot", "create", "--json").lines[0]["snapshot"]
    p.mig("snapshot", "export", kept, "out", **disk(p.folder, "0:5", tmp_path / "log"))
    calls = [line.split(" ", 2)[1:] for line in (tmp_path / "log").read_text().splitlines()]
    synced = [path for call, path in calls if call == "fsync"]
    of_files = [i for i, path in enumerate(synced) if path.endswith((".bson", ".json"))]
    of_folder = [i for i, path in enumerate(synced) if path.endswith(f".partial/{p.name}")]
    assert of_files and of_folder and max(of_files) < of_folder[-1] < len(synced) - 1, calls


def test_a_compiled_module_is_on_disk_before_it_has_its_name(project, tmp_path):
    """A power cut would leave an empty file under that name, and nothing would ever compile it again."""
    p, log, cache = project, tmp_path / "log", tmp_path / "cache"
    (p.migrations / "0001_module.c").write_text(module("return true;"))

    def listed(fail, code):
        log.unlink(missing_ok=True)
        result = p.mig("list", code=code, MIG_MODULE_CACHE=cache, **disk(cache, fail, log, MIG_FS_CALL="fsync"))
        return result, [line.split(" ") for line in log.read_text().splitlines()]
    calls = listed("0:5", 0)[1]
    nth = [n for n, _, path in calls if path.endswith(".partial")]
    assert nth, calls
    shutil.rmtree(cache)
    three_lines(listed(f"{nth[0]}:{errno.EIO}", 1)[0], "cannot sync")
    assert not list(cache.glob("*.so*"))
    p.mig("list", MIG_MODULE_CACHE=cache)
