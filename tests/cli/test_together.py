"""Runners against each other, signals in the middle. The proxy says when: no test waits for the right moment."""
import datetime
import os
import signal
import time

import pytest

from cli_support import add_field, add_users, events, free, hold, ours_aside, picture, snapshots, three, three_lines
from wireproxy import Rule, WireProxy, call_first

STEPS = {"transaction": "off",
         "up": [{"addField": {"collection": "users", "field": f"f{n}", "value": n}} for n in range(3)]}


@pytest.fixture
def ready(project):
    add_users(project, 20)
    project.write("0001_steps", STEPS)
    project.before = project.digest()
    return project


def finish(process, timeout=120):
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


def at(p, command, act, nth=1, collection="users", args=("up",)):
    """Runs mig; at its nth `command` on the collection act(process) happens first. (code, out, err)"""
    started = []

    def now(_):
        while not started:
            time.sleep(0.01)
        act(started[0])
    with WireProxy(p.uri, [Rule(command, call_first(now), collection=collection, nth=nth)]) as proxy:
        started.append(p.start(*args, uri=proxy.uri))
        return finish(started[0])


# ---- two runners -------------------------------------------------------------------------------------------------------

def test_second_runner_stops_with_5_and_the_first_goes_on(ready):
    second = []
    code, out, err = at(ready, "update", lambda first: second.append((first, ready.mig("up", "--by", "second", code=5))))
    assert code == 0, (out, err)
    first, result = second[0]
    error = three_lines(result, f"process {first.pid}", "held since 20", "force-unlock")
    assert os.uname().nodename in error[1]
    assert ready.status("0001_steps") == "applied" and len(events(ready)) == 1 and free(ready)


@pytest.mark.parametrize("command", [["up"], ["recover"], ["restore"], ["doctor"]])
def test_what_needs_the_lease_says_who_holds_it_since_when(ready, command):
    ready.mig("snapshot", "create")
    before = ready.digest()
    hold(ready)
    args = [*command, snapshots(ready)[0], "--yes"] if command == ["restore"] else command
    three_lines(ready.mig(*args, code=5), "far.example", "4711", "2026-11-21T07:15:00", "mig force-unlock --confirm")
    assert ready.digest() == before and ready.status("0001_steps") is None


@pytest.mark.parametrize("command", [["plan"], ["status"], ["history"], ["list"], ["snapshot", "create"], ["lock-status"]])
def test_what_only_looks_needs_no_lease(ready, command):
    hold(ready)
    ready.mig(*command)


def test_lock_status_tells_who_and_until_when(ready):
    assert ready.mig("lock-status").out == "free\n"
    hold(ready)
    out = ready.mig("lock-status").out
    assert "far.example" in out and "4711" in out and "2026-11-21 07:15:00" in out
    line = ready.mig("lock-status", "--json").lines[0]
    assert line["locked"] and not line["expired"] and (line["host"], line["pid"]) == ("far.example", 4711)


def test_lease_that_ran_out_is_taken_over(ready):
    hold(ready, expiresAt=datetime.datetime(2026, 11, 21, 7, 45))
    assert "run out" in ready.mig("lock-status").out
    ready.mig("up")
    assert ready.status("0001_steps") == "applied" and free(ready)
    assert ready.db.migrationlocks.find_one({"_id": "mig"})["fence"] > 1


def test_force_unlock_asks_for_confirm_and_then_frees(ready):
    hold(ready)
    before = picture(ready)
    three_lines(ready.mig("force-unlock", code=2), "--confirm")
    assert picture(ready) == before
    assert "far.example" in ready.mig("force-unlock", "--confirm").out
    assert ready.mig("lock-status").out == "free\n"
    ready.mig("up")


def taken_meanwhile(p, command, nth=1):
    """A rule: just before that look or write at the lease another runner takes it."""
    def its_lease(body):
        return (body.get("filter") or body.get("query") or {}).get("_id") in ("mig", "mig.fence")
    return Rule(command, call_first(lambda _: hold(p, lockedBy="99999999-2222-4333-8444-555555555555", host="new.example", fence=77)),
                collection="migrationlocks", nth=nth, when=its_lease)


@pytest.mark.parametrize("command, nth", [("find", 2), ("findAndModify", 1)])
def test_force_unlock_takes_no_lease_but_the_one_that_it_saw(ready, command, nth):
    hold(ready)
    with WireProxy(ready.uri, [taken_meanwhile(ready, command, nth)]) as proxy:
        three_lines(ready.mig("force-unlock", "--confirm", uri=proxy.uri, code=5), "meanwhile", "mig lock-status")
    lease = ready.db.migrationlocks.find_one({"_id": "mig"})
    assert lease["locked"] and lease["host"] == "new.example" and lease["fence"] == 77
    assert "new.example" in ready.mig("force-unlock", "--confirm").out and free(ready)


