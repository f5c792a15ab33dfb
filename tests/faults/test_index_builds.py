"""The indexes of a stage are built while its documents are read back: what comes of it when either of the two fails.

Whatever happens, the result is that of one after the other (--jobs 1), nothing is left, and the next run converges.
"""
import random
import signal
import threading
import time

import pytest

from cli_support import one
from wireproxy import Rule, WireProxy, call_first, do_but_reply_with, error, lose_reply, lose_request, reply_with

KILLED = -9
N = 9000
PUT_BACK = ("--yes", "--no-safety-snapshot", "--json", "--strategy", "swap")


@pytest.fixture
def kept(project):
    """Some 13 MB, in four chunks; and a collection that is as it should not be, so that it is swapped."""
    r = random.Random(13)
    project.db.things.insert_many([{"_id": i, "key": f"k{i}", "text": r.randbytes(700).hex()} for i in range(N)])
    project.db.things.create_index("key", unique=True)
    project.db.things.create_index([("text", 1), ("key", -1)])
    project.digest_kept = project.digest()
    project.id = one(project.mig("snapshot", "create", "--json"), "snapshot")["snapshot"]
    project.db.things.delete_many({"_id": {"$mod": [100, 3]}})
    project.damaged = project.digest()
    return project


def on_stage(body):
    name = next(iter(body), None)
    return str(body.get("collection" if name == "getMore" else name)).startswith("migstage_")


def reads(body):
    return next(iter(body), None) in ("find", "getMore") and "limit" not in body and on_stage(body)


def building(action, **more):
    return Rule("createIndexes", action, when=on_stage, **more)


def left_over(p):
    return [n for n in p.db.list_collection_names() if n.startswith(("migstage_", "migaside_"))]


def restored(p):
    p.mig("restore", p.id, *PUT_BACK)
    assert p.digest() == p.digest_kept and not left_over(p)


class Hold:
    """An action: the server hears of it when `released` is set, at the latest after so long."""

    def __init__(self, seconds=60):
        self.seconds, self.reached, self.released, self.in_time = seconds, threading.Event(), threading.Event(), False

    def __call__(self, conn, message, body):
        self.reached.set()
        self.in_time = self.released.wait(self.seconds)
        conn.client.sendall(conn.ask(message))


def test_documents_are_read_back_while_the_server_builds(kept):
    hold = Hold(12)
    builds = building(hold)
    seen = Rule(None, None, when=lambda body: reads(body) and hold.reached.is_set() and hold.released.set())
    with WireProxy(kept.uri, [builds, seen]) as proxy:
        kept.mig("restore", kept.id, *PUT_BACK, "--jobs", "2", uri=proxy.uri)
    assert hold.in_time, "no document was read before the index was there"
    assert builds.seen == 1, "both indexes come by one command: the server reads the documents once"
    assert kept.digest() == kept.digest_kept and not left_over(kept)


def test_one_job_does_one_after_the_other(kept):
    with WireProxy(kept.uri) as proxy:
        kept.mig("restore", kept.id, *PUT_BACK, "--jobs", "1", uri=proxy.uri)
        log = [name for name, of in proxy.log if str(of).startswith("migstage_")]
    last = len(log) - log[::-1].index("createIndexes")
    assert "find" not in log[:last] and "find" in log[last:]
    assert kept.digest() == kept.digest_kept and not left_over(kept)


def told(p, rules, jobs):
    with WireProxy(p.uri, rules()) as proxy:
        result = p.mig("restore", p.id, *PUT_BACK, "--jobs", jobs, uri=proxy.uri, code=None)
    assert p.digest() == p.damaged and not left_over(p)
    return result.code, result.err[result.err.index("error: "):].splitlines()


def test_a_refused_index_is_told_as_if_it_had_been_built_first(kept):
    refuse = reply_with(error(11000, "E11000 duplicate key error, scripted"))
    both = [told(kept, lambda: [building(refuse, times=None)], jobs) for jobs in ("1", "2")]
    assert both[0] == both[1] and both[0][0] not in (0, 3)
    assert any("E11000" in line for line in both[1][1]) and any("2 indexes" in line for line in both[1][1]), both
    restored(kept)


