"""snapshot prune: what the rules keep stays, what the ledger needs stays, the rest goes, also when it is killed."""
import os
import pathlib
import re
import shutil
import signal
import sys
import time

import pytest

from cli_support import add_field, add_users, events, fails_late, free, hold, one, picture, snapshots, three, three_lines
from conftest import HERE, RAW

sys.path.insert(0, str(HERE / "golden"))
import damage  # noqa: E402

DAYS = ["20260101T0100", "20260101T2300", "20260102T0000", "20260105T1200", "20260105T1300", "20260201T0000"]


def ids(p):
    return [path.name.removesuffix(".mig.tar") for path in snapshots(p)]


def aged(p, times=DAYS):
    """Snapshots by hand of these times: copies of one, for the time stands in the name. Returns their ids."""
    if not p.db.users.count_documents({}):
        add_users(p)
    made = one(p.mig("snapshot", "create", "--json"), "snapshot")
    names = [f"{t}00Z-manual-{i:06x}" for i, t in enumerate(times)]
    for name in names:
        shutil.copyfile(made["path"], p.store / f"{name}.mig.tar")
    os.unlink(made["path"])
    return names


def prune(p, *args, **how):
    """{id: what was done}"""
    result = p.mig("snapshot", "prune", "--json", *args, **how)
    return {line["snapshot"]: line["action"] for line in result.lines if "action" in line}


def test_rules_keep_what_they_name_and_the_rest_is_removed(project):
    names = aged(project)
    done = prune(project, "--keep-last", 1, "--keep-daily", 3)
    kept = [names[2], names[4], names[5]]
    assert ids(project) == kept
    assert {n for n, action in done.items() if action == "keep"} == set(kept)
    assert {n for n, action in done.items() if action == "removed"} == set(names) - set(kept)
    assert free(project)
    assert "0 of 3 snapshots removed" in project.mig("snapshot", "prune", "--keep-daily", 3).out
    prune(project, "--keep-within", "30d")
    assert ids(project) == [names[4], names[5]]


def test_a_dry_run_says_the_same_and_removes_nothing(project):
    names = aged(project)
    before = picture(project)
    done = prune(project, "--keep-monthly", 2, "--dry-run")
    assert {n for n, action in done.items() if action == "remove"} == set(names) - {names[4], names[5]}
    assert ids(project) == names and picture(project) == before
    prune(project, "--keep-monthly", 2)
    assert ids(project) == [names[4], names[5]]


@pytest.mark.parametrize("args", [
    [], ["--force"], ["--dry-run"], ["--keep-last", "0"], ["--keep-last", "x"], ["--keep-within", "1w"], ["--keep-within", "0d"],
    ["--keep-last", "1", "NAME"], ["--keep-last", "1", "--force"], ["no-such-snapshot"], ["/etc/passwd"]])
def test_what_does_not_say_what_to_keep_removes_nothing(project, args):
    names = aged(project)
    result = project.mig("snapshot", "prune", *[names[0] if a == "NAME" else a for a in args], code=None)
    assert result.code in (1, 2) and (result.code == 2 or args == ["no-such-snapshot"]), result
    three_lines(result)
    assert ids(project) == names


def test_what_the_ledger_needs_stays_until_it_is_named_with_force(project):
    three(project)
    project.mig("up")
    needed = ids(project)
    assert len(needed) == 3
    names = aged(project)
    prune(project, "--keep-last", 1)
    assert ids(project) == [names[-1], *needed]  # what is needed takes no place of a rule
    three_lines(project.mig("snapshot", "prune", names[-1], needed[1], code=1), needed[1], "0002_f2", "--force")
    assert ids(project) == [names[-1], *needed]  # refused before anything was removed
    project.mig("down")  # 0003 is reverted: its snapshots are needed no more
    prune(project, "--keep-within", "1h")
    assert needed[2] in ids(project)
    prune(project, needed[2])
    assert needed[2] not in ids(project)
    assert prune(project, needed[1], "--force")[needed[1]] == "removed"
    assert needed[1] not in ids(project) and needed[0] in ids(project)