@pytest.mark.parametrize("broken", [{"lockedBy": None}, {"lockedBy": 5}, {"lockedBy": ["a", "b"]}, {"lockedBy": []}, {"lockedBy": {"a": 1}},
                                    {"lockedBy": "x" * 60}, {"lockedBy": ""}, {"fence": None}, {"fence": "seven"}, {"fence": 1.5}, {"fence": [1]},
                                    {"expiresAt": None, "lockedAt": "x", "pid": {}}, "lockedBy", "fence", "all"], ids=str)
def test_force_unlock_frees_a_lease_whose_fields_are_broken_or_missing(ready, broken):
    hold(ready, **(broken if isinstance(broken, dict) else {}))
    if broken == "all":
        ready.db.migrationlocks.replace_one({"_id": "mig"}, {"locked": True})
    elif isinstance(broken, str):
        ready.db.migrationlocks.update_one({"_id": "mig"}, {"$unset": {broken: 1}})
    ready.mig("force-unlock", "--confirm")
    assert free(ready) and ready.mig("lock-status").out == "free\n"
    ready.mig("up")


def test_runner_whose_lease_is_taken_away_stops_and_recover_undoes_it(ready):
    code, out, err = at(ready, "update", lambda _: ready.mig("force-unlock", "--confirm"), nth=2)
    assert code == 5 and "lease" in err, (out, err)
    assert "f2" not in ready.db.users.find_one(), "nothing is written after the lease was lost"
    assert ready.status("0001_steps") == "running" and "mig recover" in ready.mig("status").out
    three_lines(ready.mig("down", code=7), "0001_steps", "mig recover")
    three_lines(ready.mig("plan", code=7), "mig recover")
    ready.mig("recover")
    assert ready.digest() == ready.before and ready.status("0001_steps") == "failed"
    ready.mig("up")
    assert ready.status("0001_steps") == "applied"


# ---- signals -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_signal_during_the_steps_ends_with_130_and_all_as_before(ready, sig, nth):
    code, out, err = at(ready, "update", lambda process: process.send_signal(sig), nth=nth)
    assert ready.digest() == ready.before, (out, err)
    assert code == 130 and "stopping" in err and ready.status("0001_steps") == "failed" and free(ready)
    ready.mig("up")
    assert ready.status("0001_steps") == "applied"


def test_signal_during_the_snapshot_ends_with_130_and_leaves_no_half_one(ready):
    code, out, err = at(ready, "find", lambda process: process.send_signal(signal.SIGINT), nth=1)
    assert code == 130, (out, err)
    assert ready.digest() == ready.before and free(ready) and ready.partials() == []
    ready.mig("up")


def test_signal_in_a_transaction_ends_with_130_and_all_as_before(txn_project):
    p = txn_project
    add_users(p, 20)
    p.write("0001_steps", {**STEPS, "transaction": "required"})
    before = p.digest()
    p.mig("doctor")
    code, out, err = at(p, "update", lambda process: process.send_signal(signal.SIGINT), nth=2)
    assert code == 130, (out, err)
    assert p.digest() == before and free(p) and p.status("0001_steps") == "failed"


def test_second_signal_stops_at_once_and_the_next_up_settles_it(ready):
    def twice(process):
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
    code, out, err = at(ready, "update", twice, nth=2)
    assert code == 7 and "mig recover" in err, (out, err)
    assert ready.status("0001_steps") == "running"
    result = ready.mig("up", "--json")  # the holder is dead: its lease is taken over, its run undone, then all is run
    assert [line["outcome"] for line in result.lines if "outcome" in line] == ["restored", "applied"]
    assert ready.status("0001_steps") == "applied" and free(ready)


@pytest.mark.parametrize("strategy", ["delta", "swap"])
@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_signal_in_a_restore_stops_it_with_7_and_recover_finishes_it(ready, sig, strategy):
    ready.mig("snapshot", "create", "--only", "users")
    ready.db.users.update_many({}, {"$set": {"name": "x"}})
    ready.mig("doctor")  # what the server can do is tried now, not then
    command, collection = ("update", "users") if strategy == "delta" else ("renameCollection", None)
    code, out, err = at(ready, command, lambda process: process.send_signal(sig), collection=collection,
                        args=("restore", snapshots(ready)[0], "--yes", "--strategy", strategy))
    assert code == 7 and "stopping" in err and "`mig recover` finishes it" in err, (out, err)
    assert free(ready) and ready.db.migrationlocks.find_one({"_id": "mig.restore"})
    ready.mig("up", "--dry-run", code=7)
    ready.mig("recover")
    assert ready.digest() == ready.before
    assert ready.mig("recover").out == "nothing to recover\n" and ours_aside(ready) == ["users"]


def test_interrupted_restore_can_be_taken_back_by_its_safety_snapshot(ready):
    ready.mig("snapshot", "create", "--only", "users")
    ready.db.users.update_many({}, {"$set": {"name": "x"}})
    damaged = ready.digest()
    code, out, err = at(ready, "update", lambda process: process.send_signal(signal.SIGINT),
                        args=("restore", snapshots(ready)[0], "--yes", "--strategy", "delta"))
    assert code == 7, (out, err)
    safety = next(word for word in err.split() if "-safety-" in word)
    ready.mig("restore", safety, "--yes")
    assert ready.digest() == damaged
    assert ready.mig("recover").out == "nothing to recover\n"