def test_one_refused_index_of_two_is_told_and_the_other_is_built(kept):
    def refuse():
        refused = building(reply_with(error(67, "cannot create, scripted")), times=None)
        refused.when = lambda body: on_stage(body) and any(i["name"] == "key_1" for i in body["indexes"])
        return [refused]
    both = [told(kept, refuse, jobs) for jobs in ("1", "2")]
    assert both[0] == both[1] and any("1 indexes" in line for line in both[1][1]), both
    restored(kept)


def test_a_real_duplicate_ends_the_build_and_nothing_takes_the_place(kept):
    """The server itself gives up the build; the comparison may or may not have passed by what came in between."""
    def meddle(body):
        kept.db[body["createIndexes"]].insert_one({"_id": "second", "key": "k7"})
    code, lines = told(kept, lambda: [building(call_first(meddle))], "2")
    assert code not in (0, 3) and any("1 indexes (" in line and "the server refused" in line for line in lines), lines
    restored(kept)


def test_a_reading_that_is_refused_during_the_build_is_done_after_it(kept):
    hold = Hold(12)

    def refuse(conn, message, body):
        conn.answer(message, error(175, "scripted: not while an index is built"))
        hold.released.set()
    refused = Rule(None, refuse, when=lambda body: reads(body) and hold.reached.is_set())
    with WireProxy(kept.uri, [building(hold), refused]) as proxy:
        kept.mig("restore", kept.id, *PUT_BACK, "--jobs", "2", uri=proxy.uri)
    assert hold.in_time and refused.seen > 1
    assert kept.digest() == kept.digest_kept and not left_over(kept)


@pytest.mark.parametrize("action", [lose_reply, lose_request])
def test_a_build_whose_connection_breaks_ends_it_and_the_next_run_converges(kept, action):
    with WireProxy(kept.uri, [building(action, times=None)]) as proxy:
        result = kept.mig("restore", kept.id, *PUT_BACK, "--jobs", "2", uri=proxy.uri, code=None)
    assert result.code not in (0, 3) and "createIndexes" in result.err, result
    assert kept.db.things.count_documents({}) == N - N // 100
    restored(kept)


def test_a_reading_that_breaks_is_told_and_the_build_is_ended(kept):
    hold = Hold(4)
    cut = Rule(None, lose_request, times=None, when=lambda body: reads(body) and hold.reached.is_set())
    builds = building(hold)
    with WireProxy(kept.uri, [builds, cut]) as proxy:
        result = kept.mig("restore", kept.id, *PUT_BACK, "--jobs", "2", uri=proxy.uri, code=None)
    assert builds.seen == 1, "nothing more is begun"
    assert result.code not in (0, 3) and ("find" in result.err or "getMore" in result.err) and "createIndexes" not in result.err, result
    restored(kept)


def test_a_signal_during_the_build_tells_the_server_to_end_it_and_leaves_the_stage(kept):
    hold = Hold(4)
    builds = building(hold)
    with WireProxy(kept.uri, [builds]) as proxy:
        run = kept.start("restore", kept.id, *PUT_BACK, "--jobs", "2", uri=proxy.uri)
        assert hold.reached.wait(60)
        time.sleep(0.5)
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=120)
        kills = proxy.count("killSessions")
    assert run.returncode == 7 and kills and builds.seen == 1
    assert len(left_over(kept)) == 1
    kept.mig("recover", "--yes")
    assert kept.digest() == kept.digest_kept and not left_over(kept)


@pytest.mark.parametrize("at", ["restore_index", "restore_staged"])
def test_a_kill_during_the_build_converges(kept, at):
    assert kept.mig("restore", kept.id, *PUT_BACK, "--jobs", "2", code=None, MIG_CRASH_AT=at).code == KILLED
    assert kept.db.things.count_documents({}) == N - N // 100 and len(left_over(kept)) == 1
    kept.mig("recover", "--yes")
    assert kept.digest() == kept.digest_kept and not left_over(kept)


def test_an_index_that_only_seems_to_be_built_is_found_out(kept):
    pretend = reply_with({"ok": 1.0, "numIndexesBefore": 1, "numIndexesAfter": 3})
    code, lines = told(kept, lambda: [building(pretend)], "2")
    assert code not in (0, 3) and any("2 indexes" in line for line in lines), lines
    restored(kept)