def test_the_snapshot_before_up_stays_when_a_later_down_failed(project):
    add_users(project)
    good = add_field(field="f1")
    project.write("0001_x", {**good, "down": fails_late()["up"]})
    project.mig("up")
    before_up = ids(project)
    project.mig("down", code=None)
    assert project.status("0001_x") == "applied"
    project.mig("snapshot", "create")
    prune(project, "--keep-last", 1)
    assert before_up[0] in ids(project)


def test_an_unfinished_run_keeps_everything_but_what_is_forced(project):
    names = aged(project)
    project.write("0001_x", add_field(field="f1", transaction="off"))
    project.mig("up", code=-signal.SIGKILL, MIG_CRASH_AT="step_end:1")
    mine = [n for n in ids(project) if n not in names]
    assert len(mine) == 1
    for args in (["--keep-last", "1"], ["--keep-last", "1", "--dry-run"], [names[0]], [mine[0]]):
        three_lines(project.mig("snapshot", "prune", *args, code=7), "mig recover")
    prune(project, names[0], "--force")
    assert ids(project) == sorted(names[1:] + mine)
    project.mig("recover")
    assert "f1" not in project.db.users.find_one()


def test_what_an_interrupted_restore_goes_on_with_stays_even_by_force(project):
    project.db.users.insert_many([{"_id": i, "n": 0} for i in range(3000)])
    made = one(project.mig("snapshot", "create", "--json"), "snapshot")["snapshot"]
    project.db.users.update_many({}, {"$set": {"n": 1}})
    project.mig("restore", made, "--yes", code=-signal.SIGKILL, MIG_CRASH_AT="restore_batch:1")
    three_lines(project.mig("snapshot", "prune", made, "--force", code=1), made, "interrupted restore", "mig recover")
    project.mig("recover")
    assert project.db.users.count_documents({"n": 0}) == 3000
    prune(project, made, "--force")
    assert made not in ids(project)


FAULTCLOCK = pathlib.Path(os.environ.get("MIG_BIN", "x")).parent / "tests" / "libmig_faultclock.so"


def test_a_snapshot_whose_time_cannot_be_right_stays_and_takes_no_place_of_a_rule(project):
    """It would be the newest for ever: --keep-last 1 kept it and removed all the others."""
    names = aged(project)
    future = "20990101T000000Z-manual-ffffff"
    shutil.copyfile(project.store / f"{names[0]}.mig.tar", project.store / f"{future}.mig.tar")
    if not FAULTCLOCK.exists():
        pytest.skip(f"{FAULTCLOCK} is not there (scripts/test builds it)")
    clock = {"LD_PRELOAD": FAULTCLOCK, "ASAN_OPTIONS": "verify_asan_link_order=0"}
    ahead = one(project.mig("snapshot", "create", "--json", **clock, MIG_CLOCK_OFFSET_S=3 * 86400), "snapshot")["snapshot"]
    behind = one(project.mig("snapshot", "create", "--json", **clock, MIG_CLOCK_OFFSET_S=-3 * 86400), "snapshot")["snapshot"]
    later = time.strftime("%Y%m%dT%H%M%SZ-manual-eeeeee", time.gmtime())  # than it was taken
    os.rename(project.store / f"{behind}.mig.tar", project.store / f"{later}.mig.tar")
    assert project.mig("snapshot", "prune", "--keep-within", "1d", "--dry-run").out.count("check the clock") == 3
    prune(project, "--keep-last", 1)
    assert ids(project) == sorted([names[-1], later, ahead, future])


def test_what_is_of_others_or_cannot_be_read_stays(project, tmp_path):
    names = aged(project)
    (project.store / f"{names[0]}.mig.tar").write_bytes(b"damaged")
    (project.store / "20250101T000000Z-manual-abcdef.mig.tar.partial").write_bytes(b"")
    (project.store / "notes.txt").write_text("mine")
    other = type(project)(project.uri, tmp_path / "other")
    try:
        add_users(other)
        theirs = one(other.mig("snapshot", "create", "--json", "--store", project.store), "snapshot")["snapshot"]
        project.write("0001_f1", add_field(field="f1"))
        project.mig("up")
        stranger = [n for n in ids(project) if "0001_f1" in n]
        project.db.migrationlogs.delete_many({})  # now the ledger knows nothing of 0001_f1
        result = project.mig("snapshot", "prune", "--keep-last", 1)
        assert ids(project) == sorted([names[0], names[5], theirs, *stranger])
        assert "cannot be read" in result.out and "of another database" in result.out and "does not know" in result.out
        for name in (names[0], theirs, *stranger):
            project.mig("snapshot", "prune", name, code=1)
        prune(project, names[0], theirs, "--force")
        assert ids(project) == sorted([names[5], *stranger])
        assert (project.store / "notes.txt").exists()
    finally:
        other.close()


