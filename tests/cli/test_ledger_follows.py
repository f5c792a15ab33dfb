"""After a restore by hand the ledger says what is true of the data; where nobody can know, it is said and not guessed."""
import signal

import pytest

from cli_support import add_field, add_users, events, fields, one, snapshots, states, three


def own(p, name):
    """The id of the snapshot from before that migration's last run."""
    return p.ledger(name)["snapshot"]["id"]


def told(result):
    return {x["migration"]: (x["status"], x["certain"]) for x in one(result, "safetySnapshot")["ledger"]}


def test_migrations_applied_after_the_snapshot_are_reverted_with_their_data(project):
    three(project)
    project.mig("up")
    snapshot = own(project, "0002_f2")
    result = project.mig("restore", snapshot, "--yes")
    assert fields(project) == ["f1"]
    assert states(project) == {"0001_f1": "applied", "0002_f2": "reverted", "0003_f3": "reverted"}
    for name in ("0002_f2", "0003_f3"):
        assert f"{name} is no longer applied" in result.out
    said = {e["name"]: (e["outcome"], e["snapshot"]) for e in events(project, direction="restore")}
    assert said == {"0002_f2": ("restored", snapshot), "0003_f3": ("reverted", snapshot)}, "the event log names the restore"
    assert "0001_f1" not in result.out + result.err
    project.mig("up")
    assert fields(project) == ["f1", "f2", "f3"] and set(states(project).values()) == {"applied"}


def test_a_migration_of_other_collections_stays_applied_and_is_not_mentioned(project):
    three(project)
    project.db.other.insert_one({"_id": 1})
    project.write("0004_other", add_field("other", "x"))
    project.mig("up")
    result = project.mig("restore", own(project, "0003_f3"), "--yes")
    assert states(project) == {"0001_f1": "applied", "0002_f2": "applied", "0003_f3": "reverted", "0004_other": "applied"}
    assert "0004_other" not in result.out + result.err


def test_a_whole_snapshot_from_before_the_ledger_takes_back_all_that_came_after_it(project):
    add_users(project)
    project.mig("snapshot", "create")
    whole = snapshots(project)[0]
    project.write("0001_index", {"up": [{"createIndex": {"collection": "users", "key": {"email": 1}, "name": "e"}}]})
    project.write("0002_f2", add_field(field="f2"))
    project.mig("up")
    result = project.mig("restore", whole, "--yes", "--json")
    assert told(result) == {"0001_index": ("reverted", True), "0002_f2": ("reverted", True)}
    assert "e" not in project.db.users.index_information() and states(project) == {"0001_index": "reverted", "0002_f2": "reverted"}
    project.mig("up")
    assert "e" in project.db.users.index_information() and fields(project) == ["f2"]


def test_what_the_snapshot_does_not_know_stays_and_its_migration_is_named_not_guessed(project):
    add_users(project)
    project.mig("snapshot", "create")
    whole = snapshots(project)[0]
    project.write("0001_new", {"up": [{"createCollection": {"collection": "n"}},
                                      {"createIndex": {"collection": "users", "key": {"email": 1}, "name": "e"}}]})
    project.mig("up")
    result = project.mig("restore", whole, "--yes", "--json")
    assert told(result) == {"0001_new": ("applied", False)} and project.status("0001_new") == "applied"
    assert "0001_new" in result.err and "n, which it had made" in result.err and "mig mark 0001_new" in result.err
    project.db.n.drop()
    project.mig("restore", whole, "--yes")
    assert project.status("0001_new") == "reverted"
    project.mig("up")
    assert "n" in project.db.list_collection_names() and "e" in project.db.users.index_information()


def test_a_whole_snapshot_with_the_ledger_in_it_tells_what_its_ledger_says_otherwise(project):
    three(project)
    project.mig("up", "--to", "0001_f1")
    project.mig("snapshot", "create")
    whole = next(s for s in snapshots(project) if "manual" in s.name)
    project.mig("up")
    result = project.mig("restore", whole, "--yes", "--json")
    assert told(result) == {"0002_f2": ("pending", True), "0003_f3": ("pending", True)}
    assert states(project) == {"0001_f1": "applied"} and fields(project) == ["f1"]


@pytest.mark.parametrize("part", [["--only", "users"], ["--no-indexes"]], ids=["only", "no-indexes"])
def test_a_part_reverts_nothing_and_names_every_migration_that_it_may_have_undone(project, part):
    three(project)
    project.mig("up")
    result = project.mig("restore", own(project, "0002_f2"), "--yes", "--json", *part)
    assert set(states(project).values()) == {"applied"}
    assert told(result) == {"0002_f2": ("applied", False), "0003_f3": ("applied", False)}
    for name in ("0002_f2", "0003_f3"):
        assert f"mig mark {name}" in result.err and "only a part" in result.err


def test_beside_the_original_nothing_is_reverted_and_nobody_is_warned(project):
    three(project)
    project.mig("up")
    result = project.mig("restore", own(project, "0001_f1"), "--yes", "--json", "--as", "users=u2")
    assert told(result) == {} and "mig mark" not in result.err and set(states(project).values()) == {"applied"}


