"""As curl does: the 1st, 2nd, 3rd ... allocation, message to the server and file call fails, until a run succeeds.

Each gives a clean error in three lines, no leak (the build with sanitizers), no wrong state: exit 0 is "after", exit 1 and 3 are
"before" at once, and the rest is so after `mig recover`. Here in a fixed stride, with --run-long every one, or with
MIG_EVERY=N every Nth, from the MIG_FROM-th on (1 unless told): all of them are some 16,000 runs of the program. A place
that fails does not end the test: the others are tried, too, and all findings told together.
"""
import json
import os
import pathlib

import pytest

import scenarios
from cli_support import three_lines
from conftest import server_uri
from counts import count
from scenarios import Ready
from wireproxy import NthMessage, Rule, WireProxy, do_but_reply_with, error, error_reply, lose_reply, lose_request

SHORT = [scenarios.up_fails, scenarios.restore_by_delta]
LONG = [scenarios.up, scenarios.down_fails, scenarios.restore_by_swap, scenarios.snapshot_create, scenarios.recover_a_run]
TORTURED = SHORT + [pytest.param(s, marks=pytest.mark.long, id=s.__name__) for s in LONG]
TOO_MANY = 20  # findings: something is wrong with all of them
SAMPLE = 4  # of each scenario and kind when the run is not a long one
EVERY, FROM = int(os.environ.get("MIG_EVERY") or 1), int(os.environ.get("MIG_FROM") or 1)
FAULTFS = pathlib.Path(os.environ.get("MIG_BIN", "x")).parent / "tests" / "libmig_faultfs.so"


def disk(folder, fail, log, **more):
    """Environment: a disk that fails, under the folder."""
    env = {"LD_PRELOAD": FAULTFS, "MIG_FS_UNDER": folder, "MIG_FS_FAIL": fail, "MIG_FS_LOG": log,
           "ASAN_OPTIONS": "verify_asan_link_order=0"}
    return {**env, **more}


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    made = {}

    def make(scenario, uri=None):
        if scenario not in made:
            made[scenario] = Ready(scenario, uri or server_uri("MIG_TEST_URI"), tmp_path_factory.mktemp(scenario.__name__))
        return made[scenario]
    yield make
    for r in made.values():
        r.project.close()


def clean(r, result, what):
    """What was said and what is there now agree; and recovery settles the rest."""
    p = r.project
    assert result.code in (0, 1, 3, 4, 5, 6, 7), f"{what}: {result!r}"
    assert "Sanitizer" not in result.err and "runtime error" not in result.err, f"{what}: {result!r}"
    if result.code:
        three_lines(result)
    now = p.digest()
    if result.code == 0:
        assert now == r.allowed[0][0], f"{what}: exit 0, but it is not done"
    elif result.code in (1, 3) and r.command != ["recover"]:
        assert not p.db.migrationlocks.find_one({"_id": "mig.restore"}), f"{what}: a restore that was called off waits\n{result!r}"
        # some servers cannot forget a validator: what a run restores without a fault is "as before", too
        before = {r.before[0]} | ({r.allowed[0][0]} if r.result.code in (1, 3) else set())
        assert now in before, f"{what}: exit {result.code}, but the data is not as before\n{result!r}"
    r.judge(what)


class Findings(list):
    """What did not hold, place by place."""

    def look(self, r, result, what, counted):
        try:
            clean(r, result, what)
            count(f"{r.name}: {counted}")
        except Exception as e:  # pylint: disable=broad-except  (a timeout, what the server said: findings, too)
            self.append(f"{what}: {type(e).__name__}: {e}")
            if len(self) == TOO_MANY:
                self.tell()

    def tell(self):
        assert not self, f"{len(self)} findings\n" + "\n\n".join(self)


