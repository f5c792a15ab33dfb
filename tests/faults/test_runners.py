"""Several runners: one works, the others are told; one that lost its lease writes nothing more."""
import contextlib
import datetime
import os
import pty
import signal
import time

import pytest

from cli_support import free, three_lines, wait_for
from serve_support import Serve
from wireproxy import HoldReply, Rule, WireProxy, cut_in_reply, cut_in_request, lose_reply, lose_request, call_first

LONG = {"up": [{"update": {"collection": "users", "filter": {}, "update": {"$inc": {"n": 1}}}},
               {"update": {"collection": "users", "filter": {}, "update": {"$inc": {"m": 1}}}}]}


@pytest.fixture
def ready(project):
    p = project
    p.db.users.insert_many([{"_id": i, "n": 0, "m": 0} for i in range(24000)])
    p.write("0001_count", LONG)
    p.mig("doctor")
    return p


def in_steps(p):
    return wait_for(lambda: p.db.users.find_one({"n": 1}, {"_id": 1}))


def stop(process):
    os.kill(process.pid, signal.SIGSTOP)


def go_on(process):
    os.kill(process.pid, signal.SIGCONT)


def test_second_runner_is_told_who_holds_the_lease_since_when(ready):
    first = ready.start("up")
    in_steps(ready)
    stop(first)
    second = ready.mig("up", code=5)
    go_on(first)
    first.communicate(timeout=120)
    assert first.returncode == 0
    assert f"process {first.pid}" in second.err and "held since 20" in second.err and "hint:" in second.err
    assert ready.db.users.count_documents({"n": 1, "m": 1}) == 24000


def test_eight_runners_at_once_apply_it_once(ready):
    runs = [ready.start("up") for _ in range(8)]
    codes = sorted((r.communicate(timeout=170), r.returncode)[1] for r in runs)
    assert codes[0] == 0 and set(codes) <= {0, 5}, codes
    assert ready.db.users.count_documents({"n": 1, "m": 1}) == 24000
    assert [e["outcome"] for e in ready.db.migrationevents.find({"direction": "up"})] == ["applied"]


WRITES = ("update", "insert", "delete", "findAndModify", "drop", "create", "createIndexes", "renameCollection", "collMod")


@contextlib.contextmanager
def held_in_steps(p, *more, nth=2):
    """A run that waits for the answer to its nth batch; (process, proxy, hold)."""
    hold = HoldReply()
    with WireProxy(p.uri, [Rule("update", hold, collection="users", nth=nth)]) as proxy:
        run = p.start("up", *more, uri=proxy.uri)
        assert hold.reached.wait(60), run.poll()
        yield run, proxy, hold
        hold.released.set()


def test_runner_stopped_past_its_lease_writes_nothing_more(ready):
    before = ready.digest()
    with held_in_steps(ready) as (first, proxy, hold):
        stop(first)
        past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
        ready.db.migrationlocks.update_one({"_id": "mig"}, {"$set": {"expiresAt": past}})
        ready.mig("recover")
        assert ready.digest() == before and ready.status("0001_count") == "failed"
        mark = proxy.mark()
        hold.released.set()
        go_on(first)
        out, err = first.communicate(timeout=120)
        assert first.returncode == 5, err
        assert ("update", "users") not in proxy.since(mark)
    assert ready.digest() == before
    assert ready.status("0001_count") == "failed"
    ready.mig("up")
    assert ready.db.users.count_documents({"n": 1, "m": 1}) == 24000


@pytest.mark.parametrize("migration", ["batches", "restore"])
def test_lease_lost_in_the_middle_stops_the_loser_before_its_next_write(ready, migration):
    """Taken away while it waits for the answer to a batch, in steps or while it puts back: not one write more."""
    if migration == "restore":
        ready.write("0001_count", {**LONG, "verify": [{"count": {"collection": "users", "filter": {}, "equals": 0}}]})
    before = ready.digest()
    # 24 batches a step: 50 is the second of the restore, wherever steps and restore do it by updates
    with held_in_steps(ready, nth=50 if migration == "restore" else 2) as (first, proxy, hold):
        ready.mig("force-unlock", code=2)
        ready.mig("force-unlock", "--confirm")
        ready.mig("recover")
        assert ready.digest() == before and ready.status("0001_count") == "failed"
        mark = proxy.mark()
        hold.released.set()
        out, err = first.communicate(timeout=120)
        assert first.returncode == 5, err
        wrote = [x for x in proxy.since(mark) if x[0] in WRITES and x != ("update", "migrationlocks")]
        assert wrote == []  # but for giving back a lease that is not its any more, which matches nothing
    assert ready.digest() == before
    assert ready.db.migrationlocks.find_one({"_id": "mig"})["locked"] is False
    ready.mig("up", code=3 if migration == "restore" else 0)


