"""Runners started together, hosts whose clocks are wrong, and a runner that sleeps past its lease.

More of the same, one case at a time: test_runners.py.
"""
import datetime
import os
import pathlib
import signal
import time

import pytest

from counts import count
from crash_support import State
from held import patient
from test_runners import WRITES
from wireproxy import HoldReply, Rule, WireProxy, error

FAULTCLOCK = pathlib.Path(os.environ.get("MIG_BIN", "x")).parent / "tests" / "libmig_faultclock.so"
COUNT = {"transaction": "off",
         "up": [{"update": {"collection": "users", "filter": {}, "update": {"$inc": {"n": 1}}}},
                {"update": {"collection": "users", "filter": {}, "update": {"$inc": {"m": 1}}}}]}


@pytest.fixture
def ready(project, tmp_path):
    p = project
    p.db.users.insert_many([{"_id": i, "n": 0, "m": 0} for i in range(40)])
    p.write("0001_count", COUNT)
    return p


@pytest.mark.parametrize("runners,rounds", [(2, 6), (8, 2), pytest.param(2, 200, marks=pytest.mark.long),
                                            pytest.param(8, 200, marks=pytest.mark.long)])
def test_runners_started_together_apply_it_once(ready, tmp_path, runners, rounds):
    """Half of the rounds on a database that no run has seen: then ledger and lease are made in the race, too."""
    p = ready
    fresh = State(p, tmp_path / "fresh")
    p.mig("doctor")
    known = State(p, tmp_path / "known")
    for turn in range(rounds):
        (fresh if turn % 2 else known).put(p)
        runs = [p.start("up") for _ in range(runners)]
        ends = [(r.communicate(timeout=170), r.returncode) for r in runs]
        codes = sorted(code for _, code in ends)
        assert codes[0] == 0 and set(codes) <= {0, 5}, (turn, ends)
        assert p.db.users.count_documents({"n": 1, "m": 1}) == 40, (turn, ends)
        assert [e["outcome"] for e in p.db.migrationevents.find({"direction": "up"})] == ["applied"], (turn, ends)
        assert p.db.migrationlogs.count_documents({}) == 1 and p.status("0001_count") == "applied"
        lease = p.db.migrationlocks.find_one({"_id": "mig"})
        assert lease["locked"] is False, (turn, lease)
        count(f"{runners} runners started together")


def clock(seconds):
    return {"LD_PRELOAD": FAULTCLOCK, "MIG_CLOCK_OFFSET_S": seconds, "ASAN_OPTIONS": "verify_asan_link_order=0"}


@pytest.mark.parametrize("holder,other", [(3600, 0), (-3600, 0), (0, 3600), (0, -3600), (-3600, 3600)])
def test_a_wrong_clock_does_not_make_a_live_lease_look_dead(ready, holder, other):
    p = ready
    p.mig("doctor")
    hold = HoldReply()
    with WireProxy(p.uri, [Rule("update", hold, collection="users")]) as proxy:
        first = p.start("up", uri=proxy.uri, **clock(holder))
        assert hold.reached.wait(60), first.communicate()
        p.mig("up", code=5, **clock(other))
        p.mig("recover", code=5, **clock(other))
        hold.released.set()
        out, err = first.communicate(timeout=120)
    assert first.returncode == 0, err
    assert p.db.users.count_documents({"n": 1, "m": 1}) == 40
    entry = p.ledger("0001_count")
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    assert abs((now - entry["appliedAt"]).total_seconds()) < 300, "times in the ledger are the server's"


@pytest.mark.parametrize("offset", [3600, -3600])
def test_a_dead_runner_with_a_wrong_clock_is_recovered(ready, offset):
    p = ready
    p.mig("doctor")
    before = p.digest()
    assert p.mig("up", code=None, MIG_CRASH_AT="step_end:1", **clock(offset)).code == -signal.SIGKILL
    p.mig("recover", **clock(-offset))
    assert p.digest() == before and p.status("0001_count") == "failed"


def refreshes(seen):
    return len([c for c in seen if c == ("update", "migrationlocks")])