def moved_away(p):
    """The database as another server would have it: p is empty then, and put_back() brings it again."""
    raw = p.client.get_database(p.name, codec_options=RAW)
    kept = {name: list(raw[name].find()) for name in p.db.list_collection_names() if not name.startswith("system.")}
    p.client.drop_database(p.name)
    return kept


def put_back(p, kept):
    raw = p.client.get_database(p.name, codec_options=RAW)
    p.client.drop_database(p.name)
    for name, documents in kept.items():
        if documents:
            raw[name].insert_many(documents)


REMOVES = {"transaction": "off", "up": [{"removeField": {"collection": "users", "field": "email"}}]}


def test_the_snapshot_of_an_unfinished_run_of_another_server_stays(project):
    """Staging and production share a store and have a database of the same name: a prune there took the field for good."""
    add_users(project)
    project.write("0001_x", REMOVES)
    before = project.digest()
    project.mig("up", code=-signal.SIGKILL, MIG_CRASH_AT="step_end:1")
    assert len(ids(project)) == 1 and "email" not in project.db.users.find_one()
    theirs, a = ids(project)[0], moved_away(project)
    add_users(project)  # the other server, with the same migrations
    project.mig("up")
    project.mig("snapshot", "create")
    project.mig("snapshot", "create")
    ours = ids(project)
    result = project.mig("snapshot", "prune", "--keep-last", 1)
    assert set(ours) - set(ids(project)) == {ours[2]} and theirs in ids(project)  # it is judged, all the same
    assert "no run of this ledger took it; before 0001_x" in result.out
    three_lines(project.mig("snapshot", "prune", theirs, code=1), theirs, "0001_x", "--force")
    put_back(project, a)
    project.mig("recover")
    assert project.digest() == before and project.db.users.count_documents({"email": {"$exists": True}}) == 5


def test_a_newer_snapshot_of_another_server_does_not_stand_for_ours(project):
    """Of an applied migration the newest one from before up stays: ours, not anybody's of that name."""
    add_users(project)
    project.write("0001_x", {**REMOVES, "down": [{"addField": {"collection": "users", "field": "email", "value": ""}}]})
    project.mig("up")
    ours, a = ids(project)[0], moved_away(project)
    add_users(project)
    project.mig("up")
    put_back(project, a)
    project.db.migrationlogs.update_one({"name": "0001_x"}, {"$unset": {"snapshot": 1, "run.snapshot": 1}})
    project.mig("snapshot", "create")
    done = prune(project, "--keep-last", 1)
    assert done == {name: "keep" for name in ids(project)} and ours in done and len(done) == 3


def test_a_restore_of_another_servers_snapshot_does_not_make_it_ours(project):
    """The ledger follows that restore: its events name the migrations that it took back, and the snapshot of the other server."""
    add_users(project)
    project.write("0001_x", REMOVES)
    project.mig("up")
    theirs, a = ids(project)[0], moved_away(project)  # production
    add_users(project)
    project.mig("up")
    project.write("0002_y", {"transaction": "off", "up": [{"removeField": {"collection": "users", "field": "name"}}]})
    project.mig("up")
    path = next(str(f) for f in project.store.glob("*.mig.tar") if theirs in f.name)
    project.mig("restore", path, "--yes")
    if not [e for e in events(project, direction="restore") if e["name"] == "0002_y" and e["snapshot"] == theirs]:
        pytest.skip("the ledger does not follow here: this server is no replica set, and nothing tells whose snapshot that is")
    project.mig("snapshot", "create")
    project.mig("snapshot", "create")
    project.mig("snapshot", "prune", "--keep-last", 1)
    assert theirs in ids(project)
    put_back(project, a)