def take(body):
    return body["updates"][0]["q"].get("_id") == "mig" and "lockedAt" in body["updates"][0]["u"].get("$set", {})


def give_back(body):
    return body["updates"][0]["q"].get("_id") == "mig" and body["updates"][0]["u"].get("$set", {}).get("locked") is False


def of_ours(body):
    return body["updates"][0]["q"].get("_id") == "mig" and "lockedBy" in body["updates"][0]["q"]


@pytest.mark.parametrize("action", [lose_reply, cut_in_reply, lose_request], ids=lambda a: a.__name__)
def test_lost_answer_to_the_taking_of_the_lease_does_not_leave_it_to_nobody(ready, action):
    """The server has done it: this runner goes on with it; where it has not, the lease is free."""
    with WireProxy(ready.uri, [Rule("update", action, collection="migrationlocks", when=take)]) as proxy:
        result = ready.mig("up", uri=proxy.uri, code=None)
    landed = action is not lose_request
    assert result.code == (0 if landed else 1), result
    assert ready.status("0001_count") == ("applied" if landed else None) and free(ready)


def test_lease_whose_taking_cannot_be_asked_about_is_given_back_when_the_server_answers_again(ready):
    """The look after it fails as well: the run ends, and the lease is not left to a runner that goes on living."""
    rules = [Rule("update", lose_reply, collection="migrationlocks", when=take),
             Rule("update", lose_request, collection="migrationlocks", times=3, when=of_ours)]
    with WireProxy(ready.uri, rules) as proxy:
        result = ready.mig("up", uri=proxy.uri, code=1)
        assert rules[1].seen > 3, "given back after two more failures"
    assert free(ready), result
    ready.mig("up")


@pytest.mark.parametrize("action", [lose_reply, lose_request, cut_in_request], ids=lambda a: a.__name__)
def test_lease_is_given_back_over_a_broken_connection(ready, action):
    with WireProxy(ready.uri, [Rule("update", action, collection="migrationlocks", times=2, when=give_back)]) as proxy:
        ready.mig("up", uri=proxy.uri)
    assert free(ready) and ready.status("0001_count") == "applied"


def test_server_that_no_longer_answers_is_not_waited_for_to_take_the_lease_back(ready):
    """A bounded time: the lease runs out by itself."""
    with WireProxy(ready.uri, [Rule("update", lose_request, collection="migrationlocks", times=None, when=give_back)]) as proxy:
        begin = time.monotonic()
        ready.mig("up", uri=proxy.uri)
        assert time.monotonic() - begin < 60
    assert not free(ready)


@pytest.mark.parametrize("who", ["serve", "start"])
def test_process_that_goes_on_after_its_run_keeps_no_lease(ready, who):
    """What `mig start` has become has its number and start time, and the server lives on: nobody would take them for dead."""
    with WireProxy(ready.uri, [Rule("update", lose_reply, collection="migrationlocks", when=take)]) as proxy:
        if who == "serve":
            with Serve(ready, uri=proxy.uri) as s:
                s.finish(s.post("/api/migrations/up"))
                ready.mig("up")
        else:
            lives = ready.start("start", "--", "sh", "-c", "echo lives; exec sleep 60", uri=proxy.uri, MIGRATE_ON_START="true")
            assert lives.stdout.readline() == "lives\n"
            ready.mig("up")
            lives.kill()
            lives.communicate()
    assert ready.status("0001_count") == "applied" and free(ready)


def test_dead_runner_of_this_machine_does_not_block_for_half_an_hour(ready):
    first = ready.start("up")
    in_steps(ready)
    first.kill()
    first.communicate()
    assert ready.db.migrationlocks.find_one({"_id": "mig"})["locked"] is True
    assert "gone" in ready.mig("lock-status").out
    ready.mig("up")
    assert ready.status("0001_count") == "applied"


