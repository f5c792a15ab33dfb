"""A run whose data cannot be put back for good: a person may settle it, by force and with a reason, and in no other way."""
import signal

import pytest

from cli_support import add_field, add_users, events, snapshots, states, three_lines

WHY = "the archive is lost, looked at the data"
DESTROYS = [{"delete": {"collection": "users", "filter": {"_id": {"$lt": 2}}}},
            {"update": {"collection": "users", "filter": {}, "update": {"$set": {"email": "gone"}}}}]
BY_HAND = ["--yes", "--force", "--why", WHY]


@pytest.fixture(params=["gone", "damaged"])
def stuck(project, request):
    """A killed run whose snapshot is gone or damaged for good; project.other: a copy of the database from before it."""
    add_users(project)
    project.before = project.digest("users")
    project.mig("snapshot", "create", "--only", "users")
    project.other = snapshots(project)[0].name.removesuffix(".mig.tar")
    project.write("0001_cut", {"transaction": "off", "up": DESTROYS})
    project.mig("up", code=-signal.SIGKILL, MIG_CRASH_AT="step_end:1")
    path = next(s for s in snapshots(project) if "0001_cut" in s.name)
    project.mine = path.name.removesuffix(".mig.tar")
    if request.param == "gone":
        project.kept = path.rename(project.folder / "kept")
    else:
        project.kept = project.folder / "kept"
        project.kept.write_bytes(path.read_bytes())
        data = bytearray(path.read_bytes())
        data[1500] ^= 1
        path.write_bytes(data)
    project.path = path
    three_lines(project.mig("recover", code=4), "--force", "mig mark", "docs/recovery.md")
    assert project.status("0001_cut") == "running"
    return project


def untouched(p):
    return p.digest(), p.ledger("0001_cut")["status"], p.ledger("0001_cut")["run"]["phase"]


def test_without_the_switch_all_stays_refused_and_the_hint_names_the_way(stuck):
    before = untouched(stuck)
    three_lines(stuck.mig("up", code=4), "--force", "mig mark")
    three_lines(stuck.mig("mark", "0001_cut", "--pending", "--why", WHY, code=7), "mig recover", "--force")
    three_lines(stuck.mig("restore", stuck.other, "--yes", code=7), "mig recover")
    stuck.mig("restore", stuck.other, "--yes", "--as", "users=u2", code=7)
    stuck.mig("restore", stuck.other, "--yes", "--force", code=2)  # no reason
    stuck.mig("restore", stuck.other, "--yes", "--why", WHY, code=2)
    stuck.mig("mark", "0001_cut", "--pending", "--force", code=2)
    assert untouched(stuck) == before


@pytest.mark.parametrize("state", ["applied", "pending"])
def test_by_force_mark_settles_it_and_the_event_log_has_the_reason(stuck, state):
    data = stuck.digest()
    stuck.mig("mark", "0001_cut", f"--{state}", "--force", "--why", WHY)
    assert stuck.digest() == data and stuck.status("0001_cut") == state
    event = events(stuck, name="0001_cut", outcome="marked")[0]
    assert event["why"] == WHY and event["forced"] is True
    stuck.write("0002_next", add_field())
    stuck.mig("up")
    assert states(stuck) == {"0001_cut": "applied", "0002_next": "applied"}


def test_by_force_another_snapshot_takes_the_place_and_the_run_stays_named_until_it_is_marked(stuck):
    """Its own archive, which would tell what it changed, cannot be read: whether all is back only a person can know."""
    result = stuck.mig("restore", stuck.other, *BY_HAND)
    assert stuck.digest("users") == stuck.before
    event = events(stuck, direction="restore", outcome="restored")[-1]
    assert event["why"] == WHY and event["forced"] is True
    if stuck.status("0001_cut") == "running":
        assert "mig mark 0001_cut" in result.err and "--force" in result.err
        stuck.mig("mark", "0001_cut", "--pending", "--force", "--why", WHY)
    stuck.mig("up")
    assert stuck.status("0001_cut") == "applied" and stuck.db.users.count_documents({"email": "gone"}) == 3


def test_by_force_its_own_snapshot_from_a_copy_settles_the_run(stuck):
    """Also without indexes: what a server may refuse to build again must not keep the documents away."""
    copy = stuck.folder / f"{stuck.mine}.mig.tar"
    copy.write_bytes(stuck.kept.read_bytes())
    stuck.mig("restore", copy, "--no-indexes", *BY_HAND)
    assert stuck.digest("users") == stuck.before and stuck.status("0001_cut") == "failed"
    assert events(stuck, name="0001_cut", direction="restore", outcome="restored")[0]["why"] == WHY
    stuck.mig("recover")
    stuck.mig("up")
    assert stuck.status("0001_cut") == "applied"


@pytest.mark.parametrize("at", ["journal_after:1", "restore_batch:1", "record_before:1", "record_after:1", "record_before:2"])
def test_killed_in_the_forced_restore_recover_finishes_it_first(stuck, at):
    copy = stuck.folder / f"{stuck.mine}.mig.tar"
    copy.write_bytes(stuck.kept.read_bytes())
    stuck.mig("restore", copy, *BY_HAND, code=-signal.SIGKILL, MIG_CRASH_AT=at)
    stuck.mig("recover")
    assert stuck.digest("users") == stuck.before and stuck.status("0001_cut") == "failed"
    assert stuck.db.migrationlocks.find_one({"_id": "mig.restore"}) is None


def test_by_force_a_part_and_a_copy_beside_leave_the_run_unfinished(stuck):
    stuck.mig("restore", stuck.other, "--as", "users=u2", *BY_HAND)
    assert stuck.digest("u2") and stuck.db.u2.count_documents({}) == 5 and stuck.status("0001_cut") == "running"
    result = stuck.mig("restore", stuck.other, "--only", "users", *BY_HAND)
    assert stuck.status("0001_cut") == "running" and "mig mark 0001_cut" in result.err
    assert stuck.digest("users") == stuck.before


def test_by_force_nothing_is_taken_from_recover_that_it_can_settle(project):
    add_users(project)
    project.mig("snapshot", "create", "--only", "users")
    other = snapshots(project)[0]
    project.write("0001_cut", {"transaction": "off", "up": DESTROYS})
    project.mig("up", code=-signal.SIGKILL, MIG_CRASH_AT="step_end:1")
    before = untouched(project)
    three_lines(project.mig("mark", "0001_cut", "--pending", "--force", "--why", WHY, code=7), "can be settled by itself", "mig recover")
    three_lines(project.mig("restore", other, *BY_HAND, code=7), "can be settled by itself", "mig recover")
    assert untouched(project) == before
    project.mig("recover")
    assert project.status("0001_cut") == "failed"