def test_what_was_taken_on_another_replica_set_stays(project):
    """By hand, for safety or displaced: no ledger names these, but the manifest says on which set they were taken."""
    add_users(project)
    made = one(project.mig("snapshot", "create", "--json"), "snapshot")
    text = damage.members(pathlib.Path(made["path"]).read_bytes())
    ours = re.search(r'"topology":"replica set ([^"]*)"', text[-1][2].decode())
    if not ours:
        pytest.skip("this server is no replica set: its snapshots name none")
    project.mig("snapshot", "create")
    changed = text[-1][2].decode().replace(ours[0], '"topology":"replica set production"').encode()
    pathlib.Path(made["path"]).write_bytes(damage.reseal(damage.replace(text, -1, changed)))
    project.mig("snapshot", "verify", made["snapshot"])
    project.mig("snapshot", "create")
    names = ids(project)
    assert "of another replica set: production" in project.mig("snapshot", "prune", "--keep-last", 1).out
    assert made["snapshot"] in ids(project) and len(names) == 3 and len(ids(project)) == 2
    three_lines(project.mig("snapshot", "prune", made["snapshot"], code=1), "production", "--force")
    prune(project, made["snapshot"], "--force")
    assert made["snapshot"] not in ids(project)


def test_what_earlier_runs_here_took_is_judged_by_the_rules(project):
    """Killed and recovered, refused and put back, applied and reverted: all of these stand in an event of this database."""
    add_users(project)
    project.write("0001_x", {**REMOVES, "down": [{"addField": {"collection": "users", "field": "email", "value": ""}}]})
    project.mig("up", code=-signal.SIGKILL, MIG_CRASH_AT="step_end:1")
    project.mig("recover")
    project.write("0001_x", fails_late(transaction="off"))
    project.mig("up", code=None)
    project.write("0001_x", add_field(field="f1"))
    project.mig("up")
    project.mig("down")
    migrations = [name for name in ids(project) if "0001_x" in name]
    assert len(migrations) == 4
    aged(project, ["20260101T0100"])
    prune(project, "--keep-last", 1)
    assert len([name for name in ids(project) if "0001_x" in name]) == 1


def test_displaced_archives_are_judged_apart_from_snapshots(project):
    add_users(project)
    made = one(project.mig("snapshot", "create", "--json"), "snapshot")["snapshot"]
    project.db.users.update_many({}, {"$set": {"name": "other"}})
    displaced = one(project.mig("restore", made, "--yes", "--json"), "displaced")["displaced"]
    assert os.path.exists(displaced)
    prune(project, "--keep-last", 1)
    assert len(ids(project)) == 2 and os.path.exists(displaced)  # the newest snapshot and the newest displaced archive


def test_a_killed_prune_leaves_what_is_to_be_kept_and_can_be_run_again(project):
    names = aged(project)
    project.mig("snapshot", "prune", "--keep-last", 2, code=-signal.SIGKILL, MIG_CRASH_AT="prune_removed:2")
    assert ids(project) == names[2:]
    assert prune(project, "--keep-last", 2) == {names[2]: "removed", names[3]: "removed", names[4]: "keep", names[5]: "keep"}
    assert ids(project) == names[4:] and free(project)
    for name in ids(project):
        project.mig("snapshot", "verify", name)


def test_two_prunes_at_once_remove_each_snapshot_once(project):
    names = aged(project, [f"202601{day:02d}T0000" for day in range(1, 29)])
    project.mig("snapshot", "prune", "--keep-last", 28)  # the ledger's collections are made
    running = [project.start("snapshot", "prune", "--keep-last", "3", "--json") for _ in range(3)]
    ends = [(process.communicate(timeout=120)[0], process.returncode) for process in running]
    assert all(code in (0, 5) for _, code in ends) and any(code == 0 for _, code in ends), ends
    assert ids(project) == names[-3:]
    removed = [line.split('"snapshot" : "')[1].split('"')[0] for out, _ in ends for line in out.splitlines()
               if '"action" : "removed"' in line]
    assert sorted(removed) == names[:-3]


def test_prune_is_refused_while_another_holds_the_lease(project):
    names = aged(project)
    hold(project)
    project.mig("snapshot", "prune", "--keep-last", 1, code=5)
    assert ids(project) == names