def test_live_runner_elsewhere_is_not_taken_for_dead(ready):
    """The same pid and host name on another machine, say: only a deadline frees that lease."""
    later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=20)
    ready.db.migrationlocks.replace_one({"_id": "mig"}, {"locked": True, "lockedBy": "other", "host": os.uname().nodename,
                                                         "machine": "another boot", "pid": 999999, "pidStarted": 5, "reason": "up",
                                                         "fence": 0, "lockedAt": later, "expiresAt": later}, upsert=True)
    ready.mig("up", code=5)
    ready.mig("recover", code=5)
    assert ready.status("0001_count") is None


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_undoes_and_exits_130(ready, signal_number):
    before = ready.digest()
    run = ready.start("up")
    in_steps(ready)
    run.send_signal(signal_number)
    out, err = run.communicate(timeout=120)
    assert run.returncode == 130, err
    assert ready.digest() == before
    assert ready.status("0001_count") == "failed"
    assert ready.db.migrationlocks.find_one({"_id": "mig"})["locked"] is False


def test_hangup_that_comes_twice_undoes_and_exits_130(ready):
    """A shell passes it on, and the kernel sends it again when the shell ends: nobody insists."""
    before = ready.digest()
    with held_in_steps(ready) as (run, _, hold):
        for _ in range(2):
            run.send_signal(signal.SIGHUP)
            time.sleep(0.1)
        hold.released.set()
        out, err = run.communicate(timeout=120)
    assert run.returncode == 130, err
    assert ready.digest() == before and ready.status("0001_count") == "failed"
    assert ready.db.migrationlocks.find_one({"_id": "mig"})["locked"] is False


def test_lost_terminal_undoes_and_frees_the_lease(ready):
    """The real thing: the other end of its controlling terminal is closed, and nothing can be printed any more."""
    before = ready.digest()
    hold = HoldReply()
    with WireProxy(ready.uri, [Rule("update", hold, collection="users", nth=2)]) as proxy:
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(ready.folder)
            os.execve(os.environ["MIG_BIN"], ["mig", "up"], ready.environment(proxy.uri))
        assert hold.reached.wait(60)
        os.close(terminal)
        time.sleep(0.2)
        hold.released.set()
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 130
    assert ready.digest() == before and ready.status("0001_count") == "failed"
    assert ready.db.migrationlocks.find_one({"_id": "mig"})["locked"] is False


def test_hangup_is_not_heard_where_it_was_ignored_already(ready):
    """nohup mig up"""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with held_in_steps(ready) as (run, _, hold):
            run.send_signal(signal.SIGHUP)
            time.sleep(0.1)
            hold.released.set()
            out, err = run.communicate(timeout=120)
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    assert run.returncode == 0, err
    assert ready.status("0001_count") == "applied"


def test_second_signal_stops_at_once_and_recover_settles_it(ready):
    before = ready.digest()
    run = ready.start("up")
    in_steps(ready)
    run.send_signal(signal.SIGINT)
    time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=120)
    assert run.returncode in (7, 130), err
    ready.mig("recover")
    assert ready.digest() == before
    assert ready.status("0001_count") == "failed"


# ---- recovery of what somebody else ends meanwhile -----------------------------------------------------------------------

def recover_while(p, change):
    """`mig recover` of a run that was killed after its step; the entry is changed just before it is taken over."""
    p.write("0001_count", {**LONG, "transaction": "off"})
    p.mig("up", code=None, MIG_CRASH_AT="step_end")
    assert p.status("0001_count") == "running"

    def act(body):
        p.db.migrationlogs.update_one({"name": "0001_count"}, {"$set": change})

    takes_over = Rule("update", call_first(act), collection="migrationlogs",
                      when=lambda body: "run.recoveredBy" in body["updates"][0]["u"].get("$set", {}))
    with WireProxy(p.uri, [takes_over]) as proxy:
        result = p.mig("recover", uri=proxy.uri, code=None)
    assert takes_over.seen == 1
    return result


def test_a_run_that_its_own_runner_ended_as_failed_is_not_told_as_applied(ready):
    result = recover_while(ready, {"status": "failed", "run.phase": "done"})
    assert result.code == 0 and ready.status("0001_count") == "failed"
    assert ready.db.migrationevents.count_documents({"outcome": "applied"}) == 0, result


def test_a_run_that_a_later_runner_has_is_left_to_him(ready):
    result = recover_while(ready, {"run.fence": 1 << 40})
    assert ready.db.migrationevents.count_documents({"outcome": "applied"}) == 0, result
    assert result.code == 5, result
    three_lines(result, "lock-status")
    assert ready.status("0001_count") == "running"
