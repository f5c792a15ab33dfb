"""kill -9 where something special is at stake: in a transaction, again and again, in a lost archive's restore.

Every point of every command is in test_crash_matrix.py.
"""
import pathlib
import time

import pytest

from crash_support import DDL, FAILS, KILLED, STEPS, fill


def settle(p, before, after):
    """Recovers, and insists on the promise. Returns the status it ended in."""
    p.mig("recover")
    assert p.db.migrationlogs.count_documents({"status": "running"}) == 0
    assert (p.db.migrationlocks.find_one({"_id": "mig"}) or {}).get("locked") is not True
    status, now = p.status("0001_change"), p.digest()
    if status == "applied":
        assert now == after
    else:
        assert status in (None, "failed", "pending", "reverted")
        assert now == before
    p.mig("recover")  # again: nothing to do, nothing changes
    assert p.digest() == now
    return status


def crash(p, at, *command, **env):
    result = p.mig(*command, code=None, MIG_CRASH_AT=at, **env)
    return result.code == KILLED


def outcome_of(p, before_state=fill):
    """The digest that a run without a crash leads to."""
    p.mig("up")
    after = p.digest()
    p.client.drop_database(p.name)
    before_state(p)
    return after


@pytest.mark.parametrize("point", ["journal_before", "restore_begin", "restore_displaced", "restore_indexes_dropped", "restore_batch",
                                   "restore_index", "restore_done", "record_before", "record_after", "unlock_before"])
def test_killed_while_recovering_too(project, point):
    p = project
    fill(p)
    before = p.digest()
    p.write("0001_change", {"up": STEPS + DDL + FAILS})
    assert crash(p, "step_begin:7", "up")
    crash(p, point, "recover")
    crash(p, point + ":2", "recover")
    assert settle(p, before, None) == "failed"


@pytest.mark.parametrize("point", ["journal_after", "snapshot_member", "step_begin", "step_batch", "step_end", "commit_before", "commit_after",
                                   "unlock_before"])
def test_killed_around_a_transaction(txn_project, point):
    p = txn_project
    p.db.users.insert_many([{"_id": i, "n": i, "mail": f"u{i}@example.org"} for i in range(30)])
    before = p.digest()
    p.write("0001_change", {"up": STEPS})
    p.mig("up")
    after = p.digest()
    p.client.drop_database(p.name)
    p.db.users.insert_many([{"_id": i, "n": i, "mail": f"u{i}@example.org"} for i in range(30)])
    assert p.digest() == before
    assert crash(p, point, "up")
    status = settle(p, before, after)
    if point == "commit_after":
        assert status == "applied"
    if point in ("step_begin", "step_batch", "step_end", "commit_before"):
        assert status == "failed"


@pytest.mark.parametrize("command", [["recover"], ["up"], ["force-unlock", "--confirm"]], ids=lambda c: c[0])
def test_open_transaction_of_a_dead_runner_is_ended_and_not_waited_for(txn_project, command):
    """A server keeps it open for a minute or more, and writes to the same documents, the lease's too, would wait."""
    p = txn_project
    p.db.users.insert_many([{"_id": i, "n": i, "mail": f"u{i}@example.org"} for i in range(30)])
    before = p.digest()
    p.write("0001_change", {"up": STEPS})
    p.mig("doctor")
    assert crash(p, "commit_before", "up")
    began = time.monotonic()
    p.mig(*command)
    p.mig("recover")
    assert time.monotonic() - began < 20
    if command == ["up"]:
        assert p.status("0001_change") == "applied" and p.digest() != before
    else:
        assert p.status("0001_change") == "failed" and p.digest() == before


def test_another_restore_takes_the_place_of_an_interrupted_one(project):
    """The archive of the interrupted one is gone: recover cannot finish it, another snapshot can."""
    p = project
    fill(p)
    first = p.mig("snapshot", "create", "--json").lines[0]
    before = p.digest()
    second = p.mig("snapshot", "create", "--json").lines[0]["snapshot"]
    p.db.users.delete_many({"n": {"$lt": 100}})
    assert crash(p, "restore_batch", "restore", first["snapshot"], "--yes")
    pathlib.Path(first["path"]).unlink()
    p.mig("up", code=None)
    assert p.mig("recover", code=None).code in (1, 4)
    p.mig("down", code=7)
    p.mig("restore", second, "--yes")
    assert p.digest() == before
    p.mig("recover")


@pytest.mark.parametrize("point", ["snapshot_member", "snapshot_member:3", "snapshot_written", "snapshot_synced", "snapshot_published"])
def test_killed_while_taking_a_snapshot_by_hand(project, point):
    p = project
    fill(p)
    assert crash(p, point, "snapshot", "create")
    complete = list(p.store.glob("*.mig.tar"))
    assert len(complete) == (1 if point == "snapshot_published" else 0)
    for path in complete:
        p.mig("snapshot", "verify", path)
    good = p.mig("snapshot", "create", "--json").lines[0]
    p.mig("snapshot", "verify", good["snapshot"])


def test_killed_from_outside_at_any_time(project):
    p = project
    fill(p)
    p.write("0001_change", {"up": STEPS + DDL + FAILS})
    before = p.digest()
    for tenth in range(1, 9):
        run = p.start("up")
        time.sleep(tenth * 0.06)
        run.kill()
        run.communicate()
        assert settle(p, before, None) != "applied"


def test_the_next_up_recovers_by_itself(project):
    p = project
    fill(p)
    p.write("0001_change", {"up": STEPS + DDL})
    after = outcome_of(p)
    assert crash(p, "step_batch:2", "up")
    p.mig("down", code=7)
    p.mig("up", "--dry-run", code=7)
    p.mig("restore", "nothing", "--yes", code=None)
    result = p.mig("up")
    assert "interrupted" in result.err
    assert p.digest() == after and p.status("0001_change") == "applied"


def test_killed_while_going_down(project):
    p = project
    fill(p)
    p.write("0001_change", {"up": STEPS[:1], "down": [{"removeField": {"collection": "users", "field": "marked"}},
                                                     {"dropIndex": {"collection": "users", "name": "by_n"}}]})
    p.mig("up")
    applied = p.digest()
    for point in ("snapshot_member", "step_batch", "step_end:2", "record_before"):
        assert crash(p, point, "down")
        p.mig("recover")
        assert p.status("0001_change") == "applied" and p.digest() == applied
    assert crash(p, "record_after", "down")
    p.mig("recover")
    assert p.status("0001_change") == "reverted"


def test_killed_leaves_no_shared_memory_for_the_next_process_of_that_pid(project):
    p = project
    fill(p)
    p.write("0001_change", {"up": STEPS})
    run = p.start("up", MIG_CRASH_AT="step_batch:1")
    assert run.wait() == KILLED
    assert not pathlib.Path(f"/dev/shm/mongoc-{run.pid}").exists()