@pytest.mark.parametrize("offset", [3600, pytest.param(-3600, marks=pytest.mark.long)])
def test_a_lease_is_refreshed_whatever_the_wall_clock_says(ready, offset):
    """Of a minute, so every ten seconds: not an hour later, and not without a pause."""
    p = ready
    p.mig("doctor")
    hold = HoldReply()
    with WireProxy(p.uri, [Rule("update", hold, collection="users")]) as proxy:
        first = p.start("up", "--lease-minutes", "1", uri=patient(proxy), **clock(offset))
        assert hold.reached.wait(60), first.communicate()
        mark = proxy.mark()
        until = time.monotonic() + 14
        while not refreshes(proxy.since(mark)) and time.monotonic() < until:
            time.sleep(0.2)
        time.sleep(1)
        assert 1 <= refreshes(proxy.since(mark)) <= 2, proxy.since(mark)
        hold.released.set()
        out, err = first.communicate(timeout=120)
    assert first.returncode == 0, err


class HoldAndRefuse(HoldReply):
    """The server never hears of it; the client is told so at `released`."""

    def __call__(self, conn, message, body):
        self.reached.set()
        self.released.wait(120)
        conn.answer(message, error(8000))


def nothing_more_is_written(p, hold, past_the_lease, **env):
    """A runner that is stopped in a batch while past_the_lease() passes; then another applies it, and it goes on."""
    p.mig("doctor")
    with WireProxy(p.uri, [Rule("update", hold, collection="users")]) as proxy:
        first = p.start("up", "--lease-minutes", "1", uri=patient(proxy), **env)
        assert hold.reached.wait(60)
        os.kill(first.pid, signal.SIGSTOP)
        past_the_lease()
        p.mig("up")
        after, ledger = p.digest(), p.ledger("0001_count")
        locks = list(p.db.migrationlocks.find())
        mark = proxy.mark()
        hold.released.set()
        os.kill(first.pid, signal.SIGCONT)
        out, err = first.communicate(timeout=120)
        assert first.returncode == 5, err
        # but for refreshing and giving back a lease that is not its any more, which match nothing
        assert [x for x in proxy.since(mark) if x[0] in WRITES and x != ("update", "migrationlocks")] == []
    assert p.digest() == after and p.ledger("0001_count") == ledger and ledger["status"] == "applied"
    assert list(p.db.migrationlocks.find()) == locks
    assert p.db.users.count_documents({"n": 1, "m": 1}) == 40


@pytest.mark.parametrize("hold", [HoldReply, HoldAndRefuse])
def test_a_machine_that_sleeps_past_its_lease_writes_nothing_more(ready, tmp_path, hold):
    """An hour passes for its clock at once; for the server's by hand."""
    def an_hour():
        past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
        ready.db.migrationlocks.update_one({"_id": "mig"}, {"$set": {"expiresAt": past}})
        (tmp_path / "slept").touch()
    nothing_more_is_written(ready, hold(), an_hour, **clock(0), MIG_CLOCK_SLEPT=tmp_path / "slept")


@pytest.mark.long
@pytest.mark.parametrize("hold", [HoldReply, HoldAndRefuse])
def test_a_runner_stopped_past_its_lease_of_a_minute_writes_nothing_more(ready, hold):
    nothing_more_is_written(ready, hold(), lambda: time.sleep(70))


def test_force_unlock_under_live_runners_again_and_again_loses_nothing(ready):
    """Somebody unlocks by force all the time while runners work: each either applies it whole or leaves it to recovery."""
    p = ready
    p.mig("doctor")
    for _ in range(4):
        runs = [p.start("up") for _ in range(2)]
        for _ in range(3):
            result = p.mig("force-unlock", "--confirm", code=None)
            assert result.code == 0 or (result.code == 5 and "changed hands meanwhile" in result.err), result
        for r in runs:
            r.communicate(timeout=120)
        assert {r.returncode for r in runs} <= {0, 5, 7, 1}, [r.returncode for r in runs]
        p.mig("recover")
        n = p.db.users.count_documents({"n": 1, "m": 1})
        if p.status("0001_count") == "applied":
            assert n == 40
            break
        assert n == 0 and p.db.users.count_documents({"n": 0, "m": 0}) == 40
    else:
        p.mig("up")
        assert p.db.users.count_documents({"n": 1, "m": 1}) == 40
