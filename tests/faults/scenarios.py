"""The writing commands that the crash, torture, disk and network tests run again and again, and the judge of each.

A scenario is a function that makes a project ready and returns the command. Ready holds the state before it, the points
it passes, and the pictures it may leave behind once `mig recover` has run.
"""
import os
import time

from cli_support import with_validator
from conftest import Project
from crash_support import (DDL, FAILS, JUDGE, KILLED, STEPS, State, archives, archives_are_whole, fill, has_command, nothing_is_left_over,
                           picture, trace)
from wireproxy import WireProxy, without_progress

ONE_UP = {"up": STEPS[:1], "down": [{"removeField": {"collection": "users", "field": "marked"}},
                                    {"dropIndex": {"collection": "users", "name": "by_n"}}]}
VALIDATOR = [{"command": {"command": {"collMod": "plain", "validator": {"_id": {"$gte": 0}}}, "collections": ["plain"]}}]


def fails_late(p):
    p.write("0001_change", {"up": STEPS + DDL + VALIDATOR + FAILS})


def up(p):
    p.write("0001_change", {"up": STEPS + DDL})
    return ["up"]


def up_fails(p):
    p.mig("doctor")
    fails_late(p)
    return ["up"]


def up_in_a_transaction(p):
    for _ in range(4):  # a busy second server does not always show at once what it can
        p.mig("doctor")
        if p.db.migrationlocks.find_one({"_id": "mig.capabilities", "has.transactions": {"$in": [True, "yes"]}}):
            break
        p.db.migrationlocks.delete_one({"_id": "mig.capabilities"})
        time.sleep(2)
    p.write("0001_change", {"up": STEPS})
    return ["up"]


def up_of_two_the_second_fails(p):
    p.mig("doctor")
    p.write("0001_change", {"up": STEPS[:1] + DDL[:1]})
    p.write("0002_change", {"up": STEPS[1:] + DDL[1:3] + FAILS})
    return ["up"]


def down(p):
    p.write("0001_change", ONE_UP)
    p.mig("up")
    return ["down"]


def down_fails(p):
    p.write("0001_change", {"up": STEPS[:1], "down": STEPS[1:] + DDL + FAILS})
    p.mig("up")
    return ["down"]


def snapshot_create(p):
    p.mig("snapshot", "create")
    return ["snapshot", "create"]


def damaged_since_a_snapshot(p):
    with_validator(p, "checked", {"n": {"$gte": 0}})
    p.db.checked.insert_one({"_id": 1, "n": 1})
    snapshot = p.mig("snapshot", "create", "--json").lines[0]["snapshot"]
    p.db.users.delete_many({"n": {"$lt": 100}})
    p.db.users.update_many({"n": {"$gte": 200}}, {"$set": {"x": 1}})
    p.db.users.drop_index("by_n")
    p.db.old.drop()
    p.db.plain.insert_one({"_id": "extra"})
    p.db.command("collMod", "checked", validator={}, validationLevel="off")
    return snapshot


def restore_by_delta(p):
    return ["restore", damaged_since_a_snapshot(p), "--yes"]


def restore_by_swap(p):
    return ["restore", damaged_since_a_snapshot(p), "--yes", "--strategy", "swap"]


def recover_a_run(p):
    fails_late(p)
    assert p.mig("up", code=None, MIG_CRASH_AT="step_begin:8").code == KILLED
    return ["recover"]


def recover_a_run_that_was_restoring(p):
    fails_late(p)
    assert p.mig("up", code=None, MIG_CRASH_AT="restore_dropped").code == KILLED
    return ["recover"]


def recover_a_restore_by_hand(p):
    snapshot = damaged_since_a_snapshot(p)
    assert p.mig("restore", snapshot, "--yes", code=None, MIG_CRASH_AT="restore_batch").code == KILLED
    return ["recover"]


def snapshot_prune(p):
    for _ in range(3):
        p.mig("snapshot", "create")
    return ["snapshot", "prune", "--keep-last", "1"]


SCENARIOS = [up, up_fails, up_in_a_transaction, up_of_two_the_second_fails, down, down_fails, snapshot_create, restore_by_delta,
             restore_by_swap, recover_a_run, recover_a_run_that_was_restoring, recover_a_restore_by_hand]
if "MIG_BIN" in os.environ and has_command("snapshot", "prune"):
    SCENARIOS.append(snapshot_prune)
IDS = [s.__name__ for s in SCENARIOS]


class Ready:
    """A scenario with its state, its trace and what it may end in."""

    def __init__(self, scenario, uri, folder):
        self.name = scenario.__name__
        self.project = p = Project(uri, folder)
        # thousands of recoveries after runners whose last request has surely arrived: they need not give it 2.5 s
        p.env["MIG_TEST_LATE_MS"] = "0"
        p.migrations.mkdir(exist_ok=True)
        fill(p)
        self.command = scenario(p)
        self.state = State(p, folder / "aside")
        self.before = picture(p)
        self.points, self.result = trace(p, self.command, folder / "trace")
        for _ in range(5):  # the second server commits nothing while anything else is written: the progress, once a second
            if scenario is not up_in_a_transaction or "commit_after" in self.points:
                break
            self.state.put(p)
            with WireProxy(p.uri, [without_progress()]) as proxy:
                self.points, self.result = trace(p, self.command, folder / "trace", uri=proxy.uri)
        began = time.monotonic()
        self.state.put(p)
        p.mig(*self.command, code=None)
        self.seconds = time.monotonic() - began
        nothing_is_left_over(p)
        self.allowed = [picture(p)]
        if self.command != ["recover"]:
            self.allowed.append(self.before)
        if scenario is up_of_two_the_second_fails:
            assert self.result.code == 3 and p.status("0001_change") == "applied"
        self.removes = scenario.__name__ == "snapshot_prune"

    def judge(self, killed_at):
        """After a kill: recover, twice; and the promise."""
        p = self.project
        p.mig("recover", program=JUDGE)
        now = picture(p)
        assert now in self.allowed, f"{self.name} killed at {killed_at}: neither before nor after"
        nothing_is_left_over(p)
        old = {f.name: f.read_bytes() for f in self.state.store.glob("*.mig.tar")}
        if self.removes:
            old = {name: content for name, content in old.items() if name in archives(p)}
            assert old
        archives_are_whole(p, old)
        p.mig("recover", program=JUDGE)
        assert picture(p) == now
        return now

    def kill_at(self, position):
        """True when it did die there (and not of anything else)."""
        p = self.project
        self.state.put(p)
        done = p.mig(*self.command, code=None, MIG_CRASH_AT=f"*:{position + 1}")
        assert done.code in (KILLED, self.result.code), done
        self.judge(f"*:{position + 1} ({self.points[position]})")
        return done.code == KILLED

    def kill_twice_at(self, first, second):
        """The recovery is killed, too."""
        p = self.project
        self.state.put(p)
        p.mig(*self.command, code=None, MIG_CRASH_AT=f"*:{first + 1}")
        died = p.mig("recover", code=None, MIG_CRASH_AT=f"*:{second + 1}").code == KILLED
        self.judge(f"*:{first + 1} ({self.points[first]}), recovery at *:{second + 1}")
        return died

    def kill_after(self, seconds):
        p = self.project
        self.state.put(p)
        process = p.start(*self.command)
        time.sleep(seconds)
        process.kill()
        process.communicate()
        self.judge(f"{seconds:.4f} s")
        return process.returncode == KILLED