def positions(total, request):
    if request.config.getoption("--run-long"):
        return range(FROM, total + 1, EVERY)
    step = max(total // SAMPLE, 1)
    return range(1 + step // 2, total + 1, step)


@pytest.mark.parametrize("scenario", TORTURED, ids=lambda s: s.__name__)
def test_each_allocation_fails_cleanly(scenario, ready, request, tmp_path):
    r = ready(scenario)
    trace = tmp_path / "trace"
    r.state.put(r.project)
    r.project.mig(*r.command, code=None, MIG_FAIL_ALLOC=0, MIG_CRASH_TRACE=trace)
    total = int(trace.read_text().split()[-1])
    assert total > 100
    findings = Findings()
    for nth in positions(total, request):
        trace.unlink(missing_ok=True)
        r.state.put(r.project)
        result = r.project.mig(*r.command, code=None, MIG_FAIL_ALLOC=nth, MIG_CRASH_TRACE=trace)
        findings.look(r, result, f"allocation {nth} of {total}", "an allocation fails")
    findings.tell()


@pytest.mark.parametrize("scenario", TORTURED, ids=lambda s: s.__name__)
def test_each_file_call_fails_cleanly(scenario, ready, request, tmp_path):
    r = ready(scenario)
    log = tmp_path / "log"
    r.state.put(r.project)
    r.project.mig(*r.command, code=None, **disk(r.project.folder, "0", log))
    calls = log.read_text().splitlines()
    assert len(calls) > 20
    findings = Findings()
    for nth in positions(len(calls), request):
        r.state.put(r.project)
        log.unlink()
        result = r.project.mig(*r.command, code=None, **disk(r.project.folder, nth, log))
        failed = [line for line in log.read_text().splitlines() if line.endswith("FAILED")]
        findings.look(r, result, f"file call {nth}: {failed}", "a file call fails")
    findings.tell()


MESSAGES = {"request lost": lose_request, "reply lost": lose_reply, "refused": error_reply(8000), "not authorized": error_reply(13),
            "not the primary": error_reply(10107)}


@pytest.mark.parametrize("kind", MESSAGES)
@pytest.mark.parametrize("scenario", TORTURED, ids=lambda s: s.__name__)
def test_each_message_to_the_server_fails_cleanly(scenario, kind, ready, request):
    r = ready(scenario)
    with WireProxy(r.project.uri) as proxy:
        counting = NthMessage(0, None, times=0)
        proxy.rules.append(counting)
        r.state.put(r.project)
        r.project.mig(*r.command, code=None, uri=proxy.uri)
    assert counting.seen > 15
    if not request.config.getoption("--run-long"):
        # one kind a place: over all kinds each stretch of the run is met
        offset = list(MESSAGES).index(kind) * counting.seen // len(MESSAGES) + 1
        places = range(1 + (offset + counting.seen // 7) % counting.seen, counting.seen + 1, counting.seen)
    else:
        places = positions(counting.seen, request)
    findings = Findings()
    for nth in places:
        r.state.put(r.project)
        with WireProxy(r.project.uri, [NthMessage(nth, MESSAGES[kind])]) as proxy:
            result = r.project.mig(*r.command, code=None, uri=proxy.uri, timeout=300)
        findings.look(r, result, f"message {nth} of {counting.seen} ({proxy.log[-1]}): {kind}", f"a message to the server: {kind}")
    findings.tell()


def test_short_memory_never_passes_for_what_a_server_cannot_do(project, request, tmp_path):
    """What the server can do is tried once and kept: a try that had no memory must not be kept as a "no"."""
    trace = tmp_path / "trace"
    kept = {"_id": "mig.capabilities"}
    project.mig("doctor", MIG_FAIL_ALLOC=0, MIG_CRASH_TRACE=trace)
    total, known = int(trace.read_text().split()[-1]), project.db.migrationlocks.find_one(kept)["has"]
    assert total > 50 and known
    step = 1 if request.config.getoption("--run-long") else 5
    for nth in range(FROM, total + 1, step * EVERY):
        project.db.migrationlocks.delete_one(kept)
        trace.unlink(missing_ok=True)
        result = project.mig("doctor", code=None, MIG_FAIL_ALLOC=nth, MIG_CRASH_TRACE=trace)
        now = project.db.migrationlocks.find_one(kept)
        assert now is None or now["has"] == known, f"allocation {nth} of {total}: {result!r}"
        count("doctor: an allocation fails")


PASSING = {"not the primary": 10107, "stepped down": 189, "shutting down": 91, "interrupted": 11601, "out of time": 50}


@pytest.mark.parametrize("times", [1, 5, pytest.param(None, marks=pytest.mark.long)], ids=["once", "five times", "from there on"])
def test_trouble_that_passes_is_never_kept_as_what_a_server_cannot_do(times, project, request):
    """A primary that steps down in the middle of a try says nothing about what the next one can do."""
    kept = {"_id": "mig.capabilities"}
    with WireProxy(project.uri) as proxy:
        counting = NthMessage(0, None, times=0)
        proxy.rules.append(counting)
        project.mig("doctor", uri=proxy.uri)
    known = project.db.migrationlocks.find_one(kept)["has"]
    step = 1 if request.config.getoption("--run-long") else counting.seen // 7
    for nth in range(FROM, counting.seen + 1, step * EVERY):
        why = list(PASSING)[nth // step % len(PASSING)]
        project.db.migrationlocks.delete_one(kept)
        with WireProxy(project.uri, [NthMessage(nth, error_reply(PASSING[why]), times=times)]) as proxy:
            result = project.mig("doctor", code=None, uri=proxy.uri)
        now = (project.db.migrationlocks.find_one(kept) or {"has": {}})["has"]
        assert now.items() <= known.items(), f"message {nth} of {counting.seen} ({proxy.log[-1]}): {why}: {now}\n{result!r}"
        count(f"doctor: a message to the server: {why}")


@pytest.mark.parametrize("command", ["create", "insert"])
def test_what_an_attempt_left_is_never_taken_for_what_a_server_cannot_do(command, project, request):
    """A try whose first attempt failed, and could not take away what it had made, begins again beside it."""
    kept = {"_id": "mig.capabilities"}
    project.mig("doctor")
    known, nth, made = project.db.migrationlocks.find_one(kept)["has"], FROM, [None]
    step = EVERY if request.config.getoption("--run-long") else 4
    while made:
        made = []

        def scratch(body):
            return body[command].startswith("migprobe_")

        def remember(conn, message, body):
            made.append(body[command])  # pylint: disable=cell-var-from-loop
            do_but_reply_with(error(189))(conn, message, body)

        project.db.migrationlocks.delete_one(kept)
        rules = [Rule(command, remember, nth=nth, when=scratch), Rule("drop", error_reply(189), when=lambda b: b["drop"] in made)]
        with WireProxy(project.uri, rules) as proxy:
            result = project.mig("doctor", uri=proxy.uri)
        now = project.db.migrationlocks.find_one(kept)["has"]
        assert now == known, f"{command} {nth}: {result!r}"
        left = [name for name in project.db.list_collection_names() if name.startswith("migprobe_")]
        assert not left, f"{command} {nth}"
        count(f"doctor: an attempt's {command} stays", len(made))
        nth += step
    assert nth > 5


def test_short_memory_never_makes_a_setting_one_that_was_not_given(project, tmp_path):
    """The database, the store and the key are those that were asked for, or none: each of the first allocations fails."""
    p = project
    p.db.users.insert_many([{"_id": i} for i in range(5)])
    key, trace = p.folder / "key", tmp_path / "trace"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    other = p.client[p.name + "_other"]
    other.users.insert_one({"_id": "not this one"})
    (p.folder / "mig.json").write_text(json.dumps({"keyFile": "key", "store": "elsewhere"}))
    uri = p.uri.replace("/?", f"/{other.name}?") if "/?" in p.uri else f"{p.uri.rstrip('/')}/{other.name}"
    p.mig("doctor", uri=uri)
    try:
        for nth in range(FROM, 41, EVERY):
            trace.unlink(missing_ok=True)
            result = p.mig("snapshot", "create", "--json", code=None, uri=uri, MIG_FAIL_ALLOC=nth, MIG_CRASH_TRACE=trace)
            assert result.code in (0, 1), f"allocation {nth}: {result!r}"
            if result.code:
                three_lines(result)
            assert not p.store.exists(), f"allocation {nth}: another store"
            for made in (p.folder / "elsewhere").glob("*.mig.tar"):
                shown = p.mig("snapshot", "show", made, "--json").lines
                assert {x["database"] for x in shown if "database" in x} == {p.name}, f"allocation {nth}"
                assert all(x["encrypted"] for x in shown if "encrypted" in x), f"allocation {nth}"
                made.unlink()
            count("settings: an allocation fails")
    finally:
        p.client.drop_database(other.name)