def test_where_its_own_snapshot_is_gone_a_migration_is_named_not_guessed(project):
    three(project)
    project.mig("up")
    (project.store / (own(project, "0003_f3") + ".mig.tar")).unlink()
    result = project.mig("restore", own(project, "0002_f2"), "--yes")
    assert states(project) == {"0001_f1": "applied", "0002_f2": "reverted", "0003_f3": "applied"}
    assert "mig mark 0003_f3" in result.err and "0003_f3" not in result.out
    project.mig("mark", "0003_f3", "--pending", "--why", "looked at it")
    project.mig("up")
    assert fields(project) == ["f1", "f2", "f3"]


def test_metadata_alone_does_not_take_back_what_changed_documents(project):
    """0001 only makes an index, so its snapshot has no documents: what 0002 wrote is still there."""
    add_users(project)
    project.write("0001_index", {"up": [{"createIndex": {"collection": "users", "key": {"email": 1}, "name": "e"}}]})
    project.write("0002_f2", add_field(field="f2"))
    project.mig("up")
    result = project.mig("restore", own(project, "0001_index"), "--yes")
    assert fields(project) == ["f2"] and states(project) == {"0001_index": "reverted", "0002_f2": "applied"}
    assert "mig mark 0002_f2" in result.err and "only the indexes and options" in result.err


def test_a_snapshot_from_before_down_makes_what_was_applied_then_applied_again(project):
    three(project)
    project.mig("up")
    project.mig("down", "--all")  # 0003, 0002, 0001
    result = project.mig("restore", own(project, "0002_f2"), "--yes")
    assert fields(project) == ["f1", "f2"]
    assert states(project) == {"0001_f1": "applied", "0002_f2": "applied", "0003_f3": "reverted"}
    assert "0002_f2 is applied again" in result.out and "0001_f1 is applied again" in result.out
    assert "no longer applied" not in result.out
    assert one(project.mig("restore", own(project, "0002_f2"), "--yes", "--json"), "safetySnapshot")["reverted"] == ""
    project.mig("up")
    assert fields(project) == ["f1", "f2", "f3"]


def test_a_restore_that_is_taken_back_by_its_safety_snapshot_is_not_left_silently(project):
    """On servers without cluster times nobody can tell the order of the two: then it is said."""
    three(project)
    project.mig("up")
    safety = one(project.mig("restore", own(project, "0001_f1"), "--yes", "--json"), "safetySnapshot")["safetySnapshot"]
    assert set(states(project).values()) == {"reverted"} and fields(project) == []
    result = project.mig("restore", safety, "--yes", "--json")
    assert fields(project) == ["f1", "f2", "f3"] and set(told(result)) == set(states(project))
    for name, (status, certain) in told(result).items():
        assert project.status(name) == status
        assert (status == "applied") if certain else f"mig mark {name}" in result.err


POINTS = ["journal_after:1", "restore_displaced:1", "restore_batch:1", "restore_done:1", "record_before:1", "record_after:1",
          "record_before:2", "record_after:2", "record_before:3"]  # two entries, then the journal


@pytest.mark.parametrize("at", POINTS)
def test_killed_between_restore_and_ledger_it_is_settled_by_recover(project, at):
    three(project)
    project.mig("up")
    snapshot = own(project, "0002_f2")
    project.mig("restore", snapshot, "--yes", code=-signal.SIGKILL, MIG_CRASH_AT=at)
    recovered = project.mig("recover")
    assert fields(project) == ["f1"] and "mig mark" not in recovered.err
    assert states(project) == {"0001_f1": "applied", "0002_f2": "reverted", "0003_f3": "reverted"}
    said = {(e["name"], e["outcome"], e["snapshot"]) for e in events(project, direction="restore")}
    assert said == {("0002_f2", "restored", snapshot), ("0003_f3", "reverted", snapshot)}
    assert project.db.migrationlocks.find_one({"_id": "mig.restore"}) is None
    project.mig("up")
    assert fields(project) == ["f1", "f2", "f3"]


def test_a_snapshot_of_an_earlier_attempt_is_not_taken_for_that_of_a_run_without_one(project):
    """0001 fails (its snapshot is kept), 0002 is applied, 0001 is applied without a snapshot: the old one is from before both."""
    add_users(project)
    first = {"transaction": "off", "up": [{"update": {"collection": "users", "filter": {}, "update": {"$set": {"a": 1}}}}]}
    project.write("0001_first", {**first, "verify": [{"count": {"collection": "users", "filter": {}, "equals": 99}}]})
    project.write("0002_second", add_field(field="f2"))
    project.mig("up", "--continue-on-error", code=3)
    old = own(project, "0001_first")
    project.write("0001_first", {**first, "snapshot": "off"})
    project.mig("up", "--no-snapshot")
    assert states(project) == {"0001_first": "applied", "0002_second": "applied"}
    assert project.ledger("0001_first")["snapshot"] is None
    assert old not in project.mig("down", "0001_first", code=None).err
    result = project.mig("restore", old, "--yes", "--json")
    assert told(result)["0002_second"] != ("applied", True) and fields(project) == []
    assert states(project)["0002_second"] == "reverted" or "0002_second" in result.err