@pytest.mark.parametrize("nth", [1, 2], ids=["safety snapshot", "first comparison"])
def test_signal_before_a_restore_wrote_anything_ends_with_130_and_changes_nothing(ready, nth):
    ready.mig("doctor")
    ready.mig("snapshot", "create", "--only", "users")
    ready.db.users.update_many({}, {"$set": {"name": "x"}})
    damaged = ready.digest()
    code, out, err = at(ready, "find", lambda process: process.send_signal(signal.SIGINT), nth=nth,
                        args=("restore", snapshots(ready)[0], "--yes"))
    assert code == 130 and "nothing was changed" in err, (out, err)
    assert ready.digest() == damaged and free(ready) and ready.partials() == []
    assert ready.mig("recover").out == "nothing to recover\n"


def test_restore_that_took_the_place_of_an_interrupted_one_stays_unfinished_though_it_wrote_nothing(ready):
    ready.mig("doctor")
    ready.mig("snapshot", "create", "--only", "users")
    ready.db.users.update_many({}, {"$set": {"name": "x"}})
    ready.db.users.delete_one({"_id": 3})  # put back after the others
    args = ("restore", snapshots(ready)[0], "--yes", "--no-safety-snapshot")
    code, _, _ = at(ready, "update", lambda process: process.send_signal(signal.SIGINT), args=(*args, "--strategy", "delta"))
    assert code == 7
    code, out, err = at(ready, "find", lambda process: process.send_signal(signal.SIGINT), args=args)
    assert code == 7 and "mig recover" in err, (out, err)
    ready.mig("recover")
    assert ready.digest() == ready.before and ready.mig("recover").out == "nothing to recover\n"


def test_second_signal_in_a_restore_stops_at_once_and_recover_finishes_it(ready):
    ready.mig("snapshot", "create", "--only", "users")
    ready.db.users.update_many({}, {"$set": {"name": "x"}})

    def twice(process):
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
    code, out, err = at(ready, "update", twice, args=("restore", snapshots(ready)[0], "--yes", "--strategy", "delta"))
    assert code == 7 and "mig recover" in err, (out, err)
    ready.mig("recover")
    assert ready.digest() == ready.before and free(ready)


def test_next_migration_is_not_begun_after_a_signal(ready):
    for n in (2, 3):
        ready.write(f"000{n}_more", add_field(field=f"g{n}", transaction="off"))
    code, _, _ = at(ready, "update", lambda process: process.send_signal(signal.SIGTERM), nth=4)
    assert code == 130
    assert [ready.status(f"000{n}_{w}") for n, w in ((1, "steps"), (2, "more"), (3, "more"))] == ["applied", "failed", None]


def test_three_at_once_apply_each_migration_once(project):
    three(project)
    runners = [project.start("up") for _ in range(3)]
    codes = sorted(finish(r)[0] for r in runners)
    assert codes[0] == 0 and set(codes) <= {0, 5}
    assert sorted(e["name"] for e in events(project)) == ["0001_f1", "0002_f2", "0003_f3"]
    assert {e["outcome"] for e in events(project)} == {"applied"} and free(project)


def test_run_without_a_snapshot_that_was_killed_waits_for_a_person_to_say_how_it_is(project):
    """Nothing can be restored by itself: recover says so, and `mark` is the way out, with who and why."""
    add_users(project, 10)
    project.write("0001_bare", {"snapshot": "off", "transaction": "off", "up": [
        {"addField": {"collection": "users", "field": "a", "value": 1}}, {"addField": {"collection": "users", "field": "b", "value": 1}}]})
    project.mig("up", "--no-snapshot", code=None, MIG_CRASH_AT="step_end")
    assert project.status("0001_bare") == "running"
    three_lines(project.mig("recover", code=4), "without a snapshot", "mig mark")
    three_lines(project.mig("mark", "0001_bare", code=2), "--applied")
    three_lines(project.mig("mark", "0001_bare", "--pending", code=2), "--why")
    project.mig("mark", "0001_bare", "--pending", "--why", "looked: only a was set, removed by hand", "--by", "ann")
    entry = project.ledger("0001_bare")
    assert entry["status"] == "pending" and "ann" in entry["error"] and "removed by hand" in entry["error"]
    assert "marked" in project.mig("history").out
    project.mig("recover")
    project.mig("up", "--no-snapshot")
    assert project.db.users.count_documents({"a": 1, "b": 1}) == 10


def test_mark_leaves_what_recover_can_settle_and_refuses_unknown_names(project):
    add_users(project, 10)
    project.write("0001_f", add_field(transaction="off"))
    project.mig("up", code=None, MIG_CRASH_AT="step_end")
    three_lines(project.mig("mark", "0001_f", "--applied", "--why", "x", code=7), "mig recover")
    project.mig("recover")
    project.mig("mark", "0001_f", "--applied", "--why", "done by the old tool")
    assert project.mig("up").out == "nothing to do\n"
    project.mig("mark", "0009_nope", "--applied", "--why", "x", code=2)
